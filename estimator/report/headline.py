"""What stands on top: the worst that is known of a model, in one sentence."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final, Literal

import numpy as np

from estimator.charts.formats import chunk_label
from estimator.charts.newest_chunk import newest_chunk
from estimator.degradation.verdict import Degradation, certainty_text, event_text
from estimator.metric_series import SeriesTable

Tone = Literal["bad", "watch", "good", "none"]
Verdicts = Mapping[str, Mapping[str, Degradation]]

TONES: Final[tuple[Tone, ...]] = ("none", "good", "watch", "bad")
# Said beside the colour, for those who do not see it.
TONE_WORDS: Final[dict[Tone, str]] = {
    "bad": "Declined",
    "watch": "To watch",
    "good": "Stable",
    "none": "No verdict",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Headline:
    """The sentence on top.

    Attributes
    ----------
    tone : {"bad", "watch", "good", "none"}
        Worse than it was; has been, or a segment is, or the newest complete chunk
        alarms; none of it; nothing to judge by.
    text : str
    details : tuple of str
        What else the reader must know.
    metric : str
        The metric that it is about, "" if all.
    """

    tone: Tone
    text: str
    details: tuple[str, ...] = ()
    metric: str = ""


def severity(verdict: Degradation) -> tuple[int, float]:
    """Rank a verdict: 2 if worse now, 1 if it has been, 0; then by size.

    The size is in typical standard errors, which makes metrics comparable.
    """
    if verdict.kind == "stable":
        return 0, 0.0
    error = verdict.standard_errors[np.isfinite(verdict.standard_errors)]
    typical = float(np.median(error)) if error.size else 0.0
    has_size = np.isfinite(verdict.magnitude) and typical > 0.0
    size = abs(verdict.magnitude) / typical if has_size else 0.0
    return 1 + bool(verdict.affected[-1]), float(size)


def tone_of(verdict: Degradation | None) -> Tone:
    """Return the tone of one verdict."""
    if verdict is None:
        return "none"
    return ("good", "watch", "bad")[severity(verdict)[0]]


def newest_alerts(performance: SeriesTable) -> tuple[str, ...]:
    """Return the metrics that alarm in the newest complete chunk, over all rows."""
    newest = newest_chunk(performance)
    series = performance.metric_series(segment="")[""]
    return tuple(
        metric
        for metric, one in series.items()
        if (one.alert & one.in_analysis & (one.chunk == newest)).any()
    )


def is_trusted(performance: SeriesTable) -> bool:
    """Whether the newest complete chunk, over all rows, has any trust."""
    newest = newest_chunk(performance)
    series = performance.metric_series(segment="")[""]
    return not any(
        ((one.trust == "none") & one.in_analysis & (one.chunk == newest)).any()
        for one in series.values()
    )


def compose_headline(performance: SeriesTable, verdicts: Verdicts) -> Headline:
    """Say the worst that is known of a model; first, if nothing can be known now.

    Parameters
    ----------
    performance : Performance
    verdicts : mapping of str to mapping of str to Degradation
        By segment ("" is all rows), by metric; may be empty.
    """
    headline = _worst_known(performance, verdicts)
    if is_trusted(performance):
        return headline
    newest = chunk_label(newest_chunk(performance))
    text = (
        f"No trust in the newest complete chunk, {newest}: do not act on its estimate"
    )
    tone: Tone = headline.tone if headline.tone == "bad" else "watch"
    details = (headline.text, *headline.details)
    return replace(headline, tone=tone, text=text, details=details)


def _worst_known(performance: SeriesTable, verdicts: Verdicts) -> Headline:
    """Say the worst that is known of a model.

    Parameters
    ----------
    performance : Performance
    verdicts : mapping of str to mapping of str to Degradation
        By segment ("" is all rows), by metric; may be empty.
    """
    overall = performance.segment == ""
    analysis = np.flatnonzero(overall & (performance.period == "analysis"))
    if not analysis.size:
        n = int(overall.sum())
        text = f"No chunk to judge yet, after {n} of the reference"
        return Headline(tone="none", text=text)
    alarming = newest_alerts(performance)
    label = newest_chunk(performance)
    if label is None:
        begun = chunk_label(performance.chunk[analysis[-1]])
        text = f"No complete chunk to judge yet: the only one, {begun}, has but begun"
        return Headline(tone="none", text=text)
    newest = f"the newest complete chunk, {chunk_label(label)}"
    alerts = f"Alert in {newest}: {_listed(alarming)}"
    overall_verdicts = verdicts.get("", {})
    if not overall_verdicts:
        if alarming:
            return Headline(tone="watch", text=alerts)
        return Headline(tone="none", text=f"No alert in {newest}")
    metric, worst = max(overall_verdicts.items(), key=lambda item: severity(item[1]))
    tone = tone_of(worst)
    details = []
    if tone == "good":
        least = min(overall_verdicts.values(), key=lambda verdict: verdict.probability)
        if len(overall_verdicts) == 1:
            text = event_text(least)
            details.append(certainty_text(least))
        else:
            every = (
                "Both" if len(overall_verdicts) == 2 else f"All {len(overall_verdicts)}"
            )
            text, metric = f"{every} metrics are stable", ""
            details.append(f"the least sure, {least.metric}: {certainty_text(least)}")
        if alarming:
            tone = "watch"
            details.append(alerts)
    else:
        text = event_text(worst)
        details.append(certainty_text(worst))
    segment = _worst_segment(verdicts)
    if segment and tone != "bad":  # else it is one of many that fell
        tone = "watch"
        details.append(segment)
    return Headline(tone=tone, text=text, details=tuple(details), metric=metric)


def _worst_segment(verdicts: Verdicts) -> str:
    """Say the worst of the segments, "" if none is worse than it was."""
    ranked = [
        (severity(verdict), segment, verdict)
        for segment, by_metric in verdicts.items()
        for verdict in by_metric.values()
        if segment
    ]
    if not ranked:
        return ""
    (rank, _), segment, verdict = max(ranked, key=lambda item: item[0])
    return f"worst segment, {segment}: {verdict}" if rank == 2 else ""


def _listed(names: tuple[str, ...]) -> str:
    return ", ".join(names)
