"""Charts of the report page: their width is the page's, their text is not scaled.

Shapes are in an inner ``<svg>`` that is stretched to the page's width (lines keep
theirs); ticks and markers stand outside of it, at per cent of the width.
"""

from html import escape
from typing import Final

import numpy as np
from numpy.typing import NDArray

from estimator.charts.panel import Marks, Panel, panel_of
from estimator.charts.scale import axis_range
from estimator.charts.svg_paths import PlotArea, path_element, short
from estimator.charts.ticks import chunk_ticks, value_ticks
from estimator.metric_series import MetricSeries

Floats = NDArray[np.float64]

MARGIN: Final = 0.07  # above and below the values, as a share of their range
_UNIT: Final = 10  # width of a chunk, before stretching
_TOP: Final = 14  # pixels above the plot, for "reference" and "analysis"
_STRIP: Final = 7
_GAP: Final = 8
_TICK_ROOM: Final = 34
_TICK_PIXELS: Final = 30  # from one tick of values to the next, at least
_DOT_ROOM: Final = 0.55  # chunks in a pixel of height; more dots would run together
_ROOM_FOR_NAME: Final = 0.2  # of the width
_LAST_ON_PAPER: Final = 0.96  # of the width: beyond, a centred date is cut off
_MOST_TICKS: Final = {False: 7, True: 4}  # dates beside each other on a phone

# What markers are, once for the page: diamond, ring, arrows to what is out of sight,
# a stroke and a cross through what is not to be trusted.
SYMBOLS: Final = (
    '<svg class="symbols" aria-hidden="true"><defs>'
    '<path id="alert" d="M0-5 5 0 0 5-5 0z"/>'
    '<path id="speck" d="M0-3.6 3.6 0 0 3.6-3.6 0z"/>'
    '<circle id="ring" r="2.8"/>'
    '<path id="slash" d="M-4.5 4.5 4.5-4.5"/>'
    '<path id="cross" d="M-4.5 4.5 4.5-4.5M-4.5-4.5 4.5 4.5"/>'
    '<path id="down" d="M-3-5h6L0 0z"/><path id="up" d="M-3 5h6L0 0z"/>'
    "</defs></svg>"
)
_SYMBOL_OF: Final = {
    "so-far": ("ring", "so-far"),
    "below": ("down", "so-far"),
    "above": ("up", "so-far"),
    "alert": ("alert", "alert"),
    "doubtful": ("slash", "doubtful"),
    "no-trust": ("cross", "no-trust"),
}
_IN_SMALL: Final = {"alert": "speck", "no-trust": "cross"}


def chart_svg(
    panel: Panel, *, name: str, height: int, strip: bool, small: bool = False
) -> str:
    """Render a panel.

    Parameters
    ----------
    panel : Panel
        What to draw.
    name : str
        For those who do not see the chart.
    height : int
        Height of the plot, in pixels.
    strip : bool
        Whether to show how many labels each chunk has.
    small : bool, default=False
        Whether it is one of several beside each other.
    """
    n = len(panel.labels)
    area = PlotArea(panel=panel, unit=_UNIT, height=height)
    ticks = value_ticks(*panel.scale, most=round(height / _TICK_PIXELS))
    grid = "".join(f"M0 {short(area.y(value))}H{_UNIT * n}" for value, _ in ticks)
    band = "".join(
        f"M{_UNIT * position} {short(y)}h{_UNIT}v{short(tall)}h-{_UNIT}z"
        for position, y, tall in area.band()
    )
    shapes = [
        *_regions(panel, height),
        path_element("grid", grid),
        path_element("band", band),
        *(path_element("threshold", area.steps(values)) for values in panel.thresholds),
    ]
    for line in panel.lines:
        shapes.append(path_element(line.role, area.line(line.values)))
        if line.has_dots and n <= _DOT_ROOM * height:
            shapes.append(path_element(f"{line.role} dots", area.dots(line.values)))
    bottom = _TOP + height
    outside = [_marks(area, mark, small=small) for mark in panel.marks]
    outside += [
        f'<text x="-6" y="{short(area.y(value) + _TOP + 4)}" text-anchor="end">{text}'
        "</text>"
        for value, text in ticks
    ]
    outside += _period_names(panel.n_reference, n)
    if strip:
        outside.append(_strip(panel, bottom + _GAP))
        bottom += _GAP + _STRIP
    outside += _dates(panel, bottom, _MOST_TICKS[small])
    return (
        f'<svg class="chart" height="{bottom + _TICK_ROOM}" role="img" '
        f'aria-label="{escape(name)}">'
        f'<svg y="{_TOP}" height="{height}" viewBox="0 0 {_UNIT * max(n, 1)} {height}" '
        f'preserveAspectRatio="none">{"".join(shapes)}</svg>'
        f'{"".join(outside)}<line class="cursor" y1="{_TOP}" y2="{bottom}"/></svg>'
    )


