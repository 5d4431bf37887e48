"""Linear Gaussian state-space models: the Kalman filter and the smoother.

The state moves by ``F`` with noise ``Q`` and is seen through ``Z``. At step ``t`` there
are ``n_seen[t]`` scalar observations ``seen[t, k]`` of ``h[t, k] @ Z @ state``, each
with noise of variance 1, taken in one by one: no matrix is ever inverted. The smoother
is the adjoint recursion of de Jong (1989), "Smoothing and interpolation with the
state-space model", JASA 84(408); see Durbin & Koopman (2012), "Time Series Analysis by
State Space Methods", section 6.4, for observations treated one by one.
"""

import numpy as np
from numpy.typing import NDArray

from calibration._jit import kernel

Floats = NDArray[np.float64]


@kernel
def log_likelihoods(
    n_seen: NDArray[np.int64],
    h: Floats,
    seen: Floats,
    F: Floats,
    Q: Floats,
    P0: Floats,
    Z: Floats,
    jump_at: NDArray[np.int64],
    jump: Floats,
    out: Floats,
) -> None:
    """Fill ``out`` with the log marginal likelihood of each model of one state size.

    ``F, Q, P0, jump`` are (n_models, d, d); ``Z`` (2, d) is common to them. ``jump`` is
    added to the state's covariance before step ``jump_at`` (-1: never). A constant that
    all models share is left out.
    """
    d = Z.shape[1]
    mean, covariance = np.empty(d), np.empty((d, d))
    row, gain, moved = np.empty(d), np.empty(d), np.empty((d, d))
    for model in range(out.size):
        mean[:] = 0.0
        covariance[:] = P0[model]
        total = 0.0
        for t in range(n_seen.size):
            _move(F[model], Q[model], mean, covariance, row, moved)
            if t == jump_at[model]:
                covariance += jump[model]
            for k in range(n_seen[t]):
                error, spread = _compare(
                    h[t, k], seen[t, k], Z, mean, covariance, row, gain
                )
                total -= 0.5 * (np.log(spread) + error * error / spread)
                _take_in(error, spread, mean, covariance, gain)
        out[model] = total


@kernel
def smooth(
    n_seen: NDArray[np.int64],
    h: Floats,
    seen: Floats,
    F: Floats,
    Q: Floats,
    P0: Floats,
    Z: Floats,
    jump_at: int,
    jump: Floats,
    out_mean: Floats,
    out_covariance: Floats,
) -> None:
    """Fill in mean (n, 2) and covariance (n, 2, 2) of ``Z @ state``, given all."""
    n, d = n_seen.size, Z.shape[1]
    mean, covariance = np.zeros(d), P0.copy()
    row, gain, moved = np.empty(d), np.empty(d), np.empty((d, d))
    means, covariances = np.empty((n, d)), np.empty((n, d, d))
    rows, gains = np.empty((n, 2, d)), np.empty((n, 2, d))
    errors, spreads = np.empty((n, 2)), np.empty((n, 2))
    for t in range(n):
        _move(F, Q, mean, covariance, row, moved)
        if t == jump_at:
            covariance += jump
        means[t], covariances[t] = mean, covariance
        for k in range(n_seen[t]):
            errors[t, k], spreads[t, k] = _compare(
                h[t, k], seen[t, k], Z, mean, covariance, row, gain
            )
            rows[t, k], gains[t, k] = row, gain
            _take_in(errors[t, k], spreads[t, k], mean, covariance, gain)
    adjoint, curvature = np.zeros(d), np.zeros((d, d))
    for t in range(n - 1, -1, -1):
        for k in range(n_seen[t] - 1, -1, -1):
            spread = spreads[t, k]
            # adjoint <- row error / spread + (I - row gain' / spread) adjoint
            along = 0.0
            for i in range(d):
                along += gains[t, k, i] * adjoint[i]
            for i in range(d):
                adjoint[i] += rows[t, k, i] * (errors[t, k] - along) / spread
            for i in range(d):
                row[i] = 0.0
                for j in range(d):
                    row[i] += curvature[i, j] * gains[t, k, j]
            inner = 0.0
            for i in range(d):
                inner += gains[t, k, i] * row[i]
            for i in range(d):
                for j in range(d):
                    a, b = rows[t, k, i], rows[t, k, j]
                    curvature[i, j] += (
                        a * b * (1.0 + inner / spread) - a * row[j] - row[i] * b
                    ) / spread
        at = Z @ covariances[t]
        out_mean[t] = Z @ means[t] + at @ adjoint
        out_covariance[t] = at @ Z.T - at @ curvature @ at.T
        adjoint = F.T @ adjoint
        curvature = F.T @ curvature @ F


@kernel
def _move(
    F: Floats, Q: Floats, mean: Floats, covariance: Floats, row: Floats, moved: Floats
) -> None:
    """Move the state one step, in place."""
    d = mean.size
    for i in range(d):
        row[i] = 0.0
        for j in range(d):
            row[i] += F[i, j] * mean[j]
    mean[:] = row
    for i in range(d):
        for j in range(d):
            moved[i, j] = 0.0
            for k in range(d):
                moved[i, j] += F[i, k] * covariance[k, j]
    for i in range(d):
        for j in range(i + 1):
            total = Q[i, j]
            for k in range(d):
                total += moved[i, k] * F[j, k]
            covariance[i, j] = covariance[j, i] = total


@kernel
def _compare(
    h: Floats,
    seen: float,
    Z: Floats,
    mean: Floats,
    covariance: Floats,
    row: Floats,
    gain: Floats,
) -> tuple[float, float]:
    """Return prediction error and variance; fill in ``row`` and ``gain``."""
    d = mean.size
    error, spread = seen, 1.0
    for j in range(d):
        row[j] = h[0] * Z[0, j] + h[1] * Z[1, j]
        error -= row[j] * mean[j]
    for i in range(d):
        gain[i] = 0.0
        for j in range(d):
            gain[i] += covariance[i, j] * row[j]
    for i in range(d):
        spread += row[i] * gain[i]
    return error, spread


@kernel
def _take_in(
    error: float, spread: float, mean: Floats, covariance: Floats, gain: Floats
) -> None:
    """Condition the state on one observation, in place."""
    for i in range(mean.size):
        share = gain[i] / spread
        mean[i] += share * error
        for j in range(mean.size):
            covariance[i, j] -= share * gain[j]
