"""Rows that have no label yet: their soft labels, and the metrics these make.

What `PerformanceEstimator.estimate` and `Monitor` share.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from calibration import IdentityCalibrator
from estimator.chunking.chunks import Chunks
from estimator.chunking.segments import Groups, group_rows
from estimator.estimation.reference import Reference
from estimator.frames.columns import Columns, not_none
from estimator.frames.features import read_features
from estimator.label_free.adapted_measurement import measure_adapted
from estimator.label_free.segment_calibration import (
    Segments,
    shift_rows,
    shifted_soft_label,
    with_segment_errors,
)
from estimator.label_free.shift_adaptive import (
    AdaptedRows,
    RowSet,
    adapt_rows,
)
from estimator.metrics.calibration_shift import shift_frame
from estimator.metrics.error_cells import ErrorCells
from estimator.metrics.measurement import Measurement, measure
from estimator.metrics.rows import Decisions, rows_of_columns
from estimator.metrics.soft_labels import ShiftedSoftLabel, SoftLabel, soft_labels_at
from estimator.progress import Advance

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ScoreMap:
    """The map of the score, and of its shifts by segment, for the rows of one frame.

    Attributes
    ----------
    soft : callable or ShiftedSoftLabel
        What gives rows their soft labels if no feature is read.
    error_cells : ErrorCells
        The map's error.
    """

    soft: SoftLabel | ShiftedSoftLabel
    error_cells: ErrorCells

    def take(self, rows: NDArray[np.int64]) -> "ScoreMap":
        """Return what gives some of the rows their soft labels."""
        if not isinstance(self.soft, ShiftedSoftLabel):
            return self
        return replace(self, soft=replace(self.soft, slots=self.soft.slots[rows]))


def groups_of(
    fitted: Reference, columns: Columns, chunks: Chunks
) -> tuple[Groups, Groups]:
    """Return the rows of each segment of each chunk: all, and those with a score."""
    delivered = group_rows(
        columns,
        chunks,
        fitted.performance.segments,
        by_score=fitted.segments is not None,
    )
    if columns.missing_score + columns.missing_decision == 0:
        return delivered, delivered
    return delivered, delivered.keep(~np.isnan(columns.score))


def score_map(fitted: Reference, segments: Segments) -> ScoreMap:
    """Find which shift of the map each row of a frame has."""
    if fitted.segments is None:
        return ScoreMap(soft=fitted.calibrator.predict, error_cells=fitted.error_cells)
    rows = shift_rows(fitted.segments, segments)
    return ScoreMap(
        soft=shifted_soft_label(fitted.calibrator, fitted.segments, rows.slots),
        error_cells=with_segment_errors(fitted.error_cells, fitted.segments, rows),
    )


def adapt_columns(
    fitted: Reference,
    columns: Columns,
    plain: ScoreMap,
    features: Floats,
    chunks: Sequence[RowSet],
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
    adapted = adapt_scores(
        fitted, columns.score, plain, features, chunks, advance=advance
    )
    return replace(columns, adapted=adapted.soft_labels), adapted.remarks


def adapt_scores(
    fitted: Reference,
    score: NDArray[np.floating],
    plain: ScoreMap,
    features: Floats,
    chunks: Sequence[RowSet],
    *,
    advance: Advance | None = None,
) -> AdaptedRows:
    """Give rows the soft labels that score, segments and features make likely.

    Where segments have shifts of the map, what adapts starts from the shifted map: it
    takes its probabilities for scores that need no map.
    """
    adapter = not_none(fitted.adapter)
    calibrator = fitted.calibrator
    if fitted.segments is not None:
        usable = ~np.isnan(score)
        shifted = np.full(score.size, np.nan)
        if usable.any():
            shifted[usable] = soft_labels_at(plain.soft, score, usable)
        score, calibrator = shifted, IdentityCalibrator()
    return adapt_rows(adapter, calibrator, score, features, chunks, advance=advance)


def features_of(fitted: Reference, frame: object, *, name: str) -> Floats:
    """Read the features that the adapter wants; no column where there is none."""
    if fitted.adapter is None:
        return np.empty((0, 0))
    return read_features(fitted.adapter.table, frame, name=name)


def soft_labels_of(
    fitted: Reference, columns: Columns, plain: ScoreMap
) -> SoftLabel | ShiftedSoftLabel | Floats:
    """Return P(y = 1) of rows without a label: by features, else by the score."""
    if fitted.adapter is None or columns.adapted is None:
        return plain.soft
    by_features = columns.adapted.calibrated
    unread = np.isnan(by_features) & ~np.isnan(columns.score)
    if not unread.any():
        return by_features
    filled = by_features.copy()
    filled[unread] = soft_labels_at(plain.soft, columns.score, unread)
    return filled


def estimate_groups(
    fitted: Reference,
    columns: Columns,
    plain: ScoreMap,
    groups: Groups,
    decisions: Decisions,
    *,
    advance: Advance | None = None,
) -> Measurement:
    """Estimate the metrics of each group as if no label had come.

    Parameters
    ----------
    fitted : Reference
        What was learned from the reference.
    columns : Columns
        Rows of the frame, with their soft labels by features where any were read.
    plain : ScoreMap
        Map of the score for these rows.
    groups : Groups
        Which rows belong to which chunk of which segment.
    decisions : Decisions
        How each row is decided.
    advance : callable, optional
        Called with the number of rows whenever some are done.
    """
    soft = soft_labels_of(fitted, columns, plain)
    rows = rows_of_columns(columns, plain.soft, decisions)
    if not isinstance(soft, np.ndarray) or fitted.adapter is None:
        return measure(
            fitted.metrics,
            groups,
            rows,
            error_cells=plain.error_cells,
            advance=advance,
        )
    return measure_adapted(
        fitted.metrics,
        groups,
        rows,
        adapted=replace(not_none(columns.adapted), calibrated=soft),
        relative_error=fitted.adapter.relative_error,
        error_cells=plain.error_cells,
        frame=shift_frame(plain.error_cells),
        advance=advance,
    )
