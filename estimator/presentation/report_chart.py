"""Charts of the report page: their width is the page's, their text is not scaled.

Shapes are in an inner ``<svg>`` that is stretched to the page's width (lines keep
theirs); ticks and markers stand outside of it, at per cent of the width.
"""

from collections.abc import Iterable, Sequence
from html import escape
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from estimator.metric_series import MetricSeries, Overlay
from estimator.presentation.panel import runs_of, value_range
from estimator.presentation.ticks import chunk_ticks, value_ticks

Floats = NDArray[np.float64]

UNIT: Final = 10  # width of a chunk, before stretching
_TOP: Final = 14  # pixels above the plot, for "reference" and "analysis"
_STRIP: Final = 7
_GAP: Final = 8
_TICK_ROOM: Final = 34
_TICK_PIXELS: Final = 30  # from one tick of values to the next, at least
_DOT_ROOM: Final = 0.55  # chunks in a pixel of height; more dots would run together
_ROOM_FOR_NAME: Final = 0.2  # of the width
_LAST_ON_PAPER: Final = 0.96  # of the width: beyond, a centred date is cut off
_MOST_TICKS: Final = {False: 7, True: 4}  # dates beside each other on a phone

# What markers are, once for the page: diamond, ring, arrows to what is out of sight.
SYMBOLS: Final = (
    '<svg class="symbols" aria-hidden="true"><defs>'
    '<path id="alert" d="M0-5 5 0 0 5-5 0z"/>'
    '<path id="speck" d="M0-3.6 3.6 0 0 3.6-3.6 0z"/>'
    '<circle id="ring" r="2.8"/>'
    '<path id="down" d="M-3-5h6L0 0z"/><path id="up" d="M-3 5h6L0 0z"/>'
    "</defs></svg>"
)


def chart_svg(
    series: MetricSeries,
    *,
    name: str,
    overlay: Overlay | None,
    height: int,
    scale: tuple[float, float],
    places: NDArray[np.int64],
    labels: Sequence[Any],
    n_reference: int,
    strip: bool,
    small: bool = False,
) -> str:
    """Draw one metric of one segment over time.

    Parameters
    ----------
    series : MetricSeries
        What to draw.
    name : str
        For those who do not see the chart.
    overlay : Overlay or None
        What the verdict on it draws.
    height : int
        Of the plot, in pixels.
    scale : (float, float)
        Lowest and highest value of the axis.
    places : ndarray of shape (n_chunks,)
        Where on the axis of chunks those of the series stand.
    labels : sequence
        All chunks of the axis.
    n_reference : int
        How many of them, the first, are the reference's.
    strip : bool
        Whether to show how many labels each chunk has.
    small : bool, default=False
        Whether it is one of several beside each other.
    """
    n = len(labels)
    draw = _Plot(n, height, scale, places)
    shapes = [_box("reference", 0, n_reference, height)] if n_reference else []
    if overlay is not None:
        shapes += [
            _box("affected", int(places[a]), int(places[b - 1]) + 1, height)
            for a, b in runs_of(overlay.affected)
        ]
    ticks = value_ticks(*scale, most=round(height / _TICK_PIXELS))
    grid = "".join(f"M0 {draw.y(v)}H{UNIT * n}" for v, _ in ticks)
    shapes.append(f'<path class="grid" d="{grid}"/>')
    waiting = series.in_analysis
    shapes.append(
        draw.band(
            np.where(waiting, series.lower, np.nan),
            np.where(waiting, series.upper, np.nan),
        )
    )
    shapes += [draw.steps("threshold", threshold) for threshold in series.thresholds]
    shapes.append(draw.line("realized", series.final_realized))
    if series.reconciled:
        shapes.append(draw.line("before", series.estimated, dots=False))
        value = np.where(waiting, series.value, np.nan)
        shapes.append(draw.line("reconciled", value))
    else:
        shapes.append(draw.line("estimated", series.estimated))
    if overlay is not None:
        shapes.append(draw.line("fitted", overlay.fitted, dots=False))
    outside = [
        *([] if small else draw.so_far(series.partial_realized)),
        *draw.alerts(np.where(series.alert, series.value, np.nan), small=small),
        *(
            f'<text x="-6" y="{draw.y(v) + _TOP + 4:g}" text-anchor="end">{text}</text>'
            for v, text in ticks
        ),
        *_names(n_reference, n),
    ]
    bottom = _TOP + height
    if strip:
        outside.append(_strip(series, places, n, bottom + _GAP))
        bottom += _GAP + _STRIP
    for tick in chunk_ticks(labels, n_reference, _MOST_TICKS[small]):
        at, anchor = _percent(tick.place + 0.5, n), "middle"
        if tick.place + 0.5 > _LAST_ON_PAPER * n:
            at, anchor = "100%", "end"
        for text, dy in ((tick.text, 14), (tick.below, 28)):
            if text:
                outside.append(
                    f'<text x="{at}" y="{bottom + dy}" text-anchor="{anchor}">'
                    f"{escape(text)}</text>"
                )
    return (
        f'<svg class="chart" height="{bottom + _TICK_ROOM}" role="img" '
        f'aria-label="{escape(name)}">'
        f'<svg y="{_TOP}" height="{height}" viewBox="0 0 {UNIT * max(n, 1)} {height}" '
        f'preserveAspectRatio="none">{"".join(shapes)}</svg>'
        f'{"".join(outside)}<line class="cursor" y1="{_TOP}" y2="{bottom}"/></svg>'
    )


