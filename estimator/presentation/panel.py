"""What a chart shows of a series: the ends of its scale, runs of chunks."""

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from estimator.metric_series import MetricSeries

Floats = NDArray[np.float64]


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


def runs_of(flag: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """Return runs of True, each as its first position and its last plus one.

    Examples
    --------
    >>> runs_of(np.array([True, True, False, True]))
    [(0, 2), (3, 4)]
    """
    edges = np.flatnonzero(np.diff(flag.astype(np.int8), prepend=0, append=0))
    return [(int(a), int(b)) for a, b in zip(edges[::2], edges[1::2], strict=True)]
