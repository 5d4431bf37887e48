"""Where a decline is, how long and how much: read off all shapes of its kind."""

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from estimator._kernels.step_fits import log_total
from estimator.degradation.series import Series, plain
from estimator.degradation.shapes.fits import Fits, shape_of
from estimator.degradation.shapes.whitening import Whitened

Floats = NDArray[np.float64]

LEVEL: Final = 0.95
# A ramp is over once this surely two more chunks have stayed at its bottom.
_OVER: Final = 0.9
# A cycle has a period as long as a regular one explains the series about as well as
# going back and forth at random does.
_REGULAR: Final = 0.001


class Interval(NamedTuple):
    """Ends of an interval; None where it is open."""

    low: Any
    high: Any


def locate(kind: str, series: Series, fits: Sequence[Fits]) -> dict[str, Any]:
    """Return the fields of a verdict that say where, how long and how much.

    Parameters
    ----------
    kind : str
        Of decline; not ``stable``.
    series : Series
    fits : sequence of Fits
        All shapes of the kind, averaged over by their weight.
    """
    n = series.y.size
    log_weight = np.concatenate([f.log_weight for f in fits])
    weight = np.exp(log_weight - log_weight.max())
    weight /= weight.sum()
    tallest = max(fits, key=lambda f: float(f.log_weight.max()))
    curve = shape_of(tallest, int(np.argmax(tallest.log_weight)), series)
    found: dict[str, Any] = {}
    if kind == "cyclical":
        mean, deviation = _swing(series, tallest, curve)
        found |= _period(series, fits)
        affected = curve < 0.5 * (curve.min() + curve.max())
    else:
        amplitude = np.concatenate([f.amplitude for f in fits])
        variance = np.concatenate([f.variance for f in fits])
        mean = float(weight @ amplitude)
        deviation = float(np.sqrt(weight @ (variance + (amplitude - mean) ** 2)))
        begin = np.concatenate([f.first + (f.form == "ramp") for f in fits])
        stop = np.concatenate([f.last for f in fits])
        onset, found["onset_interval"] = _place(series, begin, weight)
        found["onset"] = _named(series, onset)
        until = n
        is_over = kind == "recovered" or (
            kind == "gradual" and float(weight @ (stop < n - 2)) > _OVER
        )
        if is_over:
            end, found["end_interval"] = _place(series, stop, weight)
            found["end"] = _named(series, end)
            until = end if kind == "recovered" else n
        affected = (np.arange(n) >= onset) & (np.arange(n) < until)
    change = series.sign * series.unit
    ends = sorted(change * (mean + side * 1.96 * deviation) for side in (-1.0, 1.0))
    return found | {
        "magnitude": change * mean,
        "magnitude_interval": Interval(*ends),
        "fitted": fitted_values(series, tallest.white, curve),
        "affected": _spread(series, affected),
    }


def fitted_values(series: Series, white: Whitened, curve: Floats) -> Floats:
    """Return level, shared error and curve in units of the metric, by chunk.

    NaN in chunks that are not usable.
    """
    y = _level(series, white, curve) + curve
    fitted = np.full(series.places.size, np.nan)
    fitted[series.index] = series.sign * (series.center + series.unit * y)
    return fitted


def _level(series: Series, white: Whitened, curve: Floats) -> Floats:
    """Return level and shared error by chunk, given the curve."""
    n = series.y.size
    left = white.column(series.y - curve)
    is_deployed = np.arange(n) >= series.n_reference
    deployed: Floats = np.where(is_deployed, series.shared, 0.0)
    products = np.array([white.o @ left, white.column(deployed) @ left])
    level, shared = white.K @ products
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
    phi = fits.white.rest / fits.white.dof
    residual = fits.white.column(series.y - curve - _level(series, fits.white, curve))
    phi = min(phi, float(residual @ residual + 1.0) / residual.size)
    return mean, float(np.sqrt(8.0 * phi / np.sum(series.errors**-2.0)))


def _period(series: Series, fits: Sequence[Fits]) -> dict[str, Any]:
    regular = [f for f in fits if f.form == "cycle"]
    if not regular:
        return {}
    log_weight = np.concatenate([f.log_weight for f in regular])
    everything = log_total(np.array([log_total(f.log_weight) for f in fits]))
    if np.exp(log_total(log_weight) - everything) < _REGULAR:
        return {}
    frequency = np.concatenate([f.frequency for f in regular])
    grid, of = np.unique(frequency, return_inverse=True)
    weight = np.bincount(of, np.exp(log_weight - log_weight.max()))
    # Each frequency stands for those half way to its neighbours.
    middle = 0.5 * (grid[1:] + grid[:-1])
    edges = np.concatenate([grid[:1], middle, grid[-1:]])
    cumulated = np.concatenate([[0.0], np.cumsum(weight)])
    tail = 0.5 * (1.0 - LEVEL)
    wanted = np.array([0.5, 1.0 - tail, tail]) * cumulated[-1]
    period, low, high = (
        series.spacing / at for at in np.interp(wanted, cumulated, edges)
    )
    return {"period": period, "period_interval": Interval(low, high)}


def _quantiles(values: Floats, weight: Floats) -> Floats:
    """Return median and both ends of the central interval of a weighted sample."""
    order = np.argsort(values, kind="stable")
    cumulated = np.cumsum(weight[order])
    tail = 0.5 * (1.0 - LEVEL)
    wanted = np.array([0.5, tail, 1.0 - tail]) * cumulated[-1]
    at = np.minimum(np.searchsorted(cumulated, wanted), values.size - 1)
    found: Floats = values[order][at]
    return found


def _place(
    series: Series, places: NDArray[np.int64], weight: Floats
) -> tuple[int, Interval]:
    middle, low, high = (int(x) for x in _quantiles(places.astype(np.float64), weight))
    return middle, Interval(_named(series, low), _named(series, high))


def _named(series: Series, at: int) -> Any:
    """Return the label of a usable chunk."""
    return plain(series.places[series.index[at]])


def _spread(series: Series, mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return a mask over all chunks; unusable ones go with the chunk before them."""
    before = np.searchsorted(series.index, np.arange(series.places.size), "right") - 1
    spread: NDArray[np.bool_] = mask[np.maximum(before, 0)] & (before >= 0)
    return spread
