"""What a chart of one metric of one segment draws, chunk by chunk."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from estimator.presentation.stages import coverage, is_final, is_reconciled
from estimator.results import Performance

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Panel:
    """One metric of one segment.

    Attributes
    ----------
    rows : ndarray of shape (n_chunks,)
        Where its chunks stand in the result.
    n_reference : int
        How many of them, the first, are the reference's.
    reconciled : bool
        Whether labels have moved any value of the result away from its estimate.
    value, lower, upper, estimated, realized : ndarray of shape (n_chunks,)
        As in the result.
    known : ndarray of shape (n_chunks,)
        Realized values that are final, NaN elsewhere.
    so_far : ndarray of shape (n_chunks,)
        Realized values that more labels will move, NaN elsewhere.
    thresholds : tuple of ndarray of shape (n_chunks,)
        Lower and upper.
    alert : ndarray of bool of shape (n_chunks,)
    coverage : ndarray of shape (n_chunks,)
        Share of rows that have a label, in [0, 1].
    """

    rows: NDArray[np.int64]
    n_reference: int
    reconciled: bool
    value: Floats
    lower: Floats
    upper: Floats
    estimated: Floats
    realized: Floats
    known: Floats
    so_far: Floats
    thresholds: tuple[Floats, Floats]
    alert: NDArray[np.bool_]
    coverage: Floats


def read_panel(performance: Performance, metric: str, segment: str = "") -> Panel:
    """Read the columns of one metric of one segment off a result."""
    rows = np.flatnonzero(performance.segment == segment)
    k = performance.metrics.index(metric)
    final = is_final(performance)[rows]
    realized = performance.realized[rows, k]
    return Panel(
        rows=rows,
        n_reference=int(np.sum(performance.period[rows] == "reference")),
        reconciled=is_reconciled(performance),
        value=performance.value[rows, k],
        lower=performance.lower[rows, k],
        upper=performance.upper[rows, k],
        estimated=performance.estimated[rows, k],
        realized=realized,
        known=np.where(final, realized, np.nan),
        so_far=np.where(final, np.nan, realized),
        thresholds=(
            performance.lower_threshold[rows, k],
            performance.upper_threshold[rows, k],
        ),
        alert=performance.alert[rows, k],
        coverage=coverage(performance)[rows],
    )


def value_range(panels: Iterable[Panel]) -> tuple[float, float] | None:
    """Return the ends of a scale that shows how values move, None if there is none.

    All estimated, reconciled and final realized values are inside, and so are the
    median thresholds. Other thresholds and the intervals are inside as far as an
    interval of usual width reaches: a chunk of a few rows, whose interval goes from 0
    to 1, must not make the lines of all others flat. Unfinished realized values are a
    selection and stretch nothing.
    """
    panels = list(panels)
    values = _finite(
        column
        for panel in panels
        for column in (panel.estimated, panel.known, panel.value)
    )
    thresholds = [
        _finite(panel.thresholds[side] for panel in panels) for side in (0, 1)
    ]
    ends = _finite(
        [*thresholds, *(end for panel in panels for end in (panel.lower, panel.upper))]
    )
    if not values.size:
        return (float(ends.min()), float(ends.max())) if ends.size else None
    inside = [*values, *(np.median(side) for side in thresholds if side.size)]
    low, high = float(min(inside)), float(max(inside))
    if not ends.size:
        return low, high
    widths = _finite(panel.upper - panel.lower for panel in panels)
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
