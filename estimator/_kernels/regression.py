"""Regression of a series with autocorrelated errors on a few columns.

``e`` and ``d`` (n,) are the factors that whiten: row ``i`` of a column ``v`` becomes
``e[i] v[i] - d[i] v[i-1]``, whose errors are independent and of variance phi.
"""

import math

import numpy as np
from numpy.typing import NDArray

from calibration._kernels.jit import kernel

Floats = NDArray[np.float64]


@kernel
def whiten(errors: Floats, gaps: Floats, rho: float, e: Floats, d: Floats) -> float:
    """Fill ``e`` and ``d``; return the log determinant of the whitening.

    ``gaps[i]`` is the time since chunk ``i - 1``, in typical spacings. Method.md,
    equation 55.
    """
    e[0], d[0] = 1.0 / errors[0], 0.0
    log_determinant = math.log(e[0])
    for i in range(1, errors.size):
        r = rho ** gaps[i] if rho > 0.0 else 0.0
        spread = math.sqrt(1.0 - r * r)
        e[i] = 1.0 / (errors[i] * spread)
        d[i] = r / (errors[i - 1] * spread)
        log_determinant += math.log(e[i])
    return log_determinant


@kernel
def regress(
    y: Floats,
    columns: Floats,
    e: Floats,
    d: Floats,
    z: Floats,
    X: Floats,
    Q: Floats,
    r: Floats,
    inverse: Floats,
) -> float:
    """Fill the regression of a whitened series on whitened columns.

    The first coefficient has a flat prior, the others a standard normal one times the
    root of phi. ``z`` (n,) and ``X`` (n, m) are series and columns, whitened; ``Q``
    (n, m) a basis with ``Q Q^T = X K X^T``; ``r`` (n,) what is left of the series;
    ``inverse`` (m, m) the inverse of the Cholesky factor of ``K^-1``. Returns half the
    log determinant of ``K`` (method.md, equations 56 and 58).
    """
    n, m = columns.shape
    for i in range(n):
        z[i] = e[i] * y[i]
        for j in range(m):
            X[i, j] = e[i] * columns[i, j]
        if i > 0:
            z[i] -= d[i] * y[i - 1]
            for j in range(m):
                X[i, j] -= d[i] * columns[i - 1, j]
        r[i] = z[i]
    factor = np.zeros((m, m))
    log_root = 0.0
    for j in range(m):
        for k in range(j + 1):
            value = 1.0 if j == k and j > 0 else 0.0
            for i in range(n):
                value += X[i, j] * X[i, k]
            for i in range(k):
                value -= factor[j, i] * factor[k, i]
            factor[j, k] = math.sqrt(value) if j == k else value / factor[k, k]
        log_root -= math.log(factor[j, j])
        for k in range(j):
            value = 0.0
            for i in range(k, j):
                value -= factor[j, i] * inverse[i, k]
            inverse[j, k] = value / factor[j, j]
            inverse[k, j] = 0.0
        inverse[j, j] = 1.0 / factor[j, j]
        projected = 0.0
        for i in range(n):
            Q[i, j] = 0.0
            for k in range(j + 1):
                Q[i, j] += inverse[j, k] * X[i, k]
            projected += Q[i, j] * z[i]
        for i in range(n):
            r[i] -= projected * Q[i, j]
    return log_root
