"""Accounts of a series: a season or none, and one event or several."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_ndtr

from estimator._kernels.step_fits import log_total
from estimator.degradation.series import Series
from estimator.degradation.shapes.candidates import fit_shapes
from estimator.degradation.shapes.steps_and_ramps import (
    Fits,
    Form,
    curve_of,
    log_rho_prior,
)
from estimator.degradation.shapes.whitening import SETTINGS as NOISE
from estimator.degradation.shapes.whitening import Base, WhitenedSeries, whiten

Floats = NDArray[np.float64]
DOWN, UP = -1, 1
# What makes it another event: form, side, first and last chunk.
EventKey = tuple[str, int, int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountSettings:
    """How several events are looked for, and how likely they are before looking.

    Judgements; ``benchmarks.degradation_composite`` measures what they do.

    Attributes
    ----------
    one_more : float
        Probability of one more event of each kind, over that of none. With more,
        declines that bend are said to be two, and two are told apart sooner.
    stair : float
        The same of one more step where there is one to the same side.
    rise_share : float
        Prior of an event upwards over that of the same downwards.
    at_an_edge : float
        Probability that one more step is where an event begins or ends, over that of
        being anywhere: a part of an incident that does not come back, and a step with
        which a slow decline begins, are no coincidence.
    most_events : int
        Number of events at most; four steps look like a slow decline.
    n_seeds : int
        Accounts that are tried with one more event, and events that are tried with
        each. More finds better accounts, and takes longer in proportion.
    hopeless : float
        Log evidence, less than that of the best account, at which an account is not
        followed further.
    poor : float
        Log evidence, less than that of the best single event, at which another is not
        tried with a second one.
    gained : float
        Log evidence, less than that of the best account with fewer events, at which no
        further event is looked for.
    faint : float
        Log odds of no event against the likeliest one, from which on no second one is
        looked for.
    """

    one_more: float = 0.05
    stair: float = 0.4
    rise_share: float = 0.3
    at_an_edge: float = 2.0
    most_events: int = 4
    n_seeds: int = 3
    hopeless: float = 6.0
    poor: float = 15.0
    gained: float = 2.0
    faint: float = 2.0


SETTINGS: Final = AccountSettings()


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Event:
    """One event: the likeliest shape among those of its form and side.

    Attributes
    ----------
    fits : Fits
        All shapes of the form, beside the account's other events.
    index : int
        Position of the likeliest among them.
    side : int
        -1 for a decline, 1 for a rise.
    log_weight : float
        Logarithm of prior times evidence of all places.
    """

    fits: Fits
    index: int
    side: int
    log_weight: float

    @property
    def kind(self) -> str:
        """Kind of decline that it is, or would be were it one."""
        return self.fits.kind

    @property
    def form(self) -> Form:
        """Form of its shape."""
        return self.fits.form

    @property
    def first(self) -> int:
        """Usable chunk in which it begins; for a ramp the last before it."""
        return int(self.fits.first[self.index])

    @property
    def last(self) -> int:
        """Usable chunk after it."""
        return int(self.fits.last[self.index])

    @property
    def log_spread(self) -> float:
        """Log of prior times evidence of all places, over the evidence of this one."""
        log_weight = self.fits.log_weight(self.side)
        log_evidence = log_weight[self.index] - self.fits.log_prior[self.index]
        return self.log_weight - float(log_evidence)

    @property
    def key(self) -> EventKey:
        """What makes it another event: form, side and position."""
        return (self.form, self.side, self.first, self.last)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Account:
    """Events that explain a series beside its base.

    Attributes
    ----------
    events : tuple of Event
        Events in order of their beginning.
    whitened : WhitenedSeries
        The series, base and events taken out.
    amplitudes, deviations : ndarray of shape (n_events,)
        Size of each event and its posterior standard deviation, in typical standard
        errors; negative downwards.
    log_weight : float
        Logarithm of prior times evidence, without the prior of the base.
    """

    events: tuple[Event, ...]
    whitened: WhitenedSeries
    amplitudes: Floats
    deviations: Floats
    log_weight: float

    def curve(self, t: Floats) -> Floats:
        """Return the sum of all events by usable chunk."""
        total = np.zeros(t.size)
        for event, amplitude in zip(self.events, self.amplitudes, strict=True):
            total += amplitude * curve_of(event.form, event.first, event.last, t)
        return total


def find_accounts(
    series: Series, base: Base, fits: Sequence[Fits], log_none: float
) -> list[Account]:
    """Return accounts of two events and more, the likeliest first.

    A greedy search: to the likeliest events another is added, and then each is placed
    anew beside the others.

    Parameters
    ----------
    series : Series
        Series to explain.
    base : Base
        Season, and errors of the series beside it.
    fits : sequence of Fits
        Shapes beside this base under its likeliest autocorrelation.
    log_none : float
        Logarithm of the evidence without an event.
    """
    if not fits:
        return []
    rho = fits[0].whitened.rho
    events = _likeliest(fits)
    singles = [e.log_weight + log_prior([(e.kind, e.side)]) for e in events]
    if not events or max(singles) < log_none - SETTINGS.faint:
        return []
    best = max(singles)
    seeds = [
        event
        for event, weight in zip(events, singles, strict=True)
        if weight > best - SETTINGS.poor
    ][: SETTINGS.n_seeds]
    # Of several steps no single one explains much, and all look like a slow decline.
    seeds += [
        event
        for event in events
        if (event.kind, event.side) == ("sudden", DOWN) and event not in seeds
    ]
    pool = [_account(series, base, rho, (event,)) for event in seeds]
    complete: dict[tuple[EventKey, ...], Account] = {}
    for _ in range(SETTINGS.most_events - 1):
        grown: dict[tuple[tuple[str, int], ...], Account] = {}
        for account in pool:
            for longer in _with_one_more(series, base, account):
                key = tuple((e.form, e.side) for e in longer.events)
                if key not in grown or grown[key].log_weight < longer.log_weight:
                    grown[key] = longer
        pool = sorted(grown.values(), key=lambda one: -one.log_weight)
        least = max([best, *(one.log_weight for one in pool)]) - SETTINGS.hopeless
        chosen = [one for one in pool[: SETTINGS.n_seeds] if one.log_weight > least]
        # Stairs explain much only once both steps are where they belong.
        chosen += [one for one in pool if _is_stairs(one) and one not in chosen]
        pool = [_settled(series, base, one) for one in chosen]
        complete |= {tuple(e.key for e in one.events): one for one in pool}
        likeliest = max(pool, key=lambda one: one.log_weight, default=None)
        if likeliest is None or likeliest.log_weight < best - SETTINGS.gained:
            break
        best = max(best, likeliest.log_weight)
        pool = [likeliest]
    least = best - SETTINGS.hopeless
    kept = [one for one in complete.values() if one.log_weight > least]
    accounts = [_over_all_noise(series, base, one) for one in kept]
    return sorted(accounts, key=lambda one: -one.log_weight)


def log_prior(events: Sequence[tuple[str, int]]) -> float:
    """Return the log prior of events, over that of one decline of the same kind.

    Parameters
    ----------
    events : sequence of tuple of str and int
        Kind and side of each.
    """
    total = 0.0
    for k, (kind, side) in enumerate(events):
        total += math.log(SETTINGS.rise_share) * (side > 0)
        if k > 0:
            is_stair = kind == "sudden" and (kind, side) in events[:k]
            total += math.log(SETTINGS.stair if is_stair else SETTINGS.one_more)
    return total


def single(series: Series, base: Base, fits: Fits, side: int) -> Account:
    """Return the account of the likeliest shape of one form and side alone."""
    return _account(series, base, fits.whitened.rho, (likeliest_event(fits, side),))


def likeliest_event(fits: Fits, side: int) -> Event:
    """Return the likeliest event of one form and side."""
    log_weight = fits.log_weight(side)
    return Event(
        fits=fits,
        index=int(np.argmax(log_weight)),
        side=side,
        log_weight=log_total(log_weight),
    )


def _likeliest(fits: Iterable[Fits]) -> list[Event]:
    """Return the likeliest event of each form and side, the likeliest first."""
    events = [likeliest_event(f, side) for f in fits for side in (DOWN, UP)]
    return sorted(events, key=lambda e: -(e.log_weight + log_prior([(e.kind, e.side)])))


def _with_one_more(series: Series, base: Base, account: Account) -> list[Account]:
    """Return the account with each of the likeliest further events."""
    fits = [
        _favour_edges(f, account.events) for f in fit_shapes(series, account.whitened)
    ]
    present = {event.key for event in account.events}
    longer = []
    for event in _likeliest(fits)[: SETTINGS.n_seeds]:
        if event.key[:1] + event.key[2:] in {key[:1] + key[2:] for key in present}:
            continue
        events = tuple(sorted((*account.events, event), key=lambda e: e.key[2:]))
        rho = account.whitened.rho
        longer.append(_account(series, base, rho, events))
    return longer


def _is_stairs(account: Account) -> bool:
    """Return whether all events are steps down."""
    return all((e.kind, e.side) == ("sudden", DOWN) for e in account.events)


def _settled(series: Series, base: Base, account: Account) -> Account:
    """Return the account with each event placed anew beside the others."""
    rho = account.whitened.rho
    for k in range(len(account.events)):
        event = account.events[k]
        others = account.events[:k] + account.events[k + 1 :]
        without = _account(series, base, rho, others)
        (fits,) = fit_shapes(series, without.whitened, {event.kind})
        fits = _favour_edges(fits, others)
        moved = likeliest_event(fits, event.side)
        if moved.key in {other.key for other in others}:
            continue
        events = (*account.events[:k], moved, *account.events[k + 1 :])
        account = _account(series, base, rho, events)
    events = tuple(sorted(account.events, key=lambda e: e.key[2:]))
    return _account(series, base, rho, events)


def _account(
    series: Series, base: Base, rho: float, events: tuple[Event, ...]
) -> Account:
    """Return the account of some events, all amplitudes fitted at once.

    Each has the moment prior of its side: the evidence of a normal prior, times the
    posterior over the prior second moment, and the probability of its side (method.md,
    equations 60 and 61).
    """
    t, plain = series.t, base.columns.shape[1] + 2
    scales = np.array([_scale(event) for event in events])
    curves = [curve_of(e.form, e.first, e.last, t) for e in events]
    columns = np.stack(curves, axis=1) * scales
    whitened = whiten(series, rho, base.with_columns(columns))
    phi = whitened.squares / whitened.dof
    mean = whitened.coefficients[plain:]
    variance = np.diag(whitened.covariance)[plain:]
    side = np.array([event.side for event in events])
    log_moments = np.log(mean**2 / phi + variance)
    log_sides = math.log(2.0) + log_ndtr(side * mean / np.sqrt(variance * phi))
    log_weight = (
        whitened.log_stable
        + log_rho_prior(whitened)
        + log_prior([(event.kind, event.side) for event in events])
        + float(np.sum(log_moments + log_sides))
        - len(events) * math.log(whitened.scales.size)
        + sum(event.log_spread for event in events)
    )
    return Account(
        events=events,
        whitened=whitened,
        amplitudes=mean * scales,
        deviations=np.sqrt(variance * phi) * scales,
        log_weight=float(log_weight),
    )


def _over_all_noise(series: Series, base: Base, account: Account) -> Account:
    """Return the account under its likeliest autocorrelation, weighed under all."""
    accounts = [_account(series, base, rho, account.events) for rho in NOISE.rho_prior]
    likeliest = max(accounts, key=lambda one: one.log_weight)
    total = log_total(np.array([one.log_weight for one in accounts]))
    return replace(likeliest, log_weight=total)


def _scale(event: Event) -> float:
    """Return the scale of the prior under which an event's amplitude is likeliest."""
    scales = event.fits.whitened.scales
    in_scales = abs(event.fits.amplitude[event.index]) / scales
    log_density = 2.0 * np.log(in_scales) - 0.5 * in_scales**2 - np.log(scales)
    return float(scales[np.argmax(log_density)])


def _favour_edges(fits: Fits, events: Sequence[Event]) -> Fits:
    """Return steps that are likelier where other events begin or end."""
    edges = {e.first for e in events} | {e.last for e in events if e.form == "window"}
    is_edge = np.isin(fits.first, list(edges))
    if fits.kind != "sudden" or not is_edge.any():
        return fits
    prior = np.exp(fits.log_prior) + SETTINGS.at_an_edge * is_edge / is_edge.sum()
    added = np.log(prior) - fits.log_prior
    return replace(
        fits,
        log_prior=fits.log_prior + added,
        log_down=fits.log_down + added,
        log_up=fits.log_up + added,
    )
