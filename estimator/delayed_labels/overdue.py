"""Labels that should have come: whether the feed is slow, or has stopped.

The delay model says how many labels are due between the last time at which labels came
as usual and now. Far fewer than that, beyond what chance, the delay model's error and
usual pauses (nights, weekends, weekly deliveries) allow, mean that the feed has
stopped. Then waiting tells nothing of a row's class, and nothing of delays.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import xlogy
from scipy.stats import nbinom

from estimator.delayed_labels.arrivals import places_of
from estimator.delayed_labels.delay import DelayModel
from estimator.delayed_labels.reference_delays import ReferenceDelays, longest_pause
from estimator.frames import Columns, required

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

# Pauses are longer at times than any seen so far, such as around holidays.
_PAUSES = 2.0
# Seconds. Who has seen less than two weeks has not seen what a usual weekend is.
_SHORT_HISTORY, _WEEKEND = 14 * 86_400.0, 3 * 86_400.0
# Standard deviation of the number of labels that are due, over that number, beside what
# the data say: delays drift, and a process that slows down by half has not stopped.
_MODEL_ERROR = 0.3
# The feed is looked at every night: 1e-4 is a false alarm in 27 years.
_IMPROBABLE = 1e-4
# Steps in which the calendar is searched for the end of usual deliveries; below this
# share of the labels before, those after it are stray ones; the fewest labels, and the
# least log likelihood ratio, that make a search worth while.
_STEPS, _STRAY, _LEAST_BEFORE, _LEAST_GAIN = 1_024, 0.25, 10.0, 10.0


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LabelCalendar:
    """When labels came, by the calendar, up to a moment.

    Attributes
    ----------
    as_of : int
        The latest time known, of rows or labels; microseconds since 1970.
    time : ndarray of int64, shape (n,)
        Arrivals up to ``as_of``, in any order; microseconds since 1970.
    count : ndarray of shape (n,), optional
        Labels that came at each of them; None: one.
    """

    as_of: int
    time: Integers
    count: Floats | None = None

    def n_after(self, moment: int) -> float:
        """Return how many labels came after a moment."""
        after = self.time > moment
        return float(after.sum() if self.count is None else self.count[after].sum())

    @property
    def pause(self) -> float:
        """The longest time without labels that is usual, in seconds."""
        return longest_pause(self.time, self.count)


@dataclass(frozen=True, slots=True, kw_only=True)
class OverdueLabels:
    """Labels that are missing since a feed has stopped.

    Attributes
    ----------
    since : int or None
        Until when labels came as usual, in microseconds since 1970; None if none has
        ever come.
    n_since : int
        Stray labels that have come after it.
    expected, missing : int
        Labels to expect by now of the chunks that lack any, and how many they lack.
    """

    since: int | None
    n_since: int
    expected: int
    missing: int


def last_usual_delivery(calendar: LabelCalendar) -> int | None:
    """Return until when labels came in usual numbers; None if none has come.

    The time at which the rate of labels changes most, if after it hardly any come, by
    comparison with as long a time before; else the last arrival. That labels were due
    afterwards is for the delay model to say.
    """
    time = calendar.time
    if not time.size:
        return None
    first, last = int(time.min()), int(time.max())
    if calendar.as_of <= first:
        return last
    width = (calendar.as_of - first) / _STEPS
    step = np.minimum((time - first) / width, _STEPS - 1).astype(np.int64)
    total = np.cumsum(np.bincount(step, calendar.count, _STEPS))
    total = np.concatenate([[0.0], total])
    end = np.arange(1, _STEPS)  # of the steps before
    after = total[-1] - total[end]
    begin = np.maximum(2 * end - _STEPS, 0)
    before = total[end] - total[begin]
    # Two Poisson rates against one: log likelihood ratio at each end.
    n_before, n_after = end - begin, _STEPS - end
    rate = np.maximum(before + after, 1.0) / (n_before + n_after)
    gain = xlogy(before, before / (rate * n_before))
    gain += xlogy(after, after / (rate * n_after))
    stray = after * n_before < _STRAY * before * n_after
    stray &= before >= _LEAST_BEFORE
    gain = np.where(stray & (gain >= _LEAST_GAIN), gain, 0.0)
    best = int(np.argmax(gain))
    if not gain[best]:
        return last
    usual = time[step < end[best]]
    return int(usual.max())


def due_labels(
    columns: Columns,
    soft: Floats,
    delays: DelayModel,
    since: np.datetime64 | None,
    moment: np.datetime64,
) -> Floats:
    """Return the chance that each waiting row's label comes in ``(since, moment]``.

    Parameters
    ----------
    columns : Columns
        With times; rows that have a label, or no score, get 0.
    soft : ndarray of shape (n_rows,)
        P(y = 1) of the rows that wait.
    delays : DelayModel
        With times.
    since : datetime64[us] or None
        Until then none has come for these rows; None: that is not known.
    moment : datetime64[us]

    Returns
    -------
    ndarray of shape (n_rows,)
        Probabilities; a row that stands for several counts as one here.
    """

    def hazard(when: np.datetime64) -> Floats:
        place = places_of(columns, delays.bands, delays.column, delays.values, when)
        found: Floats = delays.hazard.reshape(2, -1)[:, place]
        return found

    more = hazard(moment)
    if since is not None:
        more = np.maximum(more - hazard(since), 0.0)
    chance = -np.expm1(-more)
    due: Floats = soft * chance[1] + (1.0 - soft) * chance[0]
    waits = np.isnan(required(columns.label)) & ~np.isnan(columns.score)
    return np.where(waits, due, 0.0)


def has_stopped(
    columns: Columns,
    soft: Floats,
    delays: DelayModel,
    calendar: LabelCalendar,
    since: int | None,
    learned: ReferenceDelays,
) -> bool:
    """Return whether too few labels have come since some time for a feed that works.

    The number of labels is negative binomial: Poisson around what the delay model
    expects up to a usual pause ago, whose own error is a factor.

    Parameters
    ----------
    columns, soft, delays
        As in `due_labels`; ``soft`` and ``delays`` as known at ``since``.
    calendar : LabelCalendar
    since : int or None
        The last usual delivery, in microseconds since 1970; None: there was none.
    learned : ReferenceDelays
        For its pauses and for how much its chunks differ.
    """
    moment = calendar.as_of - int(1e6 * usual_pause(calendar, learned))
    if since is not None and moment <= since:
        return False
    start = None if since is None else np.datetime64(since, "us")
    due = due_labels(columns, soft, delays, start, np.datetime64(moment, "us"))
    n_due = float(due.sum() if columns.weight is None else due @ columns.weight)
    n_after = 0.0 if since is None else calendar.n_after(since)
    n_learned = calendar.time.size if calendar.count is None else calendar.count.sum()
    n_learned += sum(c.count.sum() for k, c in learned.arrivals.items() if k is None)
    error = _MODEL_ERROR**2 + learned.dispersion**2 + 1.0 / max(float(n_learned), 1.0)
    # Those that came after all were due, too.
    mean = n_due + n_after
    if not n_due > n_after:
        return False
    shape = 1.0 / error
    return bool(nbinom.cdf(n_after, shape, shape / (shape + mean)) < _IMPROBABLE)


def is_unusual(
    seconds: float, calendar: LabelCalendar, learned: ReferenceDelays
) -> bool:
    """Return whether no label has come for longer than may be without anything wrong.

    The reference's pauses are asked first: those since want all arrivals sorted.
    """
    if seconds <= _PAUSES * learned.pause:
        return False
    return seconds > usual_pause(calendar, learned)


def usual_pause(calendar: LabelCalendar, learned: ReferenceDelays) -> float:
    """Return for how long no label may come without anything being wrong, in seconds.

    Twice the longest pause so far, in the reference and since; a weekend at least where
    labels have come for less than two weeks.
    """
    time = calendar.time
    span = float(time.max() - time.min()) * 1e-6 if time.size else 0.0
    longest = max(calendar.pause, learned.pause)
    if max(span, learned.span) < _SHORT_HISTORY:
        longest = max(longest, _WEEKEND / _PAUSES)
    return _PAUSES * longest
