"""Each chunk's change split into covariate shift and concept drift."""

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import expit

from estimator.estimation.estimates import score_map
from estimator.estimation.reference import Reference
from estimator.frames.columns import not_none
from estimator.metrics.measurement import Measurement, measure
from estimator.metrics.rows import rows_of_columns
from estimator.monitoring.evaluation import ChunkEvaluation
from estimator.performance_estimator import PerformanceEstimator
from estimator.results.assembly import row_scale

Floats = NDArray[np.float64]


def attribution_of(
    estimator: PerformanceEstimator, evaluation: ChunkEvaluation
) -> pd.DataFrame:
    r"""Say how much of each change labels alone show, and how sure that is.

    ``residual`` is the metric over the arrived rows less what was to be expected of
    just these rows, had the calibration held:
    :math:`q = p F_1 / (p F_1 + (1 - p) F_0)`, since rows whose label came early are a
    selection. Without a drift of the concept it is, over its standard error, about
    standard normal: ``residual_z``. Labels that could hardly be otherwise, having come
    so early, show little of a drift: ``residual_sensitivity`` is how much of it.
    """
    fitted: Reference = estimator.reference_
    groups = evaluation.groups
    shape = evaluation.estimated.value.shape
    expectation = _expect_labels(estimator, evaluation)
    scale = row_scale(fitted.metrics, groups.n_rows)
    chunks = evaluation.chunks
    distance = fitted.period.distances(chunks.start, chunks.end)[groups.chunk]
    of_labels = row_scale(fitted.metrics, evaluation.n_labels)
    reference = np.empty(shape)
    tau2 = np.empty(shape)
    for segment, here in groups.by_segment():
        reference[here] = _reference_value(fitted, segment) * scale[here]
        drift = fitted.drift.get(segment, fitted.drift[""])
        tau2[here] = drift.variance(distance[here]) * of_labels[here] ** 2
    value = (
        evaluation.estimated.value
        if evaluation.reconciled is None
        else evaluation.reconciled.value
    )
    residual = evaluation.realized.value - expectation.value
    variance = expectation.label_variance + expectation.calibration_variance
    # Labels of one class have no ROC AUC: what has no residual has no error of it.
    variance[(variance == 0.0) | np.isnan(residual)] = np.nan
    error = np.sqrt(variance + tau2)
    k = len(fitted.metrics)
    chunk = groups.chunk
    return pd.DataFrame(
        {
            "segment": np.repeat(groups.segment, k),
            "chunk": np.repeat(evaluation.chunks.label[chunk], k),
            "metric": [metric.name for metric in fitted.metrics] * len(chunk),
            "n_rows": np.repeat(groups.n_rows, k),
            "n_labels": np.repeat(evaluation.n_labels, k),
            "reference": reference.ravel(),
            "estimated": evaluation.estimated.value.ravel(),
            "value": value.ravel(),
            "covariate_shift": (evaluation.estimated.value - reference).ravel(),
            "concept_drift": (value - evaluation.estimated.value).ravel(),
            "residual": residual.ravel(),
            "residual_standard_error": error.ravel(),
            "residual_z": (residual / error).ravel(),
            "residual_sensitivity": expectation.sensitivity.ravel(),
            "residual_shared_error": np.sqrt(expectation.calibration_variance).ravel(),
        }
    )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Expectation:
    """What was to be expected of the labels that came; all (n_groups, n_metrics).

    Attributes
    ----------
    value : ndarray
        Metrics over the labelled rows.
    label_variance, calibration_variance : ndarray
        Their variances by chance, and by the error of the map that all chunks share.
    sensitivity : ndarray
        Share of a concept drift that these labels show.
    """

    value: Floats
    label_variance: Floats
    calibration_variance: Floats
    sensitivity: Floats


def _expect_labels(
    estimator: PerformanceEstimator, evaluation: ChunkEvaluation
) -> _Expectation:
    """Measure the labelled rows as if the calibration had held; NaN without labels."""
    metrics = estimator.reference_.metrics
    columns, reconciliation = evaluation.columns, evaluation.reconciliation
    if reconciliation is None:
        unknown = np.full((4, *evaluation.estimated.value.shape), np.nan)
        value, label_variance, calibration_variance, sensitivity = unknown
        return _Expectation(
            value=value,
            label_variance=label_variance,
            calibration_variance=calibration_variance,
            sensitivity=sensitivity,
        )
    labeled = evaluation.groups.keep(~np.isnan(not_none(columns.label)))
    rows = rows_of_columns(
        columns, reconciliation.expected_labels(), estimator.decisions(columns)
    )
    cells = score_map(estimator.reference_, columns.segments).error_cells
    selected = measure(metrics, labeled, rows, error_cells=cells)
    unselected = replace(rows, soft=expit(reconciliation.log_odds))
    return _Expectation(
        value=selected.value,
        label_variance=selected.label_variance,
        calibration_variance=selected.calibration_variance,
        sensitivity=_sensitivity(selected, measure(metrics, labeled, unselected)),
    )


def _sensitivity(selected: Measurement, unselected: Measurement) -> Floats:
    """Return the share of a concept drift that the labels which have come show.

    A drift of the log odds moves a label by its variance. So the share is that of the
    label noise, given that the labels have come, in what it is of rows that are no
    selection, at most 1: method.md, equation 64.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        share = selected.label_variance / unselected.label_variance
    at_most_one: Floats = np.minimum(share, 1.0)
    return at_most_one


def _reference_value(fitted: Reference, segment: str) -> Floats:
    """Return the reference's realized metrics, sums over rows as means."""
    performance = fitted.performance
    is_segment = (performance.segment == segment) & (performance.n_rows > 0)
    if not is_segment.any():
        is_segment = performance.segment == ""
    n_rows = performance.n_rows[is_segment]
    value = performance.realized[is_segment] / row_scale(fitted.metrics, n_rows)
    weight = np.where(np.isfinite(value), n_rows[:, None], 0.0)
    with np.errstate(invalid="ignore"):
        mean: Floats = np.nansum(value * weight, axis=0) / weight.sum(axis=0)
    return mean
