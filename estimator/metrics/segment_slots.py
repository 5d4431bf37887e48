"""Which shifts the rows of some chunks have: per row, per chunk, and numbered anew."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from estimator.metrics.error_cells import SegmentErrors
from estimator.metrics.soft_labels import Slots

Floats = NDArray[np.float64]

# Chunks whose influences by cell are held at a time: at most 0.8 MB with 64 cells.
_CHUNKS_AT_ONCE = 256
# Chunks times values without a shift of which influences are held at a time: at most
# 12 MB, however many values there are.
_NEW_AT_ONCE = 1 << 17


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class BlockSlots:
    """Shifts of the rows of some chunks, by segment column.

    Attributes
    ----------
    by_row : ndarray of int32 of shape (n_columns, n_rows), or None
        Slot of each row, in columns where a chunk's rows differ; None without segments.
    fixed : ndarray of int32 of shape (n_chunks, n_fixed)
        Slot of each chunk's rows, in the other columns; 0 where it has no rows.
    """

    by_row: Slots | None
    fixed: Slots


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class RunSlots:
    """Shifts of a run of chunks, in which new values have the numbers after the shifts.

    Attributes
    ----------
    by_row : ndarray of int32 of shape (n_columns, n_rows), or None
        Slot of each row of the block, renumbered in the rows of the run; None without
        such columns.
    fixed : ndarray of int32 of shape (n_run, n_fixed)
        Slot of each chunk's rows, in columns where it is one.
    n_slots : int
        Number of slots.
    new_variance : ndarray of shape (n_new, 2)
        Variance of intercept and slope of the new values that the run has.
    """

    by_row: Slots | None
    fixed: Slots
    n_slots: int
    new_variance: Floats


NO_SLOTS = BlockSlots(by_row=None, fixed=np.empty((0, 0), dtype=np.int32))


def split_slots(
    columns: list[Slots], offsets: NDArray[np.int64], order: NDArray[np.intp] | slice
) -> BlockSlots:
    """Separate the columns in which all rows of each chunk have the same slot.

    A chunk of one segment's rows has it: sums by slot are there sums over all rows.

    Parameters
    ----------
    columns : list of ndarray of int32 of shape (n_rows,)
        Slot of each row, by segment column, before the rows are sorted.
    offsets : ndarray of shape (n_chunks + 1,)
        Bounds of the chunks.
    order : ndarray of shape (n_rows,), or slice
        What sorts the rows within their chunks.
    """
    sizes = np.diff(offsets)
    is_full = sizes > 0
    first, last = offsets[:-1][is_full], offsets[1:][is_full] - 1
    fixed, others = [], []
    for column in columns:
        slot = column[first]
        is_fixed = (slot == column[last]).all()  # most columns that are not end here
        if is_fixed and (column == np.repeat(slot, sizes[is_full])).all():
            by_chunk = np.zeros(sizes.size, dtype=np.int32)
            by_chunk[is_full] = slot
            fixed.append(by_chunk)
        else:
            others.append(column[order])
    return BlockSlots(
        by_row=np.array(others, dtype=np.int32).reshape(len(others), int(offsets[-1])),
        fixed=np.array(fixed, dtype=np.int32).reshape(-1, sizes.size).T,
    )


def runs_of_chunks(
    offsets: NDArray[np.int64], slots: BlockSlots, segments: SegmentErrors | None
) -> Iterator[slice]:
    """Yield runs of chunks whose influences are held at a time.

    Values without a shift can be as many as the rows. A run has at most as many of
    them as it has such rows.
    """
    n_chunks = offsets.size - 1
    n_new = np.zeros(offsets.size, dtype=np.int64)  # rows before each bound
    if slots.by_row is not None and segments is not None and len(segments.new_variance):
        by_row = np.count_nonzero(slots.by_row >= segments.n_shifts, axis=0)
        n_new = np.append(0, np.cumsum(by_row))[offsets]
        by_chunk = np.count_nonzero(slots.fixed >= segments.n_shifts, axis=1)
        n_new[1:] += np.cumsum(by_chunk)
    first = 0
    while first < n_chunks:
        n_here = min(_CHUNKS_AT_ONCE, n_chunks - first)
        new_here = n_new[first + 1 : first + n_here + 1] - n_new[first]
        n_influences = np.arange(1, n_here + 1) * new_here
        n_here = max(1, int(np.searchsorted(n_influences, _NEW_AT_ONCE, side="right")))
        yield slice(first, first + n_here)
        first += n_here


def slots_of_run(
    slots: BlockSlots,
    offsets: NDArray[np.int64],
    run: slice,
    segments: SegmentErrors | None,
) -> RunSlots:
    """Give values without a shift the numbers after the shifts, if rows have them.

    Parameters
    ----------
    slots : BlockSlots
        Slots of all chunks of the block.
    offsets : ndarray of shape (n_run + 1,)
        Bounds of the run's chunks among the rows of the block.
    run : slice
        Chunks of the run.
    segments : SegmentErrors, or None
        Error of the shifts.
    """
    fixed = slots.fixed[run]
    if segments is None or slots.by_row is None:
        return RunSlots(by_row=None, fixed=fixed, n_slots=0, new_variance=np.empty(0))
    by_row, n_shifts = slots.by_row, segments.n_shifts
    occurring = np.empty(0, dtype=np.int32)  # numbers of the new values of the run
    if len(segments.new_variance):
        rows = slice(offsets[0], offsets[-1])
        new = [part[part >= n_shifts] for part in (by_row[:, rows], fixed)]
        occurring = np.unique(np.concatenate(new))
    if occurring.size:
        renumbered = by_row.copy()
        renumbered[:, rows] = _renumber(by_row[:, rows], occurring, n_shifts)
        by_row, fixed = renumbered, _renumber(fixed, occurring, n_shifts)
    return RunSlots(
        by_row=by_row if by_row.size else None,  # without one, all columns are fixed
        fixed=fixed,
        n_slots=n_shifts + occurring.size,
        new_variance=segments.new_variance[occurring - np.int32(n_shifts)],
    )


def _renumber(slots: Slots, occurring: Slots, n_shifts: int) -> Slots:
    """Return slots in which the new values that occur are numbered without gaps."""
    number = n_shifts + np.searchsorted(occurring, slots)
    return np.where(slots < n_shifts, slots, number).astype(np.int32)
