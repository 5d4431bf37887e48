"""Each chunk's change split into covariate shift and concept drift."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from estimator.estimation.estimates import score_map
from estimator.estimation.reference import Reference
from estimator.frames.columns import not_none
from estimator.metrics.measurement import measure
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
    standard normal: ``residual_z``.
    """
    fitted: Reference = estimator.reference_
    groups = evaluation.groups
    shape = evaluation.estimated.value.shape
    expected = np.full((2, *shape), np.nan)
    if evaluation.reconciliation is not None:
        over_labeled = measure(
            fitted.metrics,
            groups.keep(~np.isnan(not_none(evaluation.columns.label))),
            rows_of_columns(
                evaluation.columns,
                evaluation.reconciliation.expected_labels(),
                estimator.decisions(evaluation.columns),
            ),
            error_cells=score_map(fitted, evaluation.columns.segments).error_cells,
        )
        expected[0] = over_labeled.value
        expected[1] = over_labeled.label_variance + over_labeled.calibration_variance
    scale = row_scale(fitted.metrics, groups.n_rows)
    chunks = evaluation.chunks
    distance = fitted.period.distances(chunks.start, chunks.end)[groups.chunk]
    of_labels = row_scale(fitted.metrics, evaluation.n_labels)
    reference = np.empty(shape)
    tau2 = np.empty(shape)
    for segment, rows in groups.by_segment():
        reference[rows] = _reference_value(fitted, segment) * scale[rows]
        drift = fitted.drift.get(segment, fitted.drift[""])
        tau2[rows] = drift.variance(distance[rows]) * of_labels[rows] ** 2
    value = (
        evaluation.estimated.value
        if evaluation.reconciled is None
        else evaluation.reconciled.value
    )
    residual = evaluation.realized.value - expected[0]
    error = np.sqrt(expected[1] + tau2)
    error[expected[1] == 0.0] = np.nan
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
        }
    )


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
