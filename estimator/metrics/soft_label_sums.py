"""From rows to sums: sort each chunk, give each row its soft label, run the kernel.

The kernel is arithmetic; the policy is here: which order, how many rows at a time, how
many threads. Work goes in blocks of whole chunks, so that temporaries stay in the cache
and small, whatever the size of the frame.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from calibration._kernels.threads import share_out
from estimator._kernels.cell_sums import order_sums
from estimator._kernels.loss_sums import loss_sums
from estimator._kernels.segment_projection import project_segments
from estimator._kernels.soft_label_sums import N_CHANNELS, N_SUMS, soft_label_sums
from estimator.chunking.chunks import ascending_order, is_ascending, rectangles
from estimator.frames.cell_contents import CellContents
from estimator.metrics.error_cells import (
    NO_ERROR,
    ErrorCells,
    SegmentErrors,
    shift_axes,
)
from estimator.metrics.rows import Rows
from estimator.metrics.segment_slots import (
    NO_SLOTS,
    BlockSlots,
    RunSlots,
    runs_of_chunks,
    slots_of_run,
    split_slots,
)
from estimator.metrics.soft_labels import ShiftedSoftLabel
from estimator.progress import Advance

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Order = NDArray[np.intp] | slice

_EMPTY = np.empty(0)
# The distance from 0 and 1 at which scikit-learn's log_loss clips float64 scores.
LOG_LOSS_CLIP = np.finfo(np.float64).eps


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SoftLabelSums:
    """Sums over each chunk's rows.

    Attributes
    ----------
    sums : ndarray of shape (n_chunks, N_SUMS)
        The columns that :mod:`estimator._kernels.soft_label_sums` names.
    jacobian : ndarray of shape (n_chunks, N_CHANNELS, n_factors)
        Product of each channel's influences by cell with the calibration map's error
        factor.
    scatter : ndarray of shape (n_chunks, N_CHANNELS + 1)
        Squares of the influences by cell, and last the product of the first two
        channels', weighted by each cell's own variance: the density-ratio form for maps
        without a factor.
    along_shift : ndarray of shape (n_chunks, N_CHANNELS, 2)
        Product of each channel's influences by cell with the axes of a shift.
    cell_rows : ndarray of shape (n_chunks, n_cells)
        Number of rows by cell of the score.
    by_segment : ndarray of shape (n_chunks, N_CHANNELS, N_CHANNELS), or None
        Covariance of the channels by the error of the segments' shifts; None without.
    """

    sums: Floats
    jacobian: Floats
    scatter: Floats
    along_shift: Floats
    cell_rows: Floats
    by_segment: Floats | None = None

    def take(self, chunks: slice) -> "SoftLabelSums":
        """Return views of the sums of some chunks."""
        return SoftLabelSums(
            sums=self.sums[chunks],
            jacobian=self.jacobian[chunks],
            scatter=self.scatter[chunks],
            along_shift=self.along_shift[chunks],
            cell_rows=self.cell_rows[chunks],
            by_segment=None if self.by_segment is None else self.by_segment[chunks],
        )


def join_sums(parts: Sequence[SoftLabelSums]) -> SoftLabelSums:
    """Return the sums of all chunks of several parts."""
    joined: dict[str, Any] = {}
    for field in fields(SoftLabelSums):
        several = [getattr(part, field.name) for part in parts]
        joined[field.name] = None if several[0] is None else np.concatenate(several)
    return SoftLabelSums(**joined)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Block:
    """Rows of some whole chunks, rising by score within each.

    Attributes
    ----------
    offsets : ndarray of shape (n_chunks + 1,)
        Bounds of the chunks, from 0 on.
    score, soft : ndarray of float64 of shape (n_rows,)
        Score and soft label of each row.
    decision : ndarray of bool of shape (n_rows,)
        Whether each row is decided positive.
    weight : ndarray of shape (n_rows,), or None
        Number of rows that each stands for.
    contents : CellContents, or None
        What else is known of the rows that each stands for.
    slots : BlockSlots
        Shifts of the rows' segments.
    """

    offsets: Integers
    score: Floats
    soft: Floats
    decision: NDArray[np.bool_]
    weight: Floats | None = None
    contents: CellContents | None = None
    slots: BlockSlots = NO_SLOTS


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _ScoreLogs:
    """Log odds of the scores, and log(1 - score); empty if log loss is not asked for.

    Both are overwritten where cells tell the mean losses of their rows.
    """

    log_odds: Floats
    log_complement: Floats


def sum_soft_labels(
    rows: Rows,
    *,
    row_numbers: Integers | None,
    offsets: Integers,
    error_cells: ErrorCells = NO_ERROR,
    with_log_loss: bool = True,
    advance: Advance | None = None,
) -> SoftLabelSums:
    """Sum up the soft labels of each chunk.

    Parameters
    ----------
    rows : Rows
        Rows of the frame, without NaN among the scores of those that chunks own.
    row_numbers : ndarray of shape (offsets[-1],), or None
        Chunk ``c`` owns ``row_numbers[offsets[c]:offsets[c + 1]]``; None: the rows as
        they lie.
    offsets : ndarray of shape (n_chunks + 1,)
        Rising bounds of the chunks.
    error_cells : ErrorCells
        Error of the calibration map behind the soft labels.
    with_log_loss : bool
        Whether to compute log loss, for which each row costs two logarithms.
    advance : callable, optional
        Called with the number of rows after each block.
    """
    n_chunks, segments = offsets.size - 1, error_cells.segments
    out = SoftLabelSums(
        sums=np.empty((n_chunks, N_SUMS)),
        jacobian=np.empty((n_chunks, N_CHANNELS, error_cells.factor.shape[0])),
        scatter=np.empty((n_chunks, N_CHANNELS + 1)),
        along_shift=np.empty((n_chunks, N_CHANNELS, 2)),
        cell_rows=np.zeros((n_chunks, error_cells.variance.size)),
        by_segment=None
        if segments is None
        else np.empty((n_chunks, N_CHANNELS, N_CHANNELS)),
    )

    axes = shift_axes(error_cells).design

    def work(chunks: slice) -> None:
        bounds = offsets[chunks.start : chunks.stop + 1]
        block = _read_block(rows, row_numbers, bounds, segments)
        logs = _score_logs(block.score if with_log_loss else _EMPTY)
        _sum_cells(block, logs, error_cells, axes, out.take(chunks))
        _sum_losses(block, logs if with_log_loss else None, out.sums[chunks])
        if advance is not None:
            advance(block.score.size)

    share_out(offsets, work)
    return out


def _read_block(
    rows: Rows,
    row_numbers: Integers | None,
    bounds: Integers,
    segments: SegmentErrors | None,
) -> _Block:
    """Return the rows of some chunks, sorted.

    Parameters
    ----------
    rows : Rows
        Rows of the frame.
    row_numbers : ndarray of shape (n,), or None
        As of :func:`sum_soft_labels`.
    bounds : ndarray of shape (n_chunks + 1,)
        Bounds of these chunks among ``row_numbers``.
    segments : SegmentErrors, or None
        Shifts of the segments of all rows of the frame.
    """
    begin, stop = bounds[0], bounds[-1]
    offsets = bounds - begin
    taken = slice(begin, stop) if row_numbers is None else row_numbers[begin:stop]
    # A copy of its own: it is sorted in place.
    score = rows.score[taken].astype(np.float64, copy=row_numbers is None)
    order: Order = slice(None)
    if (
        callable(rows.soft)
        and segments is None
        and rows.decisions.by_row is None
        and rows.weight is None
    ):
        # All that the kernel needs is a function of the score: sort only that.
        for chunks in rectangles(score, offsets):
            chunks.sort(axis=1)
    elif not is_ascending(score, offsets):
        order = ascending_order(score, offsets)
        score = score[order]
    contents, slots = rows.contents, NO_SLOTS
    if segments is not None:
        columns = [column[taken] for column in segments.slots.T]
        slots = split_slots(columns, offsets, order)
    return _Block(
        offsets=offsets,
        score=score,
        soft=_soft_labels(rows, score, taken, order),
        decision=score >= rows.decisions.threshold
        if rows.decisions.by_row is None
        else rows.decisions.by_row[taken][order],
        weight=None if rows.weight is None else rows.weight[taken][order],
        contents=None if contents is None else contents.take(taken).take(order),
        slots=slots,
    )


def _soft_labels(
    rows: Rows, score: Floats, taken: Integers | slice, order: Order
) -> Floats:
    """Return the soft labels of a block.

    Parameters
    ----------
    rows : Rows
        Rows of the frame.
    score : ndarray of shape (n_rows,)
        Sorted scores of the block.
    taken : ndarray of shape (n_rows,), or slice
        Rows of the frame that the block has.
    order : ndarray of shape (n_rows,), or slice
        What sorts them.
    """
    if isinstance(rows.soft, ShiftedSoftLabel):
        soft = rows.soft.of_rows(score, rows.soft.slots[taken][order])
    elif isinstance(rows.soft, np.ndarray):
        soft = rows.soft[taken][order]
    else:  # a map wants at least one row
        soft = rows.soft(score) if score.size else _EMPTY
    return np.ascontiguousarray(soft, dtype=np.float64)


def _score_logs(score: Floats) -> _ScoreLogs:
    """Return what log loss costs a row of each score."""
    clipped = np.clip(score, LOG_LOSS_CLIP, 1.0 - LOG_LOSS_CLIP)
    log_odds = np.log(clipped)
    np.negative(clipped, out=clipped)
    log_complement = np.log1p(clipped, out=clipped)
    log_odds -= log_complement
    return _ScoreLogs(log_odds=log_odds, log_complement=log_complement)


def _sum_cells(
    block: _Block,
    logs: _ScoreLogs,
    error_cells: ErrorCells,
    axes: Floats,
    out: SoftLabelSums,
) -> None:
    """Run the kernel, and bring its influences by cell to errors of map and shift."""
    segments = error_cells.segments
    lowest, highest = error_cells.score_range.tolist()
    for run in runs_of_chunks(block.offsets, block.slots, segments):
        offsets = block.offsets[run.start : run.stop + 1]
        n_chunks, here = offsets.size - 1, out.take(run)
        slots = slots_of_run(block.slots, offsets, run, segments)
        cells = np.zeros((n_chunks, N_CHANNELS, error_cells.variance.size))
        reach = np.zeros((n_chunks, slots.n_slots, 2, N_CHANNELS))
        soft_label_sums(
            block.score,
            block.soft,
            block.decision,
            block.weight,
            logs.log_odds,
            offsets,
            error_cells.edges,
            lowest,
            highest,
            slots.by_row,
            _EMPTY if segments is None else segments.u,
            here.sums,
            cells,
            here.cell_rows,
            reach,
        )
        if segments is not None and here.by_segment is not None:
            _sum_segments(cells, reach, slots, segments, here.by_segment)
        _project(cells, error_cells, here)
        np.matmul(cells, axes.T, out=here.along_shift)


def _sum_segments(
    cells: Floats, reach: Floats, slots: RunSlots, segments: SegmentErrors, out: Floats
) -> None:
    """Write the covariance of the channels by the error of the segments' shifts.

    Parameters
    ----------
    cells : ndarray of shape (n_chunks, N_CHANNELS, n_cells)
        Influences by cell of the score.
    reach : ndarray of shape (n_chunks, n_slots, 2, N_CHANNELS)
        Influences by slot, on intercept and slope; those of fixed slots are added.
    slots : RunSlots
        Slots of these chunks.
    segments : SegmentErrors
        Error of the shifts.
    out : ndarray of shape (n_chunks, N_CHANNELS, N_CHANNELS)
        Where the covariance is written.
    """
    level, slope = cells.sum(axis=2), np.matmul(cells, segments.u)
    for slot in slots.fixed.T:
        reach[np.arange(len(cells)), slot, 0] += level
        reach[np.arange(len(cells)), slot, 1] += slope
    project_segments(
        cells, reach, segments.common, segments.covariance, slots.new_variance, out
    )


def _sum_losses(block: _Block, logs: _ScoreLogs | None, sums: Floats) -> None:
    """Write the sums of what cells hide, and of Brier score and log loss."""
    soft, weight, contents = block.soft, block.weight, block.contents
    score, offsets = block.score, block.offsets
    if contents is not None and weight is not None:
        order_sums(score, soft, weight, contents.spread, offsets, sums)
    if contents is not None and contents.brier is not None:
        if_0, if_1 = contents.brier
        gain = 2.0 * score - 1.0 + if_0 - if_1
        complement = -score * score - if_0
        loss_sums(soft, weight, gain, complement, offsets, sums[:, 14:17])
    if logs is not None:
        gain, complement = logs.log_odds, logs.log_complement
        if contents is not None and contents.log_loss is not None:
            if_0, if_1 = contents.log_loss
            gain += if_0 - if_1
            complement -= if_0
        loss_sums(soft, weight, gain, complement, offsets, sums[:, 17:20])


def _project(cells: Floats, error_cells: ErrorCells, out: SoftLabelSums) -> None:
    """Multiply chunks' influences by cell with the map's error by cell.

    One small product of matrices per chunk, whatever the number of chunks: results must
    not depend on how chunks are shared out to threads.
    """
    scatter = out.scatter
    np.matmul(cells, error_cells.factor.T, out=out.jacobian)
    np.matmul(cells * cells, error_cells.variance, out=scatter[:, :-1])
    np.matmul(cells[:, :1] * cells[:, 1:2], error_cells.variance, out=scatter[:, -1:])
