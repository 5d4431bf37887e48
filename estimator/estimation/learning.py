"""Learning from the labelled reference period, cross-fitted throughout."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from calibration import Calibrator
from estimator.chunking.chunks import Chunks, make_chunks
from estimator.chunking.edges import Edges
from estimator.chunking.periods import Period
from estimator.chunking.segments import Groups, group_rows
from estimator.delayed_labels.counts.weighted_rows import measure_counted
from estimator.delayed_labels.reference_delays import learn_delays
from estimator.estimation.common_mistakes import RowPrint
from estimator.estimation.fitted_map import (
    N_FOLDS,
    FittedMap,
    LabelledRows,
    fit_map,
    labelled_rows,
    predict_second_half,
)
from estimator.estimation.reference import Reference
from estimator.frames.columns import Columns, not_none
from estimator.label_free.adapted_measurement import measure_adapted
from estimator.label_free.adapter_learning import Features, learn_adapter
from estimator.label_free.shift_adaptive import ShiftAdapter
from estimator.metrics.calibration_shift import shift_frame
from estimator.metrics.measurement import Measurement, measure
from estimator.metrics.registry import Metric
from estimator.metrics.rows import Decisions, Rows, rows_of_columns
from estimator.progress import Advance
from estimator.results.assembly import (
    Measured,
    ResultRules,
    assemble_performance,
    compose_remarks,
    row_scale,
)
from estimator.results.thresholds import Thresholds, ThresholdSpec, fit_thresholds
from estimator.results.unseen_drift import (
    Drift,
    DriftEvidence,
    distance_ahead,
    distance_between,
    learn_drift,
)

Floats = NDArray[np.float64]

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
    labelled = labelled_rows(columns)
    delivered = group_rows(columns, chunks)
    groups = delivered.keep(labelled.usable)
    fitted = fit_map(columns, labelled, options.calibrator, advance)
    estimates = _learn_estimate(frame, labelled, fitted, metrics, advance)
    rows = rows_of_columns(columns, not_none(columns.label), frame.decisions)
    estimated = estimates.cross_fitted(groups)
    if options.counted_by is None:
        realized = measure(metrics, groups, rows)
    else:
        realized = measure_counted(
            metrics, columns, chunks, options.counted_by, groups, frame.decisions
        )
    advance(1)
    drift = _learn_drift(
        frame, labelled, estimates, groups, estimated, realized, metrics
    )
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
            "reference",
            chunks,
            groups,
            Measured(estimated=estimated, realized=realized, n_labels=groups.n_rows),
            ResultRules(
                metrics=metrics, level=options.level, thresholds=rules, drift=drift
            ),
            compose_remarks(columns, chunks, delivered, groups),
        ),
        delays=learn_delays(
            columns, chunks, fitted.soft, shift_frame(fitted.error_cells)
        ),
        rows=frame.row_print,
        adapter=estimates.adapter,
    )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Estimates:
    """How the reference is estimated by maps that have not seen its labels.

    Attributes
    ----------
    adapter : ShiftAdapter or None
        None if no features are read.
    cross_fitted : callable
        Takes groups of the frame's rows, returns their metrics by maps of other folds.
    ahead : callable
        The same by maps of the first half of the reference.
    has_ahead : ndarray of bool of shape (n_frame,)
        Rows that these maps have not seen.
    """

    adapter: ShiftAdapter | None
    cross_fitted: Callable[[Groups], Measurement]
    ahead: Callable[[Groups], Measurement]
    has_ahead: NDArray[np.bool_]


def _learn_estimate(
    frame: ReferenceFrame,
    labelled: LabelledRows,
    fitted: FittedMap,
    metrics: tuple[Metric, ...],
    advance: Advance,
) -> _Estimates:
    """Learn to adapt, if features are read.

    Parameters
    ----------
    frame : ReferenceFrame
        The reference.
    labelled : LabelledRows
        Its rows to learn from.
    fitted : FittedMap
        The map of the score.
    metrics : tuple of Metric
        Metrics to estimate.
    advance : callable
        Called with 1 after each of `learning_steps`.
    """
    in_time, cells = labelled.in_time, fitted.error_cells
    rows = rows_of_columns(frame.columns, fitted.out_of_fold, frame.decisions)
    adapter = None
    if frame.features is None:
        ahead = predict_second_half(frame.columns, labelled, fitted)
        cross_fitted = partial(measure, metrics, rows=rows, error_cells=cells)
    else:
        out_of_fold = fitted.out_of_fold[in_time]
        learned = learn_adapter(
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
        adapter = learned.adapter
        ahead = np.full(frame.columns.n_rows, np.nan)
        ahead[in_time] = learned.ahead
        cross_fitted = partial(
            measure_adapted,
            metrics,
            rows=rows,
            adapted=learned.rows.soft_labels.spread(in_time, frame.columns.n_rows),
            relative_error=adapter.relative_error,
            error_cells=cells,
            frame=shift_frame(cells),
        )
    return _Estimates(
        adapter=adapter,
        cross_fitted=cross_fitted,
        ahead=partial(
            measure, metrics, rows=replace(rows, soft=ahead), error_cells=cells
        ),
        has_ahead=~np.isnan(ahead),
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


def _learn_drift(
    frame: ReferenceFrame,
    labelled: LabelledRows,
    estimates: _Estimates,
    groups: Groups,
    estimated: Measurement,
    realized: Measurement,
    metrics: tuple[Metric, ...],
) -> dict[str, Drift]:
    """Learn tau² of each segment and metric from chunks no map has seen."""
    columns, chunks = frame.columns, frame.chunks
    rows = rows_of_columns(columns, not_none(columns.label), frame.decisions)
    n = labelled.label.size
    if len(chunks) < N_FOLDS and n >= DRIFT_CHUNKS * MIN_DRIFT_ROWS:
        size = n // DRIFT_CHUNKS
        finer = make_chunks(columns.n_rows, size, columns.timestamp, columns.timezone)
        groups = group_rows(columns, finer).keep(labelled.usable)
        estimated = estimates.cross_fitted(groups)
        realized = measure(metrics, groups, rows)
    position = np.zeros(columns.n_rows)
    position[labelled.in_time] = (np.arange(n) + 0.5) / n
    later = groups.keep(estimates.has_ahead)
    both = [
        _gather_evidence(
            metrics,
            groups,
            estimated,
            realized,
            fewer_rows=N_FOLDS / (N_FOLDS - 1),
            distance=distance_between(groups.mean(position), N_FOLDS),
        ),
        _gather_evidence(
            metrics,
            later,
            estimates.ahead(later),
            measure(metrics, later, rows),
            fewer_rows=2.0,
            distance=distance_ahead(later.mean(position), 0.5),
        ),
    ]
    return {
        segment: learn_drift(
            DriftEvidence(
                residual=np.concatenate([one.residual[part] for one in both]),
                variance=np.concatenate([one.variance[part] for one in both]),
                n_rows=np.concatenate([one.n_rows[part] for one in both]),
                distance=np.concatenate([one.distance[part] for one in both]),
            )
        )
        for segment, part in groups.by_segment()
    }


def _gather_evidence(
    metrics: tuple[Metric, ...],
    groups: Groups,
    estimated: Measurement,
    realized: Measurement,
    *,
    fewer_rows: float,
    distance: Floats,
) -> DriftEvidence:
    """Return what groups say of drift.

    Parameters
    ----------
    metrics : tuple of Metric
        Metrics that were measured.
    groups : Groups
        Which rows belong to which chunk of which segment.
    estimated, realized : Measurement
        Their metrics.
    fewer_rows : float
        Rows of the whole map over those of the maps behind the estimates.
    distance : ndarray of shape (n_groups,)
        As of `DriftEvidence`.
    """
    scale = row_scale(metrics, groups.n_rows)
    variance = estimated.label_variance + fewer_rows * estimated.calibration_variance
    return DriftEvidence(
        residual=(estimated.value - realized.value) / scale,
        variance=variance / scale**2,
        n_rows=groups.n_rows,
        distance=distance,
    )
