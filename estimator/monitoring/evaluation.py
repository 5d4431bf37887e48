"""What a monitor knows of its chunks: estimated, reconciled and realized, side by side.

One estimator's chunks at a time. The same kernels run over the same rows with other
soft labels: calibrated probabilities, posteriors, arrived labels.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import expit

from calibration.shifts.filtering import FilteredChunks
from estimator.chunking.chunks import Chunks
from estimator.chunking.groups import Groups, group_rows
from estimator.delayed_labels.arrivals import end_of_step, places_of
from estimator.delayed_labels.overdue import (
    LabelCalendar,
    OverdueLabels,
    WaitingRows,
    due_labels,
    has_stopped,
    is_unusual,
    usual_deliveries,
)
from estimator.delayed_labels.reconciliation import Evidence, Reconciliation, reconcile
from estimator.delayed_labels.reference_delays import model_of_reference
from estimator.estimation.estimates import estimate_groups, score_map, soft_labels_of
from estimator.estimation.reference import Reference
from estimator.frames.columns import Columns, not_none
from estimator.metrics.calibration_shift import log_odds_of, shift_frame
from estimator.metrics.intervals import ShiftError
from estimator.metrics.measurement import Measurement, measure
from estimator.performance_estimator import PerformanceEstimator
from estimator.results.assembly import assemble_performance, compose_remarks, row_scale
from estimator.results.performance import Performance

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Knowledge:
    """What is known of some chunks at one moment; one row of everything per group.

    Attributes
    ----------
    columns, chunks : Columns, Chunks
        The rows in the order of their chunks, with the labels known by then.
    delivered, groups : Groups
        Rows by (segment, chunk): all, and those with a usable score.
    n_labels : ndarray of shape (n_groups,)
    estimated, reconciled, realized : Measurement
        ``reconciled`` is None as long as no label has come.
    reconciliation : Reconciliation or None
    remarks : tuple of str
        What there is to say of each chunk's features.
    calendar : LabelCalendar or None
        When labels came; None where nothing has a time.
    since : int or None
        Until when labels have come as usual, or have been looked for; microseconds
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


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ScoredRows:
    """The chunks that one estimator has scored.

    Attributes
    ----------
    estimator : PerformanceEstimator
        Fitted; the chunks are all of those that it scored.
    columns, chunks : Columns, Chunks
        Rows in the order of their chunks, with the labels known.
    others : Evidence or None
        Evidence of chunks that are not among these.
    position : ndarray of int64, or None
        Place of these chunks among all.
    filtered : FilteredChunks or None
        As of `reconcile`.
    """

    estimator: PerformanceEstimator
    columns: Columns
    chunks: Chunks
    others: Evidence | None = None
    position: NDArray[np.int64] | None = None
    filtered: FilteredChunks | None = None

    @property
    def has_labels(self) -> bool:
        """Whether any label has come."""
        label = not_none(self.columns.label)
        return self.others is not None or not bool(np.isnan(label).all())

    def reconcile(self, now: np.datetime64 | None) -> Reconciliation:
        """Give every row its soft label, given all labels that have come by ``now``."""
        fitted: Reference = self.estimator.reference_
        plain = score_map(fitted, self.columns.segments)
        return reconcile(
            self.columns,
            self.chunks,
            now=now,
            unlabelled=soft_labels_of(fitted, self.columns, plain),
            frame=shift_frame(plain.error_cells),
            learned=fitted.delays,
            others=self.others,
            position=self.position,
            filtered=self.filtered,
        )


def end_of_usual_labels(
    scored: Sequence[ScoredRows],
    now: np.datetime64 | None,
    calendar: LabelCalendar | None,
) -> tuple[np.datetime64 | None, list[Reconciliation | None]]:
    """Return until when the rows without a label are known to have waited.

    If hardly any label has come since some time, though many were due, the feed has
    stopped: what is known of waiting rows ends then, and not ``now``.

    Parameters
    ----------
    scored : sequence of ScoredRows
        Of all estimators: their labels come by the same feed.
    now : datetime64[us] or None
        Until when labels have been looked for; None where nothing has a time.
    calendar : LabelCalendar or None
        When labels came; without, nobody can say whether they have stopped.

    Returns
    -------
    moment : datetime64[us] or None
    reconciled : list of Reconciliation or None
        At that moment, for each of ``scored``; None where it was not needed.
    """
    nothing: list[Reconciliation | None] = [None] * len(scored)
    if now is None or calendar is None:
        return now, nothing
    learned = [rows.estimator.reference_.delays for rows in scored if rows.has_labels]
    for usual in usual_deliveries(calendar):
        then = np.datetime64(usual, "us")
        if then >= now or not is_unusual(calendar, usual, learned):
            continue
        reconciled = [
            rows.reconcile(then) if rows.has_labels else None for rows in scored
        ]
        waiting = [
            WaitingRows(
                columns=rows.columns,
                soft=made.soft,
                delays=made.delays,
                learned=rows.estimator.reference_.delays,
            )
            for rows, made in zip(scored, reconciled, strict=True)
            if made is not None and made.delays.is_timed
        ]
        if has_stopped(waiting, calendar, usual):
            return then, reconciled
    return now, nothing


