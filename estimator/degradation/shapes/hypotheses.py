"""All that a series may be: a kind of decline each, with its weight."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_ndtr

from estimator._kernels.step_fits import log_total
from estimator.degradation.kinds import KINDS
from estimator.degradation.series import Series
from estimator.degradation.shapes.accounts import (
    DOWN,
    UP,
    Account,
    find_accounts,
    log_prior,
    single,
)
from estimator.degradation.shapes.candidates import fit_shapes
from estimator.degradation.shapes.season_frequencies import SETTINGS as SEASONS
from estimator.degradation.shapes.seasons import (
    WITH_LEVEL,
    Season,
    find_seasons,
    refit,
)
from estimator.degradation.shapes.steps_and_ramps import Fits, log_rho_prior
from estimator.degradation.shapes.switching import TwoLevels, fit_switching
from estimator.degradation.shapes.whitening import SETTINGS as NOISE
from estimator.degradation.shapes.whitening import (
    Base,
    WhitenedSeries,
    plain_base,
    whiten,
)

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class PriorSettings:
    """Probabilities of the kinds before the series is seen; judgements, all.

    Attributes
    ----------
    stable : float
        Probability of no decline: most series are stable. The kinds of decline share
        the rest evenly, for none is likelier than another. With more, there are fewer
        false alarms, and declines are named later.
    faint : float
        Log posterior odds of a season against none from which on declines are weighed
        beside it. With less, more seasons are tried in vain.
    n_seasons : int
        Seasons that declines are weighed beside, at most.
    rival : float
        Log evidence, less than that of the best season, at which another is left out.
    worth_more : float
        Log evidence, less than that of the best hypothesis so far, at which several
        events are not looked for without a season: two incidents may look like a cycle
        until both are there.
    worth_more_beside : float
        The same beside a season.
    ramp_over_step : float
        Size of a slow decline, in sizes of a step beside it, from which on it is what
        matters: a step that stays is not to be hidden.
    by_chance : float
        Standard deviations by which the residuals' sum varies more than that of
        independent ones, up to which that is chance.
    back_to_the_top : float
        Share of its swing by which the top of a new season is below that of the
        reference, from which on it is not only cyclical.
    """

    stable: float = 0.7
    faint: float = -4.0
    n_seasons: int = 3
    rival: float = 6.0
    worth_more: float = 30.0
    worth_more_beside: float = 12.0
    ramp_over_step: float = 2.5
    by_chance: float = 2.0
    back_to_the_top: float = 0.4

    @property
    def decline(self) -> float:
        """Probability of each kind of decline."""
        return (1.0 - self.stable) / (len(KINDS) - 1)


SETTINGS: Final = PriorSettings()
# Fewest chunks of the analysis that seasons and two levels are looked for in.
_SHORTEST_CYCLE: Final = 5


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Hypothesis:
    """One thing that the series may be.

    Attributes
    ----------
    kind : str
        Kind of decline that it is, ``stable`` for none.
    log_weight : float
        Logarithm of its prior times its evidence.
    whitened : WhitenedSeries
        The series under the autocorrelation, its base taken out.
    season : Season or None
        Season that stands beside level and shared error.
    fits : Fits or None
        All places of its only event.
    side : int
        -1 if that is a decline, 1 if it is a rise, 0 without.
    account : Account or None
        Several events.
    levels : TwoLevels or None
        Levels that the series goes back and forth between.
    """

    kind: str
    log_weight: float
    whitened: WhitenedSeries
    season: Season | None = None
    fits: Fits | None = None
    side: int = 0
    account: Account | None = None
    levels: TwoLevels | None = None

    @property
    def is_flat(self) -> bool:
        """Whether nothing happens but a season that the reference shows."""
        has_event = self.fits is not None or self.account is not None
        return self.kind == "stable" and not has_event


def weigh_hypotheses(series: Series) -> list[Hypothesis]:
    """Return all that the series may be, with its weight: method.md, equation 63."""
    hypotheses = list(_beside(series, None, plain_base(series)))
    whitened = hypotheses[0].whitened
    seasons: list[Season] = []
    if series.y.size - series.n_reference >= _SHORTEST_CYCLE:
        curves = [np.zeros(series.y.size), *_event_curve(series, hypotheses)]
        seasons += _seasons(series, whitened, curves, seasons)
        for season in seasons:
            hypotheses += _beside(series, season, season.base)
        likeliest = max(hypotheses, key=lambda one: one.log_weight)
        if likeliest.season is not None:  # its event may hide another season
            curves = _event_curve(series, hypotheses)
            for season in _seasons(series, whitened, curves, seasons):
                seasons.append(season)
                hypotheses += _beside(series, season, season.base)
        hypotheses += _back_and_forth(series, whitened)
    for beside in (None, *seasons):
        best = max(one.log_weight for one in hypotheses)
        alike = [o for o in hypotheses if o.season is beside and o.levels is None]
        gap = SETTINGS.worth_more if beside is None else SETTINGS.worth_more_beside
        if max(one.log_weight for one in alike) > best - gap:
            base = plain_base(series) if beside is None else beside.base
            hypotheses += _several_events(series, beside, base, alike)
    return hypotheses


def _log_prior(season: Season | None) -> float:
    """Return the log prior of a season and no event."""
    if season is None:
        return math.log(SETTINGS.stable * (1.0 - SEASONS.in_reference))
    before = SETTINGS.decline if season.is_new else SETTINGS.stable
    return math.log(before) + season.log_prior + season.log_moment


def _beside(series: Series, season: Season | None, base: Base) -> Iterator[Hypothesis]:
    """Yield what the series may be with one event or none beside a season or none."""
    has_level = season is not None and season.scope in WITH_LEVEL
    log_decline = math.log(SETTINGS.decline / SETTINGS.stable)
    for rho in NOISE.rho_prior:
        whitened = whiten(series, rho, base)
        log_base = _log_prior(season)
        if has_level:
            log_base += _log_lower(whitened)
        nothing = np.zeros(series.y.size)
        yield Hypothesis(
            kind=_kind_beside("stable", series, season, whitened, nothing),
            log_weight=log_base + log_rho_prior(whitened) + whitened.log_stable,
            whitened=whitened,
            season=season,
        )
        for fits in fit_shapes(series, whitened):
            if has_level and fits.kind == "training_serving_skew":
                continue  # its level is that of the season
            for side in (DOWN, UP):
                log_weight = log_total(fits.log_weight(side)) + log_prior(
                    [(fits.kind, side)]
                )
                kind = fits.kind if side == DOWN else "stable"
                if season is not None and season.is_new:
                    best = int(np.argmax(fits.log_weight(side)))
                    curve = fits.amplitude[best] * fits.curve(best, series.t)
                    kind = _kind_beside(kind, series, season, whitened, curve)
                yield Hypothesis(
                    kind=kind,
                    log_weight=log_base + log_decline + log_weight,
                    whitened=whitened,
                    season=season,
                    fits=fits,
                    side=side,
                )


def _log_lower(whitened: WhitenedSeries) -> float:
    """Return the log probability, over a half, that a season's level is a decline."""
    phi = whitened.squares / whitened.dof
    deviation = math.sqrt(whitened.covariance[2, 2] * phi)
    return math.log(2.0) + float(log_ndtr(-whitened.coefficients[2] / deviation))


