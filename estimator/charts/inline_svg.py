"""A small chart as inline SVG: no library, no script, colours of the page around it."""

from html import escape
from typing import Final

from estimator.charts.formats import numbers_text
from estimator.charts.panel import Marks, panel_of
from estimator.charts.scale import axis_range, value_range
from estimator.charts.svg_paths import PlotArea, path_element, short
from estimator.metric_series import MetricSeries, Overlay

_WIDTH, _HEIGHT = 640, 150
_LEFT, _RIGHT, _TOP, _BOTTOM = 56, 8, 18, 22
_PLOT: Final = _HEIGHT - _TOP - _BOTTOM
_STRIP: Final = 6  # height of the strip of labels, which is in the plot
_MARGIN: Final = 0.06  # above and below the values, as a share of their range
_ROOM_FOR_STRIP: Final = 3.0  # margins below the values
# Class and path: arrows with their tips on the edge, a stroke and a cross.
_PATHS: Final = {
    "below": ("so-far", "l-3-5h6z"),
    "above": ("so-far", "l-3 5h6z"),
    "doubtful": ("doubtful", "m-5 5l10-10"),
    "no-trust": ("no-trust", "m-5 5l10-10m-10 0l10 10"),
}


def series_svg(series: MetricSeries, overlay: Overlay | None = None) -> str:
    """Draw one metric of one segment over time.

    Parameters
    ----------
    series : MetricSeries
        What to draw.
    overlay : Overlay, optional
        What the verdict on it draws.

    Returns
    -------
    str
        An ``<svg>`` element whose classes (``band``, ``estimated``, ``before``,
        ``reconciled``, ``realized``, ``so-far``, ``threshold``, ``alert``,
        ``doubtful``, ``no-trust``, ``reference``, ``labels``, ``affected``, ``fitted``;
        ``dots`` with those of a line) the page colours; each chunk has a ``<title>``
        that browsers show on hover.
    """
    below = _ROOM_FOR_STRIP if series.reconciled else 1.0
    panel = panel_of(series, overlay, axis_range([series], _MARGIN, below))
    n = len(series)
    unit = (_WIDTH - _LEFT - _RIGHT) / max(n, 1)
    area = PlotArea(panel=panel, unit=unit, height=_PLOT, left=_LEFT, top=_TOP)
    parts = [
        *(
            _box(area, region.role, region.begin, region.stop)
            for region in panel.regions
        ),
        *(
            f'<rect class="band" x="{short(area.x(position))}" y="{short(y)}" '
            f'width="{short(unit)}" height="{short(tall)}"/>'
            for position, y, tall in area.band()
        ),
        *(path_element("threshold", area.steps(values)) for values in panel.thresholds),
    ]
    for line in panel.lines:
        parts.append(path_element(line.role, area.line(line.values)))
        if line.has_dots:
            parts.append(path_element(f"{line.role} dots", area.dots(line.values)))
    parts += [_marks(area, mark) for mark in panel.marks]
    parts += _strip(area) if panel.reconciled else []
    parts += _texts(area, value_range([series]) or panel.scale)
    parts += [
        f"{_box(area, 'hover', i, i + 1, end='>')}"
        f"<title>{escape(numbers_text(series, i))}</title></rect>"
        for i in range(n)
    ]
    label = escape(f"{series.metric} over {n} chunks")
    kind = ' class="reconciles"' if panel.reconciled else ""
    return (
        f'<svg{kind} viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{label}">'
        f"{''.join(parts)}</svg>"
    )


def _box(area: PlotArea, name: str, begin: int, stop: int, end: str = "/>") -> str:
    return (
        f'<rect class="{name}" x="{short(area.x(begin))}" y="{_TOP}" '
        f'width="{short(area.unit * (stop - begin))}" height="{_PLOT}"{end}'
    )


def _marks(area: PlotArea, marks: Marks) -> str:
    drawn = ""
    for position, value in area.shown(marks.values):
        x, y = short(area.x(position + 0.5)), short(area.y(value))
        if marks.role in _PATHS:
            name, path = _PATHS[marks.role]
            drawn += f'<path class="{name}" d="M{x} {y}{path}"/>'
        else:
            radius = 5 if marks.role == "alert" else 2.2
            drawn += f'<circle class="{marks.role}" cx="{x}" cy="{y}" r="{radius}"/>'
    return drawn


def _strip(area: PlotArea) -> list[str]:
    """Draw the share of labels of each chunk as a bar."""
    bottom = _TOP + _PLOT
    return [
        f'<rect class="labels" x="{short(area.x(position))}" width="{short(area.unit)}"'
        f' y="{short(bottom - _STRIP * share)}" height="{short(_STRIP * share)}"/>'
        for position, share in zip(
            area.panel.positions.tolist(), area.panel.coverage.tolist(), strict=True
        )
        if share
    ]


def _texts(area: PlotArea, ends: tuple[float, float]) -> list[str]:
    """Name the metric, the ends of its values, and the first and the last chunk."""
    panel = area.panel
    segment = f", {panel.segment}" if panel.segment else ""
    texts = [
        f'<text x="{_LEFT - 6}" y="{short(area.y(end) + 4)}" text-anchor="end">'
        f"{end:.4g}</text>"
        for end in ends
    ]
    texts.append(
        f'<text class="name" x="{_LEFT}" y="12">{escape(panel.metric + segment)}</text>'
    )
    last = len(panel.labels) - 1
    for i, x, anchor in ((0, 0, "start"), (last, last + 1, "end")):
        if i or (anchor == "start" and last >= 0):
            texts.append(
                f'<text x="{short(area.x(x))}" y="{_HEIGHT - 6}" '
                f'text-anchor="{anchor}">{escape(str(panel.labels[i]))}</text>'
            )
    return texts
