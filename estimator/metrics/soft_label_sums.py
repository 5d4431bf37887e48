"""From rows to sums: sort each chunk, give each row its soft label, run the kernel.

The kernel is arithmetic; the policy is here: which order, how many rows at a time, how
many threads. Work goes in blocks of whole chunks, so that temporaries stay in the cache
and small, whatever the size of the frame.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from calibration._kernels.threads import share_out
from calibration.base import Calibrator, UncertainCalibrator
from calibration.shifts.segment_shifts import CERTAIN
from estimator._kernels.cell_sums import order_sums
from estimator._kernels.loss_sums import loss_sums
from estimator._kernels.segment_projection import project_segments
from estimator._kernels.soft_label_sums import N_CHANNELS, N_SUMS, soft_label_sums
from estimator.chunking.chunks import ascending_order, is_ascending, rectangles
from estimator.frames.cell_contents import CellContents

Floats = NDArray[np.float64]
SoftLabel = Callable[[Floats], Floats]
Slots = NDArray[np.int32]
Advance = Callable[[int], None]
Order = NDArray[np.intp] | slice

_EMPTY = np.empty(0)
# Chunks whose influences by cell are held at a time: at most 0.8 MB with 64 cells.
_CHUNKS_AT_ONCE = 256
# Rows softened at a time: 256 kB a column stay in a core's cache.
_ROWS_AT_ONCE = 32_768
# Chunks times values without a shift of which influences are held at a time: at most
# 12 MB, however many values there are.
_NEW_AT_ONCE = 1 << 17
# The distance from 0 and 1 at which scikit-learn's log_loss clips float64 scores.
LOG_LOSS_CLIP = np.finfo(np.float64).eps


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SegmentErrors:
    """How wrong the shifts of segments may be, and what all rows have in common.

    Attributes
    ----------
    slots : ndarray of int32 of shape (n_rows, n_columns)
        Number of each row's shift, by segment column; of new values the last ones. One
        column after the other is read: Fortran's order is faster.
    u : ndarray of shape (n_cells,)
        Standardized log odds of the map in the middle of each cell of the score.
    common : ndarray of shape (n_common, n_cells)
        What the common coefficients multiply there.
    covariance : ndarray of shape (n_coefficients, n_coefficients)
        Of the common coefficients, then of each shift's intercept and slope.
    new_variance : ndarray of shape (n_new, 2)
        Variance of intercept and slope of values that the reference does not have.
    along : ndarray of shape (2, n_coefficients)
        The constant and the line in u that come nearest to what each coefficient
        multiplies.
    centre, scale : float
        Of the map's log odds x: u is ``(x - centre) / scale``.
    """

    slots: NDArray[np.int32]
    u: Floats
    common: Floats
    covariance: Floats
    new_variance: Floats
    along: Floats
    centre: float
    scale: float

    @property
    def n_shifts(self) -> int:
        """Number of shifts, without those of new values."""
        return (len(self.covariance) - len(self.common)) // 2


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ErrorCells:
    """How wrong the calibration map may be, in log odds, cell by cell of the score.

    Attributes
    ----------
    edges : ndarray of shape (n_cells - 1,)
        Rising scores between the cells; a cell holds its upper edge.
    log_odds : ndarray of shape (n_cells,)
        The map in the middle of each cell.
    information : ndarray of shape (n_cells,)
        Sum of p(1 - p) over the reference's rows in the cell: what their labels say of
        its log odds.
    factor : ndarray of shape (n_factors, n_cells)
        Lᵀ with Cov(log odds at the cells) = L Lᵀ; no rows if the map was not estimated.
    has_factor : bool
        False if the map does not tell its error: then ``variance`` stands for it.
    variance : ndarray of shape (n_cells,)
        Variance of the cell's log odds if its own labels alone had to tell them.
    score_range : ndarray of shape (2,)
        Scores between which the reference can vouch for the map.
    segments : SegmentErrors or None
        The error of the segments' shifts, and of a constant and a line that all rows
        have in common, for the rows of one frame; ``factor`` then holds what remains.
    """

    edges: Floats
    log_odds: Floats
    information: Floats
    factor: Floats
    has_factor: bool
    variance: Floats
    score_range: Floats
    segments: SegmentErrors | None = None


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


def soft_labels_at(
    soft: SoftLabel | ShiftedSoftLabel | Floats,
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


NO_ERROR = ErrorCells(
    edges=_EMPTY,
    log_odds=np.zeros(1),
    information=np.ones(1),
    factor=np.zeros((0, 1)),
    has_factor=True,
    variance=np.zeros(1),
    score_range=np.array([-np.inf, np.inf]),
)


def measure_error_cells(
    calibrator: Calibrator,
    score: Floats,
    calibrated: Floats,
    *,
    max_cells: int = 64,
    rows_per_cell: int = 50,
) -> ErrorCells:
    """Tabulate the error of a calibration map fitted on the given rows.

    Parameters
    ----------
    calibrator : Calibrator
        Fitted map; its ``error_factor``, if it has one, is read at the cells.
    score, calibrated : ndarray of shape (n_rows,)
        Reference scores and what the map makes of them.
    max_cells, rows_per_cell : int
        Cells are score quantiles: as many as leave ``rows_per_cell`` rows to each.
    """
    n_cells = int(np.clip(score.size // rows_per_cell, 1, max_cells))
    edges = np.quantile(score, np.arange(1, n_cells) / n_cells, method="lower")
    edges = np.unique(edges)
    cell = np.searchsorted(edges, score)
    count = np.bincount(cell, minlength=edges.size + 1)
    edges = edges[count[1:] > 0]  # the topmost cell is empty if its edge is the maximum
    cell = np.searchsorted(edges, score)
    count = np.bincount(cell, minlength=edges.size + 1)
    centre = np.bincount(cell, score, edges.size + 1) / count
    spread = calibrated * (1.0 - calibrated)
    information: Floats = np.bincount(cell, spread, edges.size + 1).astype(np.float64)
    middle = np.clip(calibrator.predict(centre), CERTAIN, 1.0 - CERTAIN)
    factor = np.zeros((0, centre.size))
    if isinstance(calibrator, UncertainCalibrator):
        factor = calibrator.error_factor(centre).T / (middle * (1.0 - middle))
    return ErrorCells(
        edges=edges,
        log_odds=np.log(middle) - np.log1p(-middle),
        information=information,
        factor=np.ascontiguousarray(factor, dtype=np.float64),
        has_factor=isinstance(calibrator, UncertainCalibrator),
        variance=1.0 / np.maximum(information, CERTAIN),
        score_range=np.quantile(score, [0.001, 0.999]),
    )


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
                fixed_slots, others = _split_slots(columns, inner)
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
        for chunks_here in _chunks_at_once(inner, block_slots, fixed_slots, segments):
            bounds_here = inner[chunks_here.start : chunks_here.stop + 1]
            n_here, n_cells = bounds_here.size - 1, error_cells.variance.size
            cells = np.zeros((n_here, N_CHANNELS, n_cells))
            n_slots, slots_here, new_variance = 0, block_slots, _EMPTY
            fixed_here = fixed_slots[chunks_here]
            if segments is not None and block_slots is not None:
                rows_here = slice(bounds_here[0], bounds_here[-1])
                slots_here, fixed_here, occurring = _renumber(
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


def _split_slots(
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


def _chunks_at_once(
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


def _renumber(
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
