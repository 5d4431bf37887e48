"""What is learned from the labelled reference period, cross-fitted throughout."""

from collections.abc import Mapping
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
from estimator.frames.columns import Columns
from estimator.frames.features import FeatureTable
from estimator.label_free.segment_calibration import (
    SegmentCalibration,
    cross_fit_segments,
    learn_segment_calibration,
    segment_rows,
    shift_rows,
    shifted_soft_label,
    with_segment_errors,
)
from estimator.label_free.shift_adaptive import (
    ShiftAdapter,
    learn_adapter,
    measure_adapted,
)
from estimator.metrics.calibration_shift import shift_frame
from estimator.metrics.error_cells import ErrorCells, measure_error_cells
from estimator.metrics.intervals import unseen_drift
from estimator.metrics.measurement import Measurement, measure
from estimator.metrics.registry import Metric
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
class Features:
    """The reference's features, and the method that adapts by them."""

    method: str
    table: FeatureTable
    matrix: Floats
    random_state: int


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


def learn_reference(
    metrics: tuple[Metric, ...],
    columns: Columns,
    chunks: Chunks,
    *,
    decision: NDArray[np.bool_] | float,
    calibrator: str | Calibrator,
    thresholds: Mapping[str, ThresholdSpec],
    level: float,
    advance: Advance,
    rows: RowPrint,
    features: Features | None = None,
    counted_by: Period | Edges | None = None,
) -> Reference:
    """Fit the calibration, and measure the reference with maps that have not seen it.

    With ``counted_by``, by which rows fell into chunks, the realized metrics are those
    of tables of counts: production is measured so, and both are compared alike.

    Raises
    ------
    ValueError
        If too few rows have a score and a label, or only one class has.
    """
    if columns.label is None:
        msg = "`y_true` must be a column of the reference: it is what is learned from."
        raise ValueError(msg)
    usable = ~(np.isnan(columns.score) | np.isnan(columns.label))
    delivered = group_rows(columns, chunks)
    groups = delivered.keep(usable)
    in_time = np.flatnonzero(usable)  # folds are blocks of time
    if columns.timestamp is not None:
        in_time = in_time[np.argsort(columns.timestamp[in_time], kind="stable")]
    score = np.asarray(columns.score[in_time], dtype=np.float64)
    label = columns.label[in_time]
    _check_size(label)
    name, fitted = _choose_calibrator(calibrator, score, label)
    fitted.fit(score, label)
    advance(1)
    out_of_fold = np.full(columns.n_rows, np.nan)
    crossed = cross_fit(fitted, score, label, n_splits=N_FOLDS)
    out_of_fold[in_time] = crossed.probabilities
    advance(N_FOLDS)
    map_error = measure_error_cells(fitted, score, fitted.predict(score))
    unlabelled: SoftLabel | ShiftedSoftLabel = fitted.predict
    cells = cells_in_time = map_error
    by_segment = segment_rows(columns.segments, in_time)
    segments = learn_segment_calibration(fitted, score, label, by_segment)
    if segments is not None:
        out_of_fold[in_time] = cross_fit_segments(crossed, score, label, by_segment)
        shifts = shift_rows(segments, columns.segments)
        unlabelled = shifted_soft_label(fitted, segments, shifts.slots)
        cells = with_segment_errors(map_error, segments, shifts)
        shifts = replace(shifts, slots=shifts.slots[in_time])
        cells_in_time = with_segment_errors(map_error, segments, shifts)
    frame = shift_frame(cells)
    of_rows = partial(measure, metrics, score=columns.score, decision=decision)
    estimate = partial(of_rows, soft=out_of_fold, error_cells=cells)
    adapter = None
    if features is not None:
        adapter, adapted = learn_adapter(
            features.method,
            features.table,
            features.matrix[in_time],
            # Where segments have shifts, what adapts starts from the shifted map.
            score if segments is None else out_of_fold[in_time],
            label,
            out_of_fold[in_time],
            ranked=score,
            decision=decision[in_time]
            if isinstance(decision, np.ndarray)
            else decision,
            error_cells=cells_in_time,
            random_state=features.random_state,
            advance=advance,
        )
        estimate = partial(
            measure_adapted,
            metrics,
            score=columns.score,
            decision=decision,
            adapted=adapted.soft_labels.spread(in_time, columns.n_rows),
            plain=out_of_fold,
            relative_error=adapter.relative_error,
            error_cells=cells,
            frame=frame,
        )
    estimated = estimate(groups=groups)
    if counted_by is None:
        realized = of_rows(groups=groups, soft=columns.label)
    else:
        realized = measure_counted(
            metrics, columns, chunks, counted_by, groups, decision
        )
    advance(1)
    if len(chunks) < N_FOLDS and label.size >= DRIFT_CHUNKS * MIN_DRIFT_ROWS:
        size = label.size // DRIFT_CHUNKS
        finer = make_chunks(columns.n_rows, size, columns.timestamp, columns.timezone)
        of_drift = group_rows(columns, finer).keep(usable)
        drift = _estimate_drift(
            metrics,
            of_drift,
            estimate(groups=of_drift),
            of_rows(groups=of_drift, soft=columns.label),
        )
    else:
        drift = _estimate_drift(metrics, groups, estimated, realized)
    standard_error = np.sqrt(realized.sampling_variance)
    rules = {
        segment: fit_thresholds(
            thresholds,
            metrics,
            realized.value[of],
            standard_error[of],
            groups.n_rows[of],
        )
        for segment, of in groups.by_segment()
    }
    advance(1)
    return Reference(
        metrics=metrics,
        calibrator=fitted,
        calibrator_name=name,
        error_cells=map_error,
        segments=segments,
        thresholds=rules,
        drift=drift,
        performance=assemble_performance(
            metrics,
            "reference",
            level,
            chunks,
            groups,
            estimated=estimated,
            realized=realized,
            n_labels=groups.n_rows,
            thresholds=rules,
            drift=drift,
            remarks=compose_remarks(columns, chunks, delivered, groups),
        ),
        delays=learn_delays(columns, chunks, unlabelled, frame),
        rows=rows,
        adapter=adapter,
    )


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
                unseen_drift(residual[of, k], variance[of, k])
                for k in range(len(metrics))
            ]
        )
        for segment, of in groups.by_segment()
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
