"""Where a decline is, how long and how much: averages over what it may be."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from estimator._kernels.step_fits import log_total
from estimator.degradation.series import ChunkTime, Series, plain
from estimator.degradation.shapes.accounts import Account, likeliest_event, single
from estimator.degradation.shapes.accounts import Event as FittedEvent
from estimator.degradation.shapes.findings import Event, Findings, Interval, Season
from estimator.degradation.shapes.hypotheses import Hypothesis
from estimator.degradation.shapes.seasons import Season as FittedSeason
from estimator.degradation.shapes.seasons import longest_season
from estimator.degradation.shapes.whitening import whiten

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]


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
        Least weight of a regular cycle, over that of going back and forth, with which a
        cycle has a period; a judgement.
    same_event : int
        Chunks by which the onsets of an event differ at most in two accounts of it.
    as_well : float
        Log evidence by which a season, of which there is too little to name it, may
        explain a series worse than a decline, to be mentioned.
    """

    level: float = 0.95
    normal_quantile: float = 1.96
    over: float = 0.9
    regular: float = 0.001
    same_event: int = 5
    as_well: float = 3.0


SETTINGS: Final = LocatingSettings()


def locate(kind: str, series: Series, hypotheses: Sequence[Hypothesis]) -> Findings:
    """Return the fields of a verdict that say what happened, where and how much.

    Parameters
    ----------
    kind : str
        Kind of decline that the verdict names.
    series : Series
        Series that declines, or does not.
    hypotheses : sequence of Hypothesis
        All that the series may be, of any kind.

    Returns
    -------
    Findings
        Fields of `Degradation`, by name; those that the kind does not have are missing.
    """
    best = likeliest(kind, hypotheses)
    account = best.account
    if best.fits is not None:
        account = single(series, best.whitened.base, best.fits, best.side)
    whitened = best.whitened if account is None else account.whitened
    curve: Floats = np.zeros(series.y.size)
    if best.levels is not None:
        drop = best.levels.lower - best.levels.upper
        curve = np.where(best.levels.below > 0.5, drop, 0.0)
    y = whitened.fitted_base(curve) + curve
    fitted: Floats = np.full(series.chunk_times.size, np.nan)
    fitted[series.index] = series.sign * (series.center + series.unit * y)
    fields: Findings = {"fitted": fitted}
    if account is not None:
        fields["events"] = _events(series, account, hypotheses)
        curve = account.curve(series.t)
    if best.season is not None:
        last = 2 + best.season.base.columns.shape[1]
        wave = whitened.columns[:, 2:last] @ whitened.coefficients[2:last]
        phi = whitened.squares / whitened.dof
        fields["season"] = _season(series, best.season, phi, wave)
        if kind == "cyclical":
            fields["period"] = fields["season"].period
            fields["period_interval"] = fields["season"].period_interval
            curve = curve + wave
    elif kind != "stable":
        season = _possible_season(series, best, hypotheses)
        if season is not None:
            fields["season"] = season
    if kind == "cyclical":
        return fields | _swing(series, best, curve)
    if account is None and kind != "stable":
        return fields | _lower_level(series, best)
    if account is None or (kind == "stable" and curve.max() <= 0.0):
        return fields
    alike = [
        one
        for one in hypotheses
        if one.kind == kind and one.season is best.season and one.side == best.side
    ]
    return fields | _main_event(kind, series, account, alike if best.fits else [])


def likeliest(kind: str, hypotheses: Sequence[Hypothesis]) -> Hypothesis:
    """Return the likeliest hypothesis of a kind; of cycles a regular one if it may be.

    A regular cycle explains the series then about as well as going back and forth at
    random does, and says more.
    """
    of_kind = [one for one in hypotheses if one.kind == kind]
    best = max(of_kind, key=lambda one: one.log_weight)
    regular = [one for one in of_kind if one.levels is None]
    if best.levels is None or not regular:
        return best
    cycle = max(regular, key=lambda one: one.log_weight)
    least = best.log_weight + math.log(SETTINGS.regular)
    return cycle if cycle.log_weight > least else best


