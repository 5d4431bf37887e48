"""Labels that should have come: whether the feed is slow, or has stopped.

The delay model says how many labels are due between the last time at which labels came
as usual and now. Far fewer than that, beyond what chance, the delay model's error and
usual pauses (nights, weekends, weekly deliveries) allow, mean that the feed has
stopped. Then waiting tells nothing of a row's class, and nothing of delays.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.special import xlogy
from scipy.stats import nbinom

from estimator.delayed_labels.delay_model import DelayModel
from estimator.delayed_labels.reference_delays import ReferenceDelays, longest_pause
from estimator.delayed_labels.strata.delay_cells import delay_cells_of
from estimator.frames.columns import Columns, not_none
from estimator.ledger.label_hours import LabelHours

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class OverdueSettings:
    """When a feed of labels counts as stopped, and how its last delivery is sought.

    Attributes
    ----------
    season : int
        Microseconds before the last usual delivery that say how long the feed of labels
        usually pauses: three months. A search for that delivery begins with as long a
        time.
    pauses : float
        Longest pause to allow, in longest ones seen so far: pauses are longer at times
        than any seen, such as around holidays.
    day : float
        Seconds that a feed may always pause: predictions of a day are added before its
        labels.
    short_history : float
        Seconds of labels below which the longest pause seen may be too short: who has
        seen less than two weeks has not seen what a usual weekend is.
    weekend : float
        Seconds to allow then, besides ``day``: three days.
    model_error : float
        Standard deviation of the number of labels that are due, over that number,
        beside what the data say: delays drift, and a process that slows down by half
        has not stopped.
    improbable : float
        Probability of so few labels below which the feed has stopped. It is looked at
        every night: 1e-4 is a false alarm in 27 years.
    n_steps : int
        Steps in which the calendar is searched for the end of usual deliveries. With
        more, the end is known to a shorter time, and the search takes longer.
    stray : float
        Rate of labels after the end, over that before it, below which those after it
        are stray ones; a judgement.
    least_before : float
        Fewest labels before the end that make a search worth while; a judgement.
    least_gain : float
        Least log likelihood ratio, of two rates of labels against one, that ends usual
        deliveries; a judgement.
    week : int
        Microseconds that the time before the end must have; a delivery a day or a week
        at the beginning of the search looks as if labels had come much faster then.
    share_before : float
        Share of the time searched that suffices instead of a week.
    """

    season: int = 92 * 86_400 * 10**6
    pauses: float = 2.0
    day: float = 86_400.0
    short_history: float = 14 * 86_400.0
    weekend: float = 3 * 86_400.0
    model_error: float = 0.3
    improbable: float = 1e-4
    n_steps: int = 1_024
    stray: float = 0.25
    least_before: float = 10.0
    least_gain: float = 10.0
    week: int = 7 * 86_400 * 10**6
    share_before: float = 0.125


SETTINGS: Final = OverdueSettings()


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LabelCalendar:
    """All labels by the hour in which they came, up to a moment.

    Attributes
    ----------
    as_of : int
        The latest time known, of rows or labels; microseconds since 1970.
    hours : LabelHours
        Up to ``as_of``.
    """

    as_of: int
    hours: LabelHours

    @property
    def span(self) -> float:
        """How long labels came, from the first to the last, in seconds."""
        time = self.hours.time
        return float(time[-1] - time[0]) * 1e-6 if time.size else 0.0

    def n_after(self, moment: int) -> float:
        """Return how many labels came after a moment."""
        return float(self.hours.count[self.hours.time > moment].sum())

    def pause_until(self, moment: int | None) -> float:
        """Return the longest usual time without labels, in seconds.

        Of the three months up to ``moment`` (None: up to the last arrival), so that one
        outage is not the measure for ever.
        """
        time = self.hours.time
        if not time.size:
            return 0.0
        end = int(time[-1]) if moment is None else moment
        season = (time <= end) & (time >= end - SETTINGS.season)
        return longest_pause(time[season], self.hours.count[season])


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


def usual_deliveries(calendar: LabelCalendar) -> list[int]:
    """Return when labels may have come as usual for the last time, the earliest first.

    A time after which hardly any label came, by comparison with as long a time before,
    and the last arrival. Whether labels were due afterwards is for `has_stopped` to
    say: a feed of which little is left looks the same as a dead one with stray labels.
    The last three months are searched, twice as long a time, and so on: so a feed that
    died long ago is seen, and what changed long ago hides no death of late.
    """
    time = calendar.hours.time
    if not time.size:
        return []
    first, ends = int(time[0]), [int(time[-1])]
    begin, span = calendar.as_of, SETTINGS.season
    while begin > first:
        begin = max(first, calendar.as_of - span)
        end = _end_of_deliveries(calendar, begin)
        # Within a step it is the same one, which the shorter search has told better.
        width = (calendar.as_of - begin) / SETTINGS.n_steps
        if end is not None and ends[-1] - end > width:
            ends.append(end)
        span *= 2
    return ends[::-1]


def _end_of_deliveries(calendar: LabelCalendar, begin: int) -> int | None:
    """Return the last usual arrival after which hardly any came, None if many did.

    Parameters
    ----------
    calendar : LabelCalendar
    begin : int
        Only arrivals from then on count; before ``calendar.as_of``.
    """
    n_steps = SETTINGS.n_steps
    since = int(np.searchsorted(calendar.hours.time, begin))
    time, count = calendar.hours.time[since:], calendar.hours.count[since:]
    width = (calendar.as_of - begin) / n_steps
    step = np.minimum((time - begin) / width, n_steps - 1).astype(np.int64)
    total = np.concatenate([[0.0], np.cumsum(np.bincount(step, count, n_steps))])
    end = np.arange(1, n_steps)  # of the steps before
    after = total[-1] - total[end]
    start = np.maximum(2 * end - n_steps, 0)
    before = total[end] - total[start]
    n_before, n_after = end - start, n_steps - end
    stray = after * n_before < SETTINGS.stray * before * n_after
    stray &= before >= SETTINGS.least_before
    stray &= n_before * width >= min(
        SETTINGS.week, SETTINGS.share_before * (calendar.as_of - begin)
    )
    if not stray.any():
        return None
    # Two Poisson rates against one: log likelihood ratio at each end.
    rate = np.maximum(before + after, 1.0) / (n_before + n_after)
    gain = xlogy(before, before / (rate * n_before))
    gain += xlogy(after, after / (rate * n_after))
    gain = np.where(stray & (gain >= SETTINGS.least_gain), gain, 0.0)
    best = int(np.argmax(gain))
    if not gain[best]:
        return None
    usual = time[step < end[best]]
    return int(usual[-1])


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
    waits = np.isnan(not_none(columns.label)) & ~np.isnan(columns.score)
    rows = np.flatnonzero(waits)
    # What is not known of the others would only cost time.
    place_at = partial(
        delay_cells_of, columns, delays.bands, delays.column, delays.values, rows=rows
    )
    hazard = delays.hazard.reshape(2, -1)
    more = hazard[:, place_at(moment)]
    if since is not None:
        more = np.maximum(more - hazard[:, place_at(since)], 0.0)
    chance = -np.expm1(-more)
    due = np.zeros(columns.n_rows)
    due[rows] = soft[rows] * chance[1] + (1.0 - soft[rows]) * chance[0]
    return due


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class WaitingRows:
    """Rows of one estimator, and what is known of those that wait for a label.

    Attributes
    ----------
    columns : Columns
        With times.
    soft : ndarray of shape (n_rows,)
        P(y = 1) of the rows that wait.
    delays : DelayModel
        With times.
    learned : ReferenceDelays
        Of the estimator's reference.
    """

    columns: Columns
    soft: Floats
    delays: DelayModel
    learned: ReferenceDelays


def has_stopped(
    rows: Sequence[WaitingRows], calendar: LabelCalendar, since: int | None
) -> bool:
    """Return whether too few labels have come since some time for a feed that works.

    The number of labels is negative binomial: Poisson around what the delay models
    expect up to a usual pause ago, whose own error is a factor.

    Parameters
    ----------
    rows : sequence of WaitingRows
        Of all estimators whose labels the calendar counts, as known at ``since``.
    calendar : LabelCalendar
    since : int or None
        The last usual delivery, in microseconds since 1970; None: there was none.
    """
    learned = [one.learned for one in rows]
    moment = calendar.as_of - int(1e6 * usual_pause(calendar, since, learned))
    if not rows or (since is not None and moment <= since):
        return False
    start = None if since is None else np.datetime64(since, "us")
    end = np.datetime64(moment, "us")
    n_due = 0.0
    for one in rows:
        due = due_labels(one.columns, one.soft, one.delays, start, end)
        weight = one.columns.weight
        n_due += float(due.sum() if weight is None else due @ weight)
    n_after = 0.0 if since is None else calendar.n_after(since)
    n_learned = calendar.hours.count.sum()
    n_learned += sum(x.arrivals[None].count.sum() for x in learned if x.arrivals)
    dispersion = max(x.dispersion for x in learned)
    error = SETTINGS.model_error**2 + dispersion**2 + 1.0 / max(float(n_learned), 1.0)
    # Those that came after all were due, too.
    mean = n_due + n_after
    if not n_due > n_after:
        return False
    shape = 1.0 / error
    return bool(
        nbinom.cdf(n_after, shape, shape / (shape + mean)) < SETTINGS.improbable
    )


def is_unusual(
    calendar: LabelCalendar, since: int, learned: Sequence[ReferenceDelays]
) -> bool:
    """Return whether no label has come for longer than may be without anything wrong.

    Parameters
    ----------
    calendar : LabelCalendar
    since : int
        The last usual delivery, in microseconds since 1970.
    learned : sequence of ReferenceDelays
    """
    return 1e-6 * (calendar.as_of - since) > usual_pause(calendar, since, learned)


def usual_pause(
    calendar: LabelCalendar, since: int | None, learned: Sequence[ReferenceDelays]
) -> float:
    """Return for how long no label may come without anything being wrong, in seconds.

    A day, and twice the longest pause in the references and in the three months up to
    ``since``, or a weekend where labels have come for less than two weeks.
    """
    longest = max([calendar.pause_until(since), *(x.pause for x in learned)])
    if max([calendar.span, *(x.span for x in learned)]) < SETTINGS.short_history:
        longest = max(longest, SETTINGS.weekend / SETTINGS.pauses)
    return SETTINGS.day + SETTINGS.pauses * longest
