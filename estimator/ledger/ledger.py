"""Which rows of which chunk are labelled, and since when.

A ledger is frozen: adding returns another that shares what was not touched, so that a
refused batch loses nothing. Rows lie in columns, chunk by chunk; a label is an event,
never overwritten, so that "what was known then" stays answerable. Nothing depends on
the order in which labels come within a batch, nor, given their arrival times, on how
they are split into batches.
"""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from estimator.frames.adapted_soft_labels import AdaptedSoftLabels
from estimator.frames.datetimes import TimeZone
from estimator.ledger.label_events import LabelEvents, no_events
from estimator.ledger.label_frame import NO_TIME
from estimator.ledger.label_hours import LabelHours, count_by_hour, no_hours
from estimator.ledger.row_ids import IdIndex, Keys

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

# A label of which nobody knows when it came has been there from the beginning.
ALWAYS = NO_TIME + 1
ROW_BITS = 32  # a location is the chunk's serial number, then the row in it


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ChunkRows:
    """The rows of one chunk, in order of arrival.

    Attributes
    ----------
    label : str or int
        As in the result: ISO start of the period, or 0, 1, ….
    score : ndarray of float64
        NaN in an unusable row.
    decision : ndarray of bool, or None
    time : ndarray of int64, or None
        Microseconds since 1970.
    codes : dict of ndarray of int16
        By segment column, into the ledger's ``values``.
    events : LabelEvents
        Labels of these rows, ``location`` being the row.
    first, last : int or None
        Earliest and latest time of its rows.
    n_labeled : int
        Rows that have a label.
    adapted : AdaptedSoftLabels, or None
        Soft labels by features: fixed when the row came, since its features are not
        kept. None if the first rows had none.
    remark : str
        What there was to say of the features of the last rows that gave cause.
    stratum : ndarray of int8, or None
        Stratum of the delay of each row, learned from its features by the estimator of
        the chunk; -1 where these were not read, None if they were of no row.
    """

    label: str | int
    score: Floats
    decision: NDArray[np.bool_] | None
    time: Integers | None
    codes: Mapping[Hashable, NDArray[np.int16]]
    events: LabelEvents
    first: int | None = None
    last: int | None = None
    n_labeled: int = 0
    adapted: AdaptedSoftLabels | None = None
    remark: str = ""
    stratum: NDArray[np.int8] | None = None

    @property
    def is_completed(self) -> bool:
        """Whether every row has its label."""
        return self.n_labeled == self.score.size

    @property
    def nbytes(self) -> int:
        """Memory of all columns."""
        arrays = [
            self.score,
            self.decision,
            self.time,
            self.stratum,
            *(() if self.adapted is None else self.adapted.by_name().values()),
            *self.codes.values(),
        ]
        n_bytes = sum(int(array.nbytes) for array in arrays if array is not None)
        return n_bytes + self.events.nbytes


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Ledger:
    """All rows and labels seen.

    Attributes
    ----------
    chunks : tuple of ChunkRows
        In order of creation: the place is the serial number.
    index : IdIndex
        From id to location.
    unmatched_labels : LabelEvents
        Labels of ids not yet predicted, ``location`` being the position in
        ``unmatched_keys``.
    unmatched_keys : ndarray
        Their ids, sorted, each once.
    values : dict of tuple of str
        By segment column.
    latest : int or None
        Latest time seen, in microseconds since 1970.
    checked : tuple of int
        Moments until which labels are known to have been looked for, rising.
    n_untimed : int
        Calls that brought labels without a time of their own.
    timezone : str, tzinfo or None
        Of the first predictions.
    unit : str
        Finest unit in which times of predictions came: results show them in it.
    hours : LabelHours
        The events of all chunks whose time is known.
    """

    chunks: tuple[ChunkRows, ...] = ()
    index: IdIndex = field(default_factory=IdIndex)
    unmatched_labels: LabelEvents = field(default_factory=no_events)
    unmatched_keys: Keys = field(default_factory=lambda: np.empty(0, dtype=np.int64))
    values: Mapping[Hashable, tuple[str, ...]] = field(default_factory=dict)
    latest: int | None = None
    checked: tuple[int, ...] = ()
    n_untimed: int = 0
    timezone: TimeZone = None
    unit: str = "s"
    hours: LabelHours = field(default_factory=no_hours)

    @property
    def n_rows(self) -> int:
        """Rows of all chunks."""
        return len(self.index)

    @property
    def n_events(self) -> int:
        """Labels that have come to rows of all chunks, restated ones included."""
        return sum(chunk.events.location.size for chunk in self.chunks)

    def horizon(self, hours: LabelHours, as_of: int | None = None) -> int | None:
        """Return until when labels are known to have been looked for, by a moment.

        The latest arrival, or the ``now`` of a batch: a row without a label has been
        waiting until then. Who has not come since, nobody knows.

        Parameters
        ----------
        hours : LabelHours
            As `hours_until` returns them for ``as_of``.
        as_of : int, optional
            Microseconds since 1970; None: there is no limit.
        """
        seen = [time for time in self.checked if as_of is None or time <= as_of]
        return max([*seen, *hours.time[-1:].tolist()], default=None)

    def hours_until(self, as_of: int | None = None) -> LabelHours:
        """Return by the hour how many labels had come by a moment; None: all."""
        time = self.hours.time
        if as_of is None or not time.size or time[-1] <= as_of:
            return self.hours
        return hours_of(self.chunks, as_of)

    @property
    def nbytes(self) -> int:
        """Memory of all columns and of the index."""
        runs = sum(
            keys.nbytes + locations.nbytes for keys, locations in self.index.runs
        )
        n_bytes_unmatched = self.unmatched_labels.nbytes + self.unmatched_keys.nbytes
        return runs + n_bytes_unmatched + sum(chunk.nbytes for chunk in self.chunks)


