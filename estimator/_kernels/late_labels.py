"""Rows that wait for their labels: what they say of delays and of a calibration shift.

Row ``i`` has calibrated log odds ``x`` and a label or NaN. With ``r`` the log ratio of
how likely a positive and a negative are still to be unlabelled, its soft label is the
posterior ``expit(x + a + b u + r)`` while it waits, ``u = (x - centre) / scale``, and
the label afterwards. ``(a, b)`` is its chunk's shift. A row's delay cell is the flat
index (stratum, age) of the delay model's tables. A row may stand for ``weight`` equal
ones; with None each stands for itself.
"""

import numpy as np
from numpy.typing import NDArray

from calibration._kernels.jit import kernel

Floats = NDArray[np.float64]

# A step of Newton's method longer than this (in log odds) is cut.
_LONGEST_STEP = 1.0
# After a step shorter than this (in log odds) what is left is about its square.
_LAST_STEP = 1e-8


@kernel
def find_delay_cells(
    start: NDArray[np.int64],
    now: int,
    stratum: NDArray[np.int16],
    steps_per_doubling: int,
    n_ages: int,
    out: NDArray[np.int32],
) -> None:
    """Fill ``out`` with ``stratum * n_ages + age``, ages by steps of equal ratio.

    Times are in microseconds. Step 0 is a negative age, step 1 less than a second;
    step ``k`` begins at ``2 ** ((k - 2) / steps_per_doubling)`` seconds.
    """
    for i in range(start.size):
        seconds = (now - start[i]) * 1e-6
        age = 1 if seconds >= 0.0 else 0
        if seconds >= 1.0:
            # Rounding must not put a day sometimes before, sometimes after its step.
            age = 2 + int(steps_per_doubling * np.log2(seconds) + 1e-9)
        out[i] = stratum[i] * n_ages + min(age, n_ages - 1)


@kernel
def _times(weight: Floats | None, i: int) -> float:
    """Return for how many rows row ``i`` stands."""
    if weight is None:
        return 1.0
    return float(weight[i])


@kernel
def count_waiting(
    label: Floats,
    soft: Floats,
    delay_cell: NDArray[np.int32],
    weight: Floats | None,
    waiting: Floats,
) -> None:
    """Add each unlabelled row to ``waiting`` (2, n_delay_cells), by its soft label."""
    for i in range(label.size):
        if np.isnan(label[i]) and not np.isnan(soft[i]):
            times = _times(weight, i)
            waiting[0, delay_cell[i]] += times * (1.0 - soft[i])
            waiting[1, delay_cell[i]] += times * soft[i]


@kernel
def waiting_spread(
    x: Floats,
    label: Floats,
    delay_cell: NDArray[np.int32],
    n_ages: int,
    weight: Floats | None,
    spread: Floats,
    offsets: NDArray[np.int64],
    out: Floats,
) -> None:
    """Fill ``out`` (n, 2, 2) with each chunk's mean ``spread`` (n_ages, 2, 2) by age.

    The average is over the rows with a score that wait; 0 where none does. Method.md,
    equation 48.
    """
    for c in range(offsets.size - 1):
        rows = aa = ab = bb = 0.0
        for i in range(offsets[c], offsets[c + 1]):
            if np.isnan(label[i]) and not np.isnan(x[i]):
                times, age = _times(weight, i), delay_cell[i] % n_ages
                rows += times
                aa += times * spread[age, 0, 0]
                ab += times * spread[age, 0, 1]
                bb += times * spread[age, 1, 1]
        rows = max(rows, 1.0)
        out[c, 0, 0], out[c, 1, 1] = aa / rows, bb / rows
        out[c, 0, 1] = out[c, 1, 0] = ab / rows


@kernel
def soften(
    x: Floats,
    by_score: Floats,
    centre: float,
    scale: float,
    label: Floats,
    delay_cell: NDArray[np.int32],
    weight: Floats | None,
    log_ratio: Floats,
    offsets: NDArray[np.int64],
    shift: Floats,
    out: Floats,
    moved: Floats,
) -> None:
    """Fill ``out`` with the rows' soft labels, given each chunk's ``shift`` (n, 2).

    Method.md, equation 44. ``by_score`` (n_rows,) has the log odds by the map of the
    score, along which a shift has its slope: ``x`` itself where soft labels are by the
    score alone. ``moved`` (n,) is by how much the expected positives among
    the rows that wait differ from those of the soft labels that ``out`` held before, in
    standard deviations of their label noise.
    """
    for c in range(offsets.size - 1):
        a, b = shift[c, 0], shift[c, 1]
        change = noise = 0.0
        for i in range(offsets[c], offsets[c + 1]):
            if np.isnan(label[i]):
                u = (by_score[i] - centre) / scale
                eta = x[i] + a + b * u + log_ratio[delay_cell[i]]
                z = 1.0 / (1.0 + np.exp(-eta))
                if not np.isnan(z):  # there is a score
                    times = _times(weight, i)
                    change += times * (z - out[i])
                    noise += times * z * (1.0 - z)
                out[i] = z
            else:
                out[i] = label[i]
        moved[c] = abs(change) / np.sqrt(noise) if noise > 0.0 else 0.0


