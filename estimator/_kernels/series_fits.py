"""How well each shape of decline fits a short series, by sums over the series.

All work on a whitened series: errors of the chunks are autocorrelated by
``rho ** (time between them)``, so row ``i`` of a column ``v`` becomes
``e[i] v[i] - d[i] v[i-1]``, whose errors are independent and of variance phi. A step,
a window, a staircase and a ramp between two chunks are then, after their first row,
sums of two whitened columns: the constant and the time. Their products come from
suffix sums, each shape in constant time.
"""

import math

import numpy as np
from numpy.typing import NDArray

from calibration._jit import kernel

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

WINDOW, RAMP = 0, 1
_SQRT_HALF = math.sqrt(0.5)
_DENSITY = 1.0 / math.sqrt(2.0 * math.pi)


@kernel
def whiten(errors: Floats, gaps: Floats, rho: float, e: Floats, d: Floats) -> float:
    """Fill ``e`` and ``d``; return the log determinant of the whitening.

    ``gaps[i]`` is the time since chunk ``i - 1``, in typical spacings. Method.md,
    equation 52.
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
    at: Ints,
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
    for p in range(at.size):
        k = at[p]
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
    """Fill ``out`` (n, 4) as `step_products` does, for shapes of two places.

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
    Student t's (method.md, equation 56).
    """
    n_scales = scales.size
    log_common = np.empty(n_scales)
    alongs, againsts = np.empty(n_scales), np.empty(n_scales)
    means, variances = np.empty(n_scales), np.empty(n_scales)
    for p in range(products.shape[0]):
        xo, xh = products[p, 2], shared * products[p, 3]
        # method.md, equation 54
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
            # factor of method.md, equation 56
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
    Method.md, equations 57 and 58.
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
            # second moments, over phi, of the product of both amplitudes: equation 58
            xa, xb = ma * ma / phi, mb * mb / phi
            xab = ma * mb / phi
            moment = xa * xb + xa * vb + xb * va + 4.0 * xab * c + va * vb + 2.0 * c * c
            common = (  # equation 57 without its sides
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


@kernel
def harmonics(
    frequencies: Floats,
    z: Floats,
    o: Floats,
    e: Floats,
    d: Floats,
    t: Floats,
    n_reference: int,
    K: Floats,
    xz: Floats,
    shared: float,
    rest: float,
    dof: float,
    scales: Floats,
    out: Floats,
    coefficients: Floats,
) -> None:
    """Fill ``out`` (n_frequencies, 4) with log evidences of regular cycles.

    One or two harmonics through the whole series, then one or two since deployment
    with a level of their own. ``coefficients`` (n_frequencies, 4, 5) are those of
    cosine, sine, cosine and sine of twice the frequency, level. Harmonics have half,
    and second ones a quarter, of ``scales`` as prior standard deviations. Method.md,
    equation 59.
    """
    n, width = z.size, 5
    # products of the columns with one another, with o, the deployment and z:
    # since chunk n_reference + 1, and before that for both kinds of cycle
    after = np.empty((width, width + 3))
    whole, since = np.empty((width, width + 3)), np.empty((width, width + 3))
    now, before, row = np.empty(width), np.empty(width), np.empty(width)
    full = np.empty((width, width + 1))
    gram, factor = np.empty((width, width)), np.empty((width, width))
    rhs, solved = np.empty(width), np.empty(width)
    used, column = np.empty(width, dtype=np.int64), np.empty(width)
    even = True
    for i in range(2, n):
        even = even and abs(t[i] - t[i - 1] - (t[1] - t[0])) < 1e-9
    for f in range(frequencies.size):
        omega = 2.0 * math.pi * frequencies[f]
        after[:] = 0.0
        whole[:] = 0.0
        since[:] = 0.0
        before[:] = 0.0
        c = s = turn_c = turn_s = 0.0
        if even and n > 1:
            angle = omega * (t[1] - t[0])
            turn_c, turn_s = math.cos(angle), math.sin(angle)
        for i in range(n):
            if i > 0 and even:  # turn on by the same angle
                c, s = c * turn_c - s * turn_s, s * turn_c + c * turn_s
            else:
                c, s = math.cos(omega * t[i]), math.sin(omega * t[i])
            now[0], now[1] = c, s
            now[2], now[3] = c * c - s * s, 2.0 * s * c
            now[4] = 1.0 if i >= n_reference else 0.0
            for j in range(width):
                row[j] = e[i] * now[j] - d[i] * before[j]
            if i > n_reference:
                for j in range(width):
                    for k in range(j + 1):
                        after[j, k] += row[j] * row[k]
                    after[j, width] += row[j] * o[i]
                    after[j, width + 2] += row[j] * z[i]
            else:
                for j in range(width):
                    for k in range(j + 1):
                        whole[j, k] += row[j] * row[k]
                    whole[j, width] += row[j] * o[i]
                    if i == n_reference:
                        whole[j, width + 1] = row[j] * e[i]
                    whole[j, width + 2] += row[j] * z[i]
            if i == n_reference:  # before it the cycle is not there
                for j in range(width):
                    own = e[i] * now[j]
                    for k in range(j + 1):
                        since[j, k] = own * e[i] * now[k]
                    since[j, width] = own * o[i]
                    since[j, width + 1] = own * e[i]
                    since[j, width + 2] = own * z[i]
            for j in range(width):
                before[j] = now[j]
        for j in range(width):  # from there on the deployment is the constant
            after[j, width + 1] = after[j, width]
        for kind in range(2):
            source = since if kind == 1 else whole
            for j in range(width):
                jo = source[j, width] + after[j, width]
                jh = shared * (source[j, width + 1] + after[j, width + 1])
                uo, uh = K[0, 0] * jo + K[0, 1] * jh, K[1, 0] * jo + K[1, 1] * jh
                for k in range(j + 1):
                    ko = source[k, width] + after[k, width]
                    kh = shared * (source[k, width + 1] + after[k, width + 1])
                    full[j, k] = source[j, k] + after[j, k] - (uo * ko + uh * kh)
                full[j, width] = (
                    source[j, width + 2]
                    + after[j, width + 2]
                    - (uo * xz[0] + uh * xz[1])
                )
            for n_harmonics in range(1, 3):
                variant = 2 * kind + n_harmonics - 1
                m = 2 * n_harmonics + kind
                for j in range(m):
                    used[j] = j
                if kind == 1:
                    used[m - 1] = 4
                for j in range(m):
                    for k in range(j + 1):
                        gram[j, k] = full[used[j], used[k]]
                    rhs[j] = full[used[j], width]
                top, total = -np.inf, 0.0
                for s in range(scales.size):
                    roots, explained = 1.0, 0.0
                    for j in range(m):
                        second = used[j] == 2 or used[j] == 3
                        deviation = (0.25 if second else 0.5) * scales[s]
                        for k in range(j + 1):
                            value = gram[j, k]
                            if j == k:
                                value += 1.0 / (deviation * deviation)
                            for i in range(k):
                                value -= factor[j, i] * factor[k, i]
                            factor[j, k] = (
                                math.sqrt(value) if j == k else value / factor[k, k]
                            )
                        value = rhs[j]
                        for i in range(j):
                            value -= factor[j, i] * solved[i]
                        solved[j] = value / factor[j, j]
                        explained += solved[j] * solved[j]
                        roots *= factor[j, j] * deviation
                    left = rest - explained
                    # the three factors of method.md, equation 59, one by one
                    found = -math.log(roots) - 0.5 * dof * math.log(left)
                    if kind == 1:  # its level lies below the reference's
                        x = solved[m - 1] / math.sqrt(left / dof)
                        found += math.log(max(math.erfc(x * _SQRT_HALF), 1e-300))
                    for j in range(m - 1, -1, -1):
                        value = solved[j]
                        for i in range(j + 1, m):
                            value -= factor[i, j] * solved[i]
                        solved[j] = value / factor[j, j]
                    # posterior over prior second moment of the first harmonic
                    moment = 0.0
                    for c in range(2):
                        moment += solved[c] * solved[c] * dof / left
                        for j in range(c, m):
                            value = 1.0 if j == c else 0.0
                            for i in range(c, j):
                                value -= factor[j, i] * column[i]
                            column[j] = value / factor[j, j]
                            moment += column[j] * column[j]
                    found += math.log(moment / (0.5 * scales[s] * scales[s]))
                    if found <= top:
                        total += math.exp(found - top)
                        continue
                    total = total * math.exp(top - found) + 1.0
                    top = found
                    coefficients[f, variant] = 0.0
                    for j in range(m):
                        coefficients[f, variant, used[j]] = solved[j]
                out[f, variant] = top + math.log(total / scales.size)


@kernel
def fit_two_levels(
    y: Floats,
    weight: Floats,
    stay: float,
    prior_dof: float,
    n_rounds: int,
    estimate: Floats,
    below: Floats,
) -> None:
    """Improve ``estimate`` (upper level, lower level, phi), and fill ``below``.

    Expectation maximization for a series that goes back and forth between two levels
    and stays where it is with probability ``stay``; ``below[i]`` is the probability
    that chunk ``i`` is at the lower one (Rabiner 1989, "A tutorial on hidden Markov
    models", Proc. IEEE 77(2)).
    """
    n = y.size
    up, down = np.empty(n), np.empty(n)  # likelihoods of each chunk
    ahead = np.empty((n, 2))
    change = 1.0 - stay
    for _ in range(n_rounds):
        upper, lower, phi = estimate
        for i in range(n):
            a = 0.5 * weight[i] * (y[i] - upper) ** 2 / phi
            b = 0.5 * weight[i] * (y[i] - lower) ** 2 / phi
            least = min(a, b)
            up[i], down[i] = math.exp(least - a), math.exp(least - b)
            if i == 0:
                ahead[i, 0], ahead[i, 1] = 0.75 * up[i], 0.25 * down[i]
            else:
                ahead[i, 0] = (stay * ahead[i - 1, 0] + change * ahead[i - 1, 1]) * up[
                    i
                ]
                ahead[i, 1] = (
                    stay * ahead[i - 1, 1] + change * ahead[i - 1, 0]
                ) * down[i]
            norm = ahead[i, 0] + ahead[i, 1]
            ahead[i, 0] /= norm
            ahead[i, 1] /= norm
        back_up = back_down = 1.0
        above_weight = above_sum = below_weight = below_sum = 1e-9
        for i in range(n - 1, -1, -1):
            p = ahead[i, 1] * back_down
            below[i] = p / (p + ahead[i, 0] * back_up)
            above_weight += weight[i] * (1.0 - below[i])
            above_sum += weight[i] * (1.0 - below[i]) * y[i]
            below_weight += weight[i] * below[i]
            below_sum += weight[i] * below[i] * y[i]
            from_up = stay * up[i] * back_up + change * down[i] * back_down
            from_down = stay * down[i] * back_down + change * up[i] * back_up
            norm = from_up + from_down
            back_up, back_down = from_up / norm, from_down / norm
        estimate[0], estimate[1] = above_sum / above_weight, below_sum / below_weight
        squares = prior_dof
        for i in range(n):
            squares += weight[i] * (
                (1.0 - below[i]) * (y[i] - estimate[0]) ** 2
                + below[i] * (y[i] - estimate[1]) ** 2
            )
        estimate[2] = squares / (prior_dof + n)


@kernel
def log_switching(
    y: Floats, weight: Floats, upper: float, lower: float, phi: float, stay: float
) -> float:
    """Return the log likelihood of going back and forth, with at least three changes.

    Squares only: constants of the normal density are the caller's. States are the
    number of changes so far (0 to 4, where 3 and 4 take turns), having started above
    (the first five) or below (the last five).
    """
    alpha, moved = np.zeros(10), np.empty(10)
    alpha[0], alpha[5] = 0.75, 0.25
    change = 1.0 - stay
    total = 0.0
    for i in range(y.size):
        a = 0.5 * weight[i] * (y[i] - upper) ** 2 / phi
        b = 0.5 * weight[i] * (y[i] - lower) ** 2 / phi
        least = min(a, b)
        up, down = math.exp(least - a), math.exp(least - b)
        if i > 0:
            for at in (0, 5):
                moved[at] = stay * alpha[at]
                moved[at + 1] = stay * alpha[at + 1] + change * alpha[at]
                moved[at + 2] = stay * alpha[at + 2] + change * alpha[at + 1]
                moved[at + 3] = stay * alpha[at + 3] + change * (
                    alpha[at + 2] + alpha[at + 4]
                )
                moved[at + 4] = stay * alpha[at + 4] + change * alpha[at + 3]
            for s in range(10):
                alpha[s] = moved[s]
        norm = 0.0
        for s in range(5):
            alpha[s] *= down if s % 2 == 1 else up
            alpha[5 + s] *= up if s % 2 == 1 else down
            norm += alpha[s] + alpha[5 + s]
        for s in range(10):
            alpha[s] /= norm
        total += math.log(norm) - least
    enough = alpha[3] + alpha[4] + alpha[8] + alpha[9]
    return total + math.log(max(enough, 1e-300))


@kernel
def log_switchings(
    y: Floats,
    weight: Floats,
    upper: Floats,
    lower: Floats,
    phi: Floats,
    stay: float,
    out: Floats,
) -> None:
    """Fill ``out`` with `log_switching` at each of several parameters."""
    for k in range(out.size):
        out[k] = log_switching(y, weight, upper[k], lower[k], phi[k], stay)


@kernel
def step_e_process(
    y: Floats,
    weight: Floats,
    n_reference: int,
    shared: float,
    scales: Floats,
    out: Floats,
) -> None:
    """Fill ``out`` (n - n_reference) with evidence for a step, after each chunk.

    The mixture over all past and coming places of a step down, each with the evidence
    of its one-sided normal amplitude for a known variance; weights over places are
    fixed beforehand, 1 / ((j + 1) (j + 2)) for the ``j``-th analysis chunk. So the
    entries are a martingale that begins at 1 as long as nothing changes (method.md,
    equation 62).
    """
    n = y.size
    # sums over the reference, then over all chunks so far
    total_w = total_y = 0.0
    for i in range(n_reference):
        total_w += weight[i]
        total_y += weight[i] * y[i]
    after_w = after_y = 0.0
    since_w, since_y = np.zeros(n), np.zeros(n)
    for i in range(n_reference, n):
        total_w += weight[i]
        total_y += weight[i] * y[i]
        after_w += weight[i]
        after_y += weight[i] * y[i]
        for k in range(n_reference, i + 1):
            since_w[k] += weight[i]
            since_y[k] += weight[i] * y[i]
        # precision of level (flat) and of the shared error (unit variance)
        oh, hh = shared * after_w, shared * shared * after_w + 1.0
        determinant = total_w * hh - oh * oh
        value = 1.0 / (i - n_reference + 2.0)  # of the places still to come
        for k in range(n_reference, i + 1):
            gz, go, gh = since_y[k], since_w[k], shared * since_w[k]
            oz, hz = total_y, shared * after_y
            A = (
                since_w[k]
                - (go * (hh * go - oh * gh) + gh * (total_w * gh - oh * go))
                / determinant
            )
            b = (
                gz
                - (go * (hh * oz - oh * hz) + gh * (total_w * hz - oh * oz))
                / determinant
            )
            A = max(A, 0.0)
            evidence = 0.0
            for s in range(scales.size):
                precision = A + 1.0 / (scales[s] * scales[s])
                root = math.sqrt(precision)
                evidence += (
                    math.exp(min(0.5 * b * b / precision, 700.0))
                    / (scales[s] * root)
                    * math.erfc(b / root * _SQRT_HALF)
                )
            j = k - n_reference
            value += evidence / scales.size / ((j + 1.0) * (j + 2.0))
        out[i - n_reference] = value
