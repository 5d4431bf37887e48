"""Which frequencies a season may have: the calendar's, and those that explain much."""

import math
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from estimator._kernels import season_fits
from estimator.degradation.series import Series
from estimator.degradation.shapes.whitening import SETTINGS as NOISE

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class SeasonSettings:
    """Which seasons are tried, and how likely each is before looking.

    Priors are judgements; ``benchmarks.degradation`` and
    ``benchmarks.degradation_composite`` measure what they do.

    Attributes
    ----------
    in_reference : float
        Probability of a season that the reference shows, too. It changes nothing about
        how likely a decline is.
    shown : float
        Periods, in lengths of the reference, up to which it shows a whole one: a year
        is 1.003 times 52 weeks.
    new : mapping of str to float
        Shares of the prior of cyclical declines, by scope; the rest is that of going
        back and forth at irregular times.
    calendar : float
        Share of the calendar's periods in the prior of all periods; that of the others
        is even in the logarithm of the period.
    undated_calendar : float
        The same where times are no dates: any of the calendar's periods may be meant.
    calendar_periods : mapping of float to tuple of float
        Periods of the calendar in chunks, by the typical spacing in days; 0 where times
        are no dates: then any of them may be meant.
    multiples_prior : tuple of float
        Probabilities of one, two and three sines.
    shares : tuple of float
        Standard deviations of the coefficients of a sine and of its multiples, in
        scales of an amplitude. Multiples of three make any pattern of a week.
    fewest_cycles : float
        Cycles that the series has room for at least; in the analysis alone two: a
        single one is as well an incident that ended.
    fewest_calendar_cycles : float
        The same of the calendar's periods, which are expected.
    fewest_chunks : float
        Chunks in a period at least. At 2, Nyquist's limit, the sine vanishes in evenly
        spaced chunks.
    frequency_step : float
        Step of the frequencies, in cycles per span of the series. A peak is about one
        wide: steps of a quarter miss none.
    clipped : float
        Distance from the base, in standard errors, to which values are brought when
        frequencies are looked for: one outlier is no season, and one bad weekday is.
    faint : float
        Log of prior times the greatest evidence that a frequency can have, over that of
        none, below which it is not looked at.
    n_peaks : int
        Frequencies that are looked at closely: those that explain most by themselves,
        and with their multiples, in all chunks and in those since deployment.
    n_growing : int
        Frequencies of these of which seasons that grow are looked at, too.
    """

    in_reference: float = 0.2
    shown: float = 1.02
    new: dict[str, float] = field(
        default_factory=lambda: {
            "throughout": 0.2,
            "since": 0.4,
            "growing": 0.12,
            "grown": 0.08,
        }
    )
    irregular: float = 0.2
    calendar: float = 0.5
    undated_calendar: float = 0.25
    calendar_periods: dict[float, tuple[float, ...]] = field(
        default_factory=lambda: {
            0.0: (7.0, 12.0, 24.0, 52.18),
            1.0 / 24.0: (24.0, 168.0),
            1.0: (7.0, 365.25),
            7.0: (52.18,),
            30.44: (12.0,),
        }
    )
    multiples_prior: tuple[float, float, float] = (0.6, 0.2, 0.2)
    shares: tuple[float, float, float] = (0.5, 0.25, 0.25)
    fewest_cycles: float = 1.5
    fewest_calendar_cycles: float = 1.2
    fewest_chunks: float = 2.5
    frequency_step: float = 0.25
    clipped: float = 5.0
    faint: float = 1.0
    n_peaks: int = 2
    n_growing: int = 2


SETTINGS: Final = SeasonSettings()
# Cycles per chunk that evenly spaced chunks can show, and a rounding error.
_NYQUIST: Final = 0.505


def n_multiples_of(frequency: float) -> int:
    """Return how many multiples of a frequency evenly spaced chunks can show.

    Up to two chunks in a cycle, at which the sine vanishes and the cosine does not.
    """
    return sum(k * frequency <= _NYQUIST for k in range(1, len(SETTINGS.shares) + 1))