@kernel
def shift_information(
    x: Floats,
    by_score: Floats,
    centre: float,
    scale: float,
    label: Floats,
    delay_cell: NDArray[np.int32],
    weight: Floats | None,
    waiting_ratio: Floats,
    offsets: NDArray[np.int64],
    n_steps: int,
    prior_precision: float,
    mode: Floats,
    information: Floats,
    vector: Floats,
    awaited: Floats,
    is_final: NDArray[np.bool_],
) -> None:
    """Approximate each chunk's likelihood of its shift by a normal one.

    ``by_score`` is as in `soften`. ``information`` (n, 2, 2) is the observed
    information: that of all rows as if they
    were labelled, less what the missing labels would still tell. ``vector`` (n, 2) is
    information times estimate, taken at the mode under a weak prior, at most
    ``n_steps`` of Newton's method from ``mode`` (n, 2), which holds it afterwards.
    ``awaited`` (n, 2, 2) is what the missing labels would still tell, ``waiting_ratio``
    (n_delay_cells) is P(waiting | 0) over P(waiting | 1). Chunks that are final (n,),
    since no row of theirs waits, are left alone. Method.md, equation 46.
    """
    for c in range(offsets.size - 1):
        if is_final[c]:
            continue
        a, b = mode[c, 0], mode[c, 1]
        is_near = False
        for step in range(n_steps + 1):
            is_last = step == n_steps or is_near
            g_a = g_b = j_aa = j_ab = j_bb = w_aa = w_ab = w_bb = 0.0
            for i in range(offsets[c], offsets[c + 1]):
                if np.isnan(x[i]):  # no score
                    continue
                u = (by_score[i] - centre) / scale
                odds_against = np.exp(-x[i] - a - b * u)
                p = 1.0 / (1.0 + odds_against)
                spread = p * (1.0 - p)
                z, times = label[i], _times(weight, i)
                if np.isnan(z):
                    z = 1.0 / (1.0 + odds_against * waiting_ratio[delay_cell[i]])
                    missing = z * (1.0 - z)
                    spread -= missing
                    missing *= times
                    w_aa += missing
                    w_ab += missing * u
                    w_bb += missing * u * u
                residual = times * (z - p)
                spread *= times
                g_a += residual
                g_b += residual * u
                j_aa += spread
                j_ab += spread * u
                j_bb += spread * u * u
            # The observed information of missing labels need not be positive.
            j_aa, j_ab, j_bb = _positive_part(j_aa, j_ab, j_bb)
            if is_last:
                break
            h_aa, h_bb = j_aa + prior_precision, j_bb + prior_precision
            s_a, s_b = g_a - prior_precision * a, g_b - prior_precision * b
            det = h_aa * h_bb - j_ab * j_ab
            d_a = (h_bb * s_a - j_ab * s_b) / det
            d_b = (h_aa * s_b - j_ab * s_a) / det
            a += min(max(d_a, -_LONGEST_STEP), _LONGEST_STEP)
            b += min(max(d_b, -_LONGEST_STEP), _LONGEST_STEP)
            is_near = max(abs(d_a), abs(d_b)) < _LAST_STEP
        mode[c, 0], mode[c, 1] = a, b
        information[c, 0, 0], information[c, 1, 1] = j_aa, j_bb
        information[c, 0, 1] = information[c, 1, 0] = j_ab
        vector[c, 0] = j_aa * a + j_ab * b + g_a
        vector[c, 1] = j_ab * a + j_bb * b + g_b
        awaited[c, 0, 0], awaited[c, 1, 1] = w_aa, w_bb
        awaited[c, 0, 1] = awaited[c, 1, 0] = w_ab
        is_final[c] = w_aa == 0.0


@kernel
def _positive_part(aa: float, ab: float, bb: float) -> tuple[float, float, float]:
    """Return the symmetric matrix with its negative eigenvalues set to 0."""
    half = 0.5 * (aa + bb)
    radius = np.hypot(0.5 * (aa - bb), ab)
    high, low = half + radius, half - radius
    if low >= 0.0:
        return aa, ab, bb
    if high <= 0.0:
        return 0.0, 0.0, 0.0
    scale = high / (2.0 * radius)  # high times the projector on its eigenvector
    return scale * (aa - low), scale * ab, scale * (bb - low)
