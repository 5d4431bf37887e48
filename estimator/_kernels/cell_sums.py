"""What a table of counts tells of the order of its rows, and what it does not.

The rows of a table are cells, of which each stands for many. Their sums are those of
:mod:`estimator._kernels.soft_label_sums`, but for average precision; and how far ROC
AUC and average precision may be off is bounded here. Rows of a frame never come here.
"""

import numpy as np
from numpy.typing import NDArray

from calibration._kernels.jit import kernel, kernel_part

Floats = NDArray[np.float64]

# Terms of a harmonic sum that are added one by one; beyond, the midpoint rule is
# relatively exact to 1/(24 · 64²) = 1e-5 of a term.
_EXACT_TERMS = 64.0


@kernel
def order_sums(
    scores: Floats,
    soft: Floats,
    weights: Floats,
    spread: NDArray[np.bool_],
    offsets: NDArray[np.int64],
    sums: Floats,
) -> None:
    """Fill columns 10 and 23 to 25 of ``sums``; the others are filled already.

    A block is a cell: n rows of equal score, S = sum of z and N = n - S, below K rows
    and T = sum of z over these. Where the rows are of one score they are tied, as
    rows are. Where they are ``spread`` over several, their order is not known:

    ROC AUC. A pair of the cell is concordant, tied or neither: it counts one half,
    which is off by one half at most, S N / 2 for the cell's pairs (method.md, equation
    66; average precision: equations 67 and 68). Pairs of two labels
    that have not come are left out of the bound: of equal soft labels, their order
    makes no difference to what is expected.

    Average precision. Expected over all orders, a row's rank K + k is uniform, and
    another row of the cell stands above it with probability (k - 1) / (n - 1). With
    H = sum of 1/(K + k), k = 1 to n, the cell's positives have precisions that sum to

        S (T + 1) H / n  +  (S² - Σz²) (n - (K + 1) H) / (n (n - 1)).

    No precision within the cell is above (T + S) / (K + S), as if its positives came
    first, tied. And no order is worse than negatives first: the j-th positive is then
    preceded by K + N + j rows, and Σ (T + j)/(K + N + j) over j = 1 to S is at least
    S - (K + N - T) ln((K + n + ½)/(K + N + ½)), as 1/x is convex.
    """
    for c in range(offsets.size - 1):
        rows = slice(offsets[c], offsets[c + 1])
        if rows.stop > rows.start:
            _order(scores[rows], soft[rows], weights[rows], spread[rows], sums[c])


@kernel_part
def _order(
    s: Floats, z: Floats, w: Floats, spread: NDArray[np.bool_], out: Floats
) -> None:
    n = s.size
    positives, self_pairs = out[2] + out[3], out[4] + out[5]
    below_1 = negatives = precision = unordered = worse = better = 0.0
    left = out[0] + out[1]  # at or above the block
    i = 0
    while i < n:
        score, is_spread = s[i], False
        block_0 = block_1 = block_self = block = waiting_0 = waiting_1 = 0.0
        while i < n and s[i] == score:
            is_spread |= spread[i]
            negative, positive = w[i] * (1.0 - z[i]), w[i] * z[i]
            block_0 += negative
            block_1 += positive
            block_self += positive * (1.0 - z[i])
            block += w[i]
            if 0.0 < z[i] < 1.0:
                waiting_0 += negative
                waiting_1 += positive
            i += 1
        tied = (block_1 * (positives - below_1) + block_self) / left
        if is_spread and block > 1.0 and block_1 > 0.0:
            above = left - block
            above_1 = max(positives - below_1 - block_1, 0.0)
            harmonic = _harmonic(above, block)
            pairs = block_1 * block_1 - block_1 + block_self
            mean = block_1 * (above_1 + 1.0) * harmonic / block
            shared = (block - (above + 1.0) * harmonic) / (block * (block - 1.0))
            mean += pairs * shared
            first = block_1 * (above_1 + block_1) / (above + block_1)
            ahead = above + block_0
            last = block_1 - (ahead - above_1) * np.log1p(block_1 / (ahead + 0.5))
            waiting = (waiting_0 + waiting_1) / block
            ordered = 1.0 - waiting * waiting  # pairs of which a label has come
            worse += ordered * max(mean - last, 0.0)
            better += ordered * max(first - mean, 0.0)
            unordered += max(block_0 * block_1 - waiting_0 * waiting_1, 0.0)
            precision += mean
        else:
            precision += tied
        negatives += block_0
        below_1 += block_1
        left -= block
    pairs = positives * negatives - self_pairs
    if not np.isnan(out[6]):
        out[23] = 0.5 * unordered / pairs
    if positives > 0.0:
        out[10] = precision / positives
        out[24], out[25] = worse / positives, better / positives


@kernel_part
def _harmonic(above: float, n: float) -> float:
    """Return the sum of ``1 / (above + k)`` over k = 1, ..., n."""
    total = 0.0
    while n > 0.0 and above < _EXACT_TERMS:
        above += 1.0
        n -= 1.0
        total += 1.0 / above
    if n > 0.0:
        total += np.log1p(n / (above + 0.5))  # midpoint rule
    return total
