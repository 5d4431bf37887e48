"""The page that someone reads in the morning: one file, no request, no library."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from html import escape
from typing import Final
from urllib.parse import urlsplit

import numpy as np

from estimator.charts.formats import (
    MISSING,
    chunk_label,
    name_html,
    number_text,
    prose_html,
)
from estimator.charts.newest_chunk import newest_chunk
from estimator.degradation.verdict import Degradation, certainty_text, change_text
from estimator.files.atomic import replacing
from estimator.metric_series import SeriesTable
from estimator.report.document import page_html
from estimator.report.figures import (
    MARKS,
    chart_id,
    figures_html,
    key_html,
    multiples_html,
)
from estimator.report.headline import (
    TONE_WORDS,
    TONES,
    Headline,
    compose_headline,
    newest_alerts,
    severity,
    tone_of,
)
from estimator.report.page_charts import SYMBOLS, sparkline_svg
from estimator.report.script import SCRIPT
from estimator.report.table import (
    Numbers,
    newest_text,
    notes_html,
    read_numbers,
    table_html,
)

_ON_INDEX: Final = 3  # metrics of each model


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What a page shows.

    Attributes
    ----------
    title : str
        The model's name.
    performance : Performance
        Reference and analysis, of all rows and, if there are any, of segments.
    verdicts : mapping of str to mapping of str to Degradation
        By segment ("" is all rows), by metric; may be empty.
    as_of : str or None
        Up to when labels and rows count, as text.
    remarks : sequence of str, default=()
        What is wrong beside the metrics, such as labels that have stopped.
    """

    title: str
    performance: SeriesTable
    verdicts: Mapping[str, Mapping[str, Degradation]]
    as_of: str | None
    remarks: Sequence[str] = ()

    def __post_init__(self) -> None:
        if not np.any(self.performance.segment == ""):
            msg = (
                '`performance` must have chunks of all rows together (segment ""), '
                f"got {self.performance.chunk.size} rows without any. Pass the result "
                "of `estimate` or of `Monitor.performance` as it is."
            )
            raise ValueError(msg)


def report_html(report: Report) -> str:
    """Return one page on one model: verdict, charts, segments, numbers, notes.

    The page is complete in itself: charts are inline SVG, the browser is forbidden any
    request, and what comes from data is escaped. Without its script it shows the same
    numbers, in a table.

    Parameters
    ----------
    report : Report

    Returns
    -------
    str
        HTML, to be written as UTF-8.

    Examples
    --------
    >>> import numpy as np
    >>> import pandas as pd
    >>> from estimator import PerformanceEstimator
    >>> rng = np.random.default_rng(0)
    >>> frame = pd.DataFrame({"y_pred_proba": rng.random(6_000)})
    >>> frame["y_true"] = rng.random(6_000) < frame["y_pred_proba"]
    >>> estimator = PerformanceEstimator(chunk=500).fit(frame[:3_000])
    >>> performance = estimator.estimate(frame[["y_pred_proba"]][3_000:])
    >>> page = report_html(
    ...     Report(
    ...         title="credit default",
    ...         performance=performance,
    ...         verdicts={"": performance.degradation()},
    ...         as_of=None,
    ...     )
    ... )
    >>> page.startswith("<!DOCTYPE html>")
    True
    """
    performance = report.performance
    numbers = read_numbers(performance)
    headline = _headline_of(report)
    overall = report.verdicts.get("", {})
    charts = figures_html(numbers, overall, headline.metric or performance.metrics[0])
    segments = _segments(numbers, report)
    as_of = "" if report.as_of is None else f"as known at {report.as_of}"
    body = (
        f"{SYMBOLS}<header>"
        f'<div class="top"><h1>{escape(report.title)}</h1>'
        f'<p class="muted">{escape(as_of)}</p></div>{_headline(headline)}'
        f"{_glance(numbers, overall)}{_remarks(report.remarks)}</header>"
        f"<section><h2>Over time</h2>{key_html(charts + segments, performance.level)}"
        f'<div class="charts">{charts}</div></section>{segments}'
        f"<section>{table_html(numbers)}{notes_html(numbers)}</section>"
        f"{_footer(performance)}"
    )
    return page_html(f"{report.title}: {headline.text}", body, SCRIPT)


