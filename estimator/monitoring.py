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

from calibration.tracking import FilteredChunks
from estimator.assembly import assemble_performance, compose_remarks, row_scale
from estimator.calibration_shift import log_odds_of, shift_frame
from estimator.chunking import Chunks
from estimator.delayed_labels.arrivals import end_of_step, places_of
from estimator.delayed_labels.overdue import (
    LabelCalendar,
    OverdueLabels,
    due_labels,
    has_stopped,
    is_unusual,
    last_usual_delivery,
)
from estimator.delayed_labels.reconciliation import (
    Evidence,
    Reconciliation,
    reconcile,
)
from estimator.delayed_labels.reference_delays import model_of_reference
from estimator.frames import Columns, required
from estimator.groups import Groups, group_rows
from estimator.label_free.confidence_based import Measurement, measure
from estimator.label_free.intervals import ShiftError
from estimator.performance_estimator import PerformanceEstimator
from estimator.reference import Reference
from estimator.results import Performance
from estimator.unlabelled import error_cells_of, estimate_groups, soft_labels_of

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


def take_stock(
    estimator: PerformanceEstimator,
    columns: Columns,
    chunks: Chunks,
    now: np.datetime64 | None,
    wanted: Sequence[int] | None = None,
    *,
    remarks: Sequence[str] = (),
    others: Evidence | None = None,
    position: NDArray[np.int64] | None = None,
    calendar: LabelCalendar | None = None,
    filtered: FilteredChunks | None = None,
) -> Knowledge:
    """Evaluate chunks with all that is known ``now``.

    Parameters
    ----------
    estimator : PerformanceEstimator
        Fitted; the chunks are all of those that it scored.
    columns, chunks : Columns, Chunks
        Rows in the order of their chunks, with the labels known by ``now``.
    now : datetime64 or None
        Until when labels have been looked for; None where nothing has a time.
    wanted : sequence of int, optional
        Which of the chunks to evaluate; the others only teach.
    remarks : sequence of str, optional
        What there is to say of each chunk's features.
    others, position
        Evidence of chunks that are not among these, and the place of these among all.
    calendar : LabelCalendar, optional
        When labels came. If hardly any have since some time, though many were due, the
        feed has stopped: what is known of waiting rows ends then, and not ``now``.
    filtered : FilteredChunks, optional
        As of `reconcile`.
    """
    fitted: Reference = estimator.reference_
    label = required(columns.label)
    frame = shift_frame(error_cells_of(fitted, columns.segments))
    reconciliation = None
    since = None if now is None else int(now.astype("M8[us]").astype(np.int64))
    if others is not None or not np.isnan(label).all():
        reconciled_at = partial(
            reconcile,
            columns,
            chunks,
            unlabelled=soft_labels_of(fitted, columns),
            frame=frame,
            learned=fitted.delays,
            others=others,
            position=position,
            filtered=filtered,
        )
        usual = None if calendar is None else last_usual_delivery(calendar)
        if calendar is not None and usual is not None and since is not None:
            silent = 1e-6 * (calendar.as_of - usual)
            if usual < since and is_unusual(silent, calendar, fitted.delays):
                then = reconciled_at(now=np.datetime64(usual, "us"))
                if then.delays.is_timed and has_stopped(
                    columns, then.soft, then.delays, calendar, usual, fitted.delays
                ):
                    reconciliation, since = then, usual
        if reconciliation is None:
            reconciliation = reconciled_at(now=now)
    if wanted is not None:
        chunks = chunks.select(np.asarray(wanted, dtype=np.int64))
        remarks = [remarks[c] for c in wanted] if remarks else ()
    delivered = group_rows(columns, chunks, fitted.performance.segments)
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
            error_cells=frame.cells,
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
            fitted, columns, groups, estimator.decisions(columns)
        ),
        reconciled=reconciled,
        realized=of_rows(groups=labeled, soft=label),
        reconciliation=reconciliation,
        remarks=tuple(remarks),
        calendar=calendar,
        since=since,
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
            groups.keep(~np.isnan(required(known.columns.label))),
            score=known.columns.score,
            soft=known.reconciliation.expected_labels(),
            decision=estimator.decisions(known.columns),
            error_cells=error_cells_of(fitted, known.columns.segments),
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


def arrivals_of(
    estimator: PerformanceEstimator, known: Knowledge, *, share: float = 0.95
) -> pd.DataFrame:
    """Say how many labels of each chunk have come, and when to expect the others.

    Ages count to the latest time known. Where labels have stopped, those that were due
    since are overdue.
    """
    chunks = known.chunks
    offsets = chunks.offsets
    columns, calendar = known.columns, known.calendar
    weight = columns.weight

    def per_chunk(values: NDArray[Any]) -> Floats:
        values = values if weight is None else values * weight
        total: Floats = np.concatenate([[0.0], np.cumsum(values, dtype=np.float64)])
        return total[offsets[1:]] - total[offsets[:-1]]

    sizes = known.delivered.n_rows[: len(chunks)]  # the first part: all rows
    n_labels = per_chunk(~np.isnan(required(columns.label))).astype(np.int64)
    expected_share = np.full(len(chunks), np.nan)
    expected = np.full(len(chunks), np.nan)
    overdue = np.zeros(len(chunks), dtype=np.int64)
    mature = np.full(len(chunks), np.datetime64("NaT"), dtype="M8[us]")
    fitted: Reference = estimator.reference_
    found = known.reconciliation
    if found is None:
        unlabelled = soft_labels_of(fitted, columns)
        log_odds = log_odds_of(unlabelled, np.asarray(columns.score, dtype=np.float64))
        delays, soft = model_of_reference(fitted.delays), expit(log_odds)
    else:
        delays, soft = found.delays, found.soft
    if delays is not None and delays.is_timed and calendar is not None:
        soft, rows = np.nan_to_num(soft), np.maximum(sizes, 1)
        as_of = np.datetime64(calendar.as_of, "us")
        place = places_of(columns, delays.bands, delays.column, delays.values, as_of)
        came = delays.arrived[:, place]
        chance = soft * came[1] + (1.0 - soft) * came[0]
        expected_share = per_chunk(chance) / rows
        since = None if found is None else known.since
        start = None if since is None else np.datetime64(since, "us")
        due = per_chunk(due_labels(columns, soft, delays, start, as_of))
        expected = np.rint(n_labels + due)
        if has_stopped(columns, soft, delays, calendar, since, fitted.delays):
            overdue = expected.astype(np.int64) - n_labels
        positive = per_chunk(soft) / rows
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


def overdue_labels(known: Knowledge, arrivals: pd.DataFrame) -> OverdueLabels | None:
    """Sum up which labels are overdue, None if none is; ``arrivals`` as just above."""
    lacking = arrivals[arrivals["overdue"] > 0]
    if known.calendar is None or lacking.empty:
        return None
    since = None if known.reconciliation is None else known.since
    return OverdueLabels(
        since=since,
        n_since=0 if since is None else round(known.calendar.n_after(since)),
        expected=int(lacking["expected"].sum()),
        missing=int(lacking["overdue"].sum()),
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
