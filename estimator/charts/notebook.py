"""What a notebook shows of a result: a sentence, a chart per metric, the numbers."""

from collections.abc import Mapping
from html import escape

import numpy as np

from estimator.charts.inline_svg import series_svg
from estimator.charts.newest_chunk import newest_chunk
from estimator.metric_series import MetricSeries, Overlay, SeriesTable

ByMetric = Mapping[str, MetricSeries]

_OPEN_CHARTS = 4  # charts in sight; the others unfold
_MAX_ROWS = 12
_MAX_SEGMENTS = 20

_STYLE = """<style>
.deadreckon {font-family: system-ui, sans-serif; font-size: 13px; max-width: 720px}
.deadreckon svg {width: 100%; display: block; margin: 4px 0}
.deadreckon text {font-size: 10px; fill: currentColor; opacity: .75}
.deadreckon text.name {font-size: 12px; font-weight: 600; opacity: 1}
.deadreckon .reference {fill: currentColor; opacity: .07}
.deadreckon .band {fill: #0072b2; opacity: .2}
.deadreckon .reconciles .band {fill: #009e73}
.deadreckon .estimated {fill: none; stroke: #0072b2; stroke-width: 1.6}
.deadreckon .before {fill: none; stroke: #0072b2; stroke-dasharray: 4 2; opacity: .75}
.deadreckon .reconciled {fill: none; stroke: #009e73; stroke-width: 1.6}
.deadreckon .so-far {fill: none; stroke: #e69f00; opacity: .55}
.deadreckon .labels {fill: #e69f00; opacity: .6}
.deadreckon .realized {fill: none; stroke: #e69f00; stroke-width: 1.2}
.deadreckon .threshold {fill: none; stroke: #d55e00; stroke-dasharray: 5 3}
.deadreckon .alert {fill: none; stroke: #d55e00; stroke-width: 1.8}
.deadreckon .doubtful, .deadreckon .no-trust {fill: none; stroke: currentColor;
  stroke-width: 1.4}
.deadreckon .affected {fill: #d55e00; opacity: .1}
.deadreckon .fitted {fill: none; stroke: currentColor; stroke-dasharray: 1 2;
  stroke-width: 1.4; opacity: .8}
.deadreckon path.dots {stroke-width: 3.6; stroke-linecap: round}
.deadreckon .verdict {margin: 0 0 10px 56px}
.deadreckon .hover {fill: transparent}
.deadreckon .hover:hover {fill: currentColor; fill-opacity: .08}
.deadreckon .key span {margin-right: 1em; white-space: nowrap}
.deadreckon .key i {display: inline-block; width: 16px; height: 4px;
  margin: 0 5px 3px 0}
.deadreckon table {border-collapse: collapse; font-size: 12px;
  font-variant-numeric: tabular-nums}
.deadreckon td, .deadreckon th {padding: 2px 8px; text-align: right;
  white-space: nowrap}
.deadreckon .scroll {overflow-x: auto}
.deadreckon table caption {text-align: left; opacity: .7; padding: 2px 8px}
.deadreckon summary {cursor: pointer; margin: 6px 0}
.deadreckon ol {margin: 4px 0; padding-left: 24px; font-size: 12px}
.deadreckon small {opacity: .7}
.deadreckon td.alerted {color: #d55e00; font-weight: 600}
</style>"""

_KEY = (
    ("estimated", "#0072b2"),
    ("realized", "#e69f00"),
    ("threshold, alert", "#d55e00"),
)
_DOUBTS = {"doubtful": "∕ doubtful", "none": "✕ no trust"}
_BAND = ("prediction interval", "#0072b238")
_RECONCILED = (("reconciled", "#009e73"), ("prediction interval", "#009e7338"))


def performance_html(performance: SeriesTable, overlays: Mapping[str, Overlay]) -> str:
    """Return the result as self-contained HTML; all that comes from data is escaped.

    Parameters
    ----------
    performance : Performance
        What to show: every metric with a chart and a verdict, of which the first four
        are in sight and the others unfold; the last twelve chunks in a table; the
        newest complete chunk of each segment, which unfolds. Where the result has no
        chunks of all rows, its first segment stands in their place. What is not shown
        is said.
    overlays : mapping of str to Overlay
        What the verdicts on that segment draw, by metric; may lack some.
    """
    if not performance.segments:
        return f'{_STYLE}<div class="deadreckon"><p>No chunks</p></div>'
    by_segment = performance.metric_series()
    series = by_segment[performance.segments[0]]
    charts = [
        series_svg(series[metric], overlays.get(metric))
        + _sentence(overlays.get(metric))
        for metric in performance.metrics
    ]
    shown = "".join(charts[:_OPEN_CHARTS])
    if charts[_OPEN_CHARTS:]:
        rest = performance.metrics[_OPEN_CHARTS:]
        shown += _folded(
            f"{_count(len(rest), 'more metric')}: {', '.join(rest)}",
            "".join(charts[_OPEN_CHARTS:]),
        )
    return (
        f'{_STYLE}<div class="deadreckon"><p>{escape(_summary(by_segment))}</p>'
        f'<div class="key">{_key(series)}</div>{shown}{_table(series)}'
        f"{_segments(by_segment, newest_chunk(performance))}</div>"
    )


def _folded(summary: str, content: str) -> str:
    return f"<details><summary>{escape(summary)}</summary>{content}</details>"


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _sentence(overlay: Overlay | None) -> str:
    if overlay is None:
        return ""
    return f'<p class="verdict">{escape(overlay.sentence)}</p>'


