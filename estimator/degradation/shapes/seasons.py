"""Seasons: regular cycles that stand beside level, shared error and events."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from estimator._kernels import season_fits, step_fits
from estimator.degradation.series import Series, soften_outliers
from estimator.degradation.shapes.season_frequencies import (
    SETTINGS,
    calendar_periods,
    candidate_frequencies,
    n_multiples_of,
)
from estimator.degradation.shapes.whitening import SETTINGS as NOISE
from estimator.degradation.shapes.whitening import Base, WhitenedSeries

Floats = NDArray[np.float64]
# Where a season is: throughout, since deployment, growing since deployment, throughout
# and growing since deployment.
Scope = Literal["throughout", "since", "growing", "grown"]
SCOPES: Final[tuple[Scope, ...]] = ("throughout", "since", "growing", "grown")
# Those that begin with deployment have a level of their own.
WITH_LEVEL: Final[tuple[Scope, ...]] = ("since", "growing")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SeasonKey:
    """Which season it is.

    Attributes
    ----------
    frequency : float
        Cycles per typical spacing.
    scope : str
        Where it is: one of `SCOPES`.
    prior : float
        Probability of the frequency.
    """

    frequency: float
    scope: Scope
    prior: float


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Season(SeasonKey):
    """One season: its columns, and how likely it is before looking.

    Attributes
    ----------
    is_new : bool
        Whether it is a decline, since the reference does not show it.
    log_prior : float
        Logarithm of the probability of scope and frequency, and of the evidence of all
        numbers of multiples and scales over that of the best.
    log_gain : float
        Logarithm of the evidence with the season over that without, as far as it was
        looked at.
    log_moment : float
        Logarithm of the second moment of the coefficients, posterior over prior.
    base : Base
        Its columns, and standard errors that are enlarged where a value stands alone
        beside it.
    """

    is_new: bool
    log_prior: float
    log_gain: float
    log_moment: float
    base: Base


def find_seasons(
    series: Series, whitened: WhitenedSeries, curve: Floats
) -> list[Season]:
    """Return the seasons that the series may have, the likeliest first.

    Parameters
    ----------
    series : Series
        Series to look at.
    whitened : WhitenedSeries
        The same without autocorrelation, and nothing beside level and shared error.
    curve : ndarray of shape (n_chunks,)
        Events that may stand beside a season.

    Returns
    -------
    list of Season
        One of each scope and frequency that explains much.
    """
    limit = SETTINGS.clipped * series.pooled_errors
    fitted = whitened.fitted_base(curve) + curve
    left = np.clip(series.y - fitted, -limit, limit)
    priors = candidate_frequencies(series, left)

    def weigh(frequency: float, scopes: Sequence[Scope]) -> list[Season]:
        keys = [
            SeasonKey(frequency=frequency, scope=scope, prior=priors[frequency])
            for scope in scopes
        ]
        errors = series.pooled_errors
        seasons = [_weigh(series, whitened, left, errors, key) for key in keys]
        return [season for season in seasons if season is not None]

    def rank(seasons: list[Season]) -> list[Season]:
        return sorted(seasons, key=lambda one: -(one.log_gain + one.log_prior))

    seasons = [one for f in priors for one in weigh(f, ("throughout", "since"))]
    promising = list(dict.fromkeys(one.frequency for one in rank(seasons)))
    for frequency in promising[: SETTINGS.n_growing]:
        seasons += weigh(frequency, ("growing", "grown"))
    return rank(seasons)


def season_columns(
    series: Series, frequency: float, scope: Scope, n_multiples: int
) -> tuple[Floats, Floats]:
    """Return the columns of a season, and their prior deviations in scales.

    Parameters
    ----------
    series : Series
        Series that has the season.
    frequency : float
        Cycles per typical spacing.
    scope : str
        Where it is: one of `SCOPES`.
    n_multiples : int
        Number of sines, of the frequency and of its multiples.

    Returns
    -------
    columns : ndarray of shape (n_chunks, m)
        First its level, if it begins with deployment; then cosine and sine of each
        multiple.
    deviations : ndarray of shape (m,)
        Prior standard deviations of the coefficients, in scales of an amplitude.
    """
    t, n_reference = series.t, series.n_reference
    is_deployed: Floats = np.where(np.arange(t.size) >= n_reference, 1.0, 0.0)
    growth = is_deployed * (t - t[max(n_reference - 1, 0)])
    growth = growth / max(growth[-1], 1.0)
    profiles_by_scope: dict[Scope, list[Floats]] = {
        "throughout": [np.ones(t.size)],
        "since": [is_deployed],
        "growing": [growth],
        "grown": [np.ones(t.size), growth],
    }
    profiles = profiles_by_scope[scope]
    has_level = scope in WITH_LEVEL
    columns = [profiles[-1]] if has_level else []
    deviations = [SETTINGS.shares[0]] if has_level else []
    for k in range(n_multiples):
        phase = 2.0 * np.pi * frequency * (k + 1) * t
        for profile in profiles:  # the one that is new comes last
            columns += [profile * np.cos(phase), profile * np.sin(phase)]
            deviations += [SETTINGS.shares[k]] * 2
    return np.stack(columns, axis=1), np.array(deviations)


def longest_season(series: Series, whitened: WhitenedSeries) -> Season | None:
    """Return the season of the calendar that the series has too little of to name.

    None if it has enough of all, or not even half a period. Of an undated series none:
    then any might be meant.

    Parameters
    ----------
    series : Series
        Series that may have the season.
    whitened : WhitenedSeries
        The same without autocorrelation, and nothing beside level and shared error.
    """
    if not isinstance(series.spacing, pd.Timedelta):
        return None
    span = float(series.t[-1]) + 1.0
    for period in calendar_periods(series):
        if 0.5 < span / period < SETTINGS.fewest_calendar_cycles:
            key = SeasonKey(frequency=1.0 / period, scope="throughout", prior=1.0)
            return _weigh(series, whitened, series.y, series.robust_errors, key)
    return None


def _weigh(
    series: Series,
    whitened: WhitenedSeries,
    left: Floats,
    errors: Floats,
    season: SeasonKey,
) -> Season | None:
    """Return a season with its best number of multiples and scale."""
    n_reference, t = series.n_reference, series.t
    frequency, scope = season.frequency, season.scope
    analysis = float(t[-1] - t[min(n_reference, t.size - 1)]) + 1.0
    if scope != "throughout" and (n_reference == 0 or analysis * frequency < 2.0):
        return None
    n_multiples = n_multiples_of(frequency)
    columns, deviations = season_columns(series, frequency, scope, n_multiples)
    n_together = 4 if scope == "grown" else 2
    n_level = columns.shape[1] - n_together * n_multiples
    counts = np.zeros(2 + columns.shape[1])
    counts[2 + n_level :] = np.tile([0.0] * (n_together - 2) + [1.0] * 2, n_multiples)
    scaled = np.empty((t.size, counts.size))
    scaled[:, 0] = 1.0 / errors
    scaled[:, 1] = whitened.columns[:, 1] / errors
    gains = np.empty((whitened.scales.size, n_multiples))
    moments = np.empty((whitened.scales.size, n_multiples + 1))
    for s, scale in enumerate(whitened.scales.tolist()):
        scaled[:, 2:] = columns * ((deviations * scale) / errors[:, None])
        log_evidence = np.empty(n_multiples + 1)
        season_fits.nested_evidence(
            left / errors,
            scaled,
            2,
            n_level,
            n_together,
            counts,
            NOISE.phi_dof,
            whitened.dof,
            log_evidence,
            moments[s],
        )
        gains[s] = log_evidence[1:] + moments[s, 1:] - log_evidence[0]
    multiples_prior = np.array(SETTINGS.multiples_prior[:n_multiples])
    log_evidences = gains.copy()
    gains += np.log(multiples_prior / multiples_prior.sum() / whitened.scales.size)
    log_total = float(step_fits.log_total(gains.ravel()))
    s, k = divmod(int(np.argmax(gains)), n_multiples)
    kept = n_level + n_together * (k + 1)
    # without their prior, which is in that of the season
    log_gain = float(log_evidences[s, k])
    reference_span = float(t[n_reference - 1]) + 1.0 if n_reference else 0.0
    is_known = (
        scope == "throughout" and 1.0 / frequency <= SETTINGS.shown * reference_span
    )
    from_scope = SETTINGS.in_reference if is_known else SETTINGS.new[scope]
    return Season(
        frequency=frequency,
        scope=scope,
        is_new=not is_known,
        prior=season.prior,
        log_prior=math.log(from_scope * season.prior) + log_total - log_gain,
        log_gain=log_gain,
        log_moment=float(moments[s, k + 1]),
        base=Base(
            errors=errors,
            columns=columns[:, :kept] * (deviations[:kept] * whitened.scales[s]),
        ),
    )


def refit(
    series: Series, whitened: WhitenedSeries, season: Season, curve: Floats
) -> Season:
    """Return a season fitted to all of a series, errors enlarged beside it.

    A bad day in each week stands alone in its week, not beside the season.

    Parameters
    ----------
    series : Series
        Series that has the season.
    whitened : WhitenedSeries
        The same without autocorrelation, and nothing beside level and shared error.
    season : Season
        Season as it was looked for: without outliers.
    curve : ndarray of shape (n_chunks,)
        Events beside it.
    """
    y, errors = series.y - curve, series.pooled_errors
    n_multiples = n_multiples_of(season.frequency)
    columns, deviations = season_columns(
        series, season.frequency, season.scope, n_multiples
    )
    X = np.hstack([np.ones((y.size, 1)), columns * deviations * whitened.scales[-1]])
    weighted = X / errors[:, None] ** 2
    ridge = np.diag([1e-9] + [1.0] * columns.shape[1])
    coefficients = np.linalg.solve(X.T @ weighted + ridge, weighted.T @ y)
    left = y - X[:, 1:] @ coefficients[1:]
    softened = soften_outliers(left, errors, series.n_reference)
    refitted = _weigh(series, whitened, y, softened, season)
    return season if refitted is None else refitted
