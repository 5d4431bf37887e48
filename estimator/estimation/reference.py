"""What is learned from the labelled reference period, cross-fitted throughout."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from calibration import Calibrator, cross_fit, make_calibrator
from calibration.selection import select_calibrator
from estimator.chunking.chunks import Chunks, make_chunks
from estimator.chunking.edges import Edges
from estimator.chunking.groups import Groups, group_rows
from estimator.chunking.periods import Period
from estimator.delayed_labels.counts.weighted_rows import measure_counted
from estimator.delayed_labels.reference_delays import ReferenceDelays, learn_delays
from estimator.estimation.common_mistakes import RowPrint
from estimator.frames.columns import Columns, not_none
from estimator.label_free.adapted_measurement import measure_adapted
from estimator.label_free.adapter_learning import Features, learn_adapter
from estimator.label_free.segment_calibration import (
    SegmentCalibration,
    cross_fit_segments,
    learn_segment_calibration,
    segment_rows,
    shift_rows,
    shifted_soft_label,
    with_segment_errors,
)
from estimator.label_free.shift_adaptive import ShiftAdapter
from estimator.metrics.calibration_shift import shift_frame
from estimator.metrics.error_cells import ErrorCells, measure_error_cells
from estimator.metrics.intervals import unseen_drift
from estimator.metrics.measurement import Measurement, measure
from estimator.metrics.registry import Metric
from estimator.metrics.rows import Decisions, Rows, rows_of_columns
from estimator.metrics.soft_labels import ShiftedSoftLabel, SoftLabel
from estimator.progress import Advance
from estimator.results.assembly import assemble_performance, compose_remarks, row_scale
from estimator.results.performance import Performance
from estimator.results.thresholds import Thresholds, ThresholdSpec, fit_thresholds

Floats = NDArray[np.float64]

MIN_ROWS = 100
MIN_ROWS_PER_CLASS = 10
N_FOLDS = 5
# tau² needs several chunks; a reference of fewer is cut into this many for it, if
# their own noise leaves anything to see.
DRIFT_CHUNKS = 10
MIN_DRIFT_ROWS = 1_000

# Steps of the work that `learn_reference` reports to its progress bar, besides those
# of learning to adapt.
N_STEPS = N_FOLDS + 3


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ReferenceFrame:
    """The reference as it was read.

    Attributes
    ----------
    columns : Columns
        Its rows.
    chunks : Chunks
        How they fall into chunks.
    decisions : Decisions
        How each is decided.
    row_print : RowPrint
        What tells them from other rows.
    features : Features or None
        Features of each row, and the method that adapts by them; None where none are
        read.
    """

    columns: Columns
    chunks: Chunks
    decisions: Decisions
    row_print: RowPrint
    features: Features | None = None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ReferenceOptions:
    """What is to be learned from a reference.

    Attributes
    ----------
    metrics : tuple of Metric
        Metrics to measure.
    calibrator : str or Calibrator
        Registered name, ``"select"``, or an object to be cloned.
    thresholds : mapping of str to ThresholdSpec
        Rule of the thresholds by metric.
    level : float
        Coverage of the intervals, in (0, 1).
    counted_by : Period, Edges or None
        By which rows fell into chunks, if realized metrics are to be those of tables
        of counts: production is measured so, and both are compared alike.
    """

    metrics: tuple[Metric, ...]
    calibrator: str | Calibrator
    thresholds: Mapping[str, ThresholdSpec]
    level: float
    counted_by: Period | Edges | None = None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Reference:
    """What is learned from the reference period, and all that `estimate` needs.

    Attributes
    ----------
    metrics : tuple of Metric
    calibrator : Calibrator
        Fitted on the whole reference.
    calibrator_name : str
        Its registered name; "" for the caller's own object.
    error_cells : ErrorCells
        How wrong it may be.
    segments : SegmentCalibration or None
        How far the calibration of each segment is from it; None: not at all.
    thresholds, drift : dict by segment
        Rules; tau² of each metric (of a mean over rows, for sums over rows).
    performance : Performance
        The reference chunks.
    delays : ReferenceDelays
        How long labels took.
    rows : RowPrint
        What tells its rows from others.
    adapter : ShiftAdapter or None
        How soft labels are adapted to features; None where none are read.
    """

    metrics: tuple[Metric, ...]
    calibrator: Calibrator
    calibrator_name: str
    error_cells: ErrorCells
    segments: SegmentCalibration | None
    thresholds: dict[str, Thresholds]
    drift: dict[str, Floats]
    performance: Performance
    delays: ReferenceDelays
    rows: RowPrint
    adapter: ShiftAdapter | None = None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _LabelledRows:
    """Rows of the reference with a score and a label.

    Attributes
    ----------
    usable : ndarray of bool of shape (n_frame,)
        Whether a row of the frame is one of them.
    in_time : ndarray of int64 of shape (n_rows,)
        Their rows of the frame in time order: folds are blocks of time.
    score, label : ndarray of float64 of shape (n_rows,)
        Their scores and labels, in this order.
    """

    usable: NDArray[np.bool_]
    in_time: NDArray[np.int64]
    score: Floats
    label: Floats


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _FittedMap:
    """The map of the score, with shifts of segments, and its error.

    Attributes
    ----------
    calibrator : Calibrator
        Map fitted to all labelled rows.
    calibrator_name : str
        Its registered name; "" for the caller's own object.
    map_error : ErrorCells
        Its error.
    segments : SegmentCalibration or None
        Shifts of the segments.
    error_cells, error_cells_in_time : ErrorCells
        Error with that of the shifts: for the rows of the frame, and for the labelled
        rows in time order.
    soft : callable or ShiftedSoftLabel
        What gives the rows of the frame their soft labels.
    out_of_fold : ndarray of shape (n_frame,)
        Soft labels by maps that have not seen the row; NaN without a label.
    """

    calibrator: Calibrator
    calibrator_name: str
    map_error: ErrorCells
    segments: SegmentCalibration | None
    error_cells: ErrorCells
    error_cells_in_time: ErrorCells
    soft: SoftLabel | ShiftedSoftLabel
    out_of_fold: Floats


def learn_reference(
    frame: ReferenceFrame, options: ReferenceOptions, advance: Advance
) -> Reference:
    """Fit the calibration, and measure the reference with maps that have not seen it.

    Raises
    ------
    ValueError
        If too few rows have a score and a label, or only one class has.
    """
    columns, chunks, metrics = frame.columns, frame.chunks, options.metrics
    labelled = _labelled_rows(columns)
    delivered = group_rows(columns, chunks)
    groups = delivered.keep(labelled.usable)
    fitted = _fit_map(columns, labelled, options.calibrator, advance)
    adapter, estimate = _learn_estimate(frame, labelled, fitted, metrics, advance)
    rows = rows_of_columns(columns, not_none(columns.label), frame.decisions)
    estimated = estimate(groups)
    if options.counted_by is None:
        realized = measure(metrics, groups, rows)
    else:
        realized = measure_counted(
            metrics, columns, chunks, options.counted_by, groups, frame.decisions
        )
    advance(1)
    if len(chunks) < N_FOLDS and labelled.label.size >= DRIFT_CHUNKS * MIN_DRIFT_ROWS:
        size = labelled.label.size // DRIFT_CHUNKS
        finer = make_chunks(columns.n_rows, size, columns.timestamp, columns.timezone)
        drift_groups = group_rows(columns, finer).keep(labelled.usable)
        drift = _estimate_drift(
            metrics,
            drift_groups,
            estimate(drift_groups),
            measure(metrics, drift_groups, rows),
        )
    else:
        drift = _estimate_drift(metrics, groups, estimated, realized)
    rules = _fit_rules(options, groups, realized)
    advance(1)
    return Reference(
        metrics=metrics,
        calibrator=fitted.calibrator,
        calibrator_name=fitted.calibrator_name,
        error_cells=fitted.map_error,
        segments=fitted.segments,
        thresholds=rules,
        drift=drift,
        performance=assemble_performance(
            metrics,
            "reference",
            options.level,
            chunks,
            groups,
            estimated=estimated,
            realized=realized,
            n_labels=groups.n_rows,
            thresholds=rules,
            drift=drift,
            remarks=compose_remarks(columns, chunks, delivered, groups),
        ),
        delays=learn_delays(
            columns, chunks, fitted.soft, shift_frame(fitted.error_cells)
        ),
        rows=frame.row_print,
        adapter=adapter,
    )


def _labelled_rows(columns: Columns) -> _LabelledRows:
    """Return the rows that can be learned from; refuse too few."""
    if columns.label is None:
        msg = "`y_true` must be a column of the reference: it is what is learned from."
        raise ValueError(msg)
    usable = ~(np.isnan(columns.score) | np.isnan(columns.label))
    in_time = np.flatnonzero(usable)
    if columns.timestamp is not None:
        in_time = in_time[np.argsort(columns.timestamp[in_time], kind="stable")]
    label = columns.label[in_time]
    _check_size(label)
    score = np.asarray(columns.score[in_time], dtype=np.float64)
    return _LabelledRows(usable=usable, in_time=in_time, score=score, label=label)


def _fit_map(
    columns: Columns,
    labelled: _LabelledRows,
    calibrator: str | Calibrator,
    advance: Advance,
) -> _FittedMap:
    """Fit the map of the score and the shifts of segments, cross-fitted as well.

    Parameters
    ----------
    columns : Columns
        Rows of the frame.
    labelled : _LabelledRows
        Those to learn from.
    calibrator : str or Calibrator
        As of `ReferenceOptions`.
    advance : callable
        Called with the number of maps fitted.
    """
    score, label, in_time = labelled.score, labelled.label, labelled.in_time
    name, fitted = _choose_calibrator(calibrator, score, label)
    fitted.fit(score, label)
    advance(1)
    out_of_fold = np.full(columns.n_rows, np.nan)
    crossed = cross_fit(fitted, score, label, n_splits=N_FOLDS)
    out_of_fold[in_time] = crossed.probabilities
    advance(N_FOLDS)
    map_error = measure_error_cells(fitted, score, fitted.predict(score))
    soft: SoftLabel | ShiftedSoftLabel = fitted.predict
    cells = cells_in_time = map_error
    by_segment = segment_rows(columns.segments, in_time)
    segments = learn_segment_calibration(fitted, score, label, by_segment)
    if segments is not None:
        out_of_fold[in_time] = cross_fit_segments(crossed, score, label, by_segment)
        shifts = shift_rows(segments, columns.segments)
        soft = shifted_soft_label(fitted, segments, shifts.slots)
        cells = with_segment_errors(map_error, segments, shifts)
        shifts = replace(shifts, slots=shifts.slots[in_time])
        cells_in_time = with_segment_errors(map_error, segments, shifts)
    return _FittedMap(
        calibrator=fitted,
        calibrator_name=name,
        map_error=map_error,
        segments=segments,
        error_cells=cells,
        error_cells_in_time=cells_in_time,
        soft=soft,
        out_of_fold=out_of_fold,
    )


def _learn_estimate(
    frame: ReferenceFrame,
    labelled: _LabelledRows,
    fitted: _FittedMap,
    metrics: tuple[Metric, ...],
    advance: Advance,
) -> tuple[ShiftAdapter | None, Callable[[Groups], Measurement]]:
    """Learn to adapt, if features are read.

    Parameters
    ----------
    frame : ReferenceFrame
        The reference.
    labelled : _LabelledRows
        Its rows to learn from.
    fitted : _FittedMap
        The map of the score.
    metrics : tuple of Metric
        Metrics to estimate.
    advance : callable
        Called with 1 after each of `learning_steps`.

    Returns
    -------
    adapter : ShiftAdapter or None
        None if no features are read.
    estimate : callable
        Takes groups of the frame's rows, returns their metrics as estimated by maps
        that have not seen the row.
    """
    in_time = labelled.in_time
    rows = rows_of_columns(frame.columns, fitted.out_of_fold, frame.decisions)
    if frame.features is None:
        cells = fitted.error_cells
        return None, partial(measure, metrics, rows=rows, error_cells=cells)
    out_of_fold = fitted.out_of_fold[in_time]
    adapter, adapted = learn_adapter(
        frame.features.take(in_time),
        Rows(
            score=labelled.score,
            soft=out_of_fold,
            decisions=frame.decisions.reorder(in_time),
        ),
        # Where segments have shifts, what adapts starts from the shifted map.
        labelled.score if fitted.segments is None else out_of_fold,
        labelled.label,
        error_cells=fitted.error_cells_in_time,
        advance=advance,
    )
    return adapter, partial(
        measure_adapted,
        metrics,
        rows=rows,
        adapted=adapted.soft_labels.spread(in_time, frame.columns.n_rows),
        relative_error=adapter.relative_error,
        error_cells=fitted.error_cells,
        frame=shift_frame(fitted.error_cells),
    )


def _fit_rules(
    options: ReferenceOptions, groups: Groups, realized: Measurement
) -> dict[str, Thresholds]:
    """Return the thresholds of each segment."""
    standard_error = np.sqrt(realized.sampling_variance)
    return {
        segment: fit_thresholds(
            options.thresholds,
            options.metrics,
            realized.value[part],
            standard_error[part],
            groups.n_rows[part],
        )
        for segment, part in groups.by_segment()
    }


def _choose_calibrator(
    spec: str | Calibrator, score: Floats, label: Floats
) -> tuple[str, Calibrator]:
    if spec == "select":
        name = select_calibrator(score, label, n_splits=N_FOLDS).best
        return name, make_calibrator(name)
    return spec if isinstance(spec, str) else "", make_calibrator(spec)


def _estimate_drift(
    metrics: tuple[Metric, ...],
    groups: Groups,
    estimated: Measurement,
    realized: Measurement,
) -> dict[str, Floats]:
    """Estimate tau² of each segment and metric from chunks no map has seen."""
    # A fold's map has seen (K - 1)/K of the reference.
    variance = estimated.label_variance + (
        estimated.calibration_variance * N_FOLDS / (N_FOLDS - 1)
    )
    scale = row_scale(metrics, groups.n_rows)
    residual = (estimated.value - realized.value) / scale
    variance /= scale**2
    return {
        segment: np.array(
            [
                unseen_drift(residual[part, k], variance[part, k])
                for k in range(len(metrics))
            ]
        )
        for segment, part in groups.by_segment()
    }


def _check_size(label: Floats) -> None:
    n, positives = label.size, int(label.sum())
    fewest = min(positives, n - positives)
    if fewest == 0:
        only = "1" if positives else "0"
        msg = (
            f"The reference must hold both classes, but all of its {n} labels are "
            f"{only}. Take a longer period, or check `y_true`."
        )
        raise ValueError(msg)
    if n < MIN_ROWS or fewest < MIN_ROWS_PER_CLASS:
        share = fewest / n
        needed = max(MIN_ROWS, int(np.ceil(MIN_ROWS_PER_CLASS / share)))
        msg = (
            f"The reference is too small: it has {n} labelled rows, {fewest} of the "
            f"rarer class, and needs at least {MIN_ROWS} rows with "
            f"{MIN_ROWS_PER_CLASS} of each class. With these shares about {needed} "
            "rows are needed; take a longer period."
        )
        raise ValueError(msg)
