"""One chunk's soft labels in, everything its metrics need out: a few sums.

Chunk ``c`` owns rows ``offsets[c]:offsets[c + 1]``, rising by score (callers sort:
NumPy's vectorized sort beats numba's). A soft label ``z`` is a calibrated probability,
an arrived label (0 or 1) or any mixture, so that estimated, reconciled and realized
performance are one computation. Rows of equal score are read as one block, so row order
cannot matter. A row may stand for ``weight`` equal ones, as one of a table of counts
does; numba compiles the kernels once for None, where each stands for itself, and once
for weights. The twin of this file, by loops over pairs, is ``tests/reference.py``.

Columns of ``sums`` (``d`` is the decision, ``v = z(1 - z)``, ``l`` a row's loss)::

    0, 1    rows with d = 0, 1                  10..13  average precision: likewise
    2, 3    sum of z where d = 0, 1             14..16  Brier: sums of l, l², v h²
    4, 5    sum of v where d = 0, 1             17..19  log loss: sums of l, l², v h²
    6..9    ROC AUC: value, second-order        20, 21  probability of no positive,
            correction, V_lab, V_pop                    of no negative
                                                22      rows outside the reference
    23      ROC AUC, and 24, 25 average precision: how far they may lie from the value
            (24: below, 25: above) because the order within cells is not known

A row of a table of counts is a *cell*: it may stand for rows of several scores. What
this changes of columns 10 and 14 to 25 is in :mod:`estimator._kernels.cell_sums`.

The calibration's error enters through ``v h``, what a shift of a row's log odds does
to the metric (nothing, once its label is known), summed over cells of the score in six
channels: ``v`` of rows with d = 0 and with d = 1, and ``v h`` of ROC AUC, of average
precision, of Brier and log loss (times n). Where segments have shifts of the map,
``slots`` says which each row has: the channels are also summed by slot, as they are
and times u, the row's place on the map.
"""

import numpy as np
from numpy.typing import NDArray

from calibration._kernels.jit import inlined_part, kernel, kernel_part

Floats = NDArray[np.float64]

N_SUMS = 26
N_CHANNELS = 6

_NEGLIGIBLE = 1e-30


@kernel
def soft_label_sums(
    scores: Floats,
    soft: Floats,
    decisions: NDArray[np.bool_],
    weights: Floats | None,
    log_odds: Floats,
    offsets: NDArray[np.int64],
    cell_edges: Floats,
    lowest: float,
    highest: float,
    slots: NDArray[np.int32] | None,
    cell_u: Floats,
    sums: Floats,
    cells: Floats,
    cell_rows: Floats,
    reach: Floats,
) -> None:
    """Fill ``sums``, but for log loss, ``cells`` and ``cell_rows``, an entry per chunk.

    ``cells[c]`` (N_CHANNELS, n_cells) has the channels by cell of the score, and comes
    as zeros: ``cell_edges`` (n_cells - 1) rise; cell ``b`` owns scores in
    ``(cell_edges[b - 1], cell_edges[b]]``. ``cell_rows[c]`` (n_cells), zeros, has the
    number of rows by cell. Scores from ``lowest`` to ``highest`` are inside the
    reference. ``log_odds`` is logit(s) of the clipped score, or empty where
    log loss is not wanted. ``reach[c]`` (n_slots, 2, N_CHANNELS), zeros, has the
    channels by slot: ``slots`` (n_columns, n_rows), and ``cell_u`` (n_cells) is u.
    """
    for c in range(offsets.size - 1):
        rows = slice(offsets[c], offsets[c + 1])
        s, z, d = scores[rows], soft[rows], decisions[rows]
        w = None if weights is None else weights[rows]
        odds = log_odds[rows] if log_odds.size > 0 else log_odds
        out = sums[c]
        for column in range(out.size):
            out[column] = np.nan if 6 <= column < 14 else 0.0
        negatives = _totals(s, z, d, w, out)
        if s.size > 0:
            out[22] = _outside(s, w, lowest, highest)
            _ranks(s, z, w, negatives, out)
            _influences(
                s, z, d, w, odds, negatives, cell_edges, slots, offsets[c], cell_u,
                cells[c], cell_rows[c], reach[c], out,
            )  # fmt: skip


