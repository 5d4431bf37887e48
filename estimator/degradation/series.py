"""A series of chunk values, checked and brought to common units."""

from dataclasses import dataclass
from datetime import date
from numbers import Real
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from estimator._kernels import lone_values

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
# Label, time or index of a chunk, as `plain` returns it. A Timestamp is a date.
ChunkTime = str | float | date


@dataclass(frozen=True, slots=True, kw_only=True)
class SeriesSettings:
    """How values and standard errors of chunks become comparable.

    Attributes
    ----------
    pooled : float
        Share of the typical variance in each chunk's, the rest being its own. Standard
        errors are estimates themselves, and come out small where values came out good:
        as weights they would hide a decline. At 1 all chunks count alike.
    tied : float
        Correlation, negative, of values with the logarithm of their standard errors
        from which on the errors are said to follow from the values. Errors that differ
        for other reasons reach it in fewer than one in 10,000 series of 20 chunks.
    fewest_untied : int
        Chunks from which on such a correlation is looked for.
    outlier : float
        Distance from both sides, in usual distances, beyond which a value counts less.
        With more, single odd values pass for incidents; with less, the first chunks of
        a real change count less. A judgement; 3 kept false alarms at 0.3 % with 2 %
        outliers in a prototype, which were 6.1 % without.
    n_neighbours : int
        Chunks on each side of a value that it is compared with. Three is the least
        whose median withstands an outlier; more would take in a change nearby.
    company : tuple of float
        Departures of a neighbour to the same side, as shares of a value's: up to the
        first the value stands alone, from the second on it does not. Two values of an
        incident of 8 standard errors depart by half of one another in all but 0.1 %; of
        two outliers of 4 to 12, each to a random side, a third do.
    spread : float
        Standard deviation of a value less the median of three others, in standard
        errors: the root of 1 + 0.449 for white noise, by the variance of that median.
    typical : float
        Median of the smaller of two such distances, over ``spread``: by simulation of
        white noise. Larger ones than this are usual in a series that moves fast.
    smallest_gap : float
        Least time between chunks, in typical spacings. Two chunks at one time would
        have an autocorrelation of 1, and method.md, equation 55, would divide by 0.
    finest : float
        Least standard error over the range of the values. Below it the sums of squares
        would lose to rounding what tells shapes apart.
    coarsest : float
        Largest standard error over the typical one. Its weight is 1e-18 of the others',
        below a double's precision in any sum: more makes no difference.
    largest_shared : float
        Largest shared error in standard errors: reference and analysis then have
        nothing to say of each other, and more makes no difference.
    """

    pooled: float = 0.5
    tied: float = 0.75
    fewest_untied: int = 12
    outlier: float = 2.5
    n_neighbours: int = 3
    company: tuple[float, float] = (0.3, 0.5)
    spread: float = 1.2
    typical: float = 0.41
    smallest_gap: float = 0.25
    finest: float = 1e-4
    coarsest: float = 1e9
    largest_shared: float = 1e3


SETTINGS: Final = SeriesSettings()


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Series:
    """The usable chunks of a series, down being worse: method.md, equations 53 and 54.

    Attributes
    ----------
    y : ndarray of shape (n,)
        Values, centred, in units of the typical standard error.
    pooled_errors : ndarray of shape (n,)
        Standard errors in the same units, each half its own and half the typical one.
    robust_errors : ndarray of shape (n,)
        The pooled standard errors, those of outliers enlarged.
    t : ndarray of shape (n,)
        Times since the first chunk, in units of the typical spacing.
    gaps : ndarray of shape (n,)
        Time since the chunk before, for the autocorrelation; 0 for the first.
    n_reference : int
        Number of usable chunks of the reference, which come first.
    shared : float
        Standard deviation of the error that all analysis chunks share, in units of the
        typical standard error.
    unit, center : float
        Typical standard error and median value, in units of the metric:
        ``values = sign * (center + unit * y)``.
    sign : float
        1, or -1 for a metric of which less is better.
    spacing : float or Timedelta
        The typical spacing, in the units of the times: a number, or a duration.
    index : ndarray of shape (n,)
        Positions of the usable chunks among all.
    chunk_times : ndarray of shape (n_all,)
        Times of all chunks, as they were given; 0, 1, … if they were not.
    """

    y: Floats
    pooled_errors: Floats
    robust_errors: Floats
    t: Floats
    gaps: Floats
    n_reference: int
    shared: float
    unit: float
    center: float
    sign: float
    spacing: float | pd.Timedelta
    index: Ints
    chunk_times: np.ndarray


