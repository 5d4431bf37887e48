"""Labels into a ledger: to their rows, or held until these come."""

from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from estimator.ledger.label_events import (
    LabelEvents,
    current_values,
    merge_events,
    select_events,
    without_repeats,
)
from estimator.ledger.label_frame import NO_TIME, LabelColumns
from estimator.ledger.label_hours import add_hours
from estimator.ledger.ledger import (
    ALWAYS,
    ROW_BITS,
    Ledger,
    check_zone,
    hours_of,
    iso_time,
    latest_of,
)
from estimator.ledger.row_ids import IdIndex, Keys

Integers = NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class AddedLabels:
    """What became of a batch of labels.

    Attributes
    ----------
    n_new : int
        Rows that had no label before.
    n_restated : int
        Rows whose label is now another.
    n_identical : int
        Labels known already, or without effect on the current label.
    n_held : int
        Labels whose rows have not been predicted yet: kept until they are.
    n_missing : int
        Rows of the frame without a label.
    touched : tuple of int
        Serial numbers of the chunks with new or restated labels.
    """

    n_new: int
    n_restated: int
    n_identical: int
    n_held: int
    n_missing: int
    touched: tuple[int, ...] = field(repr=False)


def add_labels(
    ledger: Ledger, labels: LabelColumns, now: int | None = None
) -> tuple[Ledger, AddedLabels]:
    """Add labels to their rows, or hold them until these come.

    Of two labels of a row the later arrival wins, at equal times the larger value; a
    label without a time arrives ``now``, else at the latest time seen, and there the
    later call wins.

    Parameters
    ----------
    ledger : Ledger
    labels : LabelColumns
    now : int, optional
        Microseconds since 1970.

    Raises
    ------
    ValueError
        If a label arrives later than ``now``, or time zones are mixed with none.
    """
    timed = labels.arrived_at != NO_TIME
    if labels.has_times and ledger.chunks and ledger.chunks[0].time is not None:
        check_zone(ledger.timezone, labels.timezone, "labels")
    late = np.empty(0, dtype=np.int64)
    if now is not None:
        late = np.flatnonzero(timed & (labels.arrived_at > now))
    if now is not None and late.size:
        first = int(late[0])
        msg = (
            f"`labels` must not arrive after `now` ({iso_time(now)}), but {late.size} "
            f"of {labels.keys.size} do (first: id {labels.show(first)} at "
            f"{iso_time(int(labels.arrived_at[first]))}). Pass a later `now`, or "
            "correct the times."
        )
        raise ValueError(msg)
    untimed = not timed.all()
    n_untimed = ledger.n_untimed + untimed
    arrived_at = labels.arrived_at
    if untimed:
        then = now if now is not None else ledger.latest
        arrived_at = np.where(timed, arrived_at, ALWAYS if then is None else then)
    location = ledger.index.find(labels.keys)
    events = LabelEvents(
        location=location,
        arrived_at=arrived_at,
        call=np.where(timed, 0, n_untimed).astype(np.int32),
        value=labels.value,
    )
    is_matched = location >= 0
    extended = replace(
        ledger,
        latest=latest_of(ledger.latest, labels.arrived_at[timed], now),
        checked=ledger.checked
        if now is None
        else tuple(sorted({*ledger.checked, now})),
        n_untimed=n_untimed,
    )
    extended = _keep_unmatched(
        extended, labels.keys[~is_matched], select_events(events, ~is_matched)
    )
    extended, counts = _enter(extended, select_events(events, is_matched))
    n_known = int(is_matched.sum())
    return extended, AddedLabels(
        n_new=counts.n_new,
        n_restated=counts.n_restated,
        n_identical=n_known - counts.n_new - counts.n_restated,
        n_held=is_matched.size - n_known,
        n_missing=labels.n_missing,
        touched=counts.touched,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Entered:
    n_new: int = 0
    n_restated: int = 0
    touched: tuple[int, ...] = ()


def _enter(ledger: Ledger, events: LabelEvents) -> tuple[Ledger, _Entered]:
    """Add label events, by location, to their chunks."""
    if not events.location.size:
        return ledger, _Entered()
    serial = events.location >> ROW_BITS
    order = np.argsort(serial, kind="stable")
    events = select_events(events, order)
    serials, starts = np.unique(serial[order], return_index=True)
    chunks = list(ledger.chunks)
    n_new = n_restated = 0
    touched = []
    stops = [*starts[1:].tolist(), order.size]
    for s, begin, stop in zip(serials.tolist(), starts.tolist(), stops, strict=True):
        of_chunk = select_events(events, slice(begin, stop))
        of_chunk = replace(of_chunk, location=of_chunk.location - (s << ROW_BITS))
        old = chunks[s].events
        was = current_values(old, chunks[s].score.size)
        merged = merge_events(old, without_repeats(of_chunk, was))
        now = current_values(merged, was.size)
        n_new += int(((was < 0) & (now >= 0)).sum())
        n_restated += int(((was >= 0) & (was != now)).sum())
        if merged.location.size != old.location.size:
            chunks[s] = replace(
                chunks[s],
                events=merged,
                n_labeled=int((now >= 0).sum()),
            )
            touched.append(s)
    entered = _Entered(n_new=n_new, n_restated=n_restated, touched=tuple(touched))
    hours = add_hours(
        ledger.hours,
        hours_of([chunks[s] for s in touched]),
        hours_of([ledger.chunks[s] for s in touched]),
    )
    return replace(ledger, chunks=tuple(chunks), hours=hours), entered


def _keep_unmatched(ledger: Ledger, keys: Keys, events: LabelEvents) -> Ledger:
    """Keep labels of ids that have not been predicted."""
    if not keys.size:
        return ledger
    if (
        ledger.unmatched_keys.size
        and ledger.unmatched_keys.dtype.kind != keys.dtype.kind
    ):
        msg = (
            "`row_id` must be of one kind, whole numbers or texts, but these labels' "
            "are of another kind than those held. Convert: column.astype(str)."
        )
        raise TypeError(msg)
    both = (
        np.concatenate([ledger.unmatched_keys, keys])
        if ledger.unmatched_keys.size
        else keys
    )
    unique, position = np.unique(both, return_inverse=True)
    n = ledger.unmatched_keys.size
    old = replace(
        ledger.unmatched_labels, location=position[:n][ledger.unmatched_labels.location]
    )
    more = replace(events, location=position[n:])
    more = without_repeats(more, current_values(old, unique.size))
    return replace(
        ledger, unmatched_keys=unique, unmatched_labels=merge_events(old, more)
    )


def match_labels(ledger: Ledger, keys: Keys, locations: Integers) -> tuple[Ledger, int]:
    """Move labels that were waiting for these rows into their chunks."""
    if not ledger.unmatched_keys.size or not keys.size:
        return ledger, 0
    matched = IdIndex().add(keys, locations).find(ledger.unmatched_keys)
    if not (matched >= 0).any():
        return ledger, 0
    location = matched[ledger.unmatched_labels.location]
    is_ready = location >= 0
    ready = replace(
        select_events(ledger.unmatched_labels, is_ready), location=location[is_ready]
    )
    stay = matched < 0
    renumber = np.cumsum(stay) - 1
    rest = select_events(ledger.unmatched_labels, ~is_ready)
    ledger = replace(
        ledger,
        unmatched_keys=ledger.unmatched_keys[stay],
        unmatched_labels=replace(rest, location=renumber[rest.location]),
    )
    entered, _ = _enter(ledger, ready)
    return entered, ready.location.size