def write_report(report: Report, path: str | os.PathLike[str]) -> None:
    """Write the page on one model, whole or not at all.

    Raises
    ------
    OSError
        If the file cannot be written.
    """
    page = report_html(report)
    with replacing(path) as temporary:
        temporary.write_text(page, encoding="utf-8")


def index_html(entries: Sequence[tuple[Report, str]]) -> str:
    """Return one page on several models, the worst first, with a link to each page.

    Parameters
    ----------
    entries : sequence of (Report, str)
        Each with the link to its page, relative to this one.

    Returns
    -------
    str
        HTML, to be written as UTF-8.

    Raises
    ------
    ValueError
        If a link is not relative.
    """
    for report, link in entries:
        parts = urlsplit(link)
        if parts.scheme or parts.netloc or not link:
            msg = (
                f"`entries` must hold relative links, got {link!r} for "
                f"{report.title!r}. Give the path from the index to the page, such as "
                "'model.html'."
            )
            raise ValueError(msg)
    ordered = sorted(entries, key=lambda entry: _urgency(entry[0]), reverse=True)
    models = "".join(_model(report, link) for report, link in ordered)
    tones = [_headline_of(report).tone for report, _ in ordered]
    counts = ", ".join(
        f"{tones.count(tone)} {TONE_WORDS[tone].lower()}"
        for tone in reversed(TONES)
        if tone in tones
    )
    summary = f"{len(ordered)} models: {counts}" if ordered else "No model reported yet"
    if len(ordered) == 1:
        summary = summary.replace("models", "model")
    title = "Performance of models"
    body = (
        f'<header class="index"><h1>{title}</h1><p class="muted">{summary}</p></header>'
    )
    return page_html(title, f'{body}<ul class="models">{models}</ul>')


def _headline_of(report: Report) -> Headline:
    headline = compose_headline(report.performance, report.verdicts)
    if report.remarks and headline.tone in ("good", "none"):
        return replace(headline, tone="watch")
    return headline


def _headline(headline: Headline) -> str:
    details = "".join(f"<p>{prose_html(detail)}</p>" for detail in headline.details)
    return (
        f'<div class="headline {headline.tone}"><p class="tone">'
        f'{TONE_WORDS[headline.tone]}</p><p class="what">'
        f"{prose_html(headline.text)}</p>{details}</div>"
    )


def _glance(numbers: Numbers, verdicts: Mapping[str, Degradation]) -> str:
    """List all metrics: newest value, what it was, what became of it."""
    performance = numbers.performance
    items = []
    for metric in performance.metrics:
        verdict = verdicts.get(metric)
        tone = tone_of(verdict)
        value, interval = newest_text(numbers, metric)
        what, sure = "", []
        if verdict is not None:
            what, sure = change_text(verdict), [certainty_text(verdict)]
        series = numbers.series[metric]
        alerts = int(series.alert[series.in_analysis].sum())
        if alerts:
            sure.append(f"alert in {alerts} chunk{'s' if alerts > 1 else ''}")
        items.append(
            f'<li class="{tone}"><span class="name"><i class="mark" aria-hidden="true">'
            f'{MARKS[tone]}</i><a href="#{chart_id(performance, metric)}">'
            f'{name_html(metric)}</a></span><span class="now"><b>{value}</b>'
            f'<small>{interval}</small></span><small class="was">'
            f'{_was(numbers, metric)}</small><span class="said">'
            f"{prose_html(what)} "
            f"<small>{prose_html('; '.join(sure))}</small></span></li>"
        )
    return f'{_newest(numbers)}<ul class="glance">{"".join(items)}</ul>'


