"""Which shifts the rows of some chunks have: per row, per chunk, and numbered anew."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from estimator.metrics.error_cells import SegmentErrors
from estimator.metrics.soft_labels import Slots

# Chunks whose influences by cell are held at a time: at most 0.8 MB with 64 cells.
_CHUNKS_AT_ONCE = 256
# Chunks times values without a shift of which influences are held at a time: at most
# 12 MB, however many values there are.
_NEW_AT_ONCE = 1 << 17


def split_slots(
    columns: list[Slots], offsets: NDArray[np.int64]
) -> tuple[Slots, list[Slots]]:
    """Separate the columns in which all rows of each chunk have the same slot.

    A chunk of one segment's rows has it: sums by slot are there sums over all rows.

    Returns
    -------
    fixed : ndarray of shape (n_chunks, n_fixed)
        The slot of each chunk, 0 where it has no rows.
    others : list of ndarray of shape (n_rows,)
        The other columns.
    """
    sizes = np.diff(offsets)
    is_full = sizes > 0
    first, last = offsets[:-1][is_full], offsets[1:][is_full] - 1
    fixed, others = [], []
    for column in columns:
        slot = column[first]
        is_fixed = (slot == column[last]).all()  # most columns that are not end here
        if is_fixed and (column == np.repeat(slot, sizes[is_full])).all():
            of_chunks = np.zeros(sizes.size, dtype=np.int32)
            of_chunks[is_full] = slot
            fixed.append(of_chunks)
        else:
            others.append(column)
    return np.array(fixed, dtype=np.int32).reshape(-1, sizes.size).T, others


def chunks_at_once(
    offsets: NDArray[np.int64],
    slots: Slots | None,
    fixed: Slots,
    segments: SegmentErrors | None,
) -> Iterator[slice]:
    """Yield runs of chunks whose influences are held at a time.

    Values without a shift can be as many as the rows. A run has at most as many of
    them as it has such rows.
    """
    n_chunks = offsets.size - 1
    n_new = np.zeros(offsets.size, dtype=np.int64)  # rows before each bound
    if slots is not None and segments is not None and len(segments.new_variance):
        of_rows = np.count_nonzero(slots >= segments.n_shifts, axis=0)
        n_new = np.append(0, np.cumsum(of_rows))[offsets]
        of_chunks = np.count_nonzero(fixed >= segments.n_shifts, axis=1)
        n_new[1:] += np.cumsum(of_chunks)
    first = 0
    while first < n_chunks:
        n_here = min(_CHUNKS_AT_ONCE, n_chunks - first)
        new_here = n_new[first + 1 : first + n_here + 1] - n_new[first]
        held = np.arange(1, n_here + 1) * new_here
        n_here = max(1, int(np.searchsorted(held, _NEW_AT_ONCE, side="right")))
        yield slice(first, first + n_here)
        first += n_here


def renumber(
    slots: Slots, fixed: Slots, rows: slice, segments: SegmentErrors
) -> tuple[Slots, Slots, NDArray[np.int32]]:
    """Give values without a shift the numbers after the shifts, if some rows have them.

    Returns
    -------
    slots : ndarray of int32 of shape (n_columns, n_rows)
        Renumbered in ``rows``.
    fixed : ndarray of int32 of shape (n_chunks, n_fixed)
        Renumbered.
    occurring : ndarray of int32 of shape (n_new,)
        Rising places of these values in ``segments.new_variance``.
    """
    n_shifts = segments.n_shifts
    if not len(segments.new_variance):
        return slots, fixed, np.empty(0, dtype=np.int32)
    new = [part[part >= n_shifts] for part in (slots[:, rows], fixed)]
    occurring = np.unique(np.concatenate(new))
    if not occurring.size:
        return slots, fixed, occurring

    def renumbered(part: Slots) -> Slots:
        number = n_shifts + np.searchsorted(occurring, part)
        return np.where(part < n_shifts, part, number).astype(np.int32)

    out = slots.copy()
    out[:, rows] = renumbered(slots[:, rows])
    return out, renumbered(fixed), occurring - np.int32(n_shifts)