def _event_curve(series: Series, hypotheses: Sequence[Hypothesis]) -> list[Floats]:
    """Return the curve of the likeliest event, nothing if that is none."""
    likeliest = max(hypotheses, key=lambda one: one.log_weight)
    events = [one for one in hypotheses if one.fits is not None]
    event = max(events, key=lambda one: one.log_weight, default=None)
    if event is None or event.fits is None:
        return []
    if event.log_weight < likeliest.log_weight + SETTINGS.faint:
        return []
    account = single(series, event.whitened.base, event.fits, event.side)
    return [account.curve(series.t)]


def _seasons(
    series: Series,
    whitened: WhitenedSeries,
    curves: Sequence[Floats],
    seasons: Sequence[Season],
) -> list[Season]:
    """Return new seasons that are worth weighing declines beside."""
    tried = {_key(season) for season in seasons}
    chosen: list[Season] = []
    for curve in curves:
        weights = {
            one: one.log_gain + _log_prior(one) - one.log_moment - _log_prior(None)
            for one in find_seasons(series, whitened, curve)
        }
        least = max(SETTINGS.faint, max(weights.values(), default=0) - SETTINGS.rival)
        worth = [one for one, weight in weights.items() if weight > least]
        for season in worth[: SETTINGS.n_seasons]:
            if _key(season) not in tried:
                chosen.append(refit(series, whitened, season, curve))
                tried.add(_key(season))
    return chosen


