"""Labels by the hour in which they came: small, however long the history."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

HOUR = 3_600 * 10**6  # microseconds


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LabelHours:
    """How many labels came in each hour in which any did.

    Attributes
    ----------
    time : ndarray of int64, shape (n_hours,)
        The last arrival within each hour, rising; microseconds since 1970.
    count : ndarray of shape (n_hours,)
        Labels of each hour.
    """

    time: Integers
    count: Floats

    def until(self, moment: int) -> "LabelHours":
        """Return the hours whose last arrival is not after a moment."""
        end = int(np.searchsorted(self.time, moment, side="right"))
        return LabelHours(time=self.time[:end], count=self.count[:end])


def no_hours() -> LabelHours:
    """Return the hours of no label."""
    return LabelHours(time=np.empty(0, dtype=np.int64), count=np.empty(0))


def count_by_hour(time: Integers, count: Floats | None = None) -> LabelHours:
    """Count labels by the hour.

    Parameters
    ----------
    time : ndarray of int64, shape (n,)
        Arrivals in any order, in microseconds since 1970.
    count : ndarray of shape (n,), optional
        Labels that came at each of them; None: one.

    Examples
    --------
    >>> minute = 60_000_000
    >>> hours = count_by_hour(np.array([200, 5, 50, 30]) * minute)
    >>> hours.time // minute
    array([ 50, 200])
    >>> hours.count
    array([3., 1.])
    """
    order = np.argsort(time)
    time = time[order]
    hour = time // HOUR
    is_last = np.append(hour[1:] != hour[:-1], True)[: hour.size]
    rank = np.arange(1.0, time.size + 1.0) if count is None else count[order].cumsum()
    return LabelHours(time=time[is_last], count=np.diff(rank[is_last], prepend=0.0))


def add_hours(before: LabelHours, more: LabelHours, less: LabelHours) -> LabelHours:
    """Add hours, and take away others that are among them."""
    return count_by_hour(
        np.concatenate([before.time, more.time, less.time]),
        np.concatenate([before.count, more.count, -less.count]),
    )
