"""How well each step, window and ramp fits a series, by sums over it.

All work on a whitened series: errors of the chunks are autocorrelated by
``rho ** (time between them)``, so row ``i`` of a column ``v`` becomes
``e[i] v[i] - d[i] v[i-1]``, whose errors are independent and of variance phi. A step,
a window and a ramp between two chunks are then, after their first row, sums of two
whitened columns: the constant and the time. Their products come from suffix sums, each
shape in constant time.

Arrays of all kernels here, in the letters of method.md, equations 55 to 57: ``o``,
``q`` (n,) are the whitened constant and time; ``e``, ``d`` (n,) the factors that
whiten; ``t`` (n,) the times in typical spacings; ``r`` (n,) what the columns of the
base leave of the series; ``Q`` (n, m) the basis of these columns; ``rest`` and ``dof``
the sum of squares S and its degrees of freedom nu; ``scales`` the standard deviations
of the amplitude's prior.
"""

import math

import numpy as np
from numpy.typing import NDArray

from calibration._kernels.jit import kernel

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

WINDOW, RAMP = 0, 1
_SQRT_HALF = math.sqrt(0.5)
_DENSITY = 1.0 / math.sqrt(2.0 * math.pi)
# Columns of the table of steps: the step with itself, with a constant, with r, then Q.
_WITH_ITSELF, _WITH_CONSTANT, _WITH_REST, _WITH_BASIS = 0, 1, 2, 3
# Shapes whose evidence is exp(20) times less than the greatest add nothing to a sum:
# twice that, for it is compared with a power of nu / 2.
_NEGLIGIBLE = 40.0


@kernel
def suffix_sums(
    r: Floats, Q: Floats, o: Floats, q: Floats, sums: Floats, sums_of_times: Floats
) -> None:
    """Fill sums over the rows from each on of products with ``o`` and with ``q``.

    ``sums`` (n + 1, m + 3) is of o with o, q, r and the columns of Q;
    ``sums_of_times`` (n + 1, m + 3) of q with o, q, r and the columns of Q.
    """
    n, m = Q.shape
    sums[n] = 0.0
    sums_of_times[n] = 0.0
    for i in range(n - 1, -1, -1):
        sums[i, 0] = sums[i + 1, 0] + o[i] * o[i]
        sums[i, 1] = sums[i + 1, 1] + o[i] * q[i]
        sums[i, 2] = sums[i + 1, 2] + o[i] * r[i]
        sums_of_times[i, 0] = sums_of_times[i + 1, 0] + q[i] * o[i]
        sums_of_times[i, 1] = sums_of_times[i + 1, 1] + q[i] * q[i]
        sums_of_times[i, 2] = sums_of_times[i + 1, 2] + q[i] * r[i]
        for j in range(m):
            sums[i, 3 + j] = sums[i + 1, 3 + j] + o[i] * Q[i, j]
            sums_of_times[i, 3 + j] = sums_of_times[i + 1, 3 + j] + q[i] * Q[i, j]


@kernel
def step_table(
    r: Floats, Q: Floats, o: Floats, e: Floats, sums: Floats, table: Floats
) -> None:
    """Fill ``table`` (n, m + 3) with the products of the step at each chunk.

    The step at ``k`` is 1 from chunk ``k`` on. Its products are those with itself, with
    a constant (which is that with any step before it), with r, and with Q.
    """
    n, m = Q.shape
    for k in range(n):
        table[k, _WITH_ITSELF] = e[k] * e[k] + sums[k + 1, 0]
        table[k, _WITH_CONSTANT] = e[k] * o[k] + sums[k + 1, 0]
        table[k, _WITH_REST] = e[k] * r[k] + sums[k + 1, 2]
        for j in range(m):
            table[k, _WITH_BASIS + j] = e[k] * Q[k, j] + sums[k + 1, 3 + j]


@kernel
def step_products(positions: Ints, table: Floats, out: Floats) -> None:
    """Fill ``out`` (n, 2): A and b of each step (method.md, equation 57)."""
    m = table.shape[1] - _WITH_BASIS
    for p in range(positions.size):
        k = positions[p]
        in_base = 0.0
        for j in range(m):
            in_base += table[k, _WITH_BASIS + j] * table[k, _WITH_BASIS + j]
        out[p, 0] = table[k, _WITH_ITSELF] - in_base
        out[p, 1] = table[k, _WITH_REST]


