"""A changed mean soft label: what the reference teaches of it, and what is applied."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.integrate import dblquad, quad
from scipy.special import expit, logit
from scipy.stats import norm

from calibration.cross_fitting import blocked_folds
from estimator.label_free.label_shift import (
    LabelShift,
    _missing_constant,
    _regress,
    learn_label_shift,
    shift_block,
)

BLOCKS = blocked_folds(40_000, 20)


def draw(rng, priors, *, of_labels):
    """Return soft labels and labels of blocks in which the share of positives differs.

    With ``of_labels`` features of each class stay, and soft labels do not know of the
    new prior; else rows change, and soft labels are right.
    """
    soft, label = [], []
    for prior, (start, stop) in zip(priors, BLOCKS, strict=True):
        n = stop - start
        if of_labels:
            y = rng.random(n) < expit(prior - 1.0)
            log_odds = rng.normal(np.where(y, 1.0, -1.0)) * 2.0 - 1.0
            soft.append(expit(log_odds))
        else:
            soft.append(expit(rng.normal(prior - 1.0, 1.5, n)))
            y = rng.random(n) < soft[-1]
        label.append(y)
    return np.concatenate(soft), np.concatenate(label).astype(float)


def test_label_shift_is_learned_and_a_change_of_rows_is_not():
    rng = np.random.default_rng(0)
    priors = rng.normal(0.0, 0.4, 20)
    learned = {}
    for of_labels in (True, False):
        soft, label = draw(rng, priors, of_labels=of_labels)
        learned[of_labels], _ = learn_label_shift(soft, label, BLOCKS)
    assert learned[True].coefficient > 5.0 * np.sqrt(learned[True].variance)
    assert abs(learned[False].coefficient) < 0.1
    # A chunk with a prior not seen so far: the shift brings its mean near its labels'.
    soft, label = draw(rng, np.repeat(0.6, 20), of_labels=True)
    error = soft.mean() - label.mean()
    shift_block(learned[True], soft, np.zeros(soft.size), slice(None))
    assert abs(soft.mean() - label.mean()) < 0.25 * abs(error)


def test_the_missing_constant_brings_the_mean_to_that_of_the_labels():
    rng = np.random.default_rng(1)
    soft = rng.uniform(0.05, 0.6, 500)
    label = (rng.random(500) < expit(logit(soft) + 0.7)) * 1.0
    constant, variance = _missing_constant(soft, label)
    moved = expit(logit(soft) + constant)
    assert moved.sum() == pytest.approx(label.sum(), abs=0.5)
    assert variance == pytest.approx(1.0 / (moved * (1 - moved)).sum(), rel=0.02)
    for only in (0.0, 1.0):
        constant, variance = _missing_constant(soft, np.full(500, only))
        assert np.isfinite([constant, variance]).all()
        assert (constant > 0) == bool(only)


def test_equation_36_the_coefficient_by_quadrature():
    rng = np.random.default_rng(2)
    x, noise = rng.normal(0.0, 0.3, 6), rng.uniform(0.01, 0.05, 6)
    y = 0.8 * x + rng.normal(0.0, np.sqrt(noise + 0.02))

    def likelihood(beta, sigma):
        return np.prod(norm.pdf(y, beta * x, np.sqrt(noise + sigma**2)))

    none = quad(lambda s: likelihood(0.0, s), 0.0, 1.0)[0]
    some, first, second = (
        dblquad(
            lambda b, s, k=k: b**k * likelihood(b, s) * norm.pdf(b),
            *(0.0, 1.0, -5.0, 5.0),
            epsabs=1e-7,
        )[0]
        for k in (0, 1, 2)
    )
    mean = first / (none + some)
    variance = second / (none + some) - mean**2
    assert_allclose(_regress(x, y, noise), (mean, variance), rtol=0.02)


def test_each_block_is_left_out_in_turn():
    rng = np.random.default_rng(3)
    soft, label = draw(rng, rng.normal(0.0, 0.4, 20), of_labels=True)
    _, of_others = learn_label_shift(soft, label, BLOCKS)
    start, stop = BLOCKS[7]
    label[start:stop] = 1.0 - label[start:stop]
    _, changed = learn_label_shift(soft, label, BLOCKS)
    assert changed[7].coefficient == of_others[7].coefficient
    assert changed[6].coefficient != of_others[6].coefficient


def test_small_chunks_and_far_ones_are_shifted_less():
    shift = LabelShift(
        coefficient=0.5, variance=0.04, centre=-1.0, spread=0.09, largest_change=0.9
    )
    rng = np.random.default_rng(4)
    soft = np.tile(expit(rng.normal(-0.7, 1.5, 20)), 1_000)
    moved, variance = zip(
        *(shift.shift(soft[:n]) for n in (200, 1_000, 20_000)), strict=True
    )
    assert 0.0 < moved[0] < moved[1] < moved[2] < 0.5 * (logit(soft.mean()) + 1.0)
    assert_allclose(variance, 0.04 * (np.array(moved) / 0.5) ** 2)
    far, _ = shift.shift(expit(rng.normal(3.0, 1.5, 20_000)))
    assert far == pytest.approx(0.5 * 0.9)
    # A stream delivers row by row: none of them may be shifted by itself.
    for n in (0, 1, 20, 199):
        assert shift.shift(soft[:n]) == (0.0, 0.0)


def test_blocks_that_differ_by_sampling_alone_teach_nothing():
    rng = np.random.default_rng(5)
    same = rng.uniform(0.1, 0.6, 2_000)
    soft = np.concatenate([rng.permutation(same) for _ in BLOCKS])
    label = (rng.random(40_000) < soft) * 1.0
    learned, _ = learn_label_shift(soft, label, BLOCKS)
    assert (learned.coefficient, learned.variance) == (0.0, 0.0)
    before = soft.copy()
    unknown = np.zeros(soft.size)
    shift_block(learned, soft, unknown, np.arange(100))
    assert_array_equal(soft, before)
    assert_array_equal(unknown, 0.0)
