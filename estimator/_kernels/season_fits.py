"""How well seasons fit a series: powers of many frequencies, evidence of a few.

Columns are cosine and sine of a frequency and of its multiples, times a profile: 1
throughout, 1 since deployment, or growing since deployment.
"""

import math

import numpy as np
from numpy.typing import NDArray

from calibration._kernels.jit import kernel

Floats = NDArray[np.float64]


@kernel
def powers(
    step: float, y: Floats, weight: Floats, t: Floats, first: int, out: Floats
) -> None:
    """Fill ``out`` with what a sine of each multiple of ``step`` explains.

    In the chunks from ``first`` on, in units of phi: the sum of squares that cosine and
    sine take from ``y`` less its mean, as if they were orthogonal (Lomb 1976).
    """
    total = mean = 0.0
    for i in range(first, y.size):
        total += weight[i]
        mean += weight[i] * y[i]
    mean /= total
    for k in range(out.size):
        omega = 2.0 * math.pi * step * (k + 1)
        c_y = s_y = c_c = s_s = c_s = c_1 = s_1 = 0.0
        for i in range(first, y.size):
            c, s = math.cos(omega * t[i]), math.sin(omega * t[i])
            c_y += weight[i] * c * (y[i] - mean)
            s_y += weight[i] * s * (y[i] - mean)
            c_1 += weight[i] * c
            s_1 += weight[i] * s
            c_c += weight[i] * c * c
            s_s += weight[i] * s * s
            c_s += weight[i] * c * s
        c_c -= c_1 * c_1 / total
        s_s -= s_1 * s_1 / total
        c_s -= c_1 * s_1 / total
        determinant = c_c * s_s - c_s * c_s
        out[k] = 0.0
        if determinant > 1e-3 * c_c * s_s:
            out[k] = (
                s_s * c_y * c_y + c_c * s_y * s_y - 2.0 * c_s * c_y * s_y
            ) / determinant


@kernel
def nested_evidence(
    z: Floats,
    columns: Floats,
    n_before: int,
    n_level: int,
    n_together: int,
    counts: Floats,
    prior_squares: float,
    dof: float,
    log_evidence: Floats,
    log_moment: Floats,
) -> None:
    """Fill the log evidence of more and more of the columns of a regression.

    Entry 0 is of the first ``n_before`` columns, of which the very first has a flat
    prior; entry 1 has ``n_level + n_together`` columns more, and each other
    ``n_together`` more. All coefficients but the first are standard normal, times the
    root of phi. ``log_moment`` is the logarithm of the mean second moment, posterior
    over prior, of the coefficients whose ``counts`` is 1. Method.md, equation 62.
    """
    n, m = columns.shape
    factor, inverse = np.zeros((m, m)), np.zeros((m, m))
    mean, spread = np.zeros(m), np.zeros(m)
    left = prior_squares
    for i in range(n):
        left += z[i] * z[i]
    log_determinant = 0.0
    for j in range(m):
        # one more row of the Cholesky factor of X^T X + 1, and of its inverse
        for k in range(j + 1):
            value = 1.0 if j == k and j > 0 else 0.0
            for i in range(n):
                value += columns[i, j] * columns[i, k]
            for i in range(k):
                value -= factor[j, i] * factor[k, i]
            factor[j, k] = (
                math.sqrt(max(value, 1e-300)) if j == k else value / factor[k, k]
            )
        solved = 0.0
        for k in range(j):
            value = 0.0
            for i in range(k, j):
                value -= factor[j, i] * inverse[i, k]
            inverse[j, k] = value / factor[j, j]
        inverse[j, j] = 1.0 / factor[j, j]
        for i in range(n):
            product = 0.0
            for k in range(j + 1):
                product += inverse[j, k] * columns[i, k]
            solved += product * z[i]
        for k in range(j + 1):
            mean[k] += inverse[j, k] * solved
            spread[k] += inverse[j, k] * inverse[j, k]
        left = max(left - solved * solved, 1e-300)
        log_determinant += 2.0 * math.log(factor[j, j])
        after_level = j + 1 - n_before - n_level
        if j + 1 == n_before:
            log_evidence[0] = -0.5 * (log_determinant + dof * math.log(left))
            log_moment[0] = 0.0
        elif after_level > 0 and after_level % n_together == 0:
            moment = n_counted = 0.0
            for k in range(j + 1):
                moment += counts[k] * (mean[k] * mean[k] * dof / left + spread[k])
                n_counted += counts[k]
            entry = after_level // n_together
            log_evidence[entry] = -0.5 * (log_determinant + dof * math.log(left))
            log_moment[entry] = math.log(moment / n_counted)
