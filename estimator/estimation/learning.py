"""Learning from the labelled reference period, cross-fitted throughout."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from calibration import Calibrator
from estimator.chunking.chunks import Chunks
from estimator.chunking.edges import Edges
from estimator.chunking.periods import Period
from estimator.chunking.segments import Groups, group_rows
from estimator.delayed_labels.counts.weighted_rows import measure_counted
from estimator.delayed_labels.reference_delays import learn_delays
from estimator.delayed_labels.strata.learned import FeatureRows
from estimator.estimation.common_mistakes import RowPrint
from estimator.estimation.drift_evidence import (
    HeldOutEstimates,
    JudgedGroups,
    learn_reference_drift,
)
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
)
from estimator.results.thresholds import Thresholds, ThresholdSpec, fit_thresholds

Floats = NDArray[np.float64]

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
    delay_features : FeatureRows or None
        Features of each row by which delays may differ; None where none are read, or
        nobody knows when labels came.
    """

    columns: Columns
    chunks: Chunks
    decisions: Decisions
    row_print: RowPrint
    features: Features | None = None
    delay_features: FeatureRows | None = None


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
    adapter, estimates = _learn_estimate(frame, labelled, fitted, metrics, advance)
    estimated = estimates.cross_fitted(groups)
    rows = rows_of_columns(columns, not_none(columns.label), frame.decisions)
    realized = measure(metrics, groups, rows)
    advance(1)
    period, drift, scores = learn_reference_drift(
        columns,
        chunks,
        labelled,
        JudgedGroups(groups=groups, estimated=estimated, realized=realized),
        estimates,
        rows,
        metrics,
    )
    if options.counted_by is not None:
        realized = measure_counted(
            metrics, columns, chunks, options.counted_by, groups, frame.decisions
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
        period=period,
        performance=assemble_performance(
            "reference",
            chunks,
            groups,
            Measured(estimated=estimated, realized=realized, n_labels=groups.n_rows),
            ResultRules(
                metrics=metrics,
                level=options.level,
                thresholds=rules,
                drift=drift,
                period=period,
            ),
            compose_remarks(columns, chunks, delivered, groups),
        ),
        delays=learn_delays(
            columns,
            chunks,
            fitted.soft,
            shift_frame(fitted.error_cells),
            frame.delay_features,
        ),
        rows=frame.row_print,
        adapter=adapter,
        scores=scores,
    )


def _learn_estimate(
    frame: ReferenceFrame,
    labelled: LabelledRows,
    fitted: FittedMap,
    metrics: tuple[Metric, ...],
    advance: Advance,
) -> tuple[ShiftAdapter | None, HeldOutEstimates]:
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
    estimates : HeldOutEstimates
        How the reference is estimated by maps that have not seen its labels.
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
    return adapter, HeldOutEstimates(
        cross_fitted=cross_fitted,
        ahead=partial(
            measure, metrics, rows=replace(rows, soft=ahead), error_cells=cells
        ),
        has_ahead=~np.isnan(ahead),
        cells=cells,
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