def _newest(numbers: Numbers) -> str:
    """Say of which chunk the values are, and which one has but begun."""
    series = next(iter(numbers.series.values()))
    if len(series) == series.n_reference:
        return ""
    label = chunk_label(series.chunk[numbers.newest])
    parts = [f"values of the newest complete chunk, {label}"]
    if numbers.unfinished == numbers.newest:
        parts = [f"values of the only chunk, {label}, which has but begun"]
    elif numbers.unfinished is not None:
        begun = chunk_label(series.chunk[numbers.unfinished])
        n_rows = series.n_rows[numbers.unfinished]
        parts.append(f"{begun} has but begun, with {n_rows:,} rows so far")
    return f'<p class="muted newest">{prose_html("; ".join(parts))}</p>'


def _was(numbers: Numbers, metric: str) -> str:
    """Say what the metric was in the reference, on average."""
    series = numbers.series[metric]
    values = series.value[: series.n_reference]
    values = values[np.isfinite(values)]
    if not values.size:
        return ""
    return f"reference {number_text(float(values.mean()), numbers.digits[metric])}"


def _remarks(remarks: Sequence[str]) -> str:
    if not remarks:
        return ""
    items = "".join(f"<li>{prose_html(remark)}</li>" for remark in remarks)
    return f'<ul class="remarks" aria-label="remarks of the last run">{items}</ul>'


def _segments(numbers: Numbers, report: Report) -> str:
    """Draw each segment small, metric by metric; "" if there are none."""
    performance = numbers.performance
    names = tuple(name for name in performance.segments if name)
    if not names:
        return ""
    drawn = "".join(
        multiples_html(numbers, report.verdicts, metric, names)
        for metric in performance.metrics
    )
    return f'<section><h2 id="segments">Segments</h2>{drawn}</section>'


def _footer(performance: SeriesTable) -> str:
    zone = performance.timezone
    times = "" if zone is None else f" Times are those of {escape(zone)}."
    return (
        '<footer class="muted"><p>Intervals say where the number will be once all '
        f"labels are in.{times} Arrow keys move through a chart; all numbers stand in "
        "the table.</p></footer>"
    )


def _urgency(report: Report) -> tuple[int, float, int]:
    """Rank reports: by tone, then by the size of the worst decline, then by alerts."""
    sizes = [
        severity(verdict)[1]
        for by_metric in report.verdicts.values()
        for verdict in by_metric.values()
    ]
    tone = TONES.index(_headline_of(report).tone)
    return tone, max(sizes, default=0.0), len(newest_alerts(report.performance))


def _model(report: Report, link: str) -> str:
    """Return what the index says of one model."""
    performance = report.performance
    headline = _headline_of(report)
    numbers = read_numbers(performance)
    items = []
    for metric in performance.metrics[:_ON_INDEX]:
        value, _ = newest_text(numbers, metric)
        items.append(
            f"<li><small>{name_html(metric)}</small> <b>{value or MISSING}</b>"
            f"{sparkline_svg(numbers.series[metric])}</li>"
        )
    alarming = len(newest_alerts(performance))
    alerts = f"alert of {alarming} of {len(performance.metrics)} metrics"
    newest = newest_chunk(performance)
    alerts = alerts if alarming else "no alert"
    judged = "no complete chunk yet"
    if newest is not None:
        judged = f"{alerts} in the newest complete chunk, {chunk_label(newest)}"
    remarks = [*report.remarks, judged]
    if report.as_of is not None:
        remarks.append(f"as known at {report.as_of}")
    return (
        f'<li class="{headline.tone}"><div><h2><a href="{escape(link)}">'
        f'{escape(report.title)}</a></h2><p class="what">'
        f'<b class="mark">{MARKS[headline.tone]} {TONE_WORDS[headline.tone]}</b> '
        f"{prose_html(headline.text)}</p>"
        f'<p class="muted">{prose_html("; ".join(remarks))}</p></div>'
        f'<ul class="values">{"".join(items)}</ul></li>'
    )
