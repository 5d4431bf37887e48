"""How well each step, window, staircase and ramp fits a series, by sums over it.

All work on a whitened series: errors of the chunks are autocorrelated by
``rho ** (time between them)``, so row ``i`` of a column ``v`` becomes
``e[i] v[i] - d[i] v[i-1]``, whose errors are independent and of variance phi. A step,
a window, a staircase and a ramp between two chunks are then, after their first row,
sums of two whitened columns: the constant and the time. Their products come from
suffix sums, each shape in constant time.

Arrays of all kernels here and in `cycle_fits`, in the letters of method.md, equations
54 to 57: ``z``, ``o``, ``q`` (n,) are the whitened series, constant and time; ``e``,
``d`` (n,) the factors that whiten; ``t`` (n,) the times in typical spacings; ``sums``
what `suffix_sums` fills. ``K`` (2, 2) is the covariance, over phi, of the level and of
the analysis chunks' shared error, ``xz`` (2,) their products with the series, ``rest``
and ``dof`` the sum of squares S and its degrees of freedom nu, ``shared`` the standard
deviation of the shared error, and ``scales`` those of the amplitude's prior.
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
def suffix_sums(z: Floats, o: Floats, q: Floats, sums: Floats) -> None:
    """Fill ``sums`` (5, n + 1) with sums over rows ``>= i`` of oo, oz, oq, qq, qz."""
    n = z.size
    for k in range(5):
        sums[k, n] = 0.0
    for i in range(n - 1, -1, -1):
        sums[0, i] = sums[0, i + 1] + o[i] * o[i]
        sums[1, i] = sums[1, i + 1] + o[i] * z[i]
        sums[2, i] = sums[2, i + 1] + o[i] * q[i]
        sums[3, i] = sums[3, i + 1] + q[i] * q[i]
        sums[4, i] = sums[4, i + 1] + q[i] * z[i]


@kernel
def step_products(
    positions: Ints,
    z: Floats,
    o: Floats,
    e: Floats,
    sums: Floats,
    n_reference: int,
    out: Floats,
) -> None:
    """Fill ``out`` (n, 4): products of each step with itself, z, o and the deployment.

    The step at ``k`` is 1 from chunk ``k`` on. "The deployment" is the step at
    ``n_reference``, which no other step may precede.
    """
    for p in range(positions.size):
        k = positions[p]
        with_o = e[k] * o[k] + sums[0, k + 1]
        out[p, 0] = e[k] * e[k] + sums[0, k + 1]
        out[p, 1] = e[k] * z[k] + sums[1, k + 1]
        out[p, 2] = with_o
        out[p, 3] = out[p, 0] if k == n_reference else with_o


@kernel
def pair_products(
    kind: int,
    first: Ints,
    last: Ints,
    z: Floats,
    o: Floats,
    q: Floats,
    e: Floats,
    t: Floats,
    sums: Floats,
    n_reference: int,
    out: Floats,
) -> None:
    """Fill ``out`` (n, 4) as `step_products` does, for shapes of two positions.

    A window is 1 from ``first`` to before ``last``; a ramp is 0 until ``first`` and 1
    from ``last`` on, linear in time between them.
    """
    for p in range(first.size):
        a, b = first[p], last[p]
        if kind == RAMP:
            length = t[b] - t[a]
            oo = sums[0, a + 1] - sums[0, b + 1]
            oz = sums[1, a + 1] - sums[1, b + 1]
            oq = sums[2, a + 1] - sums[2, b + 1]
            qq = sums[3, a + 1] - sums[3, b + 1]
            qz = sums[4, a + 1] - sums[4, b + 1]
            with_o = (oq - t[a] * oo) / length + sums[0, b + 1]
            out[p, 0] = (qq - 2.0 * t[a] * oq + t[a] * t[a] * oo) / (
                length * length
            ) + sums[0, b + 1]
            out[p, 1] = (qz - t[a] * oz) / length + sums[1, b + 1]
            out[p, 2] = with_o
            if a + 1 == n_reference:
                k = n_reference
                with_o += (q[k] - t[a] * o[k]) / length * (e[k] - o[k])
            out[p, 3] = with_o
            continue
        # step a, step b and their product, which is that of step b with a constant
        aa = e[a] * e[a] + sums[0, a + 1]
        az = e[a] * z[a] + sums[1, a + 1]
        ao = e[a] * o[a] + sums[0, a + 1]
        bb = e[b] * e[b] + sums[0, b + 1]
        bz = e[b] * z[b] + sums[1, b + 1]
        bo = e[b] * o[b] + sums[0, b + 1]
        at_deployment = aa if a == n_reference else ao
        out[p, 0] = aa - 2.0 * bo + bb
        out[p, 1] = az - bz
        out[p, 2] = ao - bo
        out[p, 3] = at_deployment - bo


@kernel
def one_amplitude(
    products: Floats,
    K: Floats,
    xz: Floats,
    shared: float,
    rest: float,
    dof: float,
    scales: Floats,
    down: Floats,
    up: Floats,
    mean: Floats,
    variance: Floats,
) -> None:
    """Fill log evidence of a decline and of a rise, and the decline's amplitude.

    The constant and the shared error are projected out: ``K`` is the inverse of their
    products plus prior, ``xz`` their products with the series; ``rest`` is the sum of
    squares that is left plus the prior's, ``dof`` its degrees of freedom. The amplitude
    is normal with standard deviation ``scales`` times the errors' (averaged over
    these), on one side of zero; integrated over the errors' scale the evidence is a
    Student t's (method.md, equation 59).
    """
    n_scales = scales.size
    log_common = np.empty(n_scales)
    alongs, againsts = np.empty(n_scales), np.empty(n_scales)
    means, variances = np.empty(n_scales), np.empty(n_scales)
    for p in range(products.shape[0]):
        xo, xh = products[p, 2], shared * products[p, 3]
        # method.md, equation 57
        A = products[p, 0] - (
            K[0, 0] * xo * xo + 2.0 * K[0, 1] * xo * xh + K[1, 1] * xh * xh
        )
        b = products[p, 1] - (
            xo * (K[0, 0] * xz[0] + K[0, 1] * xz[1])
            + xh * (K[1, 0] * xz[0] + K[1, 1] * xz[1])
        )
        A = max(A, 0.0)
        top = -np.inf
        for s in range(n_scales):
            prior = 1.0 / (scales[s] * scales[s])
            precision = A + prior
            left = rest - b * b / precision
            phi = left / dof
            x = abs(b) / math.sqrt(precision * phi)
            log_common[s] = 0.5 * (math.log(prior / precision) - dof * math.log(left))
            top = max(top, log_common[s])
            # second moments, about zero, of N(x, 1) beyond and before it: the last
            # factor of method.md, equation 59
            tail = 0.5 * math.erfc(x * _SQRT_HALF)
            ridge = x * math.exp(-0.5 * x * x) * _DENSITY
            shrunk = 2.0 * prior / precision
            alongs[s] = shrunk * ((x * x + 1.0) * (1.0 - tail) + ridge)
            againsts[s] = shrunk * ((x * x + 1.0) * tail - ridge)
            means[s], variances[s] = b / precision, phi / precision
        along = against = first = second = 0.0
        for s in range(n_scales):
            weight = math.exp(log_common[s] - top)
            against += weight * againsts[s]
            weight *= alongs[s]
            along += weight
            first += weight * means[s]
            second += weight * (variances[s] + means[s] * means[s])
        log_along = top + math.log(along / n_scales)
        log_against = top + math.log(max(against, 1e-300) / n_scales)
        down[p], up[p] = (
            (log_along, log_against) if b < 0.0 else (log_against, log_along)
        )
        mean[p] = first / along
        variance[p] = max(second / along - mean[p] * mean[p], 0.0)


@kernel
def two_steps(
    first: Ints,
    last: Ints,
    z: Floats,
    o: Floats,
    e: Floats,
    sums: Floats,
    K: Floats,
    xz: Floats,
    shared: float,
    rest: float,
    dof: float,
    scales: Floats,
    down: Floats,
    up: Floats,
    mean: Floats,
    variance: Floats,
    share: Floats,
) -> None:
    """Do for two steps, at ``first`` and ``last``, what `one_amplitude` does for one.

    Each has an amplitude of its own, both on the same side of zero, with the product of
    two moment priors; sides are weighed as if the two were independent. Both steps come
    after the deployment. ``share`` is that of the first step in the whole amplitude.
    Method.md, equations 60 and 61.
    """
    for p in range(first.size):
        a, b = first[p], last[p]
        ao = e[a] * o[a] + sums[0, a + 1]
        bo = e[b] * o[b] + sums[0, b + 1]
        # what is left of both steps once level and shared error are projected out
        k = K[0, 0] + 2.0 * shared * K[0, 1] + shared * shared * K[1, 1]
        with_x = xz[0] * (K[0, 0] + shared * K[0, 1]) + xz[1] * (
            K[0, 1] + shared * K[1, 1]
        )
        aa = e[a] * e[a] + sums[0, a + 1] - k * ao * ao
        bb = e[b] * e[b] + sums[0, b + 1] - k * bo * bo
        ab = bo - k * ao * bo
        az = e[a] * z[a] + sums[1, a + 1] - ao * with_x
        bz = e[b] * z[b] + sums[1, b + 1] - bo * with_x
        top_down = top_up = -np.inf
        total_down = total_up = first_moment = second_moment = in_first = 0.0
        for s in range(scales.size):
            prior = 1.0 / (scales[s] * scales[s])
            pa, pb = aa + prior, bb + prior
            determinant = pa * pb - ab * ab
            ma, mb = (
                (pb * az - ab * bz) / determinant,
                (pa * bz - ab * az) / determinant,
            )
            left = rest - (az * ma + bz * mb)
            phi = left / dof
            va, vb, c = pb / determinant, pa / determinant, -ab / determinant
            # second moments, over phi, of the product of both amplitudes: equation 61
            xa, xb = ma * ma / phi, mb * mb / phi
            xab = ma * mb / phi
            moment = xa * xb + xa * vb + xb * va + 4.0 * xab * c + va * vb + 2.0 * c * c
            common = (  # equation 60 without its sides
                0.5 * math.log(prior * prior / determinant)
                - 0.5 * dof * math.log(left)
                + math.log(max(moment, 1e-300) * prior * prior)
            )
            za = ma / math.sqrt(2.0 * va * phi)
            zb = mb / math.sqrt(2.0 * vb * phi)
            log_down = common + math.log(max(math.erfc(za) * math.erfc(zb), 1e-300))
            log_up = common + math.log(max(math.erfc(-za) * math.erfc(-zb), 1e-300))
            if log_down > top_down:
                scale = math.exp(top_down - log_down)
                total_down *= scale
                first_moment *= scale
                second_moment *= scale
                in_first *= scale
                top_down = log_down
            weight = math.exp(log_down - top_down)
            total_down += weight
            both = ma + mb
            first_moment += weight * both
            second_moment += weight * (both * both + phi * (va + vb + 2.0 * c))
            in_first += weight * ma
            if log_up > top_up:
                total_up *= math.exp(top_up - log_up)
                top_up = log_up
            total_up += math.exp(log_up - top_up)
        down[p] = top_down + math.log(total_down / scales.size)
        up[p] = top_up + math.log(total_up / scales.size)
        mean[p] = first_moment / total_down
        variance[p] = max(second_moment / total_down - mean[p] * mean[p], 0.0)
        share[p] = in_first / first_moment


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
