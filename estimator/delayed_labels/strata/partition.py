"""Cells of two predictions merged into strata, as far as delays differ between them."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.special import xlogy

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

# Quantiles between the groups of delays that are compared: tenths, and halves of the
# last of them. Judgement: fewer groups see less, more have a higher price.
_LEVELS: Final = np.array([*np.arange(1, 10) / 10, 0.95, 0.975, 0.9875])
N_DELAYS: Final = _LEVELS.size + 1


@dataclass(frozen=True, slots=True, kw_only=True)
class _Cut:
    """Where a stratum is cut best.

    Attributes
    ----------
    evidence : float
        Gain in log likelihood less the price of its parameters; -inf without a cut.
    axis : int
        Prediction that is cut, 0 or 1.
    before : int
        First cell after the cut.
    """

    evidence: float
    axis: int = 0
    before: int = 0


_NO_CUT = _Cut(evidence=-np.inf)


def delay_groups(count: Floats) -> Integers:
    """Return the group of each age: equally many labels, and fewer the later.

    The last tenth is halved three times: at late ages few labels are still to come, and
    how these differ is all that matters then.

    Parameters
    ----------
    count : ndarray of shape (n_ages,)
        Labels by age at arrival, at least one.

    Returns
    -------
    ndarray of int64, shape (n_ages,)
        Numbers from 0 to ``N_DELAYS - 1``, rising.
    """
    middle = (np.cumsum(count) - 0.5 * count) / count.sum()
    group: Integers = np.searchsorted(_LEVELS, middle, side="right")
    return group


def dependence_evidence(table: Floats) -> Floats:
    """Return what speaks for delays that differ between values.

    Log likelihood ratio of dependence against independence, less Akaike's price of the
    parameters. Method.md, equation 38.

    Parameters
    ----------
    table : ndarray of shape (..., n_values, n_delays)
        Labels by value and (grouped) delay; of each table before the last two axes.

    Returns
    -------
    ndarray of shape (...)
        Evidence of each table; its sum is that of all of them together.
    """
    by_value, by_delay = table.sum(axis=-1), table.sum(axis=-2)
    total = by_value.sum(axis=-1)
    gain = xlogy(table, table).sum(axis=(-2, -1)) + xlogy(total, total)
    gain -= xlogy(by_value, by_value).sum(axis=-1)
    gain -= xlogy(by_delay, by_delay).sum(axis=-1)
    price = ((by_value > 0).sum(axis=-1) - 1).clip(0)
    price = price * ((by_delay > 0).sum(axis=-1) - 1).clip(0)
    evidence: Floats = gain - price
    return evidence


def merge_cells(count: Floats, most_strata: int, least_labels: float) -> Integers:
    """Cut the plane of two predictions into rectangles whose delays differ.

    The best cut of any rectangle comes first, as trees grow leaf by leaf, until the
    evidence speaks for none.

    Parameters
    ----------
    count : ndarray of shape (2, n_bands, n_first, n_second, n_delays)
        Labels by class, score band, cell of the first and of the second prediction,
        and grouped delay.
    most_strata : int
        Most rectangles.
    least_labels : float
        Fewest labels on either side of a cut.

    Returns
    -------
    ndarray of int64, shape (n_first, n_second)
        Number of the rectangle of each cell, from 0 on.
    """
    boxes = [(slice(0, count.shape[2]), slice(0, count.shape[3]))]
    cuts = [_best_cut(count, least_labels)]
    while len(boxes) < most_strata:
        i = int(np.argmax([cut.evidence for cut in cuts]))
        cut, box = cuts[i], boxes[i]
        if not cut.evidence > 0.0:
            break
        whole = box[cut.axis]
        middle = whole.start + cut.before
        parts = slice(whole.start, middle), slice(middle, whole.stop)
        halves = [(part, box[1]) if cut.axis == 0 else (box[0], part) for part in parts]
        boxes[i : i + 1] = halves
        cuts[i : i + 1] = [
            _best_cut(count[:, :, a, b], least_labels) for a, b in halves
        ]
    stratum = np.zeros(count.shape[2:4], dtype=np.int64)
    for number, box in enumerate(boxes):
        stratum[box] = number
    return stratum


def _best_cut(count: Floats, least_labels: float) -> _Cut:
    """Return the cut of a rectangle that the evidence speaks for most."""
    best = _NO_CUT
    for axis in (0, 1):
        by_cell = count.sum(axis=3 - axis)  # (2, n_bands, n_cells, n_delays)
        before = np.cumsum(by_cell, axis=2)[:, :, :-1]
        after = by_cell.sum(axis=2, keepdims=True) - before
        evidence = dependence_evidence(np.stack([before, after], axis=3))
        evidence = evidence.sum(axis=(0, 1))
        fewest = np.minimum(before.sum(axis=(0, 1, 3)), after.sum(axis=(0, 1, 3)))
        evidence[fewest < least_labels] = -np.inf
        if evidence.size and evidence.max() > best.evidence:
            c = int(np.argmax(evidence))
            best = _Cut(evidence=float(evidence[c]), axis=axis, before=c + 1)
    return best
