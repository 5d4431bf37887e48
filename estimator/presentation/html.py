"""What a notebook shows of a result: a sentence, a chart per metric, the numbers."""

from html import escape

import numpy as np

from estimator.degradation.verdict import Degradation
from estimator.newest import newest_rows
from estimator.presentation.stages import coverage, is_reconciled
from estimator.presentation.svg import performance_svg
from estimator.results import Performance

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
.deadreckon .estimated path {fill: none; stroke: #0072b2; stroke-width: 1.6}
.deadreckon .estimated circle {fill: #0072b2}
.deadreckon .before path {fill: none; stroke: #0072b2; stroke-dasharray: 4 2;
  opacity: .75}
.deadreckon .before circle {display: none}
.deadreckon .reconciled path {fill: none; stroke: #009e73; stroke-width: 1.6}
.deadreckon .reconciled circle {fill: #009e73}
.deadreckon .so-far {fill: none; stroke: #e69f00; opacity: .55}
.deadreckon .labels {fill: #e69f00; opacity: .6}
.deadreckon .realized path {fill: none; stroke: #e69f00; stroke-width: 1.2}
.deadreckon .realized circle {fill: #e69f00}
.deadreckon .threshold {fill: none; stroke: #d55e00; stroke-dasharray: 5 3}
.deadreckon .alert {fill: none; stroke: #d55e00; stroke-width: 1.8}
.deadreckon .affected {fill: #d55e00; opacity: .1}
.deadreckon .fitted path {fill: none; stroke: currentColor; stroke-dasharray: 1 2;
  stroke-width: 1.4; opacity: .8}
.deadreckon .fitted circle {display: none}
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
_BAND = ("prediction interval", "#0072b238")
_RECONCILED = (("reconciled", "#009e73"), ("prediction interval", "#009e7338"))


def performance_html(performance: Performance) -> str:
    """Return the result as self-contained HTML; all that comes from data is escaped.

    Parameters
    ----------
    performance : Performance
        What to show: every metric with a chart and a verdict, of which the first four
        are in sight and the others unfold; the last twelve chunks in a table; the
        newest complete chunk of each segment, which unfolds. Where the result has no
        chunks of all rows, its first segment stands in their place. What is not shown
        is said.
    """
    if not len(performance):
        return f'{_STYLE}<div class="deadreckon"><p>No chunks</p></div>'
    segment = performance.segments[0]
    verdicts: dict[str, Degradation] = {}
    if np.any((performance.segment == segment) & (performance.period == "analysis")):
        verdicts = performance.degradation()
    charts = [
        performance_svg(
            performance, metric, segment=segment, verdict=verdicts.get(metric)
        )
        + _sentence(verdicts.get(metric))
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
        f'{_STYLE}<div class="deadreckon"><p>{escape(_summary(performance))}</p>'
        f'<div class="key">{_key(performance)}</div>{shown}{_table(performance)}'
        f"{_segments(performance)}</div>"
    )


def _folded(summary: str, content: str) -> str:
    return f"<details><summary>{escape(summary)}</summary>{content}</details>"


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _sentence(verdict: Degradation | None) -> str:
    return "" if verdict is None else f'<p class="verdict">{escape(str(verdict))}</p>'


def _key(performance: Performance) -> str:
    more = _RECONCILED if is_reconciled(performance) else (_BAND,)
    entries = (_KEY[0], *more, *_KEY[1:])
    return "".join(
        f'<span><i style="background: {color}"></i>{name}</span>'
        for name, color in entries
    )


def _summary(performance: Performance) -> str:
    segment = performance.segments[0]
    here = performance.segment == segment
    analysis = here & (performance.period == "analysis")
    text = (
        f"{_count(int(analysis.sum()), 'analysis chunk')} after "
        f"{_count(int((here & ~analysis).sum()), 'reference chunk')}"
    )
    if segment:
        text = f"{segment}: {text}"
    others = len(performance.segments) - 1
    if others:
        text += f", {_count(others, 'other segment' if segment else 'segment')}"
    alerts = [
        f"{metric} in {count}"
        for metric, count in zip(
            performance.metrics, performance.alert[analysis].sum(axis=0), strict=True
        )
        if count
    ]
    return text + ". " + ("Alerts: " + ", ".join(alerts) if alerts else "No alerts")


def _table(performance: Performance) -> str:
    rows = np.flatnonzero(
        (performance.segment == performance.segments[0])
        & (performance.period == "analysis")
    )
    if not rows.size:
        return ""
    shown = rows[-_MAX_ROWS:].tolist()
    labels = [str(performance.chunk[row]) for row in shown]
    caption = ""
    if rows.size > len(shown):
        caption = f"The last {len(shown)} of {rows.size:,} analysis chunks"
    return _numbers(performance, "chunk", shown, labels, caption)


def _segments(performance: Performance) -> str:
    """List the segments' newest complete chunk, folded; "" if there are none."""
    others = performance.segments[1:]
    rows = newest_rows(performance)
    rows = rows[performance.segment[rows] != performance.segments[0]]
    if not others or not rows.size:
        return ""
    shown = rows[:_MAX_SEGMENTS].tolist()
    labels = [str(performance.segment[row]) for row in shown]
    caption = f"The newest complete chunk, {performance.chunk[shown[0]]}"
    if len(others) > len(shown):
        caption += f", of {len(shown)} of {len(others):,} segments"
    alerts = int(
        performance.alert[performance.segment != performance.segments[0]].sum()
    )
    return _folded(
        f"{_count(len(others), 'segment')}, {_count(alerts, 'alert')} in all their "
        "chunks",
        _numbers(performance, "segment", shown, labels, caption)
        + f"<p>A chart: <code>.plot(segment={escape(repr(others[0]))})</code></p>",
    )


def _numbers(
    performance: Performance, key: str, rows: list[int], labels: list[str], caption: str
) -> str:
    """Return a table with a row per label, and beneath it why values are missing."""
    reconciled, share = is_reconciled(performance), coverage(performance)
    notes: dict[str, int] = {}
    body = ""
    for row, label in zip(rows, labels, strict=True):
        cells = "".join(
            _cell(performance, row, k, notes) for k in range(len(performance.metrics))
        )
        labeled = f"<td>{share[row]:.0%}</td>" if reconciled else ""
        body += (
            f"<tr><td>{escape(label)}</td><td>{performance.n_rows[row]}</td>"
            f"{labeled}{cells}</tr>"
        )
    head = "".join(f"<th>{escape(metric)}</th>" for metric in performance.metrics)
    if reconciled:
        head = f"<th>labels</th>{head}"
    reasons = "".join(f"<li>{escape(note)}</li>" for note in notes)
    return (
        f'<div class="scroll"><table>'
        f"{f'<caption>{escape(caption)}</caption>' if caption else ''}"
        f"<tr><th>{key}</th><th>rows</th>{head}</tr>{body}</table></div>"
        f"{f'<ol>{reasons}</ol>' if reasons else ''}"
    )


def _cell(performance: Performance, row: int, k: int, notes: dict[str, int]) -> str:
    """Return a value in its interval, or the number of the note that says why not."""
    value, note = float(performance.value[row, k]), performance.note[row, k]
    if np.isnan(value):
        reason = f" <small>({notes.setdefault(note, len(notes) + 1)})</small>"
        return f"<td>–{reason if note else ''}</td>"
    alert = ' class="alerted"' if performance.alert[row, k] else ""
    ends = [float(performance.lower[row, k]), float(performance.upper[row, k])]
    interval = ""
    if not np.isnan(ends).any():
        interval = f" <small>[{_number(ends[0])}, {_number(ends[1])}]</small>"
    return f"<td{alert}>{_number(value)}{interval}</td>"


def _number(value: float) -> str:
    return f"{value:.4f}" if abs(value) < 100 else f"{value:,.0f}"
