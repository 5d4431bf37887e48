"""How many labels of each chunk have come, and which are overdue."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import expit

from estimator.delayed_labels.overdue import (
    OverdueLabels,
    WaitingRows,
    due_labels,
    has_stopped,
)
from estimator.delayed_labels.reference_delays import model_of_reference
from estimator.delayed_labels.strata.delay_cells import delay_cells_of, end_of_step
from estimator.estimation.estimates import score_map, soft_labels_of
from estimator.estimation.reference import Reference
from estimator.frames.columns import not_none
from estimator.metrics.calibration_shift import log_odds_of
from estimator.monitoring.evaluation import ChunkEvaluation
from estimator.performance_estimator import PerformanceEstimator

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LabelArrival:
    """How many labels have come, and are overdue.

    Attributes
    ----------
    by_chunk : DataFrame
        Table as `Monitor.label_arrival` gives it; empty if only overdue labels were
        asked for and there are none.
    overdue : OverdueLabels or None
        Overdue labels of all chunks; None if no label is, or nobody can know.
    is_known : bool
        Whether it is known how many labels to expect.
    """

    by_chunk: pd.DataFrame
    overdue: OverdueLabels | None
    is_known: bool


def arrivals_of(
    evaluated: Sequence[tuple[PerformanceEstimator, ChunkEvaluation]],
    *,
    share: float = 0.95,
    only_overdue: bool = False,
) -> LabelArrival:
    """Say how many labels of each chunk have come, and when to expect the others.

    Ages count to the latest time known. Where labels have stopped, those that were due
    since are overdue.

    Parameters
    ----------
    evaluated : sequence of (PerformanceEstimator, ChunkEvaluation)
        All estimators, with what is known of their chunks.
    share : float, default=0.95
        Share of the labels that come at all: at ``mature_at`` a chunk's last row has
        had its label with this chance.
    only_overdue : bool, default=False
        Whether chunks matter only if any lacks labels that are overdue.
    """
    waiting = [
        _waiting_rows(estimator, evaluation) for estimator, evaluation in evaluated
    ]
    stopped = _find_stopped([evaluation for _, evaluation in evaluated], waiting)
    is_known = any(rows is not None for rows in waiting)
    if only_overdue and not any(stopped):
        return LabelArrival(by_chunk=pd.DataFrame(), overdue=None, is_known=is_known)
    tables = [
        _arrivals_by_chunk(evaluation, rows, share=share, is_dead=dead)
        for (_, evaluation), rows, dead in zip(evaluated, waiting, stopped, strict=True)
    ]
    return LabelArrival(
        by_chunk=pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(),
        overdue=_sum_up([evaluation for _, evaluation in evaluated], tables),
        is_known=is_known,
    )


def _sum_up(
    evaluations: Sequence[ChunkEvaluation], tables: Sequence[pd.DataFrame]
) -> OverdueLabels | None:
    """Return which labels of all estimators are overdue, None if none is."""
    since = calendar = None
    expected = missing = 0
    for one, table in zip(evaluations, tables, strict=True):
        lacking = table[table["overdue"] > 0]
        if lacking.empty:
            continue
        expected += int(lacking["expected"].sum())
        missing += int(lacking["overdue"].sum())
        if one.reconciliation is not None:  # the same for all that have labels
            since, calendar = one.since, one.calendar
    if not missing:
        return None
    n_since = 0 if since is None else round(not_none(calendar).n_after(since))
    return OverdueLabels(
        since=since, n_since=n_since, expected=expected, missing=missing
    )


def _waiting_rows(
    estimator: PerformanceEstimator, evaluation: ChunkEvaluation
) -> WaitingRows | None:
    """Return what is known of rows that wait; None if not how long labels take."""
    fitted: Reference = estimator.reference_
    columns, made = evaluation.columns, evaluation.reconciliation
    if made is None:
        plain = score_map(fitted, columns.segments)
        unlabelled = soft_labels_of(fitted, columns, plain)
        log_odds = log_odds_of(unlabelled, np.asarray(columns.score, dtype=np.float64))
        delays, soft = model_of_reference(fitted.delays), expit(log_odds)
    else:
        delays, soft = made.delays, made.soft
    if delays is None or not delays.is_timed or evaluation.calendar is None:
        return None
    return WaitingRows(
        columns=columns, soft=np.nan_to_num(soft), delays=delays, learned=fitted.delays
    )


def _find_stopped(
    evaluations: Sequence[ChunkEvaluation], waiting: Sequence[WaitingRows | None]
) -> list[bool]:
    """Say of each estimator whether its labels have stopped.

    Those of which labels have come are judged together, since the calendar counts the
    labels of all. Of the others no label has ever come.
    """
    both = list(zip(evaluations, waiting, strict=True))
    labeled = [(k, rows) for k, rows in both if rows and k.reconciliation is not None]
    together = bool(labeled) and has_stopped(
        [rows for _, rows in labeled],
        not_none(labeled[0][0].calendar),
        labeled[0][0].since,
    )
    return [
        rows is not None
        and (
            has_stopped([rows], not_none(k.calendar), None)
            if k.reconciliation is None
            else together
        )
        for k, rows in both
    ]


def _arrivals_by_chunk(
    evaluation: ChunkEvaluation,
    rows: WaitingRows | None,
    *,
    share: float,
    is_dead: bool,
) -> pd.DataFrame:
    chunks = evaluation.chunks
    offsets = chunks.offsets
    columns, calendar = evaluation.columns, evaluation.calendar
    weight = columns.weight

    def per_chunk(values: np.ndarray) -> Floats:
        values = values if weight is None else values * weight
        total: Floats = np.concatenate([[0.0], np.cumsum(values, dtype=np.float64)])
        return total[offsets[1:]] - total[offsets[:-1]]

    sizes = evaluation.delivered.n_rows[: len(chunks)]  # the first part: all rows
    n_labels = per_chunk(~np.isnan(not_none(columns.label))).astype(np.int64)
    expected_share = np.full(len(chunks), np.nan)
    expected = np.full(len(chunks), np.nan)
    overdue = np.zeros(len(chunks), dtype=np.int64)
    mature = np.full(len(chunks), np.datetime64("NaT"), dtype="M8[us]")
    if rows is not None:
        delays, soft, n_rows = rows.delays, rows.soft, np.maximum(sizes, 1)
        as_of = np.datetime64(not_none(calendar).as_of, "us")
        cell = delay_cells_of(
            columns, delays.bands, delays.column, delays.values, as_of
        )
        came = delays.arrived[:, cell]
        chance = soft * came[1] + (1.0 - soft) * came[0]
        expected_share = per_chunk(chance) / n_rows
        since = None if evaluation.reconciliation is None else evaluation.since
        start = None if since is None else np.datetime64(since, "us")
        due = per_chunk(due_labels(columns, soft, delays, start, as_of))
        expected = np.rint(n_labels + due)
        if is_dead:
            overdue = expected.astype(np.int64) - n_labels
        positive = per_chunk(soft) / n_rows
        by_age = -np.expm1(-delays.hazard).mean(axis=1)
        for c in np.flatnonzero(sizes).tolist():
            mix = positive[c] * by_age[1] + (1.0 - positive[c]) * by_age[0]
            step = int(np.searchsorted(mix, share * mix[-1]))
            wait = np.timedelta64(int(np.ceil(end_of_step(step))), "s")
            mature[c] = chunks.end[c] + wait
    mature_at = pd.DatetimeIndex(mature)
    if chunks.timezone is not None:
        mature_at = mature_at.tz_localize("UTC").tz_convert(chunks.timezone)
    return pd.DataFrame(
        {
            "chunk": chunks.label,
            "n_rows": sizes,
            "n_labels": n_labels,
            "share": n_labels / np.maximum(sizes, 1),
            "expected_share": expected_share,
            "expected": expected,
            "overdue": overdue,
            "mature_at": mature_at,
        }
    )
