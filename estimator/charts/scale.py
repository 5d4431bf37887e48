"""Between which values the axis of a chart lies."""

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from estimator.metric_series import MetricSeries

Floats = NDArray[np.float64]


def axis_range(
    several: Iterable[MetricSeries], margin: float, below: float = 1.0
) -> tuple[float, float]:
    """Return the ends of an axis with room for all values of the series.

    Parameters
    ----------
    several : iterable of MetricSeries
        What is drawn on the axis.
    margin : float
        Room above the values, as a share of their range.
    below : float, default=1.0
        Room below them, in margins.
    """
    low, high = value_range(several) or (0.0, 1.0)
    room = margin * (high - low) or 0.01 * max(abs(high), 1.0)
    return low - below * room, high + room


def value_range(several: Iterable[MetricSeries]) -> tuple[float, float] | None:
    """Return the ends of a scale that shows how values move, None if there is none.

    All estimated, reconciled and final realized values are inside, and so are the
    median thresholds. Other thresholds and the intervals are inside as far as an
    interval of usual width reaches: a chunk of a few rows, whose interval goes from 0
    to 1, must not make the lines of all others flat. Unfinished realized values are a
    selection and stretch nothing.
    """
    several = list(several)
    values = _finite(
        column
        for series in several
        for column in (series.estimated, series.final_realized, series.value)
    )
    thresholds = [
        _finite(series.thresholds[side] for series in several) for side in (0, 1)
    ]
    intervals = [end for series in several for end in (series.lower, series.upper)]
    ends = _finite([*thresholds, *intervals])
    if not values.size:
        return (float(ends.min()), float(ends.max())) if ends.size else None
    inside = [*values, *(np.median(side) for side in thresholds if side.size)]
    low, high = float(min(inside)), float(max(inside))
    if not ends.size:
        return low, high
    widths = _finite(series.upper - series.lower for series in several)
    widths = widths[widths > 0.0]
    reach = float(np.median(widths)) if widths.size else high - low
    return (
        min(low, max(float(ends.min()), low - reach)),
        max(high, min(float(ends.max()), high + reach)),
    )


def _finite(columns: Iterable[Floats]) -> Floats:
    numbers = np.concatenate([np.empty(0), *columns])
    finite: Floats = numbers[np.isfinite(numbers)]
    return finite