@kernel_part
def _times(weight: Floats | None, i: int) -> float:
    """Return for how many rows row ``i`` stands."""
    if weight is None:
        return 1.0
    return float(weight[i])


@kernel_part
def _count(weight: Floats | None, begin: int, stop: int) -> float:
    """Return for how many rows those from ``begin`` to before ``stop`` stand."""
    if weight is None:
        return float(stop - begin)
    return float(weight[begin:stop].sum())


@kernel_part
def _outside(s: Floats, weight: Floats | None, low: float, high: float) -> float:
    """Return how many rows have a score below ``low`` or above ``high``."""
    total = 0.0
    i = 0
    while i < s.size and s[i] < low:
        total += _times(weight, i)
        i += 1
    i = s.size - 1
    while i >= 0 and s[i] > high:
        total += _times(weight, i)
        i -= 1
    return total


@kernel_part
def _power(base: float, weight: Floats | None, i: int) -> float:
    """Return the product of as many equal factors as row ``i`` stands for."""
    if weight is None:
        return base
    return float(base ** weight[i])


@kernel_part
def _totals(
    s: Floats, z: Floats, d: NDArray[np.bool_], w: Floats | None, out: Floats
) -> float:
    """Sum what adds up by row: the confusion matrix and the Brier score.

    Returns the sum of 1 - z, which n less the sum of z would lose in rounding where
    nearly all rows are positive.
    """
    n_1 = z_0 = z_1 = v_0 = v_1 = negatives = 0.0
    brier = brier_squared = brier_label = 0.0
    for i in range(s.size):
        times = _times(w, i)
        one = times if d[i] else 0.0
        v = z[i] * (1.0 - z[i])
        n_1 += one
        z_0 += (times - one) * z[i]
        z_1 += one * z[i]
        v_0 += (times - one) * v
        v_1 += one * v
        negatives += times * (1.0 - z[i])
        slope = 1.0 - 2.0 * s[i]
        row = s[i] * s[i] + z[i] * slope
        brier += times * row
        brier_squared += times * (row * row)
        brier_label += times * (v * slope * slope)
    out[0], out[1] = _count(w, 0, s.size) - n_1, n_1
    out[2], out[3], out[4], out[5] = z_0, z_1, v_0, v_1
    out[14], out[15], out[16] = brier, brier_squared, brier_label
    # Products end where they can no longer matter: denormal numbers are slow.
    no_positive = no_negative = 1.0
    for i in range(s.size):
        no_negative *= _power(z[i], w, i)
        if no_negative < _NEGLIGIBLE:
            break
    for i in range(s.size - 1, -1, -1):
        no_positive *= _power(1.0 - z[i], w, i)
        if no_positive < _NEGLIGIBLE:
            break
    out[20], out[21] = no_positive, no_negative
    return negatives


@inlined_part
def _sum_block(
    s: Floats, z: Floats, w: Floats | None, begin: int
) -> tuple[int, float, float, float, float]:
    """Return where the block of equal scores from ``begin`` on ends, and its sums.

    These are those of 1 - z, of z, of z (1 - z), and the number of rows.
    """
    # Not by _times: passing an array on from here takes longer than all the rest.
    times = 1.0 if w is None else w[begin]
    block_0, block_1 = times * (1.0 - z[begin]), times * z[begin]
    block_self, block = block_1 * (1.0 - z[begin]), times
    stop = begin + 1
    while stop < s.size and s[stop] == s[begin]:
        times = 1.0 if w is None else w[stop]
        block_0 += times * (1.0 - z[stop])
        block_1 += times * z[stop]
        block_self += times * z[stop] * (1.0 - z[stop])
        block += times
        stop += 1
    return stop, block_0, block_1, block_self, block


