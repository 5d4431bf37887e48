"""Labels as events in a fixed order: the last one of a row is the one that counts."""

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LabelEvents:
    """Arrived labels, sorted by location, arrival, call and value, none twice.

    Attributes
    ----------
    location : ndarray of int64
        Which row, in a numbering that the owner knows.
    arrived_at : ndarray of int64
        Arrival in microseconds since 1970.
    call : ndarray of int32
        0, or the number of the call that brought a label without a time.
    value : ndarray of int8
        0 or 1.
    """

    location: NDArray[np.int64]
    arrived_at: NDArray[np.int64]
    call: NDArray[np.int32]
    value: NDArray[np.int8]

    @property
    def nbytes(self) -> int:
        """Memory of the columns."""
        return sum(getattr(self, name).nbytes for name in NAMES)


NAMES = tuple(column.name for column in fields(LabelEvents))


def no_events() -> LabelEvents:
    """Return the empty list of events."""
    return LabelEvents(
        location=np.empty(0, dtype=np.int64),
        arrived_at=np.empty(0, dtype=np.int64),
        call=np.empty(0, dtype=np.int32),
        value=np.empty(0, dtype=np.int8),
    )


def select_events(events: LabelEvents, which: np.ndarray | slice) -> LabelEvents:
    """Return some of the events."""
    return LabelEvents(**{name: getattr(events, name)[which] for name in NAMES})


def merge_events(first: LabelEvents, second: LabelEvents) -> LabelEvents:
    """Return the events of both, in their order, each once; ``second`` in any order."""
    both = LabelEvents(
        **{
            name: np.concatenate([getattr(first, name), getattr(second, name)])
            for name in NAMES
        }
    )
    order = np.argsort(both.location, kind="stable")
    location = both.location[order]
    if (location[1:] == location[:-1]).any():
        order = np.lexsort((both.value, both.call, both.arrived_at, both.location))
    both = select_events(both, order)
    columns = [getattr(both, name) for name in NAMES]
    same = np.logical_and.reduce([column[1:] == column[:-1] for column in columns])
    if not same.any():
        return both
    return select_events(both, np.concatenate([[True], ~same]))


def latest_labels(events: LabelEvents, as_of: int | None = None) -> LabelEvents:
    """Return the last event of each row, up to a time."""
    if as_of is not None:
        events = select_events(events, events.arrived_at <= as_of)
    last = np.ones(events.location.size, dtype=np.bool_)
    last[:-1] = events.location[1:] != events.location[:-1]
    return events if last.all() else select_events(events, last)


def without_repeats(events: LabelEvents, current: NDArray[np.int8]) -> LabelEvents:
    """Leave out labels without a time that only repeat what is ``current``.

    Whoever sends all labels anew every night would fill the memory with them.
    """
    repeats = (events.call > 0) & (current[events.location] == events.value)
    return select_events(events, ~repeats) if repeats.any() else events


def current_values(events: LabelEvents, n: int) -> NDArray[np.int8]:
    """Return the label that counts at each of ``n`` locations, -1 for none."""
    values = np.full(n, -1, dtype=np.int8)
    last = latest_labels(events)
    values[last.location] = last.value
    return values