def sparkline_svg(series: MetricSeries, height: int = 36) -> str:
    """Draw the values of one metric as a line, over its thresholds; alerts marked."""
    n = len(series)
    draw = _Plot(n, height, axis_range([series]), np.arange(n))
    shapes = [
        _box("reference", 0, series.n_reference, height),
        *(draw.steps("threshold", threshold) for threshold in series.thresholds),
        draw.line("estimated", series.value, dots=False),
        draw.dots("alarm", np.where(series.alert, series.value, np.nan)),
    ]
    return (
        f'<svg class="spark" height="{height}" aria-hidden="true" '
        f'viewBox="0 0 {UNIT * max(n, 1)} {height}" preserveAspectRatio="none">'
        f"{''.join(shapes)}</svg>"
    )


def axis_range(several: Iterable[MetricSeries]) -> tuple[float, float]:
    """Return the ends of an axis with room for all values of the series."""
    low, high = value_range(several) or (0.0, 1.0)
    margin = 0.07 * (high - low) or 0.01 * max(abs(high), 1.0)
    return low - margin, high + margin


class _Plot:
    """Paths in the stretched part of a chart."""

    def __init__(
        self,
        n: int,
        height: int,
        scale: tuple[float, float],
        places: NDArray[np.int64],
    ) -> None:
        self.n, self.height, self.places = n, height, places.tolist()
        self.low, self.high = scale

    def y(self, value: float) -> float:
        """Return pixels from the top, to a tenth."""
        y = (self.high - value) / (self.high - self.low) * self.height
        return round(float(y), 1)

    def line(self, name: str, values: Floats, *, dots: bool = True) -> str:
        """Draw values from the middle of one chunk to that of the next."""
        path, points, last = "", "", -2
        for place, value in zip(self.places, values.tolist(), strict=True):
            if not np.isfinite(value):
                continue
            point = f"{UNIT * place + UNIT // 2} {self.y(value):g}"
            # A line of no length is a dot: round caps. Alone, it must not vanish.
            path += f" {point}" if place == last + 1 else f"M{point}h0L{point}"
            points += f"M{point}h0"
            last = place
        if not path:
            return ""
        drawn = f'<path class="{name}" d="{path}"/>'
        if dots and self.n <= _DOT_ROOM * self.height:
            drawn += f'<path class="{name} dots" d="{points}"/>'
        return drawn

    def dots(self, name: str, values: Floats) -> str:
        """Draw values without a line."""
        points = "".join(
            f"M{UNIT * place + UNIT // 2} {self.y(value):g}h0"
            for place, value in zip(self.places, values.tolist(), strict=True)
            if np.isfinite(value)
        )
        return f'<path class="{name} dots" d="{points}"/>' if points else ""

    def steps(self, name: str, values: Floats) -> str:
        """Draw each value in sight over the whole width of its chunk."""
        path, last = "", -2
        for place, value in zip(self.places, values.tolist(), strict=True):
            if not self.low <= value <= self.high:
                continue
            y = self.y(value)
            # One line through neighbours, or the dashes would begin anew at each.
            path += f"V{y:g}h{UNIT}" if place == last + 1 else f"M{UNIT * place} {y:g}"
            path += "" if place == last + 1 else f"h{UNIT}"
            last = place
        return f'<path class="{name}" d="{path}"/>' if path else ""

    def band(self, lower: Floats, upper: Floats) -> str:
        """Fill from lower to upper over the whole width of each chunk."""
        # What is not finite reaches to the edge of the plot.
        tops = np.clip(upper, self.low, self.high).tolist()
        path = ""
        for place, low, top in zip(
            self.places, np.clip(lower, self.low, self.high).tolist(), tops, strict=True
        ):
            if np.isnan(low) or np.isnan(top):
                continue
            y = self.y(top)
            path += (
                f"M{UNIT * place} {y:g}h{UNIT}v{round(self.y(low) - y, 1):g}h-{UNIT}z"
            )
        return f'<path class="band" d="{path}"/>' if path else ""

    def alerts(self, values: Floats, *, small: bool) -> list[str]:
        """Mark values with a diamond."""
        symbol = "speck" if small else "alert"
        return [
            self._use(symbol, "alert", place, self.y(value))
            for place, value in zip(self.places, values.tolist(), strict=True)
            if np.isfinite(value)
        ]

    def so_far(self, values: Floats) -> list[str]:
        """Mark unfinished realized values; of those out of sight, the direction."""
        marks = []
        for place, value in zip(self.places, values.tolist(), strict=True):
            if np.isnan(value):
                continue
            symbol = "ring"
            if not self.low <= value <= self.high:
                symbol = "down" if value < self.low else "up"
            y = self.y(min(max(value, self.low), self.high))
            marks.append(self._use(symbol, "so-far", place, y))
        return marks

    def _use(self, symbol: str, name: str, place: int, y: float) -> str:
        at = _percent(place + 0.5, self.n)
        return f'<use href="#{symbol}" class="{name}" x="{at}" y="{y + _TOP:g}"/>'


def _box(name: str, begin: int, stop: int, height: int) -> str:
    return (
        f'<rect class="{name}" x="{UNIT * begin}" width="{UNIT * (stop - begin)}" '
        f'height="{height}"/>'
    )


def _names(n_reference: int, n: int) -> list[str]:
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


def _strip(series: MetricSeries, places: NDArray[np.int64], n: int, top: int) -> str:
    """Draw the share of labels of each chunk as a bar."""
    bars = "".join(
        f"M{UNIT * place} {_STRIP}h{UNIT}v-{round(_STRIP * share, 1):g}h-{UNIT}z"
        for place, share in zip(places.tolist(), series.coverage.tolist(), strict=True)
        if share > 0.0
    )
    width = UNIT * max(n, 1)
    return (
        f'<svg y="{top}" height="{_STRIP}" viewBox="0 0 {width} {_STRIP}" '
        f'preserveAspectRatio="none"><path class="unlabeled" d="M0 0h{width}v{_STRIP}'
        f'h-{width}z"/><path class="labels" d="{bars}"/></svg>'
        f'<text x="-6" y="{top + _STRIP}" text-anchor="end">labels</text>'
    )


def _percent(position: float, n: int) -> str:
    return f"{100.0 * position / max(n, 1):.2f}%"
