"""Which rows of which chunk are labelled, and since when.

A ledger is frozen: adding returns another that shares what was not touched, so that a
refused batch loses nothing. Rows lie in columns, chunk by chunk; a label is an event,
never overwritten, so that "what was known then" stays answerable. Nothing depends on
the order in which labels come within a batch, nor, given their arrival times, on how
they are split into batches.
"""

from collections.abc import Callable, Hashable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from estimator._datetimes import TimeZone
from estimator.chunking import ChunkSpec, make_chunks
from estimator.delayed_labels.events import (
    LabelEvents,
    current_values,
    merge_events,
    no_events,
    select_events,
    without_repeats,
)
from estimator.delayed_labels.label_frame import NO_TIME, LabelColumns, microseconds
from estimator.delayed_labels.row_ids import IdIndex, Keys
from estimator.frames import Columns, required

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

# A label of which nobody knows when it came has been there from the beginning.
_ALWAYS = NO_TIME + 1
_ROW_BITS = 32  # a location is the chunk's serial number, then the row in it


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

    @property
    def is_settled(self) -> bool:
        """Whether every row has its label."""
        return self.n_labeled == self.score.size

    @property
    def nbytes(self) -> int:
        """Memory of all columns."""
        arrays = [self.score, self.decision, self.time, *self.codes.values()]
        own = sum(array.nbytes for array in arrays if array is not None)
        return own + self.events.nbytes


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Ledger:
    """All rows and labels seen.

    Attributes
    ----------
    chunks : tuple of ChunkRows
        In order of creation: the place is the serial number.
    index : IdIndex
        From id to location.
    held : LabelEvents
        Labels of ids not yet predicted, ``location`` being the place in ``held_keys``.
    held_keys : ndarray
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
    """

    chunks: tuple[ChunkRows, ...] = ()
    index: IdIndex = field(default_factory=IdIndex)
    held: LabelEvents = field(default_factory=no_events)
    held_keys: Keys = field(default_factory=lambda: np.empty(0, dtype=np.int64))
    values: Mapping[Hashable, tuple[str, ...]] = field(default_factory=dict)
    latest: int | None = None
    checked: tuple[int, ...] = ()
    n_untimed: int = 0
    timezone: TimeZone = None

    @property
    def n_rows(self) -> int:
        """Rows of all chunks."""
        return len(self.index)

    def horizon(self, as_of: int | None = None) -> int | None:
        """Return until when labels are known to have been looked for, by a moment.

        The latest arrival, or the ``now`` of a batch: a row without a label has been
        waiting until then. Who has not come since, nobody knows.
        """
        limit = np.iinfo(np.int64).max if as_of is None else as_of
        found = [moment for moment in self.checked if moment <= limit]
        for chunk in self.chunks:
            at = chunk.events.at
            found.append(int(at[at <= limit].max(initial=_ALWAYS)))
        latest = max(found, default=_ALWAYS)
        return None if latest == _ALWAYS else latest

    @property
    def nbytes(self) -> int:
        """Memory of all columns and of the index."""
        runs = sum(keys.nbytes + at.nbytes for keys, at in self.index.runs)
        held = self.held.nbytes + self.held_keys.nbytes
        return runs + held + sum(chunk.nbytes for chunk in self.chunks)


@dataclass(frozen=True, slots=True, kw_only=True)
class AddedRows:
    """What became of a batch of predictions.

    Attributes
    ----------
    n_new, n_identical : int
        Rows added, and rows delivered before (or twice in the batch).
    n_applied : int
        Labels that had been waiting for these rows.
    touched : tuple of int
        Serial numbers of the chunks that have new rows.
    """

    n_new: int
    n_identical: int
    n_applied: int
    touched: tuple[int, ...] = field(repr=False)


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