@kernel_part
def _ranks(
    s: Floats, z: Floats, w: Floats | None, negatives: float, out: Floats
) -> None:
    """Find ROC AUC and average precision, by blocks of equal score.

    ROC AUC is concordant pairs over pairs, a row never paired with itself. Average
    precision is each block's precision weighted by its positives; E[y²] = z adds what a
    row contributes to its own precision (method.md, equations 6 and 9).
    """
    n = s.size
    positives, self_pairs = out[2] + out[3], out[4] + out[5]
    below_0 = below_1 = concordant = precision = self_precision = 0.0
    left = rows = out[0] + out[1]  # left: at or above the block
    i = 0
    while i < n:
        i, block_0, block_1, block_self, block = _sum_block(s, z, w, i)
        per_rank = 1.0 / left
        concordant += block_1 * (below_0 + 0.5 * block_0)
        precision += block_1 * (positives - below_1) * per_rank
        self_precision += block_self * per_rank
        below_0 += block_0
        below_1 += block_1
        left -= block
    pairs = positives * negatives - self_pairs
    if rows > 1.0 and pairs > 1e-13 * positives * negatives:
        out[6] = (concordant - 0.5 * self_pairs) / pairs
    if positives > 0.0:
        out[10] = (precision + self_precision) / positives


@kernel_part
def _influences(
    s: Floats,
    z: Floats,
    d: NDArray[np.bool_],
    w: Floats | None,
    log_odds: Floats,
    negatives: float,
    cell_edges: Floats,
    slots: NDArray[np.int32] | None,
    first: int,
    cell_u: Floats,
    cells: Floats,
    cell_rows: Floats,
    reach: Floats,
    out: Floats,
) -> None:
    """Sum the squares of each label's influence (h) and of each row's (psi).

    Influences are kept times their denominator, pairs or positives, until the end
    (method.md, equations 7, 8, 10, 14 and 15).
    Times ``v`` they go by cell of the score into ``cells``, and by slot into ``reach``;
    the rows' slots begin at ``first``.
    """
    positives, self_pairs = out[2] + out[3], out[4] + out[5]
    has_auc, has_ap = not np.isnan(out[6]), not np.isnan(out[10])
    auc, ap = out[6] if has_auc else 0.0, out[10] if has_ap else 0.0
    pairs = positives * negatives - self_pairs
    per_pair = 1.0 / pairs if has_auc else 0.0
    per_positive = 1.0 / positives if has_ap else 0.0
    auc_shift = auc_label = auc_row = squares = 0.0
    ap_shift = ap_label = ap_row = ap_psi = 0.0
    rows_0 = rows_1 = cell_auc = cell_ap = cell_brier = cell_loss = 0.0
    won = lost = ahead = per_rank = score = block = 0.0
    left = rows = out[0] + out[1]  # left: at or above the block
    reached = spent = 0.0  # sums over rows at or below: z/K, (z T + v)/K²
    counted = below_0 = below_1 = block_0 = block_1 = 0.0  # counted: in cells before
    half, uneven = 0.5 - auc, negatives - 1.0 - positives
    with_log_loss = log_odds.size > 0
    cell, edge = 0, cell_edges[0] if cell_edges.size > 0 else np.inf
    i = 0  # where the open block ends
    for k in range(s.size):
        if k == i:  # the next block of equal scores begins
            below_0 += block_0
            below_1 += block_1
            left -= block
            score = s[k]
            i, block_0, block_1, block_self, block = _sum_block(s, z, w, k)
            if score > edge:
                _write_cell(
                    cells, cell, rows_0, rows_1,
                    cell_auc, cell_ap, cell_brier, cell_loss,
                )  # fmt: skip
                cell_rows[cell] = rows - left - counted
                counted = rows - left
                rows_0 = rows_1 = cell_auc = cell_ap = cell_brier = cell_loss = 0.0
                while score > edge:
                    cell += 1
                    edge = cell_edges[cell] if cell < cell_edges.size else np.inf
            per_rank = 1.0 / left
            precision = (positives - below_1) * per_rank
            reached += block_1 * per_rank
            spent += (block_1 * precision + block_self * per_rank) * per_rank
            # w and l of method.md, equation 7, less and plus half z: what a row wins
            # as a positive (negatives below it, ties half) and loses as a negative
            # (positives above), each less AUC times its opponents, itself excepted.
            won = below_0 + 0.5 * block_0 - 0.5 - auc * (negatives - 1.0)
            lost = (positives - below_1) - 0.5 * block_1 - auc * positives
            ahead = precision + reached - ap
        soft, times = z[k], _times(w, k)
        v = soft - soft * soft
        h = (won - lost) + 2.0 * half * soft  # method.md, equation 7; psi: 14
        psi = lost + soft * (h - half)
        auc_row += times * (psi * psi)
        squares += times * (v * v)
        h_ap = ahead + per_rank - 2.0 * per_rank * soft  # equation 10; psi: 15
        psi = soft * ahead + v * per_rank - spent
        ap_psi += times * psi
        ap_row += times * (psi * psi)
        v *= times  # from here on of all the rows that this one stands for
        auc_shift += v * h * (uneven + 2.0 * soft)
        auc_label += v * h * h
        ap_shift += v * h_ap
        ap_label += v * h_ap * h_ap
        one = 1.0 if d[k] else 0.0
        rows_1 += v * one
        rows_0 += v * (1.0 - one)
        cell_auc += v * h
        cell_ap += v * h_ap
        cell_brier += v * (1.0 - 2.0 * score)
        if with_log_loss:
            cell_loss -= v * log_odds[k]
        if slots is not None:
            log_loss = -v * log_odds[k] if with_log_loss else 0.0
            _add_to_slots(
                slots, first + k, reach, cell_u[cell], v, one, h, h_ap,
                v * (1.0 - 2.0 * score), log_loss,
            )  # fmt: skip
    _write_cell(cells, cell, rows_0, rows_1, cell_auc, cell_ap, cell_brier, cell_loss)
    cell_rows[cell] = rows - counted
    _divide_channels(cells, reach, per_pair, per_positive)
    if has_auc:
        # Second order: each label with itself, and the products of two labels that
        # stand in both numerator and denominator (method.md, equation 8).
        both = (2.0 * auc - 1.0) * (self_pairs * self_pairs - squares)
        out[7] = (both - auc_shift) * per_pair * per_pair
        out[8] = auc_label * per_pair * per_pair
        out[9] = auc_row * per_pair * per_pair
    if has_ap:
        out[11] = -ap_shift * per_positive * per_positive
        out[12] = ap_label * per_positive * per_positive
        # Rounding may leave less than nothing, where all rows are alike.
        ap_spread = max(ap_row - ap_psi * ap_psi / rows, 0.0)
        out[13] = ap_spread * per_positive * per_positive


