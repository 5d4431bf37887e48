"""From measurements to a result: value, intervals, thresholds, alerts and notes."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from estimator.chunking.chunks import Chunks
from estimator.chunking.segments import Groups
from estimator.frames.columns import Columns
from estimator.metrics.intervals import interval
from estimator.metrics.measurement import Measurement
from estimator.metrics.registry import Metric
from estimator.results.performance import Performance
from estimator.results.score_spread import ReferenceScores
from estimator.results.thresholds import Thresholds, breach_probability
from estimator.results.trust import (
    GOOD,
    Support,
    Trust,
    full_trust,
    judge_trust,
    remark_of,
)
from estimator.results.unseen_drift import SETTINGS, Drift, ReferencePeriod

Floats = NDArray[np.float64]
Remarks = defaultdict[int, list[str]]  # by group; most have none

# The share of scores outside the reference's .001 to .999 quantiles (where .002 are
# expected) from which a chunk is called extrapolated.
EXTRAPOLATED = 0.01


def row_scale(metrics: tuple[Metric, ...], n_rows: NDArray[np.int64]) -> Floats:
    """Return what brings a metric to one row: n for a sum over rows, else 1."""
    n = np.maximum(n_rows, 1).astype(np.float64)
    one = np.ones_like(n)
    return np.stack([n if metric.extensive else one for metric in metrics], axis=1)


def compose_remarks(
    columns: Columns,
    chunks: Chunks,
    delivered: Groups,
    kept: Groups,
    adapted: Sequence[str] = (),
) -> Remarks:
    """Say of each group what it lacks: rows to be complete, scores, labels.

    ``adapted`` is what there is to say of each chunk's features.
    """
    remarks: Remarks = defaultdict(list)
    for g, c in enumerate(kept.chunk.tolist() if any(adapted) else ()):
        if adapted[c]:
            remarks[g].append(adapted[c])
    sizes = delivered.n_rows  # of all rows by chunk, then of segments
    for g in np.flatnonzero(~chunks.complete[kept.chunk]).tolist():
        remarks[g].append(f"incomplete: {sizes[kept.chunk[g]]} of {chunks.asked} rows")
    if delivered is kept:
        return remarks
    left_out = delivered.n_rows - kept.n_rows
    without_score = delivered.n_rows - delivered.keep(~np.isnan(columns.score)).n_rows
    what = "score" if columns.decision is None else "score or decision"
    for g in np.flatnonzero(left_out).tolist():
        for count, lacking in (
            (without_score[g], what),
            (left_out[g] - without_score[g], "label"),
        ):
            if count:
                rows = "row" if count == 1 else "rows"
                remarks[g].append(f"{count} {rows} left out: no {lacking}")
    return remarks


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Measured:
    """What was measured of each group: arrays have one row per group.

    Attributes
    ----------
    estimated : Measurement
        Metrics as estimated without labels.
    realized : Measurement or None
        Metrics of the rows that have a label; None without labels.
    n_labels : ndarray of int64 of shape (n_groups,)
        Number of rows that have a label.
    reconciled : Measurement or None
        Estimate that the labels which have come correct; None without these.
    """

    estimated: Measurement
    realized: Measurement | None
    n_labels: NDArray[np.int64]
    reconciled: Measurement | None = None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ResultRules:
    """What makes values of measurements: whatever the reference sets.

    Attributes
    ----------
    metrics : tuple of Metric
        Metrics that were measured.
    level : float
        Coverage of the intervals, in (0, 1).
    thresholds : mapping of str to Thresholds
        Thresholds by segment.
    drift : mapping of str to Drift
        tau² by segment.
    period : ReferencePeriod
        When the reference was: chunks have their age from its end.
    scores : ReferenceScores or None
        How the reference's scores are spread; None where that is not known.
    """

    metrics: tuple[Metric, ...]
    level: float
    thresholds: Mapping[str, Thresholds]
    drift: Mapping[str, Drift]
    period: ReferencePeriod
    scores: ReferenceScores | None = None


def assemble_performance(
    period: Literal["reference", "analysis"],
    chunks: Chunks,
    groups: Groups,
    measured: Measured,
    rules: ResultRules,
    remarks: Remarks,
) -> Performance:
    """Put together what is known of each group: value, intervals, thresholds, notes.

    The reference is labelled: its value is the realized one, whose prediction interval
    has width 0, or that of what counting in cells leaves open. In the analysis period
    the value is the reconciled one where labels have been reconciled, else the
    estimate.

    Parameters
    ----------
    period : {"reference", "analysis"}
        Which period the groups are of.
    chunks : Chunks
        Chunks of the period.
    groups : Groups
        Which of its rows belong to which chunk of which segment.
    measured : Measured
        What was measured of each group.
    rules : ResultRules
        Level, thresholds and drift.
    remarks : dict of list of str by number of the group
        Remarks on each group; more are added.
    """
    metrics, level, n_rows = rules.metrics, rules.level, groups.n_rows
    estimated, realized = measured.estimated, measured.realized
    age = rules.period.ages(chunks.start, chunks.end)[groups.chunk]
    low, high = _limits(rules, groups, remarks)
    tau2, later_drift = _drift(rules, groups, age)
    value, is_realized = estimated, False
    if period == "reference" and realized is not None:
        value, is_realized = realized, True
        tau2 = np.zeros(tau2.shape)  # labels owe nothing to the calibration
    elif measured.reconciled is not None:
        value = measured.reconciled
        tau2 = np.zeros(tau2.shape)  # the tracked shift stands for drift
    hidden = value.calibration_variance + value.shift_variance + tau2
    trust = full_trust(*hidden.shape)
    if not is_realized:
        _remark_extrapolation(measured, n_rows, remarks)
        variance = value.label_variance + hidden
        trust = _judge(rules, groups, measured, variance, later_drift, remarks)
    hidden = hidden + trust.variance
    unknown = value.label_variance + hidden
    population = value.sampling_variance + hidden
    lower, upper = interval(value.value, unknown, metrics, level, value.order_error)
    expected_lower, expected_upper = interval(
        value.value, population, metrics, level, value.order_error
    )
    breach = breach_probability(metrics, value.value, population, low, high)
    complete = chunks.complete[groups.chunk]
    return Performance(
        metrics=tuple(metric.name for metric in metrics),
        level=level,
        segment=groups.segment,
        period=np.full(len(n_rows), period, dtype=object),
        chunk=chunks.label[groups.chunk],
        start=chunks.start[groups.chunk],
        end=chunks.end[groups.chunk],
        timezone=None if chunks.timezone is None else str(chunks.timezone),
        n_rows=n_rows,
        n_labels=measured.n_labels,
        value=value.value,
        lower=lower,
        upper=upper,
        expected_lower=expected_lower,
        expected_upper=expected_upper,
        standard_error=np.sqrt(value.sampling_variance + value.shift_variance),
        calibration_error=np.sqrt(value.calibration_variance),
        estimated=estimated.value,
        realized=np.full(tau2.shape, np.nan) if realized is None else realized.value,
        lower_threshold=low,
        upper_threshold=high,
        breach_probability=breach,
        alert=(breach >= 0.5) & complete[:, None],
        trust=np.repeat(trust.level[:, None], len(metrics), axis=1),
        note=_notes(remarks, measured),
    )


def _drift(rules: ResultRules, groups: Groups, age: Floats) -> tuple[Floats, Floats]:
    """Return tau² of each group, and what it would have grown by since.

    Parameters
    ----------
    rules : ResultRules
        Drift by segment.
    groups : Groups
        Which rows belong to which chunk of which segment.
    age : ndarray of shape (n_groups,)
        Time from the reference to each group, in lengths of the reference.

    Returns
    -------
    tau2, later : ndarray of shape (n_groups, n_metrics)
        As far as the reference can judge, and beyond its ``SETTINGS.oldest_age``.
    """
    scale = row_scale(rules.metrics, groups.n_rows)
    tau2, later = np.empty(scale.shape), np.empty(scale.shape)
    distance = np.minimum(age, SETTINGS.oldest_age) + rules.period.head_start
    over = np.maximum(age - SETTINGS.oldest_age, 0.0)
    for segment, part in groups.by_segment():
        drift = rules.drift.get(segment, rules.drift[""])
        tau2[part] = drift.variance(distance[part]) * scale[part] ** 2
        later[part] = drift.rate * over[part, None] * scale[part] ** 2
    return tau2, later


def _judge(
    rules: ResultRules,
    groups: Groups,
    measured: Measured,
    variance: Floats,
    later_drift: Floats,
    remarks: Remarks,
) -> Trust:
    """Say how far each group's value can be trusted, and remark on it.

    Parameters
    ----------
    rules : ResultRules
        What the reference sets.
    groups : Groups
        Which rows belong to which chunk of which segment.
    measured : Measured
        What was measured of each group.
    variance : ndarray of shape (n_groups, n_metrics)
        Variance of the prediction interval as it stands.
    later_drift : ndarray of shape (n_groups, n_metrics)
        What drift without labels has added since the reference can judge it.
    remarks : dict of list of str by number of the group
        Remarks on each group; more are added.
    """
    value, later = measured.estimated, later_drift
    open_share = np.ones(groups.n_rows.size)
    if measured.reconciled is not None:
        value, later = measured.reconciled, np.zeros_like(later)  # labels track it
        open_share -= measured.n_labels / np.maximum(groups.n_rows, 1)
    trust = judge_trust(
        rules.metrics,
        value,
        measured.estimated,
        Support(
            segment=groups.segment,
            n_rows=groups.n_rows,
            open_share=open_share,
            variance=variance,
            later_drift=later,
        ),
        rules.scores,
    )
    for g in np.flatnonzero(trust.level != GOOD).tolist():
        remarks[g].append(remark_of(trust.level[g], trust.reason[g]))
    return trust


def _limits(
    rules: ResultRules, groups: Groups, remarks: Remarks
) -> tuple[Floats, Floats]:
    """Return both thresholds of each group; remark on segments without.

    Parameters
    ----------
    rules : ResultRules
        Thresholds by segment.
    groups : Groups
        Which rows belong to which chunk of which segment.
    remarks : dict of list of str by number of the group
        Remarks on each group; more are added.

    Returns
    -------
    low, high : ndarray of shape (n_groups, n_metrics)
        NaN where there is none.
    """
    n_rows = groups.n_rows
    low, high = (np.empty((n_rows.size, len(rules.metrics))) for _ in range(2))
    for segment, part in groups.by_segment():
        thresholds = rules.thresholds.get(segment)
        if thresholds is None:
            for g in range(part.start, part.stop):
                remarks[g].append("segment is not in the reference")
            low[part], high[part] = np.nan, np.nan
        else:
            low[part], high[part] = thresholds.at(n_rows[part])
    return low, high


def _remark_extrapolation(
    measured: Measured, n_rows: NDArray[np.int64], remarks: Remarks
) -> None:
    """Remark on groups with many scores beyond the reference's."""
    share = measured.estimated.outside / np.maximum(n_rows, 1)
    is_labelled = (measured.n_labels == n_rows) & (measured.reconciled is not None)
    for g in np.flatnonzero((share > EXTRAPOLATED) & ~is_labelled).tolist():
        remarks[g].append(
            f"extrapolated: {share[g]:.1%} of the scores lie beyond the reference's"
        )


