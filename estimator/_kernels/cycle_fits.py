"""How well regular cycles fit a series: harmonics of many frequencies.

Columns are cosine, sine, cosine and sine of twice the frequency, and a level. They are
whitened as the series is: row ``i`` of a column ``v`` is ``e[i] v[i] - d[i] v[i-1]``
(method.md, equation 55).
"""

import math

import numpy as np
from numpy.typing import NDArray

from calibration._kernels.jit import inlined_part, kernel

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

N_COLUMNS = 5
_LEVEL = 4
# Columns of the tables of products: those with one another, then these.
_WITH_CONSTANT, _WITH_DEPLOYMENT, _WITH_SERIES = 5, 6, 7
_SQRT_HALF = math.sqrt(0.5)


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
    equation 62; the letters of the other arguments are those of `step_fits`.
    """
    # Products of the columns with one another, with o, the deployment and z:
    # since chunk n_reference + 1, and before that for both kinds of cycle.
    after = np.empty((N_COLUMNS, N_COLUMNS + 3))
    whole = np.empty((N_COLUMNS, N_COLUMNS + 3))
    since = np.empty((N_COLUMNS, N_COLUMNS + 3))
    now, before = np.empty(N_COLUMNS), np.empty(N_COLUMNS)
    row, column = np.empty(N_COLUMNS), np.empty(N_COLUMNS)
    projected = np.empty((N_COLUMNS, N_COLUMNS + 1))
    gram, rhs = np.empty((N_COLUMNS, N_COLUMNS)), np.empty(N_COLUMNS)
    factor, solved = np.empty((N_COLUMNS, N_COLUMNS)), np.empty(N_COLUMNS)
    used = np.empty(N_COLUMNS, dtype=np.int64)
    is_even = True
    for i in range(2, z.size):
        is_even = is_even and abs(t[i] - t[i - 1] - (t[1] - t[0])) < 1e-9
    for f in range(frequencies.size):
        omega = 2.0 * math.pi * frequencies[f]
        _sum_products(
            omega, is_even, z, o, e, d, t, n_reference, now, before, row,
            whole, since, after,
        )  # fmt: skip
        for kind in range(2):
            until = since if kind == 1 else whole
            _project_out_level(until, after, K, xz, shared, projected)
            for n_harmonics in range(1, 3):
                variant = 2 * kind + n_harmonics - 1
                m = 2 * n_harmonics + kind
                for j in range(m):
                    used[j] = j
                if kind == 1:
                    used[m - 1] = _LEVEL
                for j in range(m):
                    for k in range(j + 1):
                        gram[j, k] = projected[used[j], used[k]]
                    rhs[j] = projected[used[j], N_COLUMNS]
                out[f, variant] = _log_evidence(
                    gram, rhs, used, m, kind == 1, rest, dof, scales, factor, solved,
                    column, coefficients[f, variant],
                )  # fmt: skip


@inlined_part
def _sum_products(
    omega: float,
    is_even: bool,
    z: Floats,
    o: Floats,
    e: Floats,
    d: Floats,
    t: Floats,
    n_reference: int,
    now: Floats,
    before: Floats,
    row: Floats,
    whole: Floats,
    since: Floats,
    after: Floats,
) -> None:
    """Fill the products of the whitened columns at one angular frequency ``omega``.

    ``whole`` and ``since`` (5, 8) sum over rows up to the deployment, of a cycle
    through the whole series and of one since deployment; ``after`` over the rows after
    it, which both have in common.
    """
    after[:] = 0.0
    whole[:] = 0.0
    since[:] = 0.0
    before[:] = 0.0
    c = s = turn_c = turn_s = 0.0
    if is_even and z.size > 1:
        angle = omega * (t[1] - t[0])
        turn_c, turn_s = math.cos(angle), math.sin(angle)
    for i in range(z.size):
        if i > 0 and is_even:  # turn on by the same angle
            c, s = c * turn_c - s * turn_s, s * turn_c + c * turn_s
        else:
            c, s = math.cos(omega * t[i]), math.sin(omega * t[i])
        now[0], now[1] = c, s
        now[2], now[3] = c * c - s * s, 2.0 * s * c
        now[_LEVEL] = 1.0 if i >= n_reference else 0.0
        for j in range(N_COLUMNS):
            row[j] = e[i] * now[j] - d[i] * before[j]
        if i > n_reference:
            for j in range(N_COLUMNS):
                for k in range(j + 1):
                    after[j, k] += row[j] * row[k]
                after[j, _WITH_CONSTANT] += row[j] * o[i]
                after[j, _WITH_SERIES] += row[j] * z[i]
        else:
            for j in range(N_COLUMNS):
                for k in range(j + 1):
                    whole[j, k] += row[j] * row[k]
                whole[j, _WITH_CONSTANT] += row[j] * o[i]
                if i == n_reference:
                    whole[j, _WITH_DEPLOYMENT] = row[j] * e[i]
                whole[j, _WITH_SERIES] += row[j] * z[i]
        if i == n_reference:  # before it the cycle is not there
            for j in range(N_COLUMNS):
                first = e[i] * now[j]
                for k in range(j + 1):
                    since[j, k] = first * e[i] * now[k]
                since[j, _WITH_CONSTANT] = first * o[i]
                since[j, _WITH_DEPLOYMENT] = first * e[i]
                since[j, _WITH_SERIES] = first * z[i]
        for j in range(N_COLUMNS):
            before[j] = now[j]
    for j in range(N_COLUMNS):  # from there on the deployment is the constant
        after[j, _WITH_DEPLOYMENT] = after[j, _WITH_CONSTANT]


@inlined_part
def _project_out_level(
    until: Floats,
    after: Floats,
    K: Floats,
    xz: Floats,
    shared: float,
    projected: Floats,
) -> None:
    """Fill ``projected`` (5, 6): A of the columns, then b (method.md, equation 57).

    These are their products, level and shared error projected out. ``until`` and
    ``after`` are the sums over rows up to and after the deployment.
    """
    for j in range(N_COLUMNS):
        jo = until[j, _WITH_CONSTANT] + after[j, _WITH_CONSTANT]
        jh = shared * (until[j, _WITH_DEPLOYMENT] + after[j, _WITH_DEPLOYMENT])
        uo, uh = K[0, 0] * jo + K[0, 1] * jh, K[1, 0] * jo + K[1, 1] * jh
        for k in range(j + 1):
            ko = until[k, _WITH_CONSTANT] + after[k, _WITH_CONSTANT]
            kh = shared * (until[k, _WITH_DEPLOYMENT] + after[k, _WITH_DEPLOYMENT])
            projected[j, k] = until[j, k] + after[j, k] - (uo * ko + uh * kh)
        projected[j, N_COLUMNS] = (
            until[j, _WITH_SERIES] + after[j, _WITH_SERIES] - (uo * xz[0] + uh * xz[1])
        )


@inlined_part
def _log_evidence(
    gram: Floats,
    rhs: Floats,
    used: Ints,
    m: int,
    has_level: bool,
    rest: float,
    dof: float,
    scales: Floats,
    factor: Floats,
    solved: Floats,
    column: Floats,
    coefficients: Floats,
) -> float:
    """Return the log evidence of some columns, averaged over prior scales.

    Fills ``coefficients`` (5,) with those at the scale of the greatest evidence.
    Method.md, equation 62.
    """
    top, total = -np.inf, 0.0
    for s in range(scales.size):
        # Cholesky factor of A + D^-2, and its half-way solution for b
        roots, explained = 1.0, 0.0
        for j in range(m):
            is_second = used[j] == 2 or used[j] == 3
            deviation = (0.25 if is_second else 0.5) * scales[s]
            for k in range(j + 1):
                value = gram[j, k]
                if j == k:
                    value += 1.0 / (deviation * deviation)
                for i in range(k):
                    value -= factor[j, i] * factor[k, i]
                factor[j, k] = math.sqrt(value) if j == k else value / factor[k, k]
            value = rhs[j]
            for i in range(j):
                value -= factor[j, i] * solved[i]
            solved[j] = value / factor[j, j]
            explained += solved[j] * solved[j]
            roots *= factor[j, j] * deviation
        left = rest - explained
        # the three factors of method.md, equation 62, one by one
        log_evidence = -math.log(roots) - 0.5 * dof * math.log(left)
        if has_level:  # it lies below the reference's
            x = solved[m - 1] / math.sqrt(left / dof)
            log_evidence += math.log(max(math.erfc(x * _SQRT_HALF), 1e-300))
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
        log_evidence += math.log(moment / (0.5 * scales[s] * scales[s]))
        if log_evidence <= top:
            total += math.exp(log_evidence - top)
            continue
        total = total * math.exp(top - log_evidence) + 1.0
        top = log_evidence
        coefficients[:] = 0.0
        for j in range(m):
            coefficients[used[j]] = solved[j]
    return top + math.log(total / scales.size)
