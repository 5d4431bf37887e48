"""Chunks of one estimator evaluated: estimated, reconciled and realized, side by side.

The same kernels run over the same rows with other soft labels: calibrated
probabilities, posteriors, arrived labels.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from estimator.chunking.chunks import Chunks
from estimator.chunking.segments import Groups
from estimator.delayed_labels.overdue import (
    LabelCalendar,
)
from estimator.delayed_labels.reconciliation import Reconciliation
from estimator.estimation.estimates import estimate_groups, groups_of, score_map
from estimator.estimation.reference import Reference
from estimator.frames.columns import Columns, not_none
from estimator.metrics.intervals import ShiftError
from estimator.metrics.measurement import Measurement, measure
from estimator.metrics.rows import rows_of_columns
from estimator.monitoring.scored_rows import ScoredRows
from estimator.performance_estimator import PerformanceEstimator
from estimator.results.assembly import (
    Measured,
    ResultRules,
    assemble_performance,
    compose_remarks,
)
from estimator.results.performance import Performance


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ChunkEvaluation:
    """What is known of some chunks at one moment; one row of everything per group.

    Attributes
    ----------
    columns, chunks : Columns, Chunks
        The rows in the order of their chunks, with the labels known by then.
    delivered, groups : Groups
        Rows by (segment, chunk): all, and those with a usable score.
    n_labels : ndarray of shape (n_groups,)
        Labels that had come by then.
    estimated, reconciled, realized : Measurement
        Metrics without any label, with all that have come, and over labelled rows
        alone; ``reconciled`` is None as long as no label has come.
    reconciliation : Reconciliation or None
        Soft labels, shift and delays; None as long as no label has come.
    remarks : tuple of str
        What there is to say of each chunk's features.
    calendar : LabelCalendar or None
        All labels by the hour in which they came; None where nothing has a time.
    since : int or None
        Moment until which labels have come as usual, or been looked for; microseconds
        since 1970.
    """

    columns: Columns
    chunks: Chunks
    delivered: Groups
    groups: Groups
    n_labels: NDArray[np.int64]
    estimated: Measurement
    reconciled: Measurement | None
    realized: Measurement
    reconciliation: Reconciliation | None
    remarks: tuple[str, ...] = ()
    calendar: LabelCalendar | None = None
    since: int | None = None


def evaluate_chunks(
    scored: ScoredRows,
    now: np.datetime64 | None,
    wanted: Sequence[int] | None = None,
    *,
    remarks: Sequence[str] = (),
    calendar: LabelCalendar | None = None,
    reconciliation: Reconciliation | None = None,
) -> ChunkEvaluation:
    """Evaluate chunks with all that is known ``now``.

    Parameters
    ----------
    scored : ScoredRows
        Rows of one estimator.
    now : datetime64 or None
        Until when labels have come as usual, or have been looked for; None where
        nothing has a time.
    wanted : sequence of int, optional
        Positions of the chunks to evaluate; of the others only the labels teach.
    remarks : sequence of str, optional
        What there is to say of each chunk's features.
    calendar : LabelCalendar, optional
        All labels by the hour in which they came.
    reconciliation : Reconciliation, optional
        Reconciliation at that moment, if it has been made before.
    """
    estimator, columns, chunks = scored.estimator, scored.columns, scored.chunks
    fitted: Reference = estimator.reference_
    label = not_none(columns.label)
    if reconciliation is None and scored.has_labels:
        reconciliation = scored.reconcile(now)
    if wanted is not None:
        chunks = chunks.select(np.asarray(wanted, dtype=np.int64))
        remarks = [remarks[c] for c in wanted] if remarks else ()
    delivered, groups = groups_of(fitted, columns, chunks)
    labeled = groups.keep(~np.isnan(label))
    labeled_rows = rows_of_columns(columns, label, estimator.decisions(columns))
    reconciled = None
    if reconciliation is not None:
        position = np.arange(len(chunks)) if wanted is None else np.asarray(wanted)
        chunk = position[groups.chunk]
        reconciled = measure(
            fitted.metrics,
            groups,
            replace(labeled_rows, soft=reconciliation.soft),
            error_cells=reconciliation.frame.cells,
            shift=ShiftError(
                covariance=reconciliation.shift.covariance[chunk],
                slope=reconciliation.slope[chunk],
            ),
        )
    return ChunkEvaluation(
        columns=columns,
        chunks=chunks,
        delivered=delivered,
        groups=groups,
        n_labels=labeled.n_rows,
        estimated=estimate_groups(
            fitted,
            columns,
            score_map(fitted, columns.segments),
            groups,
            estimator.decisions(columns),
        ),
        reconciled=reconciled,
        realized=measure(fitted.metrics, labeled, labeled_rows),
        reconciliation=reconciliation,
        remarks=tuple(remarks),
        calendar=calendar,
        since=None if now is None else int(now.astype("M8[us]").astype(np.int64)),
    )


def performance_of(
    estimator: PerformanceEstimator,
    evaluation: ChunkEvaluation,
    *,
    earlier: bool = False,
) -> Performance:
    """Put together the performance of the analysis chunks.

    ``earlier`` marks chunks from before a retraining.
    """
    fitted: Reference = estimator.reference_
    remarks = compose_remarks(
        evaluation.columns,
        evaluation.chunks,
        evaluation.delivered,
        evaluation.groups,
        evaluation.remarks,
    )
    if earlier:
        for g in range(len(evaluation.groups.chunk)):
            remarks[g].append("before the rebase")
    return assemble_performance(
        "analysis",
        evaluation.chunks,
        evaluation.groups,
        Measured(
            estimated=evaluation.estimated,
            realized=evaluation.realized,
            reconciled=evaluation.reconciled,
            n_labels=evaluation.n_labels,
        ),
        ResultRules(
            metrics=fitted.metrics,
            level=float(estimator.level),
            thresholds=fitted.thresholds,
            drift=fitted.drift,
            period=fitted.period,
            scores=fitted.scores,
        ),
        remarks,
    )
