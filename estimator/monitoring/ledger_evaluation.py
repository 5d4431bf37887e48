"""Chunks of a ledger evaluated, each with the estimator that owns it."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from estimator.delayed_labels.completed_chunks import (
    CompletedChunks,
    complete_chunks,
    reopen_chunks,
)
from estimator.delayed_labels.evidence import no_evidence
from estimator.delayed_labels.overdue import LabelCalendar
from estimator.frames.columns import not_none
from estimator.ledger.label_hours import LabelHours
from estimator.ledger.ledger import Ledger
from estimator.ledger.snapshot import Snapshot, part_of_snapshot, take_snapshot
from estimator.monitoring.deployments import Deployment, chunk_spec_of, slices_of
from estimator.monitoring.evaluation import evaluate_chunks
from estimator.monitoring.joined_results import Evaluations
from estimator.monitoring.scored_rows import ScoredRows, end_of_usual_labels


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LedgerEvaluation:
    """What a ledger's chunks show, and what need not be read again.

    Attributes
    ----------
    evaluations : list of (Deployment, ChunkEvaluation)
        Each deployment that has chunks, the earliest first.
    completed : dict of int to CompletedChunks
        By position of the deployment, its chunks whose labels are all in.
    """

    evaluations: Evaluations
    completed: Mapping[int, CompletedChunks]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _DeploymentRows:
    """The rows of one deployment in a snapshot.

    Attributes
    ----------
    position : int
        Position of the deployment among all.
    deployment : Deployment
        The deployment.
    chunks : slice
        Its chunks in the snapshot.
    rows : ScoredRows
        Their rows, with what is kept of its other chunks.
    """

    position: int
    deployment: Deployment
    chunks: slice
    rows: ScoredRows


def evaluate_ledger(
    ledger: Ledger,
    deployments: Sequence[Deployment],
    completed: Mapping[int, CompletedChunks],
    as_of: int | None = None,
    touched: Sequence[int] | None = None,
) -> LedgerEvaluation:
    """Evaluate all chunks of a ledger (or the touched ones).

    Parameters
    ----------
    ledger : Ledger
        All rows and labels.
    deployments : sequence of Deployment
        All deployments, the earliest first.
    completed : dict of int to CompletedChunks
        By position of the deployment, chunks that need not be read again. They are
        left alone where only touched chunks are evaluated.
    as_of : int, optional
        Time up to which rows and labels count, in microseconds since 1970; None:
        all.
    touched : sequence of int, optional
        Serial numbers of the chunks to evaluate; None: all.
    """
    if touched is not None and not touched:
        return LedgerEvaluation(evaluations=[], completed=completed)
    newest = deployments[-1].estimator
    left_alone = completed if as_of is None and touched is not None else {}
    only = _chunks_to_read(len(ledger.chunks), left_alone, touched)
    snapshot = take_snapshot(ledger, chunk_spec_of(newest), as_of, only)
    hours = ledger.hours_until(as_of)
    horizon = ledger.horizon(hours, as_of)
    now = None if horizon is None else np.datetime64(horizon, "us")
    calendar = None
    if newest.timestamp is not None:
        calendar = _calendar(ledger, hours, as_of)
    parts = _rows_by_deployment(snapshot, deployments, left_alone)
    until, reconciled = end_of_usual_labels([p.rows for p in parts], now, calendar)
    evaluations = []
    completed_since = dict(completed)
    for part, reconciliation in zip(parts, reconciled, strict=True):
        wanted = None
        if touched is not None:
            serial = snapshot.serial[part.chunks]
            wanted = np.flatnonzero(np.isin(serial, touched)).tolist()
            if not wanted:
                continue
        evaluation = evaluate_chunks(
            part.rows,
            until,
            wanted,
            remarks=snapshot.remarks[part.chunks],
            calendar=calendar,
            reconciliation=reconciliation,
        )
        evaluations.append((part.deployment, evaluation))
        if as_of is None:
            after = complete_chunks(
                completed.get(part.position),
                ledger,
                snapshot,
                part.chunks,
                evaluation.reconciliation,
                part.deployment.estimator.reference_.delays.bands,
            )
            if after is not None:
                completed_since[part.position] = after
    return LedgerEvaluation(evaluations=evaluations, completed=completed_since)


def reopen_touched(
    ledger: Ledger,
    deployments: Sequence[Deployment],
    completed: Mapping[int, CompletedChunks],
    touched: Collection[int],
) -> dict[int, CompletedChunks]:
    """Return what remains completed once some chunks get further rows or labels.

    Parameters
    ----------
    ledger : Ledger
        All rows and labels as they were before.
    deployments : sequence of Deployment
        All deployments, the earliest first.
    completed : dict of int to CompletedChunks
        By position of the deployment, its completed chunks.
    touched : collection of int
        Serial numbers of the chunks.
    """
    remaining = dict(completed)
    for i, chunks in completed.items():
        again = [
            serial
            for serial in touched
            if serial < chunks.serials.size and chunks.serials[serial]
        ]
        if again:
            spec = chunk_spec_of(deployments[-1].estimator)
            before = take_snapshot(ledger, spec, None, again)
            bands = deployments[i].estimator.reference_.delays.bands
            remaining[i] = reopen_chunks(chunks, before, again, bands)
    return remaining


def _chunks_to_read(
    n_chunks: int,
    left_alone: Mapping[int, CompletedChunks],
    touched: Sequence[int] | None,
) -> set[int] | None:
    """Return the serial numbers of the chunks whose rows are needed; None: all."""
    if not left_alone:
        return None
    is_left_alone = np.zeros(n_chunks, dtype=np.bool_)
    for chunks in left_alone.values():
        is_left_alone[: chunks.serials.size] |= chunks.serials
    return {*np.flatnonzero(~is_left_alone).tolist(), *(touched or ())}


def _calendar(
    ledger: Ledger, hours: LabelHours, as_of: int | None
) -> LabelCalendar | None:
    latest = ledger.latest if as_of is None else as_of
    return None if latest is None else LabelCalendar(as_of=latest, hours=hours)


def _rows_by_deployment(
    snapshot: Snapshot,
    deployments: Sequence[Deployment],
    left_alone: Mapping[int, CompletedChunks],
) -> list[_DeploymentRows]:
    """Return the rows of each deployment that has any chunk in the snapshot."""
    chunks_read = slices_of(deployments, snapshot.chunks.label.tolist())
    chunks_among_all = slices_of(deployments, snapshot.labels)
    parts = []
    for i, (deployment, chunks, among_all) in enumerate(
        zip(deployments, chunks_read, chunks_among_all, strict=True)
    ):
        if chunks.start < chunks.stop:
            rows = _scored_rows(
                deployment,
                snapshot,
                chunks,
                among_all,
                left_alone.get(i),
                is_whole=not left_alone,
            )
            parts.append(
                _DeploymentRows(
                    position=i, deployment=deployment, chunks=chunks, rows=rows
                )
            )
    return parts


def _scored_rows(
    deployment: Deployment,
    snapshot: Snapshot,
    which: slice,
    among_all: slice,
    completed: CompletedChunks | None,
    *,
    is_whole: bool,
) -> ScoredRows:
    """Return a deployment's rows, with what is kept of those that are left out.

    Parameters
    ----------
    deployment : Deployment
    snapshot : Snapshot
    which, among_all : slice
        The deployment's chunks: in the snapshot, and among all.
    completed : CompletedChunks or None
        Those of its chunks that may be left out.
    is_whole : bool
        Whether the snapshot has all chunks of all deployments.
    """
    columns, chunks = part_of_snapshot(snapshot, which)
    others = None
    position = snapshot.position[which] - among_all.start
    if completed is not None:
        others = completed.evidence(snapshot, among_all, position)
    elif not is_whole and not np.isnan(not_none(columns.label)).all():
        # None of its chunks is left out, but empty periods may be.
        others = no_evidence(among_all.stop - among_all.start, position)
    return ScoredRows(
        estimator=deployment.estimator, columns=columns, chunks=chunks, others=others
    )
