"""Evidence that may be looked at at any time, against every step written out."""

import numpy as np
from numpy.testing import assert_allclose
from scipy.stats import cauchy, norm

from estimator._kernels.e_process import step_e_process

LAWS = np.array([[0.0, 6.0, 1.0], [0.1, 4.0, 1.5]])
SIZES = np.array([[1.5, 0.3, 0.6], [4.0, 0.8, 0.4]])
POSITIONS = np.array([0.4, 0.2, 0.1, 0.1, 0.05])
SPACING = 0.1
LEVELS = np.arange(-60.0, 60.0, SPACING)


def density(z, scale, law):
    share, width, _ = law
    clean = (1.0 - share) * norm.pdf(z, scale=scale)
    return clean + share * cauchy.pdf(z, scale=scale * width)


def product(y, errors, n_reference, shared, law, step_at=None, size=None):
    """Return the sum over levels and shared errors of the likelihood of one step."""
    total = 0.0
    for shared_error, weight in shared:
        likelihood = np.ones(LEVELS.size)
        for i, (value, error) in enumerate(zip(y, errors, strict=True)):
            level = LEVELS + (shared_error if i >= n_reference else 0.0)
            scale = law[2] * error
            if step_at is not None and i >= step_at:
                level = level - law[2] * size[0]
                scale = np.hypot(scale, law[2] * size[1])
            likelihood = likelihood * density(value - level, scale, law)
        total += weight * likelihood.sum()
    return total


def assert_is_sum_over_steps(shared, transition, rtol):
    rng = np.random.default_rng(6)
    n, n_reference = 9, 4
    y, errors = 2.0 * rng.normal(size=n), rng.uniform(0.5, 1.5, n)
    y[6] = -14.0
    shared_errors = [(0.0, 1.0)]
    if shared:
        z = np.linspace(-9.0, 9.0, 73)
        shared_errors = list(zip(shared * z, norm.pdf(z) * (z[1] - z[0]), strict=True))
    log_flat, log_step = step_e_process(
        y, errors, n_reference, LEVELS, transition, LAWS, SIZES, POSITIONS
    )
    for j in (0, n - n_reference - 1):
        stop = n_reference + j + 1
        for position, law in enumerate(LAWS):
            series = y[:stop], errors[:stop], n_reference, shared_errors, law
            flat = product(*series)
            expected = (1.0 - POSITIONS[: j + 1].sum()) * flat
            for k in range(j + 1):
                for size in SIZES:
                    step = product(*series, n_reference + k, size)
                    expected += POSITIONS[k] * size[2] * step
            assert_allclose(log_flat[j, position], np.log(flat), atol=rtol)
            assert_allclose(log_step[j, position], np.log(expected), atol=rtol)


def test_the_recursion_is_the_sum_over_all_steps():
    assert_is_sum_over_steps(0.0, np.eye(LEVELS.size), 1e-9)


def test_a_shared_error_is_integrated_over():
    away = LEVELS - LEVELS[:, None]
    transition = SPACING * norm.pdf(away, scale=0.6)
    assert_is_sum_over_steps(0.6, transition, 1e-6)


def test_a_law_that_cannot_be_has_no_evidence():
    y = np.array([0.0, 0.0, 400.0, -400.0])
    log_flat, log_step = step_e_process(
        y, np.ones(4), 2, LEVELS, np.eye(LEVELS.size), LAWS, SIZES, POSITIONS[:2]
    )
    assert np.isfinite(log_flat).all()
    assert np.isfinite(log_step).all()
    assert log_flat[-1, 0] < log_flat[-1, 1] - 600.0