def _lower_level(series: Series, hypothesis: Hypothesis) -> Findings:
    """Return onset and size of the level that a season since deployment has."""
    whitened, first = hypothesis.whitened, series.n_reference
    at_end = float(whitened.columns[-1, 2])
    variance = whitened.covariance[2, 2] * whitened.squares / whitened.dof
    onset = _chunk_time(series, first)
    return _sized(
        series,
        float(whitened.coefficients[2]) * at_end,
        abs(at_end) * math.sqrt(float(variance)),
    ) | {
        "onset": onset,
        "onset_interval": Interval(onset, onset),
        "affected": _spread(series, np.arange(series.y.size) >= first),
    }


def _main_event(
    kind: str, series: Series, account: Account, alike: Sequence[Hypothesis]
) -> Findings:
    """Return onset, end and size of what matters now."""
    n, curve = series.y.size, account.curve(series.t)
    main = _events_of(kind, account)
    event = account.events[main[-1] if kind == "recovered" else main[0]]
    places = [one.fits for one in alike if one.fits is not None] or [event.fits]
    log_weight = np.concatenate([fits.log_weight(event.side) for fits in places])
    weight = np.exp(log_weight - log_weight.max())
    weight /= weight.sum()
    begin = np.concatenate([f.first + (f.form == "ramp") for f in places])
    stop = np.concatenate([f.last for f in places])
    fields: Findings = {}
    onset, fields["onset_interval"] = _median_chunk(series, begin, weight)
    fields["onset"] = _chunk_time(series, onset)
    end = n
    lasts = float(weight @ (stop < n - 2)) <= SETTINGS.over
    if event.form == "window" or (kind == "gradual" and not lasts and len(main) == 1):
        end, fields["end_interval"] = _median_chunk(series, stop, weight)
        fields["end"] = _chunk_time(series, end)
    if alike:
        amplitude = np.concatenate([f.amplitude for f in places])
        variance = np.concatenate([f.variance for f in places])
        size = float(weight @ amplitude)
        deviation = float(np.sqrt(weight @ (variance + (amplitude - size) ** 2)))
    elif kind == "recovered":
        k = account.events.index(event)
        size, deviation = float(account.amplitudes[k]), float(account.deviations[k])
    else:  # what is missing at the end
        lasting = [k for k, e in enumerate(account.events) if e.form != "window"]
        size = float(curve[-1])
        deviation = float(np.linalg.norm(account.deviations[lasting]))
    if kind == "stable":
        return fields | {"improved": True} | _sized(series, size, deviation)
    i = np.arange(n)
    affected = (i >= onset) & (i < (end if event.form == "window" else n))
    for other in (account.events[k] for k in main):
        is_over = other.last if other.form == "window" else n
        affected |= (i >= other.first + (other.form == "ramp")) & (i < is_over)
    affected |= curve < 0.5 * min(size, -1e-9)
    if kind == "recovered":
        affected[_back_for_good(curve, account) :] = False
    fields["affected"] = _spread(series, affected)
    return fields | _sized(series, size, deviation)


def _events_of(kind: str, account: Account) -> list[int]:
    """Return which events are of the kind that is named: those that matter now."""
    side = 1 if kind == "stable" else -1
    same_side = [k for k, e in enumerate(account.events) if e.side == side]
    lasting = [k for k in same_side if account.events[k].form != "window"]
    same_kind = [k for k in same_side if account.events[k].kind == kind]
    if kind == "stable":
        return lasting or same_side
    return same_kind or lasting or same_side


def _back_for_good(curve: Floats, account: Account) -> int:
    """Return the chunk from which on nothing is missing any more."""
    deepest = float(min(account.amplitudes.min(), -1e-9))
    below = np.flatnonzero(curve < 0.25 * deepest)
    return int(below[-1]) + 1 if below.size else curve.size


def _sized(series: Series, size: float, deviation: float) -> Findings:
    """Return size and interval in units of the metric."""
    change = series.sign * series.unit
    margin = SETTINGS.normal_quantile * deviation
    low, high = sorted(change * (size + side * margin) for side in (-1.0, 1.0))
    return {"magnitude": change * size, "magnitude_interval": Interval(low, high)}


