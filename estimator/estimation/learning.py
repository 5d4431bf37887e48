"""Learning from the labelled reference period, cross-fitted throughout."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
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
)
from estimator.estimation.reference import Reference
from estimator.frames.columns import Columns, not_none
from estimator.label_free.adapted_measurement import measure_adapted
from estimator.label_free.adapter_learning import Features, learn_adapter
from estimator.label_free.shift_adaptive import ShiftAdapter
from estimator.metrics.calibration_shift import shift_frame
from estimator.metrics.intervals import unseen_drift
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
        adapter=adapter,
    )


def _learn_estimate(
    frame: ReferenceFrame,
    labelled: LabelledRows,
    fitted: FittedMap,
    metrics: tuple[Metric, ...],
    advance: Advance,
) -> tuple[ShiftAdapter | None, Callable[[Groups], Measurement]]:
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