@inlined_part
def _write_cell(
    cells: Floats, cell: int, rows_0: float, rows_1: float,
    auc: float, ap: float, brier: float, log_loss: float,
) -> None:  # fmt: skip
    """Write the channels of one cell of the score."""
    cells[0, cell], cells[1, cell] = rows_0, rows_1
    cells[2, cell], cells[3, cell] = auc, ap
    cells[4, cell], cells[5, cell] = brier, log_loss


@inlined_part
def _add_to_slots(
    slots: NDArray[np.int32], row: int, reach: Floats, u: float, v: float,
    one: float, h: float, h_ap: float, brier: float, log_loss: float,
) -> None:  # fmt: skip
    """Add a row's channels to each of its slots: as they are, and times ``u``."""
    for column in range(slots.shape[0]):
        level = reach[slots[column, row], 0]
        slope = reach[slots[column, row], 1]
        level[0] += v * (1.0 - one)
        level[1] += v * one
        level[2] += v * h
        level[3] += v * h_ap
        level[4] += brier
        level[5] += log_loss
        slope[0] += v * (1.0 - one) * u
        slope[1] += v * one * u
        slope[2] += v * h * u
        slope[3] += v * h_ap * u
        slope[4] += brier * u
        slope[5] += log_loss * u


@inlined_part
def _divide_channels(
    cells: Floats, reach: Floats, per_pair: float, per_positive: float
) -> None:
    """Divide the channels of ROC AUC and average precision by their denominators."""
    for b in range(cells.shape[1]):
        cells[2, b] *= per_pair
        cells[3, b] *= per_positive
    for slot in range(reach.shape[0]):
        for part in range(2):
            reach[slot, part, 2] *= per_pair
            reach[slot, part, 3] *= per_positive