def calendar_periods(series: Series) -> tuple[float, ...]:
    """Return the calendar's periods in chunks of the series' spacing."""
    days = 0.0
    if isinstance(series.spacing, pd.Timedelta):
        days = series.spacing / pd.Timedelta(days=1)
    periods: tuple[float, ...] = ()
    for spacing, periods_of_spacing in SETTINGS.calendar_periods.items():
        if abs(days - spacing) <= 0.05 * spacing:
            periods = periods_of_spacing
    return periods


def _calendar(series: Series) -> dict[float, float]:
    """Return the frequencies of the calendar that the series has room for, by prior."""
    periods, is_dated = (
        calendar_periods(series),
        isinstance(series.spacing, pd.Timedelta),
    )
    longest = (series.t[-1] + 1.0) / SETTINGS.fewest_calendar_cycles
    share = SETTINGS.calendar if is_dated else SETTINGS.undated_calendar
    return {
        1.0 / period: share / len(periods) for period in periods if period <= longest
    }


def candidate_frequencies(series: Series, left: Floats) -> dict[float, float]:
    """Return frequencies that may explain much, with the prior around each.

    What cosine and sine explain together bounds what they add to the evidence.
    """
    t, n = series.t, series.y.size
    span = float(t[-1]) + 1.0
    step = SETTINGS.frequency_step / span
    # The typical chunk is one spacing long; where chunks are missing, a few less.
    n_frequencies = int(n / span / SETTINGS.fewest_chunks / step)
    lowest = round(SETTINGS.fewest_cycles / SETTINGS.frequency_step)
    weight = series.pooled_errors**-2.0
    squares = NOISE.phi_dof + float(weight @ left**2)
    calendar = _calendar(series)
    candidates: dict[float, float] = {}
    power = np.empty(max(n_frequencies, 1))
    for first in dict.fromkeys((0, series.n_reference)):
        if n_frequencies <= lowest or n - first < 2.0 * SETTINGS.fewest_chunks:
            continue
        season_fits.powers(step, left, weight, t, first, power)
        multiples = power.copy()
        for k in (2, 3):
            multiples[: power.size // k] += power[k - 1 :: k][: power.size // k]
        bound = (
            -0.5
            * (NOISE.phi_dof + n)
            * np.log1p(-np.minimum(multiples / squares, 0.999))
        )
        for frequency, prior in calendar.items():
            nearest = round(frequency / step) - 1
            around = bound[max(nearest - 1, 0) : nearest + 2]
            if around.size and around.max() + math.log(prior) > SETTINGS.faint:
                candidates[frequency] = prior
        # a peak is two steps wide, in shares of the logarithm
        even = (1.0 - sum(calendar.values())) * 2.0 / np.arange(1.0, power.size + 1.0)
        even /= max(math.log(n_frequencies / lowest), 1.0)
        is_possible = bound + np.log(even) > SETTINGS.faint
        is_possible[: lowest - 1] = False
        for explained in (power, multiples):
            inner = np.concatenate([[-1.0], explained, [-1.0]])
            is_peak = (inner[1:-1] >= inner[:-2]) & (inner[1:-1] > inner[2:])
            ranked = np.flatnonzero(is_peak & is_possible)
            ranked = ranked[np.argsort(-explained[ranked])][: SETTINGS.n_peaks]
            for k in ranked.tolist():
                frequency = _between_steps((k + 1) * step, step, left, weight, t, first)
                candidates.setdefault(frequency, float(even[k]))
    return candidates


def _between_steps(
    frequency: float, step: float, left: Floats, weight: Floats, t: Floats, first: int
) -> float:
    """Return the frequency within half a step that explains most with its multiples.

    A pattern with edges drifts out of phase within a step.
    """
    nearby = frequency + step * np.linspace(-0.5, 0.5, 5)
    explained = np.empty((nearby.size, 3))
    for row, one in zip(explained, nearby.tolist(), strict=True):
        season_fits.powers(one, left, weight, t, first, row)
        row[one * np.arange(1.0, 4.0) > _NYQUIST] = 0.0
    return float(nearby[np.argmax(explained.sum(axis=1))])
