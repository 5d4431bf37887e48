"""Paths of inline SVG: lines, dots and steps over the chunks of an axis."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from estimator.charts.panel import Panel

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class PlotArea:
    """Where in an SVG the values of a panel are drawn.

    Attributes
    ----------
    panel : Panel
        Its scale and positions.
    unit : float
        Width of a chunk, in units of the SVG, like all that follow.
    height : float
        From the lowest to the highest value of the scale.
    left, top : float
        Corner of the area.
    """

    panel: Panel
    unit: float
    height: float
    left: float = 0.0
    top: float = 0.0

    def x(self, position: float) -> float:
        """Return where a chunk begins; its middle is half a chunk further."""
        return self.left + self.unit * position

    def y(self, value: float) -> float:
        """Return how far from the top a value is."""
        low, high = self.panel.scale
        return self.top + float((high - value) / (high - low) * self.height)

    def line(self, values: Floats) -> str:
        """Return the path from the middle of one chunk to that of the next."""
        path, last = "", -2
        for position, value in self.shown(values):
            point = self._point(position, value)
            # A line of no length is a dot: round caps. Alone, it must not vanish.
            path += f" {point}" if position == last + 1 else f"M{point}h0L{point}"
            last = position
        return path

    def dots(self, values: Floats) -> str:
        """Return the path of lines of no length, which round caps make dots."""
        points = [self._point(*value) for value in self.shown(values)]
        return "".join(f"M{point}h0" for point in points)

    def steps(self, values: Floats) -> str:
        """Return the path of values that hold over the whole width of their chunk."""
        path, last = "", -2
        for position, value in self.shown(values):
            y, end = short(self.y(value)), short(self.x(position + 1))
            # One line through neighbours, or the dashes would begin anew at each.
            joins = position == last + 1
            path += f"V{y}H{end}" if joins else f"M{short(self.x(position))} {y}H{end}"
            last = position
        return path

    def band(self) -> list[tuple[int, float, float]]:
        """Return position, top and height of the band in each chunk that has one."""
        # What is not finite reaches to the edge of the plot.
        low = np.clip(self.panel.lower, *self.panel.scale).tolist()
        high = np.clip(self.panel.upper, *self.panel.scale).tolist()
        boxes = []
        for position, bottom, top in zip(
            self.panel.positions.tolist(), low, high, strict=True
        ):
            if not (np.isnan(bottom) or np.isnan(top)):
                y = round(self.y(top), 1)
                boxes.append((position, y, round(self.y(bottom), 1) - y))
        return boxes

    def shown(self, values: Floats) -> list[tuple[int, float]]:
        """Return position and value of each chunk that has a value."""
        finite = np.isfinite(values)
        positions = self.panel.positions[finite].tolist()
        return list(zip(positions, values[finite].tolist(), strict=True))

    def _point(self, position: int, value: float) -> str:
        return f"{short(self.x(position + 0.5))} {short(self.y(value))}"


def path_element(name: str, path: str) -> str:
    """Return a path of a class, "" if there is nothing to draw."""
    return f'<path class="{name}" d="{path}"/>' if path else ""


def short(number: float) -> str:
    """Return a length in tenths, as short as it can be written.

    Examples
    --------
    >>> short(12.04), short(12.06)
    ('12', '12.1')
    """
    return f"{number:.1f}".removesuffix(".0")
