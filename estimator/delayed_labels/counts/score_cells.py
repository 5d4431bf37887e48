"""Scores in cells: few enough to keep, and narrow where the order of rows matters.

A cell is a dyadic interval of the *ordinal* of a score, its place among all floating
point numbers, counted from the nearer of 0 and 1. So cells have a relative width in s
near 0 and in 1 - s near 1, have no end, depend on no fit, and two cells of any two
chunks are either nested or disjoint: counts add up across chunks and machines, and
whoever compares a score with the edges finds the same cell.

A chunk of few distinct scores has a cell for each, and loses nothing. In others a cell
is halved as long as it holds too many rows, of all or of a segment. What the order of
the rows within cells can do to ROC AUC is at most

    ½ Σ_c P_c N_c / (P N)  ≤  ½ max_c N_c / N,

which falls as 1/√n where the largest cell has a share of √n rows, as the metric's
standard error does.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

# The widest cells: 2^4 = 16 to each doubling of s, or of 1 - s. Within a sixteenth of
# the score, a calibration map is a straight line to 5e-4 of what it says.
WIDEST_BITS = 52 - 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Fineness:
    """How finely scores are cut.

    Attributes
    ----------
    exact_scores : float
        Up to so many distinct scores, each is a cell.
    cells_per_root : float
        A group of n rows (all, or those of a segment) has at most √n over this of them
        in a cell of several scores.
    top_share : float
        Of the rows down to a cell, counted from the highest score, at most this share
        is in it: average precision has its weight at the top.
    """

    exact_scores: float
    cells_per_root: float
    top_share: float


# Chosen by `benchmarks.count_tables`: the finest for which a night's work on 50 M rows
# stays within its time.
EXACT_SCORES = 1 << 14
LABELED = Fineness(exact_scores=EXACT_SCORES, cells_per_root=1.5, top_share=1 / 128)
# Where a row ranks whose label has not come matters on average only.
WAITING = Fineness(exact_scores=1 << 10, cells_per_root=0.5, top_share=1 / 16)
EXACT = Fineness(exact_scores=np.inf, cells_per_root=1.0, top_share=1.0)

_HALF = int(np.float64(0.5).view(np.int64))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ScoreCells:
    """The scores of one chunk, in cells.

    Attributes
    ----------
    score : ndarray of shape (n_cells,)
        A score of each cell, rising: the middle of the smallest dyadic interval that
        holds all its scores, which is the score itself where all are equal.
    spread : ndarray of bool, shape (n_cells,)
        Whether the scores in the cell differ.
    cell : ndarray of shape (n_rows,)
        Cell of each row.
    """

    score: Floats
    spread: NDArray[np.bool_]
    cell: Integers


def to_ordinal(score: Floats) -> Integers:
    """Return whole numbers that rise with the score, from 0 at score 0.

    Up to 1/2 these are the bits of the number; above, 1 - s (which is exact there)
    counts from the other end.

    Examples
    --------
    >>> to_ordinal(np.array([0.0, 5e-324, 0.5, 1.0])).tolist()
    [0, 1, 4602678819172646912, 9205357638345293824]
    """
    low = np.minimum(score, 1.0 - score) + 0.0  # no -0.0: its bits are negative
    bits = low.view(np.int64)
    return np.where(score <= 0.5, bits, 2 * _HALF - bits)


def from_ordinal(ordinal: Integers) -> Floats:
    """Return the scores, rounded where there is none of such an ordinal."""
    is_low = ordinal <= _HALF
    low = np.where(is_low, ordinal, 2 * _HALF - ordinal).view(np.float64)
    return np.where(is_low, low, 1.0 - low)


def divide_scores(
    score: Floats, codes: Sequence[Integers] = (), *, fineness: Fineness = LABELED
) -> ScoreCells:
    """Divide the scores of a chunk into cells.

    Parameters
    ----------
    score : ndarray of shape (n_rows,)
        Within [0, 1], none missing.
    codes : sequence of ndarray of shape (n_rows,)
        Segments of each row, by segment column: numbers from 0 on.
    fineness : Fineness

    Returns
    -------
    ScoreCells
        Depends on the rows, not on their order.
    """
    ordinals, rank = np.unique(to_ordinal(score), return_inverse=True)
    if ordinals.size <= fineness.exact_scores:
        begins = np.ones(ordinals.size, dtype=np.bool_)
    else:
        begins = np.append(True, np.diff(ordinals >> WIDEST_BITS) > 0)
        widest = np.cumsum(begins) - 1
        no_code = np.zeros(score.size, dtype=np.int64)
        for i, code in enumerate((no_code, *codes)):
            rules = replace(fineness, top_share=1.0) if i else fineness
            begins[_cuts(ordinals, widest, rank, code, rules)] = True
    first = np.flatnonzero(begins)
    last = np.append(first, ordinals.size)[1:] - 1
    low, high = ordinals[first], ordinals[last]
    bit = _highest_bit(low ^ high)
    return ScoreCells(
        score=from_ordinal(np.where(low == high, low, (high >> bit) << bit)),
        spread=low != high,
        cell=(np.cumsum(begins) - 1)[rank],
    )


def _cuts(
    ordinals: Integers,
    widest: Integers,
    rank: Integers,
    code: Integers,
    fineness: Fineness,
) -> Integers:
    """Return where cells begin so that none holds too many rows of a group.

    Groups are the rows of equal ``code``. A cell that holds too many is cut at the
    middle of the smallest dyadic interval around its scores, and so are its parts.

    Parameters
    ----------
    ordinals : ndarray of shape (n_scores,)
        Distinct and rising.
    widest : ndarray of shape (n_scores,)
        The cell of each of them before.
    rank : ndarray of shape (n_rows,)
        Of each row's score among them.
    fineness : Fineness
    """
    n_scores = ordinals.size
    keys = np.sort(code * n_scores + rank)
    group, rank = np.divmod(keys, n_scores)
    size = np.bincount(group)
    most = np.sqrt(size) / fineness.cells_per_root
    ends = np.cumsum(size)
    changes = (np.diff(group) > 0) | (np.diff(widest[rank]) > 0)
    begin = np.concatenate([[0], np.flatnonzero(changes) + 1])
    end = np.append(begin[1:], keys.size)
    cuts = []
    while begin.size:
        group_here = group[begin]
        limit = np.minimum(
            most[group_here], fineness.top_share * (ends[group_here] - begin)
        ).clip(1.0)
        low, high = ordinals[rank[begin]], ordinals[rank[end - 1]]
        wide = (end - begin > limit) & (low != high)
        begin, end, group_here = begin[wide], end[wide], group_here[wide]
        low, high = low[wide], high[wide]
        bit = _highest_bit(low ^ high)
        cut = np.searchsorted(ordinals, (high >> bit) << bit)
        cuts.append(cut)
        middle = np.searchsorted(keys, group_here * n_scores + cut)
        begin, end = np.append(begin, middle), np.append(middle, end)
    return np.concatenate(cuts)


def _highest_bit(whole: Integers) -> Integers:
    """Return the place of the highest bit that is set; 0 for 0."""
    # In two halves: a float would round 62 bits, and might carry over into the next.
    high, low = whole >> 31, whole & ((1 << 31) - 1)
    bits = np.where(high > 0, np.frexp(high)[1] + 31, np.frexp(low)[1])
    highest: Integers = (bits - 1).clip(0).astype(np.int64)
    return highest
