"""Rows that have no label yet: their soft labels, and the metrics these make.

What `PerformanceEstimator.estimate` and `Monitor` share.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from estimator.calibration_shift import shift_frame
from estimator.features import read_features
from estimator.frames import Columns, required
from estimator.groups import Groups
from estimator.label_free.confidence_based import Measurement, measure
from estimator.label_free.shift_adaptive import (
    AdaptedRows,
    Rows,
    adapt_rows,
    measure_adapted,
)
from estimator.reference import Reference
from estimator.soft_labels import Advance, SoftLabel

Floats = NDArray[np.float64]


def adapt_columns(
    fitted: Reference,
    columns: Columns,
    features: Floats,
    chunks: Sequence[Rows],
    *,
    advance: Advance | None = None,
) -> tuple[Columns, tuple[str, ...]]:
    """Give rows the soft labels that their features make likely.

    Returns
    -------
    columns : Columns
    remarks : tuple of str
        Of each chunk.
    """
    if fitted.adapter is None:
        return columns, ("",) * len(chunks)
    found: AdaptedRows = adapt_rows(
        fitted.adapter,
        fitted.calibrator,
        columns.score,
        features,
        chunks,
        advance=advance,
    )
    known = replace(
        columns,
        calibrated=found.calibrated,
        inflation=found.inflation,
        outside=found.outside,
    )
    return known, found.remarks


def features_of(fitted: Reference, frame: Any, *, name: str) -> Floats:
    """Read the features that the adapter wants; no column where there is none."""
    if fitted.adapter is None:
        return np.empty((0, 0))
    return read_features(fitted.adapter.table, frame, name=name)


def soft_labels_of(fitted: Reference, columns: Columns) -> SoftLabel | Floats:
    """Return P(y = 1) of rows without a label: by features, else by the score."""
    if fitted.adapter is None or columns.calibrated is None:
        return fitted.calibrator.predict
    unread = np.isnan(columns.calibrated) & ~np.isnan(columns.score)
    if not unread.any():
        return columns.calibrated
    filled = columns.calibrated.copy()
    filled[unread] = fitted.calibrator.predict(columns.score[unread])
    return filled


def estimate_groups(
    fitted: Reference,
    columns: Columns,
    groups: Groups,
    decision: NDArray[np.bool_] | float,
    *,
    advance: Advance | None = None,
) -> Measurement:
    """Estimate the metrics of each group as if no label had come."""
    soft = soft_labels_of(fitted, columns)
    if callable(soft) or fitted.adapter is None:
        return measure(
            fitted.metrics,
            groups,
            score=columns.score,
            soft=soft,
            decision=decision,
            error_cells=fitted.error_cells,
            advance=advance,
        )
    return measure_adapted(
        fitted.metrics,
        groups,
        score=columns.score,
        adapted=AdaptedRows(
            calibrated=soft,
            inflation=required(columns.inflation),
            outside=required(columns.outside),
            remarks=(),
        ),
        plain=fitted.calibrator.predict,
        relative_error=fitted.adapter.relative_error,
        decision=decision,
        error_cells=fitted.error_cells,
        frame=shift_frame(fitted.error_cells),
        advance=advance,
    )