def _key(series: ByMetric) -> str:
    first = _first(series)
    more = _RECONCILED if first.reconciled else (_BAND,)
    entries = (_KEY[0], *more, *_KEY[1:])
    doubts = [sign for level, sign in _DOUBTS.items() if level in first.trust]
    return "".join(
        f'<span><i style="background: {color}"></i>{name}</span>'
        for name, color in entries
    ) + "".join(f"<span>{sign}</span>" for sign in doubts)


def _first(series: ByMetric) -> MetricSeries:
    return next(iter(series.values()))


def _summary(by_segment: Mapping[str, ByMetric]) -> str:
    segment, series = next(iter(by_segment.items()))
    n_reference = _first(series).n_reference
    n_analysis = len(_first(series)) - n_reference
    text = (
        f"{_count(n_analysis, 'analysis chunk')} after "
        f"{_count(n_reference, 'reference chunk')}"
    )
    if segment:
        text = f"{segment}: {text}"
    others = len(by_segment) - 1
    if others:
        text += f", {_count(others, 'other segment' if segment else 'segment')}"
    counts = {m: int(one.alert[one.in_analysis].sum()) for m, one in series.items()}
    alerts = [f"{metric} in {count}" for metric, count in counts.items() if count]
    text += ". " + ("Alerts: " + ", ".join(alerts) if alerts else "No alerts")
    n_without = int((_first(series).trust == "none").sum())
    return f"{text}. No trust in {_count(n_without, 'chunk')}" if n_without else text


def _table(series: ByMetric) -> str:
    analysis = np.flatnonzero(_first(series).in_analysis)
    if not analysis.size:
        return ""
    shown = analysis[-_MAX_ROWS:].tolist()
    caption = ""
    if analysis.size > len(shown):
        caption = f"The last {len(shown)} of {analysis.size:,} analysis chunks"
    rows = [(str(_first(series).chunk[i]), series, i) for i in shown]
    return _numbers("chunk", rows, caption)


def _segments(by_segment: Mapping[str, ByMetric], newest: str | int | None) -> str:
    """List the segments' newest complete chunk, folded; "" if there are none."""
    others = list(by_segment)[1:]
    rows = []
    alerts = 0
    for segment in others:
        series = by_segment[segment]
        first = _first(series)
        here = first.in_analysis & (first.n_rows > 0) & (first.chunk == newest)
        rows += [(segment, series, i) for i in np.flatnonzero(here).tolist()]
        alerts += sum(int(one.alert.sum()) for one in series.values())
    if not rows:
        return ""
    caption = f"The newest complete chunk, {newest}"
    shown = rows[:_MAX_SEGMENTS]
    if len(others) > len(shown):
        caption += f", of {len(shown)} of {len(others):,} segments"
    return _folded(
        f"{_count(len(others), 'segment')}, {_count(alerts, 'alert')} in all their "
        "chunks",
        _numbers("segment", shown, caption)
        + f"<p>A chart: <code>.plot(segment={escape(repr(others[0]))})</code></p>",
    )


def _numbers(key: str, rows: list[tuple[str, ByMetric, int]], caption: str) -> str:
    """Return a table with a row per label, and beneath it why values are missing.

    Parameters
    ----------
    key : str
        Head of the labels.
    rows : list of (str, mapping of str to MetricSeries, int)
        Label, series by metric, and position of the chunk in them.
    caption : str
        Heading of the table, "" if none.
    """
    reconciled = _first(rows[0][1]).reconciled
    notes: dict[str, int] = {}
    body = ""
    for label, series, i in rows:
        first = _first(series)
        values = "".join(_cell(one, i, notes) for one in series.values())
        labeled = f"<td>{first.coverage[i]:.0%}</td>" if reconciled else ""
        body += (
            f"<tr><td>{escape(label)}</td><td>{first.n_rows[i]}</td>"
            f"{labeled}{values}</tr>"
        )
    head = "".join(f"<th>{escape(metric)}</th>" for metric in rows[0][1])
    if reconciled:
        head = f"<th>labels</th>{head}"
    reasons = "".join(f"<li>{escape(note)}</li>" for note in notes)
    return (
        f'<div class="scroll"><table>'
        f"{f'<caption>{escape(caption)}</caption>' if caption else ''}"
        f"<tr><th>{key}</th><th>rows</th>{head}</tr>{body}</table></div>"
        f"{f'<ol>{reasons}</ol>' if reasons else ''}"
    )


def _cell(series: MetricSeries, i: int, notes: dict[str, int]) -> str:
    """Return a value in its interval, or the number of the note that says why not."""
    value, note = float(series.value[i]), series.note[i]
    if np.isnan(value):
        reason = f" <small>({notes.setdefault(note, len(notes) + 1)})</small>"
        return f"<td>–{reason if note else ''}</td>"
    alert = ' class="alerted"' if series.alert[i] else ""
    ends = [float(series.lower[i]), float(series.upper[i])]
    interval = ""
    if not np.isnan(ends).any():
        interval = f" <small>[{_number(ends[0])}, {_number(ends[1])}]</small>"
    return f"<td{alert}>{_number(value)}{interval}</td>"


def _number(value: float) -> str:
    return f"{value:.4f}" if abs(value) < 100 else f"{value:,.0f}"