def _notes(remarks: Remarks, measured: Measured) -> NDArray[np.object_]:
    realized = measured.realized
    estimated = measured.reconciled or measured.estimated
    notes = np.full(estimated.value.shape, "", dtype=object)
    for g, texts in remarks.items():
        notes[g] = "; ".join(texts)
    reasons = [("undefined", estimated.reason)]
    if realized is not None:
        differs = realized.reason != estimated.reason
        differs &= (measured.n_labels > 0)[:, None]
        reasons.append(("realized undefined", np.where(differs, realized.reason, "")))
    for what, reason in reasons:
        for g, k in np.argwhere(reason != ""):
            before = f"{notes[g, k]}; " if notes[g, k] else ""
            notes[g, k] = f"{before}{what}: {reason[g, k]}"
    return notes


def concatenate_periods(reference: Performance, analysis: Performance) -> Performance:
    """Join two periods: by segment, the reference before the analysis."""
    order: slice | NDArray[np.intp] = slice(None)
    if len(analysis.segments) > 1:
        segments = {name: i for i, name in enumerate(analysis.segments)}
        rank = [segments[name] for name in (*reference.segment, *analysis.segment)]
        order = np.argsort(rank, kind="stable")
    joined: dict[str, np.ndarray] = {}
    for field in fields(Performance):
        if field.name not in ("metrics", "level", "timezone"):
            both = getattr(reference, field.name), getattr(analysis, field.name)
            joined[field.name] = np.concatenate(both)[order]
    return Performance(
        metrics=analysis.metrics,
        level=analysis.level,
        timezone=analysis.timezone,
        **joined,
    )
