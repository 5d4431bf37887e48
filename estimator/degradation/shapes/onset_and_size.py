"""Where a decline is, how long and how much: averages over the shapes of its kind."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Generic, NamedTuple, TypedDict, TypeVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from estimator._kernels.step_fits import log_total
from estimator.degradation.series import ChunkTime, Series, plain
from estimator.degradation.shapes.fitted_shapes import Fits, shape_of
from estimator.degradation.shapes.whitening import WhitenedSeries

Floats = NDArray[np.float64]
End = TypeVar("End")


@dataclass(frozen=True, slots=True, kw_only=True)
class LocatingSettings:
    """How sure the fields must be that say where, how long and how much.

    Attributes
    ----------
    level : float
        Probability that an interval holds what it is of: the usual 95 %.
    normal_quantile : float
        Quantile of the normal distribution at that level, two-sided.
    over : float
        Probability, from which on a ramp is over, that two more chunks have stayed at
        its bottom; a judgement. More: its end is named later, and taken back more
        rarely.
    regular : float
        Least share of the weight of all cycles that regular ones have, where a cycle
        has a period: a regular one then explains the series about as well as going back
        and forth at random does; a judgement.
    """

    level: float = 0.95
    normal_quantile: float = 1.96
    over: float = 0.9
    regular: float = 0.001


SETTINGS: Final = LocatingSettings()


class Interval(NamedTuple, Generic[End]):
    """Ends of an interval: numbers, chunks or durations."""

    low: End
    high: End


class OnsetAndSize(TypedDict, total=False):
    """Fields of `Degradation` that say where, how long and how much."""

    onset: ChunkTime
    end: ChunkTime
    onset_interval: Interval[ChunkTime]
    end_interval: Interval[ChunkTime]
    period: float | pd.Timedelta
    period_interval: Interval[float] | Interval[pd.Timedelta]
    magnitude: float
    magnitude_interval: Interval[float]
    improved: bool
    fitted: Floats
    affected: NDArray[np.bool_]


def locate(kind: str, series: Series, fits: Sequence[Fits]) -> OnsetAndSize:
    """Return the fields of a verdict that say where, how long and how much.

    Parameters
    ----------
    kind : str
        Kind of decline; not ``stable``.
    series : Series
        Series that declines.
    fits : sequence of Fits
        All shapes of the kind, over which averages are taken by their weight.

    Returns
    -------
    OnsetAndSize
        Fields of `Degradation`, by name; those that the kind does not have are missing.
    """
    n = series.y.size
    log_weight = np.concatenate([f.log_weight for f in fits])
    weight = np.exp(log_weight - log_weight.max())
    weight /= weight.sum()
    tallest = max(fits, key=lambda f: float(f.log_weight.max()))
    curve = shape_of(tallest, int(np.argmax(tallest.log_weight)), series)
    fields: OnsetAndSize = {}
    if kind == "cyclical":
        mean, deviation = _swing(series, tallest, curve)
        fields |= _period(series, fits)
        affected = curve < 0.5 * (curve.min() + curve.max())
    else:
        amplitude = np.concatenate([f.amplitude for f in fits])
        variance = np.concatenate([f.variance for f in fits])
        mean = float(weight @ amplitude)
        deviation = float(np.sqrt(weight @ (variance + (amplitude - mean) ** 2)))
        begin = np.concatenate([f.first + (f.form == "ramp") for f in fits])
        stop = np.concatenate([f.last for f in fits])
        onset, fields["onset_interval"] = _median_chunk(series, begin, weight)
        fields["onset"] = _chunk_time(series, onset)
        until = n
        is_over = kind == "recovered" or (
            kind == "gradual" and float(weight @ (stop < n - 2)) > SETTINGS.over
        )
        if is_over:
            end, fields["end_interval"] = _median_chunk(series, stop, weight)
            fields["end"] = _chunk_time(series, end)
            until = end if kind == "recovered" else n
        affected = (np.arange(n) >= onset) & (np.arange(n) < until)
    change = series.sign * series.unit
    margin = SETTINGS.normal_quantile * deviation
    ends = sorted(change * (mean + side * margin) for side in (-1.0, 1.0))
    return fields | {
        "magnitude": change * mean,
        "magnitude_interval": Interval(*ends),
        "fitted": fitted_values(series, tallest.whitened, curve),
        "affected": _spread(series, affected),
    }


def fitted_values(series: Series, whitened: WhitenedSeries, curve: Floats) -> Floats:
    """Return level, shared error and curve in units of the metric, by chunk.

    NaN in chunks that are not usable.
    """
    y = _level(series, whitened, curve) + curve
    fitted = np.full(series.chunk_times.size, np.nan)
    fitted[series.index] = series.sign * (series.center + series.unit * y)
    return fitted


def _level(series: Series, whitened: WhitenedSeries, curve: Floats) -> Floats:
    """Return level and shared error by chunk, given the curve."""
    n = series.y.size
    left = whitened.column(series.y - curve)
    is_deployed = np.arange(n) >= series.n_reference
    deployed: Floats = np.where(is_deployed, series.shared, 0.0)
    products = np.array([whitened.constant @ left, whitened.column(deployed) @ left])
    level, shared = whitened.base_covariance @ products
    base: Floats = level + shared * deployed
    return base


def _swing(series: Series, fits: Fits, curve: Floats) -> tuple[float, float]:
    """Return the change from top to bottom of a cycle, and its standard deviation.

    Cosine and sine of a cycle have the variance 2 phi / sum of weights, and so has its
    amplitude, of which the swing is twice.
    """
    mean = float(curve.min() - curve.max())
    if fits.form == "switching":
        return mean, float(np.sqrt(fits.variance[0]))
    whitened = fits.whitened
    phi = whitened.squares / whitened.dof
    residual = whitened.column(series.y - curve - _level(series, whitened, curve))
    phi = min(phi, float(residual @ residual + 1.0) / residual.size)
    return mean, float(np.sqrt(8.0 * phi / np.sum(series.robust_errors**-2.0)))


def _period(series: Series, fits: Sequence[Fits]) -> OnsetAndSize:
    """Return period and its interval, nothing if the cycle is irregular."""
    regular = [f for f in fits if f.form == "cycle"]
    if not regular:
        return {}
    log_weight = np.concatenate([f.log_weight for f in regular])
    everything = log_total(np.array([log_total(f.log_weight) for f in fits]))
    if np.exp(log_total(log_weight) - everything) < SETTINGS.regular:
        return {}
    frequency = np.concatenate([f.frequency for f in regular])
    grid, grid_index = np.unique(frequency, return_inverse=True)
    weight = np.bincount(grid_index, np.exp(log_weight - log_weight.max()))
    # Each frequency stands for those half way to its neighbours.
    middle = 0.5 * (grid[1:] + grid[:-1])
    edges = np.concatenate([grid[:1], middle, grid[-1:]])
    cumulated = np.concatenate([[0.0], np.cumsum(weight)])
    tail = 0.5 * (1.0 - SETTINGS.level)
    wanted = np.array([0.5, 1.0 - tail, tail]) * cumulated[-1]
    period, low, high = (
        series.spacing / quantile for quantile in np.interp(wanted, cumulated, edges)
    )
    return {"period": period, "period_interval": Interval(low, high)}


def _quantiles(values: Floats, weight: Floats) -> Floats:
    """Return median and both ends of the central interval of a weighted sample."""
    order = np.argsort(values, kind="stable")
    cumulated = np.cumsum(weight[order])
    tail = 0.5 * (1.0 - SETTINGS.level)
    wanted = np.array([0.5, tail, 1.0 - tail]) * cumulated[-1]
    rank = np.minimum(np.searchsorted(cumulated, wanted), values.size - 1)
    quantiles: Floats = values[order][rank]
    return quantiles


def _median_chunk(
    series: Series, positions: NDArray[np.int64], weight: Floats
) -> tuple[int, Interval[ChunkTime]]:
    """Return the median of positions among usable chunks, and the interval's times."""
    ranked = _quantiles(positions.astype(np.float64), weight)
    middle, low, high = (int(position) for position in ranked)
    return middle, Interval(_chunk_time(series, low), _chunk_time(series, high))


def _chunk_time(series: Series, position: int) -> ChunkTime:
    """Return the time of a usable chunk."""
    time: ChunkTime = plain(series.chunk_times[series.index[position]])
    return time


def _spread(series: Series, mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return a mask over all chunks; unusable ones go with the chunk before them."""
    before = (
        np.searchsorted(series.index, np.arange(series.chunk_times.size), "right") - 1
    )
    spread: NDArray[np.bool_] = mask[np.maximum(before, 0)] & (before >= 0)
    return spread
