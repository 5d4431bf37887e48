"""The kernels of late labels against a few lines of NumPy and numerical derivatives."""

import itertools

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.optimize import minimize
from scipy.special import expit

from estimator._kernels.late_labels import (
    count_waiting,
    find_delay_cells,
    shift_information,
    soften,
)
from estimator.delayed_labels.strata.delay_cells import (
    N_AGES,
    STEPS_PER_DOUBLING,
    age_step,
)
from tests.reference import repeated

CENTRE, SCALE = -0.5, 1.3
OFFSETS = np.array([0, 400, 400, 700])
PRECISION = 4.0
LOG_RATIO = np.array([0.0, -0.8, 1.1])


def rows(seed=0, n=700, share=0.4):
    rng = np.random.default_rng(seed)
    x = rng.normal(-0.5, 1.3, n)
    label = (rng.random(n) < expit(x + 0.4)).astype(float)
    label[rng.random(n) > share] = np.nan
    delay_cell = rng.integers(0, 3, n).astype(np.int32)
    x[5] = np.nan  # a row without a score
    return x, label, delay_cell


def by_score(x):
    """Log odds by the score alone, of rows whose features say more."""
    return 0.7 * x + np.sin(37.0 * x)


def log_likelihood(shift, x, label, delay_cell):
    """Bernoulli for labels; for waiting rows the mixture over what they may be."""
    has_score = ~np.isnan(x)
    x, label, delay_cell = x[has_score], label[has_score], delay_cell[has_score]
    p = expit(x + shift[0] + shift[1] * (by_score(x) - CENTRE) / SCALE)
    waits = np.isnan(label)
    label_likelihood = np.where(label == 1, p, 1 - p)
    mixture = p * np.exp(LOG_RATIO[delay_cell]) + 1 - p
    return np.log(np.where(waits, mixture, label_likelihood)).sum()


def information(
    x, label, delay_cell, n_steps=8, weight=None, offsets=OFFSETS, mode=None
):
    n = offsets.size - 1
    mode = np.zeros((n, 2)) if mode is None else mode
    out = np.zeros((n, 2, 2)), np.zeros((n, 2)), np.zeros((n, 2, 2))
    shift_information(
        x, by_score(x), CENTRE, SCALE, label, delay_cell, weight, np.exp(-LOG_RATIO),
        offsets, n_steps, PRECISION, mode, *out,
        np.zeros(n, dtype=np.bool_),
    )  # fmt: skip
    return out


def test_information_is_the_curvature_at_the_penalized_mode():
    x, label, delay_cell = rows()
    chunk_information, vector, _ = information(x, label, delay_cell)
    for c in (0, 2):
        chunk_rows = tuple(
            column[OFFSETS[c] : OFFSETS[c + 1]] for column in (x, label, delay_cell)
        )
        mode = minimize(
            lambda s, chunk_rows=chunk_rows: (
                PRECISION * s @ s / 2 - log_likelihood(s, *chunk_rows)
            ),
            np.zeros(2),
            tol=1e-12,
        ).x
        step = 1e-4
        hessian = np.empty((2, 2))
        for i in range(2):
            for j in range(2):
                a, b = np.eye(2)[i] * step, np.eye(2)[j] * step
                hessian[i, j] = (
                    log_likelihood(mode + a + b, *chunk_rows)
                    - log_likelihood(mode + a - b, *chunk_rows)
                    - log_likelihood(mode - a + b, *chunk_rows)
                    + log_likelihood(mode - a - b, *chunk_rows)
                ) / (4 * step**2)
        assert_allclose(chunk_information[c], -hessian, rtol=1e-3, atol=0.02)
        # The estimate without the weak prior: at the mode its gradient is the prior's.
        assert_allclose(
            vector[c], chunk_information[c] @ mode + PRECISION * mode, atol=1e-3
        )
    assert_array_equal(chunk_information[1], 0.0)  # an empty chunk says nothing


def test_what_is_awaited_is_the_information_of_the_missing_labels():
    x, label, delay_cell = rows()
    *_, awaited = information(x, label, delay_cell, n_steps=0)  # at no shift
    chunk = slice(400, 700)
    waits = np.isnan(label[chunk])
    z = expit(x[chunk] + LOG_RATIO[delay_cell[chunk]])[waits]
    u = np.stack([np.ones_like(z), (by_score(x[chunk][waits]) - CENTRE) / SCALE])
    assert_allclose(awaited[2], (u * z * (1 - z)) @ u.T, rtol=1e-12)
    assert_array_equal(awaited[1], 0.0)  # an empty chunk
    label[:400] = 1.0
    assert_array_equal(information(x, label, delay_cell)[2][0], 0.0)


def test_the_mode_is_the_same_from_wherever_it_is_sought():
    x, label, delay_cell = rows()
    expected = information(x, label, delay_cell, n_steps=20)
    mode = np.array([[0.4, -0.3], [0.0, 0.0], [-0.2, 0.5]])
    again = information(x, label, delay_cell, n_steps=20, mode=mode)
    for ours, theirs in zip(again, expected, strict=True):
        assert_allclose(ours, theirs, rtol=1e-7, atol=1e-7)
    # What is left there is the mode: Newton's method has no further way to go.
    at_mode = information(x, label, delay_cell, n_steps=0, mode=mode)
    for ours, theirs in zip(at_mode, expected, strict=True):
        assert_allclose(ours, theirs, rtol=1e-7, atol=1e-7)


