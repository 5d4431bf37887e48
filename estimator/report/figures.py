"""Figures of the report page: a chart with its head, its readout and the key to all."""

from collections.abc import Mapping
from html import escape
from typing import Final

import numpy as np

from estimator.charts.formats import MISSING, interval_text, number_text
from estimator.charts.panel import panel_of
from estimator.charts.scale import axis_range
from estimator.degradation.verdict import Degradation, overlay_of
from estimator.metric_series import MetricSeries, Overlay, SeriesTable
from estimator.metrics.registry import METRICS
from estimator.report.headline import Verdicts, tone_of
from estimator.report.page_charts import MARGIN, chart_svg
from estimator.report.table import Numbers, about_chunk, cells

MARKS: Final = {"bad": "▼", "watch": "◆", "good": "●", "none": "○"}
_TALL, _NORMAL, _SMALL = 230, 160, 86
# A segment whose axis is longer than this many usual ones gets an axis of its own.
_WIDE: Final = 2.0

_LINE = '<path class="{0}" d="M0 7H26"/>'
_DOTTED = _LINE + '<path class="{0} dots" d="M13 7h0"/>'
_BOX = '<rect class="{0}" width="26" height="14"/>'
_SYMBOL = '<use href="#{0}" class="{1}" x="13" y="7"/>'
# What is in a chart, its name, and the class by which one knows that it is there.
_KEY: Final = (
    (_DOTTED.format("estimated"), "estimated", 'class="estimated'),
    (_LINE.format("before"), "estimated, without labels", 'class="before'),
    (_DOTTED.format("reconciled"), "reconciled with labels", 'class="reconciled'),
    (_BOX.format("band"), "{level} prediction interval", 'class="band'),
    (_DOTTED.format("realized"), "realized", 'class="realized'),
    (
        _SYMBOL.format("ring", "so-far"),
        "realized so far (arrow: out of sight)",
        'class="so-far',
    ),
    (_LINE.format("threshold"), "threshold", 'class="threshold'),
    (_SYMBOL.format("alert", "alert"), "alert", 'class="alert"'),
    (_SYMBOL.format("slash", "doubtful"), "doubtful", 'class="doubtful'),
    (
        _SYMBOL.format("cross", "no-trust"),
        "no trust: do not act on it",
        'class="no-trust',
    ),
    (_BOX.format("affected"), "affected", 'class="affected'),
    (_LINE.format("fitted"), "fitted shape", 'class="fitted'),
)


def chart_id(performance: SeriesTable, metric: str) -> str:
    """Return the id by which the page links to a metric's chart."""
    return f"metric-{performance.metrics.index(metric)}"


def figures_html(
    numbers: Numbers, verdicts: Mapping[str, Degradation], first: str
) -> str:
    """Return a figure per metric over all rows, the ``first`` large.

    Parameters
    ----------
    numbers : Numbers
    verdicts : mapping of str to Degradation
        By metric; may lack some.
    first : str
        Metric to begin with.
    """
    names = sorted(numbers.performance.metrics, key=lambda metric: metric != first)
    return "".join(
        _figure(numbers, metric, verdicts.get(metric), _NORMAL if i else _TALL)
        for i, metric in enumerate(names)
    )


def key_html(drawn: str, level: float) -> str:
    """Explain what occurs in the drawn charts."""
    band = "reconciles" if 'class="reconciled' in drawn else "chart"
    entries = "".join(
        f'<span><svg class="{band}" aria-hidden="true">{shape}</svg>'
        f"{name.format(level=f'{100 * level:.4g} %')}</span>"
        for shape, name, sign in _KEY
        if sign in drawn
    )
    return f'<div class="key">{entries}</div>'


def multiples_html(
    numbers: Numbers, verdicts: Verdicts, metric: str, segments: tuple[str, ...]
) -> str:
    """Return a small figure per segment of one metric.

    All have the same scale, but for segments whose values scatter so widely (for they
    have few rows) that the lines of the others would be flat: these say so.
    """
    drawn = {name: numbers.by_segment[name][metric] for name in segments}
    ranges = {name: axis_range([series], MARGIN) for name, series in drawn.items()}
    usual = float(np.median([high - low for low, high in ranges.values()]))
    alike = [
        name for name, (low, high) in ranges.items() if high - low <= _WIDE * usual
    ]
    common = axis_range([drawn[name] for name in alike], MARGIN)
    figures = "".join(
        _multiple(
            numbers,
            series,
            verdicts.get(name, {}).get(metric),
            common if name in alike else ranges[name],
            remark="" if name in alike else "scale of its own",
        )
        for name, series in drawn.items()
    )
    return f'<h3>{escape(metric)}</h3><div class="multiples">{figures}</div>'