def hours_of(chunks: Sequence[ChunkRows], as_of: int | None = None) -> LabelHours:
    """Count the labels of some chunks by the hour in which they came."""
    arrived_at = np.concatenate(
        [np.empty(0, dtype=np.int64), *(c.events.arrived_at for c in chunks)]
    )
    is_counted = arrived_at > ALWAYS
    if as_of is not None:
        is_counted &= arrived_at <= as_of
    return count_by_hour(arrived_at[is_counted])


def check_zone(ours: TimeZone, theirs: TimeZone, name: str) -> None:
    """Refuse times with a zone beside times without."""
    if (ours is None) != (theirs is None):
        has, lacks = ("earlier predictions", f"`{name}`")
        if ours is None:
            has, lacks = lacks, has
        msg = (
            f"Times must have a time zone everywhere or nowhere, but {has} have "
            f"one and {lacks} have none. Localize them: "
            'frame[column].dt.tz_localize("UTC").'
        )
        raise ValueError(msg)


def known_times(*times: int | None) -> list[int]:
    """Return those that are there."""
    return [time for time in times if time is not None]


def latest_of(latest: int | None, *times: Integers | int | None) -> int | None:
    """Return the latest of all times, None if there is none."""
    seen = [latest]
    for time in times:
        if isinstance(time, np.ndarray):
            seen.append(int(time.max()) if time.size else None)
        else:
            seen.append(time)
    return max(known_times(*seen), default=None)


def finer_unit(unit: str, time: NDArray[np.datetime64] | None) -> str:
    """Return the finer of a unit and that of some times."""
    if time is None:
        return unit
    both = np.promote_types(time.dtype, f"M8[{unit}]")
    return str(np.datetime_data(both)[0])


def iso_time(time: int) -> str:
    """Return microseconds since 1970 as text."""
    moment = np.array(time).view("M8[us]")
    return str(np.datetime_as_string(moment, unit="auto"))