def add_rows(
    ledger: Ledger,
    columns: Columns,
    keys: Keys,
    spec: ChunkSpec,
    show: Callable[[int], str] = str,
) -> tuple[Ledger, AddedRows]:
    """Add predictions to their chunks.

    Parameters
    ----------
    ledger : Ledger
    columns : Columns
        The batch.
    keys : ndarray of shape (n_rows,)
        Ids of its rows.
    spec : result of `estimator.chunking.check_chunk`
        Periods and edges: rows join the chunk of their time. A number: rows in order of
        arrival fill the open chunk, then further ones. None: one chunk a call.
    show : callable
        Text of the id of a row, for messages.

    Raises
    ------
    ValueError
        If a row was delivered before with another score, decision or time, or time
        zones are mixed with none.
    """
    time = None if columns.timestamp is None else microseconds(columns.timestamp)
    if ledger.chunks and time is not None:
        _check_zone(ledger.timezone, columns.timezone, "production")
    batch = _Batch(
        score=np.asarray(columns.score, dtype=np.float64),
        decision=columns.decision,
        time=time,
    )
    location = ledger.index.find(keys)
    new = _first_of_each(keys, location, batch, ledger, show)
    values, codes = _extend_values(ledger.values, columns)
    chunks = list(ledger.chunks)
    places = np.empty(new.size, dtype=np.int64)
    touched = []
    for label, rows in _chunk_new_rows(chunks, columns, time, new, spec):
        serial = _find_chunk(chunks, label, spec)
        if serial is None:
            serial = len(chunks)
            chunks.append(_empty_chunk(label, columns, has_time=time is not None))
        old = chunks[serial]
        own = new[rows]
        places[rows] = (serial << _ROW_BITS) + old.score.size + np.arange(own.size)
        chunks[serial] = _append(old, batch, codes, own)
        touched.append(serial)
    extended = replace(
        ledger,
        chunks=tuple(chunks),
        index=ledger.index.add(keys[new], places),
        values=values,
        latest=_later(ledger.latest, time),
        timezone=columns.timezone if ledger.timezone is None else ledger.timezone,
    )
    extended, n_applied = _apply_held(extended, keys[new], places)
    return extended, AddedRows(
        n_new=new.size,
        n_identical=keys.size - new.size,
        n_applied=n_applied,
        touched=tuple(sorted(touched)),
    )


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
    timed = labels.at != NO_TIME
    if labels.has_times and ledger.chunks and ledger.chunks[0].time is not None:
        _check_zone(ledger.timezone, labels.timezone, "labels")
    late = np.empty(0, dtype=np.int64)
    if now is not None:
        late = np.flatnonzero(timed & (labels.at > now))
    if now is not None and late.size:
        first = int(late[0])
        msg = (
            f"`labels` must not arrive after `now` ({_iso(now)}), but {late.size} of "
            f"{labels.keys.size} do (first: id {labels.show(first)} at "
            f"{_iso(int(labels.at[first]))}). Pass a later `now`, or correct the times."
        )
        raise ValueError(msg)
    untimed = not timed.all()
    n_untimed = ledger.n_untimed + untimed
    at = labels.at
    if untimed:
        then = now if now is not None else ledger.latest
        at = np.where(timed, at, _ALWAYS if then is None else then)
    location = ledger.index.find(labels.keys)
    events = LabelEvents(
        location=location,
        at=at,
        call=np.where(timed, 0, n_untimed).astype(np.int32),
        value=labels.value,
    )
    known = location >= 0
    extended = replace(
        ledger,
        latest=_later(ledger.latest, labels.at[timed], now),
        checked=ledger.checked
        if now is None
        else tuple(sorted({*ledger.checked, now})),
        n_untimed=n_untimed,
    )
    extended = _hold(extended, labels.keys[~known], select_events(events, ~known))
    extended, counts = _enter(extended, select_events(events, known))
    n_known = int(known.sum())
    return extended, AddedLabels(
        n_new=counts.n_new,
        n_restated=counts.n_restated,
        n_identical=n_known - counts.n_new - counts.n_restated,
        n_held=known.size - n_known,
        n_missing=labels.n_missing,
        touched=counts.touched,
    )


def _check_zone(ours: TimeZone, theirs: TimeZone, name: str) -> None:
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


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Batch:
    score: Floats
    decision: NDArray[np.bool_] | None
    time: Integers | None