def _events(
    series: Series, account: Account, hypotheses: Sequence[Hypothesis]
) -> tuple[Event, ...]:
    """Return all events of an account in units of the metric."""
    change, n = series.sign * series.unit, series.y.size
    total = log_total(np.array([one.log_weight for one in hypotheses]))
    events = []
    for event, amplitude in zip(account.events, account.amplitudes, strict=True):
        log_weight = [one.log_weight for one in hypotheses if _happens_in(one, event)]
        is_over = event.form == "window"
        is_over = is_over or (event.form == "ramp" and event.last < n - 2)
        onset = event.first + (event.form == "ramp")
        probability = math.exp(log_total(np.array(log_weight)) - total)
        events.append(
            Event(
                kind=event.kind,
                onset=_chunk_time(series, onset),
                end=_chunk_time(series, event.last) if is_over else None,
                size=change * float(amplitude),
                probability=min(probability, 1.0),
            )
        )
    return tuple(events)


def _happens_in(hypothesis: Hypothesis, event: FittedEvent) -> bool:
    """Return whether an event happens in a hypothesis, too."""
    events: tuple[FittedEvent, ...] = ()
    if hypothesis.account is not None:
        events = hypothesis.account.events
    elif hypothesis.fits is not None:
        events = (likeliest_event(hypothesis.fits, hypothesis.side),)
    return any(
        (one.kind, one.side) == (event.kind, event.side)
        and abs(one.first - event.first) <= SETTINGS.same_event
        for one in events
    )


def _season(series: Series, season: FittedSeason, phi: float, wave: Floats) -> Season:
    """Return the season in units of times and metric.

    The interval is that of the frequency of a sine (Rife & Boorstyn 1974); multiples
    make it narrower, as they have more cycles.
    """
    n_cycle = max(round(1.0 / season.frequency), 2)
    swing = float(np.ptp(wave[-n_cycle:]))
    first = 0 if season.scope == "throughout" else series.n_reference
    span = float(series.t[-1] - series.t[first]) + 1.0
    weight = float(np.sum(season.base.errors[first:] ** -2.0))
    variance = 6.0 * phi / (math.pi**2 * weight * max(0.5 * swing, 1e-9) ** 2 * span**2)
    margin = min(SETTINGS.normal_quantile * math.sqrt(variance), 0.5 * season.frequency)
    short, period, long = (
        series.spacing / (season.frequency + side * margin) for side in (1, 0, -1)
    )
    return Season(
        period=period,
        period_interval=Interval(short, long),
        swing=swing * series.unit,
        in_reference=not season.is_new,
        n_periods=season.frequency * (float(series.t[-1]) + 1.0),
    )


def _possible_season(
    series: Series, best: Hypothesis, hypotheses: Sequence[Hypothesis]
) -> Season | None:
    """Return a season of the calendar that a decline may be the first part of.

    One that the series has too little of to be named, and that explains it about as
    well as the decline does.
    """
    flat = next(one for one in hypotheses if one.is_flat)
    season = longest_season(series, flat.whitened)
    if season is None:
        return None
    explained = best.log_weight - flat.log_weight
    if season.log_gain < explained - SETTINGS.as_well:
        return None
    whitened = whiten(series, 0.0, season.base)
    wave = whitened.columns[:, 2:] @ whitened.coefficients[2:]
    return _season(series, season, whitened.squares / whitened.dof, wave)


def _swing(series: Series, hypothesis: Hypothesis, curve: Floats) -> Findings:
    """Return the change from top to bottom of a cycle, and where it is low.

    Cosine and sine of a cycle have the variance 2 phi / sum of weights, and so has its
    amplitude, of which the swing is twice.
    """
    size = float(curve.min() - curve.max())
    if hypothesis.levels is not None:
        upper, lower, _ = hypothesis.levels.deviations
        deviation = float(np.hypot(upper, lower))
    else:
        whitened = hypothesis.whitened
        phi = whitened.squares / whitened.dof
        weight = float(np.sum(whitened.base.errors**-2.0))
        deviation = math.sqrt(8.0 * phi / weight)
    affected = curve < 0.5 * (curve.min() + curve.max())
    return _sized(series, size, deviation) | {"affected": _spread(series, affected)}


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


def _spread(series: Series, mask: Mask) -> Mask:
    """Return a mask over all chunks; unusable ones go with the chunk before them."""
    before = (
        np.searchsorted(series.index, np.arange(series.chunk_times.size), "right") - 1
    )
    spread: Mask = mask[np.maximum(before, 0)] & (before >= 0)
    return spread
