"""Soft labels: P(y = 1) of rows by a map of the score, by shifts of it, or by row."""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from calibration._kernels.threads import share_out

Floats = NDArray[np.float64]
SoftLabel = Callable[[Floats], Floats]
Slots = NDArray[np.int32]

# Rows softened at a time: 256 kB a column stay in a core's cache.
_ROWS_AT_ONCE = 32_768


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ShiftedSoftLabel:
    """Soft labels of rows whose segments have shifts of the map.

    Attributes
    ----------
    of_rows : callable
        Takes scores and slots of some rows, returns their soft labels.
    slots : ndarray of int32 of shape (n_rows, n_columns)
        Of all rows of the frame.
    """

    of_rows: Callable[[Floats, Slots], Floats]
    slots: Slots


SoftLabels = SoftLabel | ShiftedSoftLabel | Floats


def soft_labels_at(
    soft: SoftLabels,
    score: NDArray[np.floating],
    rows: NDArray[np.bool_] | NDArray[np.int64],
) -> Floats:
    """Return the soft labels of some rows, at least one, none without a score."""
    if isinstance(soft, ShiftedSoftLabel):
        wanted = np.asarray(score[rows], dtype=np.float64)
        return soft.of_rows(wanted, soft.slots[rows])
    if isinstance(soft, np.ndarray):
        return soft[rows]
    return soft(np.asarray(score[rows], dtype=np.float64))


def soft_labels_by_row(
    soft: ShiftedSoftLabel,
    score: NDArray[np.floating],
    rows: NDArray[np.int64] | None,
    n_rows: int,
) -> Floats:
    """Return soft labels by row of the frame, NaN in rows that are not asked for.

    Parameters
    ----------
    soft : ShiftedSoftLabel
    score : ndarray of shape (n_frame,)
        Without NaN in the rows that are asked for.
    rows : ndarray of shape (n_rows,), or None
        Rows that are asked for; None: the first ``n_rows``.
    n_rows : int
    """
    out = np.empty(score.size)
    if n_rows == score.size:  # all: as they lie is fastest
        rows = None
    else:
        out.fill(np.nan)
    bounds = np.append(np.arange(0, n_rows, _ROWS_AT_ONCE), n_rows)

    def work(block: slice) -> None:
        for begin, stop in pairwise(bounds[block.start : block.stop + 1].tolist()):
            taken = slice(begin, stop) if rows is None else rows[begin:stop]
            out[taken] = soft.of_rows(
                np.asarray(score[taken], dtype=np.float64), soft.slots[taken]
            )

    share_out(bounds, work)
    return out
