"""One chart as data, computed once: matplotlib and inline SVG only render it."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from estimator.metric_series import MetricSeries, Overlay

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Region:
    """Chunks beside each other that are shaded.

    Attributes
    ----------
    role : {"reference", "affected"}
    begin, stop : int
        Position of the first chunk, and of the last plus one.
    """

    role: Literal["reference", "affected"]
    begin: int
    stop: int


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Line:
    """Values that a line connects; it is broken where they are missing.

    Attributes
    ----------
    role : {"realized", "estimated", "before", "reconciled", "fitted"}
        ``before`` is the estimate once labels have moved values away from it.
    values : ndarray of shape (n_chunks,)
        In units of the metric; NaN where there is none.
    has_dots : bool
        Whether each value has a dot.
    """

    role: Literal["realized", "estimated", "before", "reconciled", "fitted"]
    values: Floats
    has_dots: bool = True


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Marks:
    """Single values with a marker.

    Attributes
    ----------
    role : {"so-far", "below", "above", "alert", "doubtful", "no-trust"}
        ``so-far`` are realized values that more labels will move; ``below`` and
        ``above`` are those out of sight, with the end of the scale as value;
        ``doubtful`` and ``no-trust`` are values that are not to be trusted.
    values : ndarray of shape (n_chunks,)
        In units of the metric; NaN where there is none.
    """

    role: Literal["so-far", "below", "above", "alert", "doubtful", "no-trust"]
    values: Floats


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Panel:
    """What a chart of one metric of one segment shows, in the order of painting.

    Attributes
    ----------
    metric, segment : str
        Names; segment "" is all rows.
    level : float
        Coverage that the band claims, in (0, 1).
    reconciled : bool
        Whether labels have moved any value of the result away from its estimate.
    labels : list
        Labels of all chunks of the axis.
    n_reference : int
        How many of them, the first, are the reference's.
    positions : ndarray of shape (n_chunks,)
        Where on the axis the chunks of this panel stand.
    scale : (float, float)
        Lowest and highest value of the axis.
    regions : tuple of Region
        Shaded chunks.
    lower, upper : ndarray of shape (n_chunks,)
        Ends of the band; NaN in the reference, which has none.
    thresholds : tuple of ndarray of shape (n_chunks,)
        Those that have a value in sight; NaN elsewhere.
    lines : tuple of Line
        All lines that have any value, and the estimate.
    marks : tuple of Marks
        All that have any value.
    coverage : ndarray of shape (n_chunks,)
        Share of rows that have a label, in [0, 1].
    sentence : str
        The verdict in words, "" if there is none.
    """

    metric: str
    segment: str
    level: float
    reconciled: bool
    labels: list[object]
    n_reference: int
    positions: Ints
    scale: tuple[float, float]
    regions: tuple[Region, ...]
    lower: Floats
    upper: Floats
    thresholds: tuple[Floats, ...]
    lines: tuple[Line, ...]
    marks: tuple[Marks, ...]
    coverage: Floats
    sentence: str


def panel_of(
    series: MetricSeries,
    overlay: Overlay | None,
    scale: tuple[float, float],
    axis: MetricSeries | None = None,
) -> Panel:
    """Return the chart of a series as data.

    Parameters
    ----------
    series : MetricSeries
        What to draw.
    overlay : Overlay or None
        What the verdict on it draws.
    scale : (float, float)
        Lowest and highest value of the axis.
    axis : MetricSeries, optional
        The same metric on all chunks of the axis, where the series may lack some.
        Default: the series itself.
    """
    axis = series if axis is None else axis
    positions = _positions(axis, series)
    waiting = series.in_analysis
    return Panel(
        metric=series.metric,
        segment=series.segment,
        level=series.level,
        reconciled=series.reconciled,
        labels=axis.chunk.tolist(),
        n_reference=axis.n_reference,
        positions=positions,
        scale=scale,
        regions=regions_of(axis.n_reference, overlay, positions),
        lower=np.where(waiting, series.lower, np.nan),
        upper=np.where(waiting, series.upper, np.nan),
        thresholds=_in_sight(series.thresholds, scale),
        lines=_lines(series, overlay),
        marks=_marks(series, scale),
        coverage=series.coverage,
        sentence="" if overlay is None else overlay.sentence,
    )


def regions_of(
    n_reference: int, overlay: Overlay | None, positions: Ints
) -> tuple[Region, ...]:
    """Return the shaded chunks: those of the reference, and runs of affected ones."""
    regions = []
    if n_reference:
        regions.append(Region(role="reference", begin=0, stop=n_reference))
    if overlay is not None:
        regions += [
            Region(
                role="affected",
                begin=int(positions[first]),
                stop=int(positions[last - 1]) + 1,
            )
            for first, last in runs_of(overlay.affected)
        ]
    return tuple(regions)


def runs_of(flag: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """Return runs of True, each as its first position and its last plus one.

    Examples
    --------
    >>> runs_of(np.array([True, True, False, True]))
    [(0, 2), (3, 4)]
    """
    edges = np.flatnonzero(np.diff(flag.astype(np.int8), prepend=0, append=0))
    return [(int(a), int(b)) for a, b in zip(edges[::2], edges[1::2], strict=True)]


def _positions(axis: MetricSeries, series: MetricSeries) -> Ints:
    """Return where the chunks of a series stand among all: it may lack some."""
    keys = zip(axis.in_analysis.tolist(), axis.chunk.tolist(), strict=True)
    position_of = {key: i for i, key in enumerate(keys)}
    keys = zip(series.in_analysis.tolist(), series.chunk.tolist(), strict=True)
    return np.array([position_of[key] for key in keys], dtype=np.int64)


def _in_sight(
    thresholds: tuple[Floats, ...], scale: tuple[float, float]
) -> tuple[Floats, ...]:
    low, high = scale
    shown = [
        np.where((threshold >= low) & (threshold <= high), threshold, np.nan)
        for threshold in thresholds
    ]
    return tuple(threshold for threshold in shown if np.isfinite(threshold).any())


def _lines(series: MetricSeries, overlay: Overlay | None) -> tuple[Line, ...]:
    lines = []
    realized = series.final_realized
    if np.isfinite(realized).any():
        lines.append(Line(role="realized", values=realized))
    if series.reconciled:
        value = np.where(series.in_analysis, series.value, np.nan)
        lines.append(Line(role="before", values=series.estimated, has_dots=False))
        lines.append(Line(role="reconciled", values=value))
    else:
        lines.append(Line(role="estimated", values=series.estimated))
    if overlay is not None and np.isfinite(overlay.fitted).any():
        lines.append(Line(role="fitted", values=overlay.fitted, has_dots=False))
    return tuple(lines)


def _marks(series: MetricSeries, scale: tuple[float, float]) -> tuple[Marks, ...]:
    """Return unfinished realized values, arrows to those out of sight, alerts, doubts.

    Labels that come first are a selection: such values may be far off, and must not
    squeeze all others into a line.
    """
    low, high = scale
    partial, nothing = series.partial_realized, np.nan
    in_sight = (partial >= low) & (partial <= high)
    marks = (
        Marks(role="so-far", values=np.where(in_sight, partial, nothing)),
        Marks(role="below", values=np.where(partial < low, low, nothing)),
        Marks(role="above", values=np.where(partial > high, high, nothing)),
        Marks(role="alert", values=np.where(series.alert, series.value, nothing)),
        Marks(
            role="doubtful",
            values=np.where(series.trust == "doubtful", series.value, nothing),
        ),
        Marks(
            role="no-trust",
            values=np.where(series.trust == "none", series.value, nothing),
        ),
    )
    return tuple(mark for mark in marks if np.isfinite(mark.values).any())
