"""From measurements to a result: value, intervals, thresholds, alerts and notes."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from estimator.chunking.chunks import Chunks
from estimator.chunking.groups import Groups
from estimator.frames.columns import Columns
from estimator.metrics.intervals import interval
from estimator.metrics.measurement import Measurement
from estimator.metrics.registry import Metric
from estimator.results.performance import Performance
from estimator.results.thresholds import Thresholds, breach_probability

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


def assemble_performance(
    metrics: tuple[Metric, ...],
    period: Literal["reference", "analysis"],
    level: float,
    chunks: Chunks,
    groups: Groups,
    *,
    estimated: Measurement,
    realized: Measurement | None,
    reconciled: Measurement | None = None,
    n_labels: NDArray[np.int64],
    thresholds: Mapping[str, Thresholds],
    drift: Mapping[str, Floats],
    remarks: Remarks,
) -> Performance:
    """Put together what is known of each group: value, intervals, thresholds, notes.

    The reference is labelled: its value is the realized one, whose prediction interval
    has width 0, or that of what counting in cells leaves open. In the analysis period
    the value is the reconciled one where labels have been reconciled, else the
    estimate.
    """
    n_rows = groups.n_rows
    shape = estimated.value.shape
    scale = row_scale(metrics, n_rows)
    tau2, low, high = np.empty(shape), np.empty(shape), np.empty(shape)
    for segment, of in groups.by_segment():
        tau2[of] = drift.get(segment, drift[""]) * scale[of] ** 2
        rules = thresholds.get(segment)
        if rules is None:
            for g in range(of.start, of.stop):
                remarks[g].append("segment is not in the reference")
            low[of], high[of] = np.nan, np.nan
        else:
            low[of], high[of] = rules.at(n_rows[of])
    if period == "reference" and realized is not None:
        at, tau2 = realized, np.zeros(shape)  # labels owe nothing to the calibration
    elif reconciled is not None:
        at, tau2 = reconciled, np.zeros(shape)  # the tracked shift stands for drift
    else:
        at = estimated
    if at is not realized:
        share = estimated.outside / np.maximum(n_rows, 1)
        told = (n_labels == n_rows) & (reconciled is not None)
        for g in np.flatnonzero((share > EXTRAPOLATED) & ~told).tolist():
            remarks[g].append(
                f"extrapolated: {share[g]:.1%} of the scores lie beyond the reference's"
            )
    hidden = at.calibration_variance + at.shift_variance + tau2
    unknown = at.label_variance + hidden
    population = at.sampling_variance + hidden
    lower, upper = interval(at.value, unknown, metrics, level, at.order_error)
    expected_lower, expected_upper = interval(
        at.value, population, metrics, level, at.order_error
    )
    breach = breach_probability(metrics, at.value, population, low, high)
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
        n_labels=n_labels,
        value=at.value,
        lower=lower,
        upper=upper,
        expected_lower=expected_lower,
        expected_upper=expected_upper,
        standard_error=np.sqrt(at.sampling_variance + at.shift_variance),
        calibration_error=np.sqrt(at.calibration_variance),
        estimated=estimated.value,
        realized=np.full(shape, np.nan) if realized is None else realized.value,
        lower_threshold=low,
        upper_threshold=high,
        breach_probability=breach,
        alert=(breach >= 0.5) & complete[:, None],
        note=_notes(remarks, reconciled or estimated, realized, n_labels),
    )


def _notes(
    remarks: Remarks,
    stated: Measurement,
    realized: Measurement | None,
    n_labels: NDArray[np.int64],
) -> NDArray[np.object_]:
    notes = np.full(stated.value.shape, "", dtype=object)
    for g, texts in remarks.items():
        notes[g] = "; ".join(texts)
    said = [("undefined", stated.reason)]
    if realized is not None:
        differs = (realized.reason != stated.reason) & (n_labels > 0)[:, None]
        said.append(("realized undefined", np.where(differs, realized.reason, "")))
    for what, reason in said:
        for g, k in np.argwhere(reason != ""):
            known = f"{notes[g, k]}; " if notes[g, k] else ""
            notes[g, k] = f"{known}{what}: {reason[g, k]}"
    return notes


def concatenate_periods(reference: Performance, analysis: Performance) -> Performance:
    """Join two periods: by segment, the reference before the analysis."""
    order: slice | NDArray[np.intp] = slice(None)
    if len(analysis.segments) > 1:
        segments = {name: i for i, name in enumerate(analysis.segments)}
        place = [segments[name] for name in (*reference.segment, *analysis.segment)]
        order = np.argsort(place, kind="stable")
    joined: dict[str, Any] = {
        "metrics": analysis.metrics,
        "level": analysis.level,
        "timezone": analysis.timezone,
    }
    for field in fields(Performance):
        if field.name not in joined:
            both = getattr(reference, field.name), getattr(analysis, field.name)
            joined[field.name] = np.concatenate(both)[order]
    return Performance(**joined)
