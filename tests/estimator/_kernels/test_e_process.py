"""Evidence that may be looked at at any time, against quadrature."""

import numpy as np
from numpy.testing import assert_allclose
from scipy.integrate import quad
from scipy.stats import multivariate_normal

from estimator._kernels import e_process as kernels


def test_e_process_is_a_mixture_of_likelihood_ratios():
    rng = np.random.default_rng(6)
    n, n_reference, shared, scales = 9, 4, 0.6, np.array([1.5, 4.0])
    y, errors = rng.normal(size=n) * 2, rng.uniform(0.5, 1.5, n)
    out = np.empty(n - n_reference)
    kernels.step_e_process(y, errors**-2.0, n_reference, shared, scales, out)

    def log_likelihood(stop, step_position=None, amplitude=0.0):
        i = np.arange(stop)
        flat = 1e3  # standard deviation of the level
        deployed = (i >= n_reference) * shared
        covariance = np.diag(errors[:stop] ** 2) + flat**2
        covariance += np.outer(deployed, deployed)
        mean = (
            np.zeros(stop)
            if step_position is None
            else amplitude * (i >= step_position)
        )
        return multivariate_normal(mean, covariance).logpdf(y[:stop])

    for stop in range(n_reference + 1, n + 1):
        flat = log_likelihood(stop)
        n_positions = stop - n_reference
        expected = 1.0 / (n_positions + 1.0)
        for j in range(n_positions):

            def height(x, scale, step_position=n_reference + j, stop=stop, flat=flat):
                density = 2 * np.exp(-0.5 * (x / scale) ** 2)
                density /= scale * np.sqrt(2 * np.pi)
                return density * np.exp(log_likelihood(stop, step_position, -x) - flat)

            ratio = np.mean([quad(height, 0, 60, args=(c,))[0] for c in scales])
            expected += ratio / ((j + 1) * (j + 2))
        assert_allclose(out[n_positions - 1], expected, rtol=1e-4)
