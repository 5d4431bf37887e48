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
    estimator: PerformanceEstimator, known: ChunkEvaluation
) -> pd.DataFrame:
    r"""Say how much of each change labels alone show, and how sure that is.

    ``residual`` is the metric over the arrived rows less what was to be expected of
    just these rows, had the calibration held:
    :math:`q = p F_1 / (p F_1 + (1 - p) F_0)`, since rows whose label came early are a
    selection. Without a drift of the concept it is, over its standard error, about
    standard normal: ``residual_z``.
    """
    fitted: Reference = estimator.reference_
    groups = known.groups
    shape = known.estimated.value.shape
    expected = np.full((2, *shape), np.nan)
    if known.reconciliation is not None:
        found = measure(
            fitted.metrics,
            groups.keep(~np.isnan(not_none(known.columns.label))),
            rows_of_columns(
                known.columns,
                known.reconciliation.expected_labels(),
                estimator.decisions(known.columns),
            ),
            error_cells=score_map(fitted, known.columns.segments).error_cells,
        )
        expected[0] = found.value
        expected[1] = found.label_variance + found.calibration_variance
    scale = row_scale(fitted.metrics, groups.n_rows)
    of_labels = row_scale(fitted.metrics, known.n_labels)
    reference = np.empty(shape)
    tau2 = np.empty(shape)
    for segment, of in groups.by_segment():
        reference[of] = _reference_value(fitted, segment) * scale[of]
        tau2[of] = fitted.drift.get(segment, fitted.drift[""]) * of_labels[of] ** 2
    value = (
        known.estimated.value if known.reconciled is None else known.reconciled.value
    )
    residual = known.realized.value - expected[0]
    error = np.sqrt(expected[1] + tau2)
    error[expected[1] == 0.0] = np.nan
    k = len(fitted.metrics)
    chunk = groups.chunk
    return pd.DataFrame(
        {
            "segment": np.repeat(groups.segment, k),
            "chunk": np.repeat(known.chunks.label[chunk], k),
            "metric": [metric.name for metric in fitted.metrics] * len(chunk),
            "n_rows": np.repeat(groups.n_rows, k),
            "n_labels": np.repeat(known.n_labels, k),
            "reference": reference.ravel(),
            "estimated": known.estimated.value.ravel(),
            "value": value.ravel(),
            "covariate_shift": (known.estimated.value - reference).ravel(),
            "concept_drift": (value - known.estimated.value).ravel(),
            "residual": residual.ravel(),
            "residual_standard_error": error.ravel(),
            "residual_z": (residual / error).ravel(),
        }
    )


def _reference_value(fitted: Reference, segment: str) -> Floats:
    """Return the reference's realized metrics, sums over rows as means."""
    performance = fitted.performance
    of = (performance.segment == segment) & (performance.n_rows > 0)
    if not of.any():
        of = performance.segment == ""
    n_rows = performance.n_rows[of]
    value = performance.realized[of] / row_scale(fitted.metrics, n_rows)
    weight = np.where(np.isfinite(value), n_rows[:, None], 0.0)
    with np.errstate(invalid="ignore"):
        mean: Floats = np.nansum(value * weight, axis=0) / weight.sum(axis=0)
    return mean