def _key(season: Season) -> tuple[float, str]:
    """Return what makes it another season."""
    return (round(season.frequency, 3), season.scope)


def _back_and_forth(series: Series, whitened: WhitenedSeries) -> Iterator[Hypothesis]:
    """Yield that the series goes back and forth at irregular times, if it can."""
    fitted = fit_switching(series, whitened)
    if fitted is None:
        return
    levels, log_evidence = fitted
    prior = SETTINGS.decline * SEASONS.irregular
    yield Hypothesis(
        kind="cyclical",
        log_weight=math.log(prior) + log_evidence + log_rho_prior(whitened),
        whitened=whitened,
        levels=levels,
    )


def _several_events(
    series: Series,
    season: Season | None,
    base: Base,
    beside: Sequence[Hypothesis],
) -> Iterator[Hypothesis]:
    """Yield what the series may be with several events beside a season or none."""
    # Events that are not in the account look like an autocorrelation.
    alike = [one for one in beside if one.whitened.rho == 0.0]
    fits = {id(one.fits): one.fits for one in alike if one.fits is not None}
    log_base = _log_prior(season) + math.log(SETTINGS.decline / SETTINGS.stable)
    log_none = max(one.log_weight for one in alike if one.side == 0) - log_base
    for account in find_accounts(series, base, list(fits.values()), log_none):
        kind = _kind_of(account)
        curve = account.curve(series.t)
        yield Hypothesis(
            kind=_kind_beside(kind, series, season, account.whitened, curve),
            log_weight=log_base + account.log_weight,
            whitened=account.whitened,
            season=season,
            account=account,
        )


def _kind_of(account: Account) -> str:
    """Return what matters now of several events.

    What is missing at the end: a step rather than a slow decline, unless that is much
    larger. If nothing is missing, an incident that ended.
    """
    missing: dict[str, float] = {}
    net, fell = 0.0, False
    for event, amplitude in zip(account.events, account.amplitudes, strict=True):
        fell = fell or amplitude < 0.0
        if event.form == "window":
            continue
        net += amplitude
        if amplitude < 0.0:
            missing[event.kind] = missing.get(event.kind, 0.0) - amplitude
    if missing and net < 0.0:
        if "gradual" in missing:
            missing["gradual"] /= SETTINGS.ramp_over_step
        return max(missing, key=lambda kind: missing[kind])
    return "recovered" if fell else "stable"


def _kind_beside(
    kind: str,
    series: Series,
    season: Season | None,
    whitened: WhitenedSeries,
    curve: Floats,
) -> str:
    """Return the kind of events beside a season that may itself be a decline.

    A new season goes down and comes up again: it is cyclical as long as its top is
    about where the reference's was. Otherwise something is missing for good.
    """
    if season is None or not season.is_new or kind not in ("stable", "recovered"):
        return kind
    columns = whitened.columns[:, 2 : 2 + season.base.columns.shape[1]]
    fitted = columns @ whitened.coefficients[2 : 2 + columns.shape[1]] + curve
    n, n_reference = series.y.size, series.n_reference
    period = max(round(1.0 / season.frequency), 1)
    last = fitted[max(n - period, n_reference) :]
    before = fitted[max(n_reference - period, 0) : n_reference]
    if season.scope == "throughout" or before.size == 0:
        before = fitted[: min(period, n)] - curve[: min(period, n)]
    lost = float(before.max() - last.max())
    if lost < SETTINGS.back_to_the_top * float(np.ptp(last)):
        return "cyclical"
    if season.scope not in WITH_LEVEL:
        return "cyclical"
    return "training_serving_skew" if season.scope == "since" else "gradual"
