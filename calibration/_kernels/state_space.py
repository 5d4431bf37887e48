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

from calibration._kernels.jit import kernel

Floats = NDArray[np.float64]


@kernel
def filter_models(
    n_seen: NDArray[np.int64],
    h: Floats,
    seen: Floats,
    transition: Floats,
    noise: Floats,
    weights: Floats,
    mean: Floats,
    covariance: Floats,
    log_likelihood: Floats,
) -> None:
    """Filter some steps with many models side by side, in place.

    The last axis of all arrays is the model, so that inner loops vectorize. A state
    has two coordinates of each of k components: ``transition`` (k, k, n_models) moves
    both coordinates alike, ``noise`` (2 k, n_models) is added to the variances, and
    ``weights`` (k,) adds the components up to what is seen. ``log_likelihood`` grows by
    that of the steps; a constant that all models share is left out (method.md, equation
    50).
    """
    d, n_models = mean.shape
    k = d // 2
    moved_mean, moved = np.empty((d, n_models)), np.empty((d, d, n_models))
    gain, row = np.empty((d, n_models)), np.empty(d)
    error, spread = np.empty(n_models), np.empty(n_models)
    moves = np.zeros((k, k), dtype=np.bool_)  # most transitions are 0 for all models
    for a in range(k):
        for c in range(k):
            for m in range(n_models):
                moves[a, c] |= transition[a, c, m] != 0.0
    for t in range(n_seen.size):
        moved_mean[:], moved[:] = 0.0, 0.0
        for a in range(k):
            for c in range(k):
                if not moves[a, c]:
                    continue
                for i in range(2):
                    to, source = 2 * a + i, 2 * c + i
                    for m in range(n_models):
                        moved_mean[to, m] += transition[a, c, m] * mean[source, m]
                    for j in range(d):
                        for m in range(n_models):
                            moved[to, j, m] += (
                                transition[a, c, m] * covariance[source, j, m]
                            )
        mean[:], covariance[:] = moved_mean, 0.0
        for i in range(d):
            for m in range(n_models):
                covariance[i, i, m] = noise[i, m]
            for j in range(i + 1):
                for c in range(k):
                    if not moves[j // 2, c]:
                        continue
                    b, source = j // 2, 2 * c + j % 2
                    for m in range(n_models):
                        covariance[i, j, m] += transition[b, c, m] * moved[i, source, m]
            for j in range(i):
                for m in range(n_models):
                    covariance[j, i, m] = covariance[i, j, m]
        for o in range(n_seen[t]):
            for i in range(d):
                row[i] = h[t, o, i % 2] * weights[i // 2]
            for m in range(n_models):
                error[m], spread[m] = seen[t, o], 1.0
            for i in range(d):
                for m in range(n_models):
                    gain[i, m] = 0.0
                for j in range(d):
                    if row[j] == 0.0:
                        continue
                    for m in range(n_models):
                        gain[i, m] += covariance[i, j, m] * row[j]
                for m in range(n_models):
                    error[m] -= row[i] * mean[i, m]
                    spread[m] += row[i] * gain[i, m]
            for m in range(n_models):
                log_likelihood[m] -= 0.5 * (
                    np.log(spread[m]) + error[m] * error[m] / spread[m]
                )
                spread[m] = 1.0 / spread[m]
            for i in range(d):
                for m in range(n_models):
                    mean[i, m] += gain[i, m] * spread[m] * error[m]
                for j in range(i + 1):
                    for m in range(n_models):
                        less = gain[i, m] * spread[m] * gain[j, m]
                        covariance[i, j, m] -= less
                for j in range(i):
                    for m in range(n_models):
                        covariance[j, i, m] = covariance[i, j, m]


@kernel
def sum_products(values: Floats, columns: Floats, out: Floats) -> None:
    """Fill ``out`` (n_values, n_columns) with ``values.T @ columns``.

    BLAS would start its threads, which on a busy machine wait for one another a hundred
    times as long as this takes.
    """
    out[:] = 0.0
    for t in range(len(values)):
        for i in range(values.shape[1]):
            for j in range(columns.shape[1]):
                out[i, j] += values[t, i] * columns[t, j]


@kernel
def evidence(products: Floats, root: Floats, deviation: Floats, out: Floats) -> None:
    """Fill ``out`` with the log evidence of regressions of pairs of coefficients.

    With coefficients ``R z``, z standard normal, ``R`` made of ``root`` (2, 2) for the
    first pair and of ``deviation`` (n_models, 2) for the others, G the information on z
    and g the vector, it is ``(|L⁻¹ g|² - ln det(I + G)) / 2`` with ``L Lᵀ = I + G``
    (method.md, equation 51), less what all models share. ``products``
    (n_models, k, k, 6) holds information (2, 2) and vector (2,) by pairs of columns.
    """
    n_models, k = products.shape[:2]
    d = 2 * k
    R, gram, half = np.zeros((d, d)), np.empty((d, d)), np.empty((d, d))
    factor, solved = np.empty((d, d)), np.empty(d)
    R[:2, :2] = root
    for m in range(n_models):
        for i in range(2, d):
            R[i, i] = deviation[m, i % 2]
        for i in range(d):
            for j in range(d):
                # R is block diagonal: only the rows of j's own pair count.
                b = 2 * (j // 2)
                of_i = products[m, i // 2, j // 2]
                half[i, j] = (
                    of_i[2 * (i % 2)] * R[b, j] + of_i[2 * (i % 2) + 1] * R[b + 1, j]
                )
        for i in range(d):
            a = 2 * (i // 2)
            for j in range(i + 1):
                gram[i, j] = R[a, i] * half[a, j] + R[a + 1, i] * half[a + 1, j]
        total = 0.0
        for i in range(d):
            for j in range(i + 1):
                value = gram[i, j] + (1.0 if i == j else 0.0)
                for c in range(j):
                    value -= factor[i, c] * factor[j, c]
                factor[i, j] = np.sqrt(value) if i == j else value / factor[j, j]
            a = 2 * (i // 2)
            vector = products[m, 0, i // 2]
            value = R[a, i] * vector[4] + R[a + 1, i] * vector[5]
            for c in range(i):
                value -= factor[i, c] * solved[c]
            solved[i] = value / factor[i, i]
            total += 0.5 * solved[i] * solved[i] - np.log(factor[i, i])
        out[m] = total


@kernel
def smooth(
    n_seen: NDArray[np.int64],
    h: Floats,
    seen: Floats,
    F: Floats,
    Q: Floats,
    Z: Floats,
    start_mean: Floats,
    start_covariance: Floats,
    out_mean: Floats,
    out_covariance: Floats,
) -> None:
    """Fill in mean (n, 2) and covariance (n, 2, 2) of ``Z @ state``, given all.

    ``start_mean`` and ``start_covariance`` are of the state before the first step.
    """
    n, d = n_seen.size, Z.shape[1]
    mean, covariance = start_mean.copy(), start_covariance.copy()
    row, gain, moved = np.empty(d), np.empty(d), np.empty((d, d))
    means, covariances = np.empty((n, d)), np.empty((n, d, d))
    rows, gains = np.empty((n, 2, d)), np.empty((n, 2, d))
    errors, spreads = np.empty((n, 2)), np.empty((n, 2))
    for t in range(n):
        _move(F, Q, mean, covariance, row, moved)
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
        filtered = Z @ covariances[t]
        out_mean[t] = Z @ means[t] + filtered @ adjoint
        out_covariance[t] = filtered @ Z.T - filtered @ curvature @ filtered.T
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
