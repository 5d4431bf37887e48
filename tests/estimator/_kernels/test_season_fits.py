"""Powers and evidences of seasons, against dense regression."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from estimator._kernels import season_fits as kernels
from tests.estimator._kernels.dense_series import DOF, REST, N, a_series


@pytest.mark.parametrize("first", [0, 3])
def test_powers_are_what_cosine_and_sine_explain(first):
    y, errors, t, _ = a_series()
    weight = errors**-2.0
    step, out = 0.05, np.empty(6)
    kernels.powers(step, y, weight, t, first, out)
    root = np.sqrt(weight[first:])
    for k in range(6):
        phase = 2.0 * np.pi * step * (k + 1) * t[first:]
        ones = np.ones(phase.size)
        squares = []
        for columns in ([ones], [ones, np.cos(phase), np.sin(phase)]):
            X = np.stack(columns, axis=1) * root[:, None]
            fit = X @ np.linalg.lstsq(X, y[first:] * root, rcond=None)[0]
            squares.append(np.sum((y[first:] * root - fit) ** 2))
        assert out[k] == pytest.approx(squares[0] - squares[1], rel=1e-8)


@pytest.mark.parametrize(("n_level", "n_together"), [(0, 2), (1, 2), (1, 4)])
def test_nested_evidence_is_that_of_dense_regression(n_level, n_together):
    rng = np.random.default_rng(n_level + n_together)
    n_before, n_groups = 2, 2
    m = n_before + n_level + n_groups * n_together
    columns, z = rng.normal(size=(N, m)), rng.normal(size=N) * 3.0
    counts = np.zeros(m)
    counts[n_before + n_level :] = np.tile(
        [0.0] * (n_together - 2) + [1.0, 1.0], n_groups
    )
    log_evidence, log_moment = np.empty((2, n_groups + 1))
    kernels.nested_evidence(
        z,
        columns,
        n_before,
        n_level,
        n_together,
        counts,
        REST,
        DOF,
        log_evidence,
        log_moment,
    )
    for group in range(n_groups + 1):
        used = n_before + (n_level + group * n_together if group else 0)
        X = columns[:, :used]
        prior = np.eye(used)
        prior[0, 0] = 0.0
        covariance = np.linalg.inv(X.T @ X + prior)
        mean = covariance @ X.T @ z
        left = REST + z @ z - (X.T @ z) @ mean
        expected = 0.5 * np.linalg.slogdet(covariance)[1] - 0.5 * DOF * np.log(left)
        assert_allclose(log_evidence[group], expected, rtol=1e-9)
        moment = counts[:used] @ (mean**2 * DOF / left + np.diag(covariance))
        if group:
            assert_allclose(log_moment[group], np.log(moment / counts[:used].sum()))
        else:
            assert log_moment[group] == 0.0