def take_stock(
    scored: ScoredRows,
    now: np.datetime64 | None,
    wanted: Sequence[int] | None = None,
    *,
    remarks: Sequence[str] = (),
    calendar: LabelCalendar | None = None,
    reconciliation: Reconciliation | None = None,
) -> Knowledge:
    """Evaluate chunks with all that is known ``now``.

    Parameters
    ----------
    scored : ScoredRows
    now : datetime64 or None
        Until when labels have come as usual, or have been looked for; None where
        nothing has a time.
    wanted : sequence of int, optional
        Which of the chunks to evaluate; the others only teach.
    remarks : sequence of str, optional
        What there is to say of each chunk's features.
    calendar : LabelCalendar, optional
        When labels came.
    reconciliation : Reconciliation, optional
        At that moment, if it has been made before.
    """
    estimator, columns, chunks = scored.estimator, scored.columns, scored.chunks
    fitted: Reference = estimator.reference_
    label = not_none(columns.label)
    if reconciliation is None and scored.has_labels:
        reconciliation = scored.reconcile(now)
    if wanted is not None:
        chunks = chunks.select(np.asarray(wanted, dtype=np.int64))
        remarks = [remarks[c] for c in wanted] if remarks else ()
    delivered = group_rows(
        columns,
        chunks,
        fitted.performance.segments,
        by_score=fitted.segments is not None,
    )
    unusable = columns.missing_score + columns.missing_decision > 0
    groups = delivered.keep(~np.isnan(columns.score)) if unusable else delivered
    labeled = groups.keep(~np.isnan(label))
    of_rows = partial(
        measure,
        fitted.metrics,
        score=columns.score,
        decision=estimator.decisions(columns),
    )
    reconciled = None
    if reconciliation is not None:
        at = np.arange(len(chunks)) if wanted is None else np.asarray(wanted)
        chunk = at[groups.chunk]
        reconciled = of_rows(
            groups=groups,
            soft=reconciliation.soft,
            error_cells=reconciliation.frame.cells,
            shift=ShiftError(
                covariance=reconciliation.shift.covariance[chunk],
                slope=reconciliation.slope[chunk],
            ),
        )
    return Knowledge(
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
        realized=of_rows(groups=labeled, soft=label),
        reconciliation=reconciliation,
        remarks=tuple(remarks),
        calendar=calendar,
        since=None if now is None else int(now.astype("M8[us]").astype(np.int64)),
    )


def performance_of(
    estimator: PerformanceEstimator, known: Knowledge, *, earlier: bool = False
) -> Performance:
    """Put together the performance of the analysis chunks.

    ``earlier`` marks chunks from before a retraining.
    """
    fitted: Reference = estimator.reference_
    remarks = compose_remarks(
        known.columns, known.chunks, known.delivered, known.groups, known.remarks
    )
    if earlier:
        for g in range(len(known.groups.chunk)):
            remarks[g].append("before the rebase")
    return assemble_performance(
        fitted.metrics,
        "analysis",
        float(estimator.level),
        known.chunks,
        known.groups,
        estimated=known.estimated,
        realized=known.realized,
        reconciled=known.reconciled,
        n_labels=known.n_labels,
        thresholds=fitted.thresholds,
        drift=fitted.drift,
        remarks=remarks,
    )


def attribution_of(estimator: PerformanceEstimator, known: Knowledge) -> pd.DataFrame:
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
            score=known.columns.score,
            soft=known.reconciliation.expected_labels(),
            decision=estimator.decisions(known.columns),
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


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LabelArrival:
    """How many labels have come, and are overdue.

    Attributes
    ----------
    by_chunk : DataFrame
        As `Monitor.label_arrival` gives it; empty if only overdue labels were asked
        for and there are none.
    overdue : OverdueLabels or None
        None if no label is, or nobody can know.
    is_known : bool
        Whether it is known how many labels to expect.
    """

    by_chunk: pd.DataFrame
    overdue: OverdueLabels | None
    is_known: bool


