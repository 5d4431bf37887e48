"""Fits of cycles to a series, against dense regression."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.special import erfc, logsumexp

from estimator._kernels import cycle_fits as kernels
from tests.estimator._kernels.dense_series import DOF, N_REFERENCE, REST, RHOS, Dense


@pytest.mark.parametrize("even", [False, True])
@pytest.mark.parametrize("rho", RHOS)
def test_harmonics_against_dense_regression(rho, even):
    dense = Dense(rho, even=even)
    frequencies = np.array([0.11, 0.23, 0.37])
    scales = np.array([1.5, 5.0])
    out = np.empty((3, 4))
    coefficients = np.empty((3, 4, 5))
    kernels.harmonics(
        frequencies,
        dense.z,
        dense.o,
        dense.e,
        dense.d,
        dense.t,
        N_REFERENCE,
        dense.K,
        dense.X.T @ dense.z,
        dense.shared,
        REST,
        DOF,
        scales,
        out,
        coefficients,
    )
    for f, frequency in enumerate(frequencies):
        phase = 2 * np.pi * frequency * dense.t
        waves = [np.cos(phase), np.sin(phase), np.cos(2 * phase), np.sin(2 * phase)]
        for variant, (n_waves, since) in enumerate(
            [(2, False), (4, False), (2, True), (4, True)]
        ):
            columns, deviations = waves[:n_waves], [0.5, 0.5, 0.25, 0.25][:n_waves]
            if since:
                columns = [w * dense.deployed for w in columns] + [dense.deployed]
                deviations = [*deviations, 0.5]
            G = dense.W @ np.stack(columns, axis=1)
            log_values, best = [], None
            for scale in scales:
                prior = np.diag((scale * np.array(deviations)) ** -2.0)
                precision = G.T @ dense.M @ G + prior
                covariance = np.linalg.inv(precision)
                b = G.T @ dense.M @ dense.z
                mean = covariance @ b
                left = REST - b @ mean
                value = 0.5 * np.linalg.slogdet(covariance @ prior)[1]
                value -= 0.5 * DOF * np.log(left)
                phi = left / DOF
                moment = mean[:2] @ mean[:2] + phi * np.trace(covariance[:2, :2])
                value += np.log(moment / (2 * phi * (0.5 * scale) ** 2))
                if since:
                    x = mean[-1] / np.sqrt(phi * covariance[-1, -1])
                    value += np.log(erfc(x / np.sqrt(2)))
                if best is None or value > max(log_values):
                    best = mean
                log_values.append(value)
            assert_allclose(
                out[f, variant], logsumexp(log_values) - np.log(2), rtol=1e-9, atol=1e-9
            )
            expected = np.zeros(5)
            expected[:n_waves] = best[:n_waves]
            if since:
                expected[4] = best[-1]
            assert_allclose(coefficients[f, variant], expected, atol=1e-9)
