"""What a verdict says of a series: its season, its events, where and how much."""

from dataclasses import dataclass
from typing import Generic, NamedTuple, TypedDict, TypeVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from estimator.degradation.series import ChunkTime

End = TypeVar("End")


class Interval(NamedTuple, Generic[End]):
    """Ends of an interval: numbers, chunks or durations."""

    low: End
    high: End


@dataclass(frozen=True, slots=True, kw_only=True)
class Season:
    """A regular cycle that a series has, beside what else happens.

    Attributes
    ----------
    period : float or Timedelta
        Length of the cycle: in units of the times, a Timedelta if these are dates, in
        chunks if there are none.
    period_interval : Interval
        Periods between which the true one lies with a probability of 95 %.
    swing : float
        Difference of top and bottom, in units of the metric.
    in_reference : bool
        Whether the reference shows a whole period of it: then it is no decline.
    n_periods : float
        Number of periods that the series has room for. Below 1.2 a season cannot be
        told from a decline: it is only possible.
    """

    period: float | pd.Timedelta
    period_interval: Interval[float | pd.Timedelta]
    swing: float
    in_reference: bool
    n_periods: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One of the things that happened.

    Attributes
    ----------
    kind : str
        ``sudden``, ``gradual``, ``training_serving_skew`` or ``recovered`` (for a while
        only); an improvement has the kind that it would have downwards.
    onset : str, number or date
        Chunk in which it begins: its label, time or index.
    end : str, number, date or None
        First chunk after it: back (recovered), or at the bottom (gradual). None if it
        lasts.
    size : float
        Change of the metric, signed, in its units.
    probability : float
        Probability that it happened.
    """

    kind: str
    onset: ChunkTime
    end: ChunkTime | None
    size: float
    probability: float


class Findings(TypedDict, total=False):
    """Fields of `Degradation` that say what happened, where, how long and how much."""

    onset: ChunkTime
    end: ChunkTime
    onset_interval: Interval[ChunkTime]
    end_interval: Interval[ChunkTime]
    period: float | pd.Timedelta
    period_interval: Interval[float | pd.Timedelta]
    magnitude: float
    magnitude_interval: Interval[float]
    improved: bool
    season: Season
    events: tuple[Event, ...]
    fitted: NDArray[np.float64]
    affected: NDArray[np.bool_]