def arrivals_of(
    evaluated: Sequence[tuple[PerformanceEstimator, Knowledge]],
    *,
    share: float = 0.95,
    only_overdue: bool = False,
) -> LabelArrival:
    """Say how many labels of each chunk have come, and when to expect the others.

    Ages count to the latest time known. Where labels have stopped, those that were due
    since are overdue.

    Parameters
    ----------
    evaluated : sequence of (PerformanceEstimator, Knowledge)
        All estimators, with what is known of their chunks.
    share : float, default=0.95
        Of the labels that come at all: at ``mature_at`` a chunk's last row has had its
        label with this chance.
    only_overdue : bool, default=False
        Whether chunks matter only if any lacks labels that are overdue.
    """
    waiting = [_waiting_rows(estimator, known) for estimator, known in evaluated]
    stopped = _find_stopped([known for _, known in evaluated], waiting)
    is_known = any(rows is not None for rows in waiting)
    if only_overdue and not any(stopped):
        return LabelArrival(by_chunk=pd.DataFrame(), overdue=None, is_known=is_known)
    tables = [
        _arrivals_by_chunk(known, rows, share=share, is_dead=dead)
        for (_, known), rows, dead in zip(evaluated, waiting, stopped, strict=True)
    ]
    return LabelArrival(
        by_chunk=pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(),
        overdue=_sum_up([known for _, known in evaluated], tables),
        is_known=is_known,
    )


def _sum_up(
    known: Sequence[Knowledge], tables: Sequence[pd.DataFrame]
) -> OverdueLabels | None:
    """Return which labels of all estimators are overdue, None if none is."""
    since = calendar = None
    expected = missing = 0
    for one, table in zip(known, tables, strict=True):
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
    estimator: PerformanceEstimator, known: Knowledge
) -> WaitingRows | None:
    """Return what is known of rows that wait; None if not how long labels take."""
    fitted: Reference = estimator.reference_
    columns, made = known.columns, known.reconciliation
    if made is None:
        plain = score_map(fitted, columns.segments)
        unlabelled = soft_labels_of(fitted, columns, plain)
        log_odds = log_odds_of(unlabelled, np.asarray(columns.score, dtype=np.float64))
        delays, soft = model_of_reference(fitted.delays), expit(log_odds)
    else:
        delays, soft = made.delays, made.soft
    if delays is None or not delays.is_timed or known.calendar is None:
        return None
    return WaitingRows(
        columns=columns, soft=np.nan_to_num(soft), delays=delays, learned=fitted.delays
    )


def _find_stopped(
    known: Sequence[Knowledge], waiting: Sequence[WaitingRows | None]
) -> list[bool]:
    """Say of each estimator whether its labels have stopped.

    Those of which labels have come are judged together, since the calendar counts the
    labels of all. Of the others no label has ever come.
    """
    both = list(zip(known, waiting, strict=True))
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
    known: Knowledge, rows: WaitingRows | None, *, share: float, is_dead: bool
) -> pd.DataFrame:
    chunks = known.chunks
    offsets = chunks.offsets
    columns, calendar = known.columns, known.calendar
    weight = columns.weight

    def per_chunk(values: NDArray[Any]) -> Floats:
        values = values if weight is None else values * weight
        total: Floats = np.concatenate([[0.0], np.cumsum(values, dtype=np.float64)])
        return total[offsets[1:]] - total[offsets[:-1]]

    sizes = known.delivered.n_rows[: len(chunks)]  # the first part: all rows
    n_labels = per_chunk(~np.isnan(not_none(columns.label))).astype(np.int64)
    expected_share = np.full(len(chunks), np.nan)
    expected = np.full(len(chunks), np.nan)
    overdue = np.zeros(len(chunks), dtype=np.int64)
    mature = np.full(len(chunks), np.datetime64("NaT"), dtype="M8[us]")
    if rows is not None:
        delays, soft, n_rows = rows.delays, rows.soft, np.maximum(sizes, 1)
        as_of = np.datetime64(not_none(calendar).as_of, "us")
        place = places_of(columns, delays.bands, delays.column, delays.values, as_of)
        came = delays.arrived[:, place]
        chance = soft * came[1] + (1.0 - soft) * came[0]
        expected_share = per_chunk(chance) / n_rows
        since = None if known.reconciliation is None else known.since
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
