"""From rows to sums: sort each chunk, give each row its soft label, run the kernel.

The kernel is arithmetic; the policy is here: which order, how many rows at a time, how
many threads. Work goes in blocks of whole chunks, so that temporaries stay in the cache
and small, whatever the size of the frame.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from calibration._kernels.threads import share_out
from estimator._kernels.cell_sums import order_sums
from estimator._kernels.loss_sums import loss_sums
from estimator._kernels.segment_projection import project_segments
from estimator._kernels.soft_label_sums import N_CHANNELS, N_SUMS, soft_label_sums
from estimator.chunking.chunks import ascending_order, is_ascending, rectangles
from estimator.frames.cell_contents import CellContents
from estimator.metrics.error_cells import NO_ERROR, ErrorCells
from estimator.metrics.segment_slots import chunks_at_once, renumber, split_slots
from estimator.metrics.soft_labels import ShiftedSoftLabel, SoftLabel
from estimator.progress import Advance

Floats = NDArray[np.float64]
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
    by_segment : ndarray of shape (n_chunks, N_CHANNELS, N_CHANNELS), or None
        Covariance of the channels by the error of the segments' shifts; None without.
    """

    sums: Floats
    jacobian: Floats
    scatter: Floats
    by_segment: Floats | None = None


def sum_soft_labels(
    score: NDArray[np.floating],
    soft: SoftLabel | ShiftedSoftLabel | Floats,
    *,
    rows: NDArray[np.int64] | None,
    offsets: NDArray[np.int64],
    decision: NDArray[np.bool_] | float,
    weight: Floats | None = None,
    contents: CellContents | None = None,
    error_cells: ErrorCells = NO_ERROR,
    with_log_loss: bool = True,
    advance: Advance | None = None,
) -> SoftLabelSums:
    """Sum up the soft labels of each chunk.

    Parameters
    ----------
    score : ndarray of shape (n_rows,)
        Raw scores, without NaN in the rows that the chunks own.
    soft : callable or ndarray of shape (n_rows,)
        Soft label of each row, or the map that gives it from the score, or from the
        score and the segments' shifts.
    rows : ndarray of shape (offsets[-1],), or None
        Chunk ``c`` owns ``rows[offsets[c]:offsets[c + 1]]``; None: all, as they lie.
    offsets : ndarray of shape (n_chunks + 1,)
        Rising bounds of the chunks.
    decision : ndarray of shape (n_rows,), or float
        Decision of each row, or the score from which a row is decided positive.
    weight : ndarray of shape (n_rows,), optional
        How many equal rows each stands for, a whole number; None: itself alone.
    contents : CellContents, optional
        What else is known of the rows that each stands for; needs ``weight``.
    error_cells : ErrorCells
        Error of the calibration map behind ``soft``.
    with_log_loss : bool
        Whether to compute log loss, for which each row costs two logarithms.
    advance : callable, optional
        Told the number of rows after each block.
    """
    n_chunks = offsets.size - 1
    out = SoftLabelSums(
        sums=np.empty((n_chunks, N_SUMS)),
        jacobian=np.empty((n_chunks, N_CHANNELS, error_cells.factor.shape[0])),
        scatter=np.empty((n_chunks, N_CHANNELS + 1)),
        by_segment=None
        if error_cells.segments is None
        else np.empty((n_chunks, N_CHANNELS, N_CHANNELS)),
    )
    segments = error_cells.segments
    of_score = None  # what gives soft labels if the score is all that tells them
    if not isinstance(soft, ShiftedSoftLabel | np.ndarray) and (
        error_cells.segments is None
    ):
        of_score = soft

    def work(block: slice) -> None:
        bounds = offsets[block.start : block.stop + 1]
        begin, stop = bounds[0], bounds[-1]
        inner = bounds - begin
        taken = slice(begin, stop) if rows is None else rows[begin:stop]
        # A copy of its own: it is sorted in place.
        block_score = score[taken].astype(np.float64, copy=rows is None)
        block_weight = block_slots = None
        fixed_slots = np.empty((bounds.size - 1, 0), dtype=np.int32)
        if (
            of_score is not None
            and not isinstance(decision, np.ndarray)
            and weight is None
        ):
            # All that the kernel needs is a function of the score: sort only that.
            for chunks in rectangles(block_score, inner):
                chunks.sort(axis=1)
            block_soft = of_score(block_score) if block_score.size else _EMPTY
            block_decision = block_score >= decision
        else:
            order: Order = slice(None)
            if not is_ascending(block_score, inner):
                order = ascending_order(block_score, inner)
                block_score = block_score[order]
            if segments is not None:
                columns = [column[taken] for column in segments.slots.T]
                fixed_slots, others = split_slots(columns, inner)
                block_slots = np.array(
                    [column[order] for column in others], dtype=np.int32
                ).reshape(len(others), block_score.size)
            if isinstance(soft, ShiftedSoftLabel):
                block_soft = soft.of_rows(block_score, soft.slots[taken][order])
            elif isinstance(soft, np.ndarray):
                block_soft = soft[taken][order]
            else:  # a map wants at least one row
                block_soft = soft(block_score) if block_score.size else _EMPTY
            block_decision = (
                decision[taken][order]
                if isinstance(decision, np.ndarray)
                else block_score >= decision
            )
            if weight is not None:
                block_weight = weight[taken][order]
        log_odds = log_complement = _EMPTY
        if with_log_loss:
            clipped = np.clip(block_score, LOG_LOSS_CLIP, 1.0 - LOG_LOSS_CLIP)
            log_odds = np.log(clipped)
            np.negative(clipped, out=clipped)
            log_complement = np.log1p(clipped, out=clipped)
            log_odds -= log_complement
        block_soft = np.ascontiguousarray(block_soft, dtype=np.float64)
        sums = out.sums[block]
        lowest, highest = error_cells.score_range.tolist()
        for chunks_here in chunks_at_once(inner, block_slots, fixed_slots, segments):
            bounds_here = inner[chunks_here.start : chunks_here.stop + 1]
            n_here, n_cells = bounds_here.size - 1, error_cells.variance.size
            cells = np.zeros((n_here, N_CHANNELS, n_cells))
            n_slots, slots_here, new_variance = 0, block_slots, _EMPTY
            fixed_here = fixed_slots[chunks_here]
            if segments is not None and block_slots is not None:
                rows_here = slice(bounds_here[0], bounds_here[-1])
                slots_here, fixed_here, occurring = renumber(
                    block_slots, fixed_here, rows_here, segments
                )
                new_variance = segments.new_variance[occurring]
                n_slots = segments.n_shifts + occurring.size
                if not slots_here.size:
                    slots_here = None  # all columns are fixed
            reach = np.zeros((n_here, n_slots, 2, N_CHANNELS))
            soft_label_sums(
                block_score,
                block_soft,
                block_decision,
                block_weight,
                log_odds,
                bounds_here,
                error_cells.edges,
                lowest,
                highest,
                slots_here,
                _EMPTY if segments is None else segments.u,
                sums[chunks_here],
                cells,
                reach,
            )
            if segments is not None and out.by_segment is not None:
                level, slope = cells.sum(axis=2), np.matmul(cells, segments.u)
                for slot in fixed_here.T:
                    reach[np.arange(n_here), slot, 0] += level
                    reach[np.arange(n_here), slot, 1] += slope
                project_segments(
                    cells,
                    reach,
                    segments.common,
                    segments.covariance,
                    new_variance,
                    out.by_segment[block][chunks_here],
                )
            _project(
                cells,
                error_cells,
                out.jacobian[block][chunks_here],
                out.scatter[block][chunks_here],
            )
        inside = None if contents is None else contents.take(taken).take(order)
        if inside is not None and block_weight is not None:
            order_sums(
                block_score, block_soft, block_weight, inside.spread, inner, sums
            )
        if inside is not None and inside.brier is not None:
            if_0, if_1 = inside.brier
            gain = 2.0 * block_score - 1.0 + if_0 - if_1
            complement = -block_score * block_score - if_0
            loss_sums(block_soft, block_weight, gain, complement, inner, sums[:, 14:17])
        if with_log_loss:
            if inside is not None and inside.log_loss is not None:
                if_0, if_1 = inside.log_loss
                log_odds += if_0 - if_1
                log_complement -= if_0
            loss_sums(
                block_soft,
                block_weight,
                log_odds,
                log_complement,
                inner,
                sums[:, 17:20],
            )
        if advance is not None:
            advance(block_score.size)

    share_out(offsets, work)
    return out


def _project(
    cells: Floats, error_cells: ErrorCells, jacobian: Floats, scatter: Floats
) -> None:
    """Multiply chunks' influences by cell with the map's error by cell.

    One small product of matrices per chunk, whatever the number of chunks: results must
    not depend on how chunks are shared out to threads.
    """
    np.matmul(cells, error_cells.factor.T, out=jacobian)
    np.matmul(cells * cells, error_cells.variance, out=scatter[:, :-1])
    np.matmul(cells[:, :1] * cells[:, 1:2], error_cells.variance, out=scatter[:, -1:])
