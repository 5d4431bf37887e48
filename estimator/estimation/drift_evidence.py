"""What the reference says of drift: its chunks, by maps that have not seen them."""

from collections.abc import Callable
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from calibration.cross_fitting import blocked_folds
from estimator.chunking.chunks import Chunks, make_chunks
from estimator.chunking.segments import Groups, group_rows
from estimator.estimation.fitted_map import N_FOLDS, LabelledRows
from estimator.frames.columns import Columns
from estimator.metrics.error_cells import ErrorCells
from estimator.metrics.measurement import Measurement, measure
from estimator.metrics.registry import Metric
from estimator.metrics.rows import Rows
from estimator.results.assembly import row_scale
from estimator.results.score_spread import (
    ReferenceScores,
    learn_reference_scores,
)
from estimator.results.unseen_drift import (
    Drift,
    DriftEvidence,
    ReferencePeriod,
    learn_drift,
    period_of,
    walk_distance,
)

Floats = NDArray[np.float64]

# tau² needs several chunks; a reference of fewer is cut into this many for it, if
# their own noise leaves anything to see.
DRIFT_CHUNKS = 10
MIN_DRIFT_ROWS = 1_000


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class HeldOutEstimates:
    """How the reference is estimated by maps that have not seen its labels.

    Attributes
    ----------
    cross_fitted : callable
        Takes groups of the frame's rows, returns their metrics by maps of other folds.
    ahead : callable
        The same by maps of the first half of the reference.
    has_ahead : ndarray of bool of shape (n_frame,)
        Rows that these maps have not seen.
    cells : ErrorCells
        Cells of the score by which both count rows.
    """

    cross_fitted: Callable[[Groups], Measurement]
    ahead: Callable[[Groups], Measurement]
    has_ahead: NDArray[np.bool_]
    cells: ErrorCells


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class JudgedGroups:
    """Estimates of groups of rows by maps that have not seen them, and the truth.

    Attributes
    ----------
    groups : Groups
        Which rows belong to which chunk of which segment.
    estimated, realized : Measurement
        Their metrics.
    """

    groups: Groups
    estimated: Measurement
    realized: Measurement


def learn_reference_drift(
    columns: Columns,
    chunks: Chunks,
    labelled: LabelledRows,
    judged: JudgedGroups,
    estimates: HeldOutEstimates,
    rows: Rows,
    metrics: tuple[Metric, ...],
) -> tuple[ReferencePeriod, dict[str, Drift], ReferenceScores]:
    """Learn tau² of each segment and metric from chunks no map has seen.

    And how far the scores of these chunks are from those of the others.

    Parameters
    ----------
    columns, chunks : Columns, Chunks
        The reference.
    labelled : LabelledRows
        Its rows to learn from.
    judged : JudgedGroups
        Its chunks by cross-fitted maps.
    estimates : HeldOutEstimates
        How other groups are estimated.
    rows : Rows
        The rows of the frame with their labels.
    metrics : tuple of Metric
        Metrics that were measured.

    Returns
    -------
    period : ReferencePeriod
        When the rows of the reference were.
    drift : dict of Drift
        By segment.
    scores : ReferenceScores
        How the reference's scores are spread.
    """
    n = labelled.in_time.size
    if len(chunks) < N_FOLDS and n >= DRIFT_CHUNKS * MIN_DRIFT_ROWS:
        size = n // DRIFT_CHUNKS
        finer = make_chunks(columns.n_rows, size, columns.timestamp, columns.timezone)
        groups = group_rows(columns, finer).keep(labelled.usable)
        judged = JudgedGroups(
            groups=groups,
            estimated=estimates.cross_fitted(groups),
            realized=measure(metrics, groups, rows),
        )
    later = judged.groups.keep(estimates.has_ahead)
    ahead = JudgedGroups(
        groups=later,
        estimated=estimates.ahead(later),
        realized=measure(metrics, later, rows),
    )
    period, between, beyond = _measure_distances(columns, labelled)
    # Rows that are judged twice count half each time.
    weight = np.where(estimates.has_ahead, 0.5, 1.0)
    both = [
        _gather_evidence(judged, metrics, N_FOLDS / (N_FOLDS - 1), between, weight),
        _gather_evidence(ahead, metrics, 2.0, beyond, weight),
    ]
    drift = {
        segment: learn_drift(_join_evidence([_take(one, part) for one in both]))
        for segment, part in judged.groups.by_segment()
    }
    scores = learn_reference_scores(
        estimates.cells,
        judged.groups.by_segment(),
        judged.estimated.cell_rows,
        ahead.estimated.cell_rows,
    )
    return period, drift, scores


def _measure_distances(
    columns: Columns, labelled: LabelledRows
) -> tuple[ReferencePeriod, Floats, Floats]:
    """Measure how far each row is from those of the maps that estimate it.

    Returns
    -------
    period : ReferencePeriod
        When the rows of the reference were.
    between, beyond : ndarray of shape (n_frame,)
        How far a random walk has gone from the other folds' rows to each row, and from
        those of the first half to each of the second; as of `walk_distance`.
    """
    in_time = labelled.in_time
    n = in_time.size
    time = None if columns.timestamp is None else columns.timestamp[in_time]
    period, position = period_of(time, n)
    between, beyond = np.zeros(columns.n_rows), np.zeros(columns.n_rows)
    for start, stop in blocked_folds(n, N_FOLDS):
        others = np.delete(position, np.s_[start:stop])
        between[in_time[start:stop]] = walk_distance(position[start:stop], others)
    half = n // 2
    beyond[in_time[half:]] = walk_distance(position[half:], position[:half])
    return period, between, beyond


def _gather_evidence(
    judged: JudgedGroups,
    metrics: tuple[Metric, ...],
    fewer_rows: float,
    distance: Floats,
    weight: Floats,
) -> DriftEvidence:
    """Return what groups say of drift.

    Parameters
    ----------
    judged : JudgedGroups
        Groups with their metrics.
    metrics : tuple of Metric
        Metrics that were measured.
    fewer_rows : float
        Rows of the whole map over those of the maps behind the estimates.
    distance, weight : ndarray of shape (n_frame,)
        As of `DriftEvidence`, by row.
    """
    groups, estimated = judged.groups, judged.estimated
    scale = row_scale(metrics, groups.n_rows)
    variance = estimated.label_variance + fewer_rows * estimated.calibration_variance
    return DriftEvidence(
        residual=(estimated.value - judged.realized.value) / scale,
        variance=variance / scale**2,
        n_rows=groups.n_rows,
        distance=groups.mean(distance),
        weight=groups.mean(weight),
    )


def _take(evidence: DriftEvidence, part: slice) -> DriftEvidence:
    """Return the evidence of some groups."""
    return DriftEvidence(
        **{
            field.name: getattr(evidence, field.name)[part]
            for field in fields(evidence)
        }
    )


def _join_evidence(parts: list[DriftEvidence]) -> DriftEvidence:
    return DriftEvidence(
        **{
            field.name: np.concatenate([getattr(part, field.name) for part in parts])
            for field in fields(DriftEvidence)
        }
    )