def _first_of_each(
    keys: Keys,
    location: Integers,
    batch: _Batch,
    ledger: Ledger,
    show: Callable[[int], str],
) -> Integers:
    """Return the rows to add; refuse those that differ from what was delivered."""
    again = np.flatnonzero(location >= 0)
    new = np.flatnonzero(location < 0)
    order = new[np.argsort(keys[new], kind="stable")]
    same = np.flatnonzero(keys[order][1:] == keys[order][:-1]) + 1
    if again.size:
        serial = location[again] >> _ROW_BITS
        row = location[again] & ((1 << _ROW_BITS) - 1)
        for s in np.unique(serial).tolist():
            own = serial == s
            chunk = ledger.chunks[s]
            held = _Batch(score=chunk.score, decision=chunk.decision, time=chunk.time)
            _check_same(batch, again[own], held, row[own], show)
    if not same.size:
        return new
    starts = np.ones(order.size, dtype=np.bool_)
    starts[same] = False
    first = order[starts][np.cumsum(starts)[same] - 1]
    _check_same(batch, order[same], batch, first, show)
    return np.sort(order[starts])


def _check_same(
    batch: _Batch,
    rows: Integers,
    held: _Batch,
    earlier: Integers,
    show: Callable[[int], str],
) -> None:
    for what, ours, theirs in (
        ("score", batch.score, held.score),
        ("decision", batch.decision, held.decision),
        ("time", batch.time, held.time),
    ):
        if ours is None or theirs is None:
            continue
        a, b = ours[rows], theirs[earlier]
        differs = (a != b) & ~((a != a) & (b != b))  # two missing scores are the same
        if differs.any():
            i = int(np.argmax(differs))
            was, now = b[i], a[i]
            if what == "time":
                was, now = _iso(int(was)), _iso(int(now))
            msg = (
                "`production` must not change a row that was delivered before, but "
                f"the {what} of id {show(int(rows[i]))} was {was} and now is {now} "
                f"({differs.sum()} such rows in its chunk). Nothing was added. Give "
                "new predictions new ids; after a retraining call `rebase`."
            )
            raise ValueError(msg)


def _chunk_new_rows(
    chunks: list[ChunkRows],
    columns: Columns,
    time: Integers | None,
    new: Integers,
    spec: ChunkSpec,
) -> Iterable[tuple[str | int, Integers]]:
    """Yield the label of each chunk with new rows, and which of the new rows."""
    if not new.size:
        return
    if spec is None:
        yield len(chunks), np.arange(new.size)
        return
    if isinstance(spec, int):
        last = len(chunks) - 1
        room = spec - chunks[last].score.size if chunks else 0
        begin = 0
        while begin < new.size:
            if not room:
                last, room = last + 1, spec
            stop = min(begin + room, new.size)
            yield last, np.arange(begin, stop)
            begin, room = stop, 0
        return
    moment = required(time)[new].view("M8[us]")
    found = make_chunks(new.size, spec, moment, columns.timezone)
    for c in np.flatnonzero(np.diff(found.offsets)).tolist():
        rows = np.arange(found.offsets[c], found.offsets[c + 1])
        yield found.label[c], rows if found.rows is None else np.sort(found.rows[rows])


def _find_chunk(
    chunks: list[ChunkRows], label: str | int, spec: ChunkSpec
) -> int | None:
    if spec is None or isinstance(spec, int):
        return int(label) if int(label) < len(chunks) else None
    for serial in range(len(chunks) - 1, -1, -1):  # most rows are recent
        if chunks[serial].label == label:
            return serial
    return None


def _empty_chunk(label: str | int, columns: Columns, *, has_time: bool) -> ChunkRows:
    return ChunkRows(
        label=label,
        score=np.empty(0),
        decision=None if columns.decision is None else np.empty(0, dtype=np.bool_),
        time=np.empty(0, dtype=np.int64) if has_time else None,
        codes={column: np.empty(0, dtype=np.int16) for column in columns.segments},
        events=no_events(),
    )


def _append(
    chunk: ChunkRows,
    batch: _Batch,
    codes: Mapping[Hashable, NDArray[np.int16]],
    rows: Integers,
) -> ChunkRows:
    def joined(old: Any, more: Any) -> Any:
        return None if old is None else np.concatenate([old, more[rows]])

    time = None if batch.time is None else batch.time[rows]
    return replace(
        chunk,
        first=None if time is None else min(_known(chunk.first, int(time.min()))),
        last=None if time is None else max(_known(chunk.last, int(time.max()))),
        score=joined(chunk.score, batch.score),
        decision=joined(chunk.decision, batch.decision),
        time=joined(chunk.time, batch.time),
        codes={
            column: joined(old, codes[column]) for column, old in chunk.codes.items()
        },
    )


def _known(*times: int | None) -> list[int]:
    return [time for time in times if time is not None]