def read_series(
    values: ArrayLike,
    standard_errors: ArrayLike,
    *,
    n_reference: int,
    times: ArrayLike | None,
    higher_is_better: bool,
    shared_error: float,
) -> Series:
    """Check the arguments of `classify_degradation` and bring them to common units.

    Chunks whose value or standard error is not finite are left out.

    Parameters
    ----------
    values, standard_errors, n_reference, times, higher_is_better, shared_error
        The series, as `classify_degradation` takes it.

    Returns
    -------
    Series
        The usable chunks in units of their typical standard error.

    Raises
    ------
    TypeError
        If ``n_reference`` is not a whole number.
    ValueError
        If an argument breaks its rule, or no chunk is usable.
    """
    value = _numbers(values, "values")
    error = _numbers(standard_errors, "standard_errors")
    _check_values(value, error)
    _check_options(value.size, n_reference, shared_error)
    usable = np.isfinite(value) & np.isfinite(error)
    if not usable.any():
        msg = (
            "`values` and `standard_errors` must be finite in at least one chunk, got "
            f"none of {value.size}."
        )
        raise ValueError(msg)
    n_usable_reference = int(usable[:n_reference].sum())
    chunk_times, elapsed, spacing = _read_times(times, value.size, usable)
    sign = 1.0 if higher_is_better else -1.0
    y, s, t = sign * value[usable], error[usable], elapsed[usable]
    s = np.maximum(s, SETTINGS.finest * float(np.ptp(y)))
    unit = float(np.median(s[s > 0])) if (s > 0).any() else 1.0
    s = np.minimum(s, SETTINGS.coarsest * unit) / unit
    center = float(np.median(y))
    y = (y - center) / unit
    s = _untied(y, s)
    s = np.sqrt(SETTINGS.pooled + (1.0 - SETTINGS.pooled) * s**2)
    # Without a reference the shared error is part of the level.
    shared = float(shared_error) / unit if n_usable_reference else 0.0
    return Series(
        y=y,
        pooled_errors=s,
        robust_errors=soften_outliers(y, s, n_usable_reference),
        t=t - t[0],
        gaps=np.maximum(np.diff(t, prepend=t[0]), SETTINGS.smallest_gap),
        n_reference=n_usable_reference,
        shared=min(shared, SETTINGS.largest_shared),
        unit=unit,
        center=center,
        sign=sign,
        spacing=spacing,
        index=np.flatnonzero(usable),
        chunk_times=chunk_times,
    )


def _untied(y: Floats, errors: Floats) -> Floats:
    """Return standard errors without what values explain of them.

    Near the ceiling of a metric the standard error is an estimate that follows from the
    value: bad chunks have several times the error of good ones, and would be discounted
    for being bad. What other things explain, such as the number of rows, stays
    (method.md, equation 53).
    """
    spread = float(np.std(y))
    if y.size < SETTINGS.fewest_untied or spread == 0.0:
        return errors
    log_errors = np.log(errors)
    deviation = float(np.std(log_errors))
    covariance = float(np.mean((y - y.mean()) * (log_errors - log_errors.mean())))
    if deviation == 0.0 or covariance > -SETTINGS.tied * spread * deviation:
        return errors
    untied: Floats = np.exp(log_errors - covariance / spread**2 * y)
    return untied


def soften_outliers(y: Floats, errors: Floats, n_reference: int = 0) -> Floats:
    """Return standard errors that are larger where a value stands alone.

    A value is compared with the medians of three before and of three after it; only one
    that is far from both stands alone, so a step is none. Nor does one whose neighbour
    is as far, to the same side: two that agree are an incident. How far is far grows
    with what is usual in the series, so the peaks of a fast cycle are none either
    (method.md, equation 53).

    Parameters
    ----------
    y : ndarray of shape (n,)
        Values.
    errors : ndarray of shape (n,)
        Their standard errors.
    n_reference : int, default=0
        Number of the reference's chunks. One alone is no outlier: what it was before
        is not known.
    """
    if y.size < 2 * SETTINGS.n_neighbours + 1:
        return errors
    distance = np.empty(y.size)
    lone_values.distances(y, SETTINGS.n_neighbours, *SETTINGS.company, distance)
    if n_reference == 1:
        distance[0] = 0.0
    z = distance / (SETTINGS.spread * errors)
    usual = max(1.0, float(np.median(z)) / SETTINGS.typical)
    far = np.maximum(1.0, z / (SETTINGS.outlier * usual))
    softened: Floats = errors * far * far
    return softened