@kernel
def pair_products(
    kind: int,
    first: Ints,
    last: Ints,
    t: Floats,
    table: Floats,
    sums: Floats,
    sums_of_times: Floats,
    out: Floats,
) -> None:
    """Fill ``out`` (n, 2) as `step_products` does, for shapes of two positions.

    A window is 1 from ``first`` to before ``last``; a ramp is 0 until ``first`` and 1
    from ``last`` on, linear in time between them.
    """
    m = table.shape[1] - _WITH_BASIS
    for p in range(first.size):
        a, b = first[p], last[p]
        in_base = 0.0
        if kind == WINDOW:
            for j in range(_WITH_BASIS, _WITH_BASIS + m):
                product = table[a, j] - table[b, j]
                in_base += product * product
            out[p, 0] = (
                table[a, _WITH_ITSELF]
                - 2.0 * table[b, _WITH_CONSTANT]
                + table[b, _WITH_ITSELF]
                - in_base
            )
            out[p, 1] = table[a, _WITH_REST] - table[b, _WITH_REST]
            continue
        # (q - t_a o) / length on the rows from a + 1 to b, o after them
        start, share = t[a], 1.0 / (t[b] - t[a])
        for j in range(3, 3 + m):
            slope = sums_of_times[a + 1, j] - sums_of_times[b + 1, j]
            slope -= start * (sums[a + 1, j] - sums[b + 1, j])
            product = share * slope + sums[b + 1, j]
            in_base += product * product
        oo = sums[a + 1, 0] - sums[b + 1, 0]
        oq = sums[a + 1, 1] - sums[b + 1, 1]
        qq = sums_of_times[a + 1, 1] - sums_of_times[b + 1, 1]
        squares = share * share * (qq - 2.0 * start * oq + start * start * oo)
        out[p, 0] = squares + sums[b + 1, 0] - in_base
        slope = sums_of_times[a + 1, 2] - sums_of_times[b + 1, 2]
        slope -= start * (sums[a + 1, 2] - sums[b + 1, 2])
        out[p, 1] = share * slope + sums[b + 1, 2]


@kernel
def one_amplitude(
    products: Floats,
    rest: float,
    dof: float,
    scales: Floats,
    down: Floats,
    up: Floats,
    mean: Floats,
    variance: Floats,
) -> None:
    """Fill log evidence of a decline and of a rise, and the likelier side's amplitude.

    The amplitude is normal with standard deviation ``scales`` times the errors'
    (averaged over these), on one side of zero; integrated over the errors' scale the
    evidence is a Student t's (method.md, equation 59). Shapes of which nothing is left
    beside the greatest have the log evidence minus infinity.
    """
    n_scales = scales.size
    most = 0.0  # greatest share of the squares that a shape explains
    for p in range(products.shape[0]):
        A, b = max(products[p, 0], 0.0), products[p, 1]
        for s in range(n_scales):
            most = max(most, b * b / ((A + scales[s] ** -2.0) * rest))
    most = min(most, 1.0 - 1e-15)
    top = -0.5 * dof * (math.log1p(-most) + math.log(rest))
    least = 1.0 - (1.0 - most) * math.exp(_NEGLIGIBLE / dof)
    for p in range(products.shape[0]):
        A, b = max(products[p, 0], 0.0), products[p, 1]
        along = against = first = second = 0.0
        for s in range(n_scales):
            prior = 1.0 / (scales[s] * scales[s])
            precision = A + prior
            explained = min(b * b / (precision * rest), most)
            if explained < least:
                continue
            left = rest * (1.0 - explained)
            phi = left / dof
            x = abs(b) / math.sqrt(precision * phi)
            weight = math.exp(-0.5 * dof * math.log(left) - top)
            # second moments, about zero, of N(x, 1) beyond and before it: the last
            # factor of method.md, equation 59
            tail = 0.5 * math.erfc(x * _SQRT_HALF)
            ridge = x * math.exp(-0.5 * x * x) * _DENSITY
            shrunk = prior / precision
            weight *= 2.0 * shrunk * math.sqrt(shrunk)
            against += weight * max((x * x + 1.0) * tail - ridge, 1e-300)
            weight *= (x * x + 1.0) * (1.0 - tail) + ridge
            along += weight
            center = b / precision
            first += weight * center
            second += weight * (phi / precision + center * center)
        if along == 0.0:
            down[p] = up[p] = -np.inf
            mean[p] = variance[p] = 0.0
            continue
        log_along = top + math.log(along / n_scales)
        log_against = top + math.log(max(against, 1e-300) / n_scales)
        down[p], up[p] = (
            (log_along, log_against) if b < 0.0 else (log_against, log_along)
        )
        mean[p] = first / along
        variance[p] = max(second / along - mean[p] * mean[p], 0.0)


@kernel
def log_total(log_weight: Floats) -> float:
    """Return the logarithm of the sum of exponentials."""
    top = -np.inf
    for value in log_weight:
        top = max(top, value)
    if top == -np.inf:
        return top
    total = 0.0
    for value in log_weight:
        total += math.exp(value - top)
    return top + math.log(total)
