"""What a notebook shows of a result: a sentence, a chart per metric, the numbers."""

from html import escape

import numpy as np

from estimator.degradation.verdict import Degradation
from estimator.presentation.stages import coverage, is_reconciled
from estimator.presentation.svg import performance_svg
from estimator.results import Performance

_MAX_CHARTS = 4
_MAX_ROWS = 12

_STYLE = """<style>
.deadreckon {font-family: system-ui, sans-serif; font-size: 13px; max-width: 720px}
.deadreckon svg {width: 100%; display: block; margin: 4px 0}
.deadreckon text {font-size: 10px; fill: currentColor; opacity: .75}
.deadreckon text.name {font-size: 12px; font-weight: 600; opacity: 1}
.deadreckon .reference {fill: currentColor; opacity: .07}
.deadreckon .band {fill: #0072b2; opacity: .22}
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
.deadreckon small {opacity: .7}
.deadreckon td.alerted {color: #d55e00; font-weight: 600}
</style>"""

_KEY = (
    ("estimated", "#0072b2"),
    ("prediction interval", "#0072b238"),
    ("realized", "#e69f00"),
    ("threshold, alert", "#d55e00"),
)
_RECONCILED = ("reconciled", "#009e73")


def performance_html(performance: Performance) -> str:
    """Return the result as self-contained HTML; all that comes from data is escaped.

    Parameters
    ----------
    performance : Performance
        What to show. Of many metrics the first four get a chart and a verdict, of many
        chunks the last twelve stand in the table; segments are named, not drawn.
    """
    shown = performance.metrics[:_MAX_CHARTS]
    verdicts: dict[str, Degradation] = {}
    if (performance.period == "analysis").any():
        verdicts = performance.degradation(shown)
    charts = "".join(
        performance_svg(performance, metric, verdict=verdicts.get(metric))
        + _sentence(verdicts.get(metric))
        for metric in shown
    )
    return (
        f'{_STYLE}<div class="deadreckon"><p>{escape(_summary(performance))}</p>'
        f'<div class="key">{_key(performance)}</div>{charts}{_table(performance)}</div>'
    )


def _sentence(verdict: Degradation | None) -> str:
    return "" if verdict is None else f'<p class="verdict">{escape(str(verdict))}</p>'


def _key(performance: Performance) -> str:
    entries = [*_KEY]
    if is_reconciled(performance):
        entries.insert(1, _RECONCILED)
    return "".join(
        f'<span><i style="background: {color}"></i>{name}</span>'
        for name, color in entries
    )


def _summary(performance: Performance) -> str:
    overall = performance.segment == ""
    analysis = overall & (performance.period == "analysis")
    text = (
        f"{int(analysis.sum())} analysis chunks after "
        f"{int((overall & ~analysis).sum())} reference chunks"
    )
    if len(performance.segments) > 1:
        text += f", {len(performance.segments) - 1} segments"
    alerts = [
        f"{metric} in {count}"
        for metric, count in zip(
            performance.metrics, performance.alert[analysis].sum(axis=0), strict=True
        )
        if count
    ]
    return text + ". " + ("Alerts: " + ", ".join(alerts) if alerts else "No alerts")


def _table(performance: Performance) -> str:
    of = np.flatnonzero(
        (performance.segment == "") & (performance.period == "analysis")
    )
    shown = of[-_MAX_ROWS:]
    reconciled, share = is_reconciled(performance), coverage(performance)
    head = "".join(
        f"<th>{escape(metric)}</th>" for metric in performance.metrics[:_MAX_CHARTS]
    )
    if reconciled:
        head = f"<th>labels</th>{head}"
    body = ""
    for i in shown:
        cells = "".join(
            _cell(performance, int(i), k)
            for k in range(min(len(performance.metrics), _MAX_CHARTS))
        )
        chunk = escape(str(performance.chunk[i]))
        labels = f"<td>{share[i]:.0%}</td>" if reconciled else ""
        body += (
            f"<tr><td>{chunk}</td><td>{performance.n_rows[i]}</td>{labels}{cells}</tr>"
        )
    earlier = of.size - shown.size
    note = f"<p>… after {earlier} earlier chunks</p>" if earlier else ""
    return f"{note}<table><tr><th>chunk</th><th>rows</th>{head}</tr>{body}</table>"


def _cell(performance: Performance, i: int, k: int) -> str:
    alert = ' class="alerted"' if performance.alert[i, k] else ""
    value, lower, upper = (
        _number(column[i, k])
        for column in (performance.value, performance.lower, performance.upper)
    )
    return f"<td{alert}>{value} <small>[{lower}, {upper}]</small></td>"


def _number(value: float) -> str:
    if np.isnan(value):
        return "–"
    return f"{value:.4f}" if abs(value) < 100 else f"{value:,.0f}"