def plain(chunk: object) -> Any:
    """Return a chunk's time or label as a Python object: a number or a Timestamp."""
    if isinstance(chunk, np.datetime64):
        return pd.Timestamp(chunk)
    return chunk.item() if isinstance(chunk, np.generic) else chunk


def _numbers(values: ArrayLike, name: str) -> Floats:
    try:
        numbers = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        msg = f"`{name}` must be an array of numbers, one per chunk; got {values!r}."
        raise ValueError(msg) from error
    if numbers.ndim != 1:
        msg = f"`{name}` must have one dimension, got shape {numbers.shape}."
        raise ValueError(msg)
    return numbers


def _check_values(value: Floats, error: Floats) -> None:
    if error.size != value.size:
        msg = (
            f"`values` and `standard_errors` must have one entry per chunk each, got "
            f"{value.size} and {error.size}."
        )
        raise ValueError(msg)
    if (error < 0).any():
        position = int(np.argmax(error < 0))
        msg = (
            f"`standard_errors` must not be negative, got {error[position]!r} at "
            f"position {position}. Leave chunks without one out by NaN."
        )
        raise ValueError(msg)


def _check_options(n_chunks: int, n_reference: int, shared_error: float) -> None:
    if isinstance(n_reference, bool) or not isinstance(n_reference, int | np.integer):
        msg = f"`n_reference` must be a whole number, got {n_reference!r}."
        raise TypeError(msg)
    if not 0 <= n_reference <= n_chunks:
        msg = (
            f"`n_reference` must lie between 0 and the number of chunks, {n_chunks}; "
            f"got {n_reference}. The reference's chunks come first."
        )
        raise ValueError(msg)
    if not (isinstance(shared_error, Real) and 0.0 <= shared_error < np.inf):
        msg = (
            "`shared_error` must be a finite standard deviation, not negative; got "
            f"{shared_error!r}. Pass 0.0 if the chunks share no error."
        )
        raise ValueError(msg)


def _timestamps(given: pd.Index) -> pd.DatetimeIndex:
    """Return timestamps, also of dates and of text."""
    if isinstance(given, pd.DatetimeIndex):
        return given
    try:
        return pd.DatetimeIndex(pd.to_datetime(given, format="ISO8601"))
    except (TypeError, ValueError) as error:
        msg = (
            "`times` must be numbers or timestamps (text as in 2026-01-05), one per "
            f"chunk; got {given[0]!r}, …."
        )
        raise ValueError(msg) from error


def _read_times(
    times: ArrayLike | None, n: int, usable: NDArray[np.bool_]
) -> tuple[np.ndarray, Floats, float | pd.Timedelta]:
    """Return the times as given, in typical spacings since the first, and the unit."""
    if times is None:
        return np.arange(n), np.arange(n, dtype=np.float64), 1.0
    try:
        given: pd.Index = pd.Index(times)  # type: ignore[arg-type]
    except (TypeError, ValueError) as error:
        msg = (
            "`times` must be a sequence of numbers or timestamps, one per chunk; got "
            f"{times!r}."
        )
        raise TypeError(msg) from error
    if given.size != n:
        msg = f"`times` must have one entry per chunk, got {given.size} for {n}."
        raise ValueError(msg)
    one: float | pd.Timedelta = 1.0
    if given.dtype.kind in "iufb":
        elapsed = _numbers(given.to_numpy(), "times")
    else:
        moments = _timestamps(given)
        if moments.tz is not None:
            moments = moments.tz_convert("UTC").tz_localize(None)
        one = pd.Timedelta(seconds=1)
        elapsed = np.asarray(
            (moments - moments[int(usable.argmax())]) / one, np.float64
        )
    used = elapsed[usable]
    if not np.isfinite(used).all() or not (np.diff(used) > 0).all():
        bad = ~np.isfinite(used) | (np.diff(used, prepend=-np.inf) <= 0)
        position = int(np.flatnonzero(usable)[np.argmax(bad)])
        msg = (
            "`times` must be known and increasing from chunk to chunk; got "
            f"{given[position]!r} at position {position}. Sort the chunks by time."
        )
        raise ValueError(msg)
    typical = float(np.median(np.diff(used))) if used.size > 1 else 1.0
    return given.to_numpy(), (elapsed - used[0]) / typical, typical * one