def test_rows_that_wait_without_regard_to_class_say_nothing():
    x, label, delay_cell = rows()
    delay_cell[:] = 0
    chunk_information, vector, _ = information(x, label, delay_cell)
    x[np.isnan(label)] = np.nan
    alone = information(x, label, delay_cell)
    assert_allclose(chunk_information, alone[0], atol=1e-9)
    assert_allclose(vector, alone[1], atol=1e-9)


@pytest.mark.parametrize("n_steps", [0, 8])
def test_a_weighted_row_informs_like_that_many_equal_rows(n_steps):
    x, label, delay_cell = rows(1)
    weight = np.random.default_rng(2).integers(1, 6, x.size).astype(float)
    offsets = np.concatenate([[0], np.cumsum(weight)]).astype(np.int64)[OFFSETS]
    chunk_information = information(x, label, delay_cell, n_steps, weight)
    expected = information(
        *repeated(weight, x, label, delay_cell), n_steps, offsets=offsets
    )
    for ours, theirs in zip(chunk_information, expected, strict=True):
        assert_allclose(ours, theirs, rtol=1e-10, atol=1e-10)


def test_information_is_never_negative():
    for seed in range(20):
        x, label, delay_cell = rows(seed, share=0.02)
        delay_cell[:] = 1 + (np.arange(delay_cell.size) % 2)
        chunk_information, *_ = information(x, label, delay_cell)
        assert np.linalg.eigvalsh(chunk_information).min() > -1e-9


def test_soft_labels_are_labels_or_posteriors():
    x, label, delay_cell = rows()
    shift = np.array([[0.1, -0.2], [0.0, 0.0], [-0.3, 0.1]])
    weight = np.random.default_rng(1).integers(1, 6, x.size).astype(float)
    out, moved = np.full(x.size, 0.3), np.empty(3)
    soften(
        x, by_score(x), CENTRE, SCALE, label, delay_cell, weight, LOG_RATIO, OFFSETS,
        shift, out, moved,
    )  # fmt: skip
    row_shift = np.repeat(shift, np.diff(OFFSETS), axis=0)
    eta = (
        x
        + row_shift[:, 0]
        + row_shift[:, 1] * (by_score(x) - CENTRE) / SCALE
        + LOG_RATIO[delay_cell]
    )
    assert_allclose(out, np.where(np.isnan(label), expit(eta), label), rtol=1e-12)
    waits = np.isnan(label) & ~np.isnan(x)
    for c, (start, stop) in enumerate(itertools.pairwise(OFFSETS)):
        change = noise = 0.0
        for i in range(start, stop):
            if waits[i]:
                change += weight[i] * (out[i] - 0.3)
                noise += weight[i] * out[i] * (1 - out[i])
        expected = abs(change) / np.sqrt(noise) if noise else 0.0
        assert_allclose(moved[c], expected, rtol=1e-9)


def test_delay_cells_are_those_of_age_step():
    rng = np.random.default_rng(0)
    seconds = np.concatenate(
        [[-5.0, 0.0, 0.5, 1.0, 86_400.0, 1e12], 10 ** rng.uniform(-1, 8, 500)]
    )
    now = 10**15
    start = (now - (seconds * 1e6)).astype(np.int64)
    stratum = rng.integers(0, 4, seconds.size).astype(np.int16)
    out = np.empty(seconds.size, dtype=np.int32)
    find_delay_cells(start, now, stratum, STEPS_PER_DOUBLING, N_AGES, out)
    expected = stratum * N_AGES + age_step((now - start) * 1e-6)
    assert_array_equal(out, expected)


def test_waiting_rows_count_in_both_classes():
    _, label, delay_cell = rows()
    soft = np.full(label.size, 0.3)
    soft[7] = np.nan
    waiting = np.zeros((2, 3))
    count_waiting(label, soft, delay_cell, None, waiting)
    is_waiting = np.isnan(label) & ~np.isnan(soft)
    rows_by_cell = np.bincount(delay_cell[is_waiting], minlength=3)
    assert_allclose(waiting, [0.7 * rows_by_cell, 0.3 * rows_by_cell])


def test_weighted_rows_wait_as_that_many():
    _, label, delay_cell = rows()
    rng = np.random.default_rng(3)
    soft, weight = rng.random(label.size), rng.integers(1, 6, label.size)
    soft[7] = np.nan
    waiting = np.zeros((2, 3))
    count_waiting(label, soft, delay_cell, weight.astype(float), waiting)
    is_waiting = np.isnan(label) & ~np.isnan(soft)
    soft, delay_cell = repeated(
        weight[is_waiting], soft[is_waiting], delay_cell[is_waiting]
    )
    expected = [np.bincount(delay_cell, values, 3) for values in (1.0 - soft, soft)]
    assert_allclose(waiting, expected)