def _extend_values(
    known: Mapping[Hashable, tuple[str, ...]], columns: Columns
) -> tuple[dict[Hashable, tuple[str, ...]], dict[Hashable, NDArray[np.int16]]]:
    """Return each segment column's values, new ones last, and the batch's codes."""
    values, codes = dict(known), {}
    for column, found in columns.segments.items():
        both = tuple(dict.fromkeys([*values.get(column, ()), *found.values]))
        place = {value: i for i, value in enumerate(both)}
        table = np.array([place[value] for value in found.values], dtype=np.int16)
        values[column], codes[column] = both, table[found.codes]
    return values, codes


@dataclass(frozen=True, slots=True, kw_only=True)
class _Entered:
    n_new: int = 0
    n_restated: int = 0
    touched: tuple[int, ...] = ()


def _enter(ledger: Ledger, events: LabelEvents) -> tuple[Ledger, _Entered]:
    """Add label events, by location, to their chunks."""
    if not events.location.size:
        return ledger, _Entered()
    serial = events.location >> _ROW_BITS
    order = np.argsort(serial, kind="stable")
    events = select_events(events, order)
    found, starts = np.unique(serial[order], return_index=True)
    chunks = list(ledger.chunks)
    n_new = n_restated = 0
    touched = []
    stops = [*starts[1:].tolist(), order.size]
    for s, begin, stop in zip(found.tolist(), starts.tolist(), stops, strict=True):
        own = select_events(events, slice(begin, stop))
        own = replace(own, location=own.location - (s << _ROW_BITS))
        old = chunks[s].events
        was = current_values(old, chunks[s].score.size)
        merged = merge_events(old, without_repeats(own, was))
        now = current_values(merged, was.size)
        n_new += int(((was < 0) & (now >= 0)).sum())
        n_restated += int(((was >= 0) & (was != now)).sum())
        if merged.location.size != old.location.size:
            chunks[s] = replace(
                chunks[s], events=merged, n_labeled=int((now >= 0).sum())
            )
            touched.append(s)
    entered = _Entered(n_new=n_new, n_restated=n_restated, touched=tuple(touched))
    return replace(ledger, chunks=tuple(chunks)), entered


def _hold(ledger: Ledger, keys: Keys, events: LabelEvents) -> Ledger:
    """Keep labels of ids that have not been predicted."""
    if not keys.size:
        return ledger
    if ledger.held_keys.size and ledger.held_keys.dtype.kind != keys.dtype.kind:
        msg = (
            "Row ids must be of one kind, whole numbers or texts, but these labels' "
            "are of another kind than those held. Convert: column.astype(str)."
        )
        raise TypeError(msg)
    both = np.concatenate([ledger.held_keys, keys]) if ledger.held_keys.size else keys
    unique, place = np.unique(both, return_inverse=True)
    n = ledger.held_keys.size
    old = replace(ledger.held, location=place[:n][ledger.held.location])
    more = replace(events, location=place[n:])
    more = without_repeats(more, current_values(old, unique.size))
    return replace(ledger, held_keys=unique, held=merge_events(old, more))


def _apply_held(ledger: Ledger, keys: Keys, places: Integers) -> tuple[Ledger, int]:
    """Move labels that were waiting for these rows into their chunks."""
    if not ledger.held_keys.size or not keys.size:
        return ledger, 0
    found = IdIndex().add(keys, places).find(ledger.held_keys)
    if not (found >= 0).any():
        return ledger, 0
    location = found[ledger.held.location]
    here = location >= 0
    ready = replace(select_events(ledger.held, here), location=location[here])
    stay = found < 0
    renumber = np.cumsum(stay) - 1
    rest = select_events(ledger.held, ~here)
    ledger = replace(
        ledger,
        held_keys=ledger.held_keys[stay],
        held=replace(rest, location=renumber[rest.location]),
    )
    entered, _ = _enter(ledger, ready)
    return entered, ready.location.size


def _later(latest: int | None, *times: Integers | int | None) -> int | None:
    seen = [latest]
    for time in times:
        if isinstance(time, np.ndarray):
            seen.append(int(time.max()) if time.size else None)
        else:
            seen.append(time)
    return max(_known(*seen), default=None)


def _iso(time: int) -> str:
    moment = np.array(time).view("M8[us]")
    return str(np.datetime_as_string(moment, unit="auto"))