def _figure(
    numbers: Numbers, metric: str, verdict: Degradation | None, height: int
) -> str:
    performance, series = numbers.performance, numbers.series[metric]
    k = performance.metrics.index(metric)
    svg = chart_svg(
        panel_of(series, _overlay(verdict, series), axis_range([series], MARGIN)),
        name=f"{metric} over {len(series)} chunks",
        height=height,
        strip=_has_labels(series),
    )
    name = ' class="reconciles"' if series.reconciled else ""
    tone = tone_of(verdict)
    mark = f'<span class="{tone}"><i class="mark" aria-hidden="true">{MARKS[tone]}</i>'
    return (
        f'<figure{name} id="{chart_id(performance, metric)}" data-n="{k}">'
        f"<figcaption>{mark}</span><h3>{escape(metric)}</h3>{_direction(metric)}"
        f'</figcaption><div class="plot">{svg}</div>{_readout(numbers, metric)}'
        "</figure>"
    )


def _has_labels(series: MetricSeries) -> bool:
    """Whether labels of the analysis have begun to come."""
    return bool((series.coverage[series.n_reference :] > 0.0).any())


def _direction(metric: str) -> str:
    registered = METRICS.get(metric)
    if registered is None or registered.higher_is_better is not False:
        return ""
    return "<small>lower is better</small>"


def _readout(numbers: Numbers, metric: str) -> str:
    """Say the newest complete chunk's numbers; the script puts others there."""
    i = numbers.newest
    label, about = about_chunk(numbers, i)
    entries = (
        f'<div class="wide"><dt>chunk</dt><dd><b>{label}</b></dd><dd>{about}</dd></div>'
    )
    entries += "".join(
        f'<div class="{"wide" if column == "note" else "slot"}"><dt>{column}</dt>'
        f'<dd class="{name}">{html}</dd></div>'
        for column, (html, name) in cells(numbers, metric, i).items()
    )
    return f'<dl class="readout" aria-live="polite">{entries}</dl>'


def _multiple(
    numbers: Numbers,
    series: MetricSeries,
    verdict: Degradation | None,
    scale: tuple[float, float],
    remark: str,
) -> str:
    metric, segment = series.metric, series.segment
    axis, digits = numbers.series[metric], numbers.digits[metric]
    panel = panel_of(series, _overlay(verdict, series), scale, axis)
    texts = [""] * len(axis)
    for i, position in enumerate(panel.positions.tolist()):
        texts[position] = _value_text(series, i, digits)
    svg = chart_svg(
        panel,
        name=f"{metric} of {segment} over {len(series)} chunks",
        height=_SMALL,
        strip=_has_labels(axis),
        small=True,
    )
    name = "small reconciles" if series.reconciled else "small"
    newest, _ = about_chunk(numbers, numbers.newest)
    what = "" if verdict is None else verdict.kind.replace("_", " ")
    aside = f"<small>{remark}</small>" if remark else ""
    tone = tone_of(verdict)
    return (
        f'<figure class="{name}" data-n="{numbers.performance.metrics.index(metric)}" '
        f'data-values="{"|".join(texts)}"><figcaption><b>{escape(segment)}</b>{aside}'
        f'<small class="{tone}"><i class="mark" aria-hidden="true">'
        f"{MARKS[tone] if what else ''}</i> {what}</small></figcaption>"
        f'<div class="plot">{svg}</div><dl class="readout" aria-live="off">'
        f"<div><dt>chunk</dt><dd>{newest}</dd></div>"
        f"<div><dt>value</dt><dd>{texts[numbers.newest] or MISSING}</dd></div></dl>"
        "</figure>"
    )


def _value_text(series: MetricSeries, i: int, digits: int) -> str:
    value = number_text(float(series.value[i]), digits)
    interval = interval_text(float(series.lower[i]), float(series.upper[i]), digits)
    text = value if interval in (value, MISSING) else f"{value} ({interval})"
    return f"{text}, alert" if series.alert[i] else text


def _overlay(verdict: Degradation | None, series: MetricSeries) -> Overlay | None:
    return None if verdict is None else overlay_of(verdict, series.n_rows)