def sparkline_svg(series: MetricSeries, height: int = 36) -> str:
    """Draw the values of one metric as a line, over its thresholds; alerts marked."""
    panel = panel_of(series, None, axis_range([series], MARGIN))
    area = PlotArea(panel=panel, unit=_UNIT, height=height)
    shapes = [
        *_regions(panel, height),
        *(path_element("threshold", area.steps(values)) for values in panel.thresholds),
        path_element("estimated", area.line(series.value)),
        *(
            path_element("alarm dots", area.dots(mark.values))
            for mark in panel.marks
            if mark.role == "alert"
        ),
    ]
    return (
        f'<svg class="spark" height="{height}" aria-hidden="true" '
        f'viewBox="0 0 {_UNIT * max(len(series), 1)} {height}" '
        f'preserveAspectRatio="none">{"".join(shapes)}</svg>'
    )


def _regions(panel: Panel, height: int) -> list[str]:
    return [
        f'<rect class="{region.role}" x="{_UNIT * region.begin}" '
        f'width="{_UNIT * (region.stop - region.begin)}" height="{height}"/>'
        for region in panel.regions
    ]


def _marks(area: PlotArea, marks: Marks, *, small: bool) -> str:
    """Mark values with a symbol; a small chart shows alerts and lost trust only."""
    symbol, name = _SYMBOL_OF[marks.role]
    if small:
        if marks.role not in _IN_SMALL:
            return ""
        symbol = _IN_SMALL[marks.role]
    n = len(area.panel.labels)
    return "".join(
        f'<use href="#{symbol}" class="{name}" x="{_percent(position + 0.5, n)}" '
        f'y="{short(area.y(value) + _TOP)}"/>'
        for position, value in area.shown(marks.values)
    )


def _period_names(n_reference: int, n: int) -> list[str]:
    """Say on which side the reference is, where there is room."""
    if not n_reference > 0:
        return []
    share, edge = n_reference / n, _percent(n_reference, n)
    names = []
    if share >= _ROOM_FOR_NAME:
        names.append(
            f'<text class="period" x="{edge}" dx="-5" y="9" text-anchor="end">'
            "◂ reference</text>"
        )
    if 1.0 - share >= _ROOM_FOR_NAME:
        names.append(f'<text class="period" x="{edge}" dx="5" y="9">analysis ▸</text>')
    return names


def _strip(panel: Panel, top: int) -> str:
    """Draw the share of labels of each chunk as a bar."""
    bars = "".join(
        f"M{_UNIT * position} {_STRIP}h{_UNIT}v-{short(_STRIP * share)}h-{_UNIT}z"
        for position, share in zip(
            panel.positions.tolist(), panel.coverage.tolist(), strict=True
        )
        if share > 0.0
    )
    width = _UNIT * max(len(panel.labels), 1)
    return (
        f'<svg y="{top}" height="{_STRIP}" viewBox="0 0 {width} {_STRIP}" '
        f'preserveAspectRatio="none"><path class="unlabeled" d="M0 0h{width}v{_STRIP}'
        f'h-{width}z"/><path class="labels" d="{bars}"/></svg>'
        f'<text x="-6" y="{top + _STRIP}" text-anchor="end">labels</text>'
    )


def _dates(panel: Panel, bottom: int, most: int) -> list[str]:
    """Name chunks beneath the plot."""
    n = len(panel.labels)
    texts = []
    for tick in chunk_ticks(panel.labels, panel.n_reference, most):
        x, anchor = _percent(tick.position + 0.5, n), "middle"
        if tick.position + 0.5 > _LAST_ON_PAPER * n:
            x, anchor = "100%", "end"
        texts += [
            f'<text x="{x}" y="{bottom + dy}" text-anchor="{anchor}">'
            f"{escape(text)}</text>"
            for text, dy in ((tick.text, 14), (tick.below, 28))
            if text
        ]
    return texts


def _percent(position: float, n: int) -> str:
    return f"{100.0 * position / max(n, 1):.2f}%"
