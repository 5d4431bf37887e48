"""Predictions into a ledger: each row once, each into its chunk."""

from collections.abc import Callable, Hashable, Iterable, Mapping
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from estimator.chunking.chunks import ChunkSpec, make_chunks
from estimator.frames.adapted_soft_labels import (
    AdaptedSoftLabels,
    join_soft_labels,
    no_soft_labels,
)
from estimator.frames.columns import Columns, Scalar, not_none
from estimator.label_free.adapting_settings import OUTSIDE_REFERENCE
from estimator.label_free.shift_adaptive import AdaptedRows
from estimator.ledger.adding_labels import match_labels
from estimator.ledger.label_events import no_events
from estimator.ledger.label_frame import microseconds
from estimator.ledger.ledger import (
    ROW_BITS,
    ChunkRows,
    Ledger,
    check_zone,
    finer_unit,
    iso_time,
    known_times,
    latest_of,
)
from estimator.ledger.row_ids import Keys

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Strata = NDArray[np.int8]

_MOST_VALUES = np.iinfo(np.int16).max  # of a segment column: codes take two bytes a row


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class RowsByFeatures:
    """What features say of rows as they come; the features are not kept.

    Attributes
    ----------
    adapted : AdaptedRows or None
        Their soft labels; None if their estimator makes none from features.
    stratum : ndarray of int8, or None
        Strata of their delays; None if their estimator has learned none.
    """

    adapted: AdaptedRows | None = None
    stratum: Strata | None = None


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


def add_rows(
    ledger: Ledger,
    columns: Columns,
    keys: Keys,
    spec: ChunkSpec,
    show: Callable[[int], str] = str,
    by_features: Callable[[Integers, str | int], RowsByFeatures] | None = None,
) -> tuple[Ledger, AddedRows]:
    """Add predictions to their chunks.

    Parameters
    ----------
    ledger : Ledger
    columns : Columns
        The batch.
    keys : ndarray of shape (n_rows,)
        Ids of its rows.
    spec : result of `estimator.chunking.chunks.check_chunk`
        Periods and edges: rows join the chunk of their time. A number: rows in order of
        arrival fill the open chunk, then further ones. None: one chunk a call.
    show : callable
        Text of the id of a row, for messages.
    by_features : callable, optional
        What features say of rows of the batch that belong to the chunk of this label.

    Raises
    ------
    ValueError
        If a row was delivered before with another score, decision or time, or time
        zones are mixed with none.
    """
    time = None if columns.timestamp is None else microseconds(columns.timestamp)
    if ledger.chunks and time is not None:
        check_zone(ledger.timezone, columns.timezone, "production")
    batch = _Batch(
        score=np.asarray(columns.score, dtype=np.float64),
        decision=columns.decision,
        time=time,
    )
    location = ledger.index.find(keys)
    new = _first_of_each(keys, location, batch, ledger, show)
    values, codes = _extend_values(ledger.values, columns)
    chunks = list(ledger.chunks)
    locations = np.empty(new.size, dtype=np.int64)
    touched = []
    for label, rows in _chunk_new_rows(chunks, columns, time, new, spec):
        serial = _find_chunk(chunks, label, spec)
        new_rows = new[rows]
        read = RowsByFeatures()
        if by_features is not None:
            read = by_features(new_rows, label)
        if serial is None:
            serial = len(chunks)
            chunks.append(
                _empty_chunk(
                    label,
                    columns,
                    has_time=time is not None,
                    has_features=read.adapted is not None,
                )
            )
        old = chunks[serial]
        locations[rows] = (
            (serial << ROW_BITS) + old.score.size + np.arange(new_rows.size)
        )
        chunks[serial] = replace(
            _append(old, batch, codes, new_rows),
            stratum=_append_strata(old, read.stratum, new_rows.size),
        )
        if old.adapted is not None:
            chunks[serial] = _append_adapted(
                chunks[serial], old.adapted, read.adapted, new_rows.size
            )
        touched.append(serial)
    extended = replace(
        ledger,
        chunks=tuple(chunks),
        index=ledger.index.add(keys[new], locations),
        values=values,
        latest=latest_of(ledger.latest, time),
        timezone=columns.timezone if ledger.timezone is None else ledger.timezone,
        unit=finer_unit(ledger.unit, columns.timestamp),
    )
    extended, n_applied = match_labels(extended, keys[new], locations)
    return extended, AddedRows(
        n_new=new.size,
        n_identical=keys.size - new.size,
        n_applied=n_applied,
        touched=tuple(sorted(touched)),
    )


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
        serial = location[again] >> ROW_BITS
        row = location[again] & ((1 << ROW_BITS) - 1)
        for s in np.unique(serial).tolist():
            is_here = serial == s
            chunk = ledger.chunks[s]
            delivered = _Batch(
                score=chunk.score, decision=chunk.decision, time=chunk.time
            )
            _check_same(batch, again[is_here], delivered, row[is_here], show)
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
    delivered: _Batch,
    earlier: Integers,
    show: Callable[[int], str],
) -> None:
    for what, ours, theirs in (
        ("score", batch.score, delivered.score),
        ("decision", batch.decision, delivered.decision),
        ("time", batch.time, delivered.time),
    ):
        if ours is None or theirs is None:
            continue
        a, b = ours[rows], theirs[earlier]
        differs = (a != b) & ~((a != a) & (b != b))  # two missing scores are the same
        if differs.any():
            i = int(np.argmax(differs))
            was, now = b[i], a[i]
            if what == "time":
                was, now = iso_time(int(was)), iso_time(int(now))
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
    moment = not_none(time)[new].view("M8[us]")
    cut = make_chunks(new.size, spec, moment, columns.timezone)
    for c in np.flatnonzero(np.diff(cut.offsets)).tolist():
        rows = np.arange(cut.offsets[c], cut.offsets[c + 1])
        yield cut.label[c], rows if cut.rows is None else np.sort(cut.rows[rows])


def _find_chunk(
    chunks: list[ChunkRows], label: str | int, spec: ChunkSpec
) -> int | None:
    if spec is None or isinstance(spec, int):
        return int(label) if int(label) < len(chunks) else None
    for serial in range(len(chunks) - 1, -1, -1):  # most rows are recent
        if chunks[serial].label == label:
            return serial
    return None


def _empty_chunk(
    label: str | int, columns: Columns, *, has_time: bool, has_features: bool
) -> ChunkRows:
    return ChunkRows(
        label=label,
        score=np.empty(0),
        decision=None if columns.decision is None else np.empty(0, dtype=np.bool_),
        time=np.empty(0, dtype=np.int64) if has_time else None,
        codes={column: np.empty(0, dtype=np.int16) for column in columns.segments},
        events=no_events(),
        adapted=no_soft_labels(0) if has_features else None,
    )


def _append(
    chunk: ChunkRows,
    batch: _Batch,
    codes: Mapping[Hashable, NDArray[np.int16]],
    rows: Integers,
) -> ChunkRows:
    def joined(old: NDArray[Scalar], more: NDArray[Scalar]) -> NDArray[Scalar]:
        return np.concatenate([old, more[rows]])

    time = None if batch.time is None else batch.time[rows]
    return replace(
        chunk,
        first=None if time is None else min(known_times(chunk.first, int(time.min()))),
        last=None if time is None else max(known_times(chunk.last, int(time.max()))),
        score=joined(chunk.score, batch.score),
        decision=None
        if chunk.decision is None
        else joined(chunk.decision, not_none(batch.decision)),
        time=None if chunk.time is None else joined(chunk.time, not_none(batch.time)),
        codes={
            column: joined(old, codes[column]) for column, old in chunk.codes.items()
        },
    )


def _append_strata(
    chunk: ChunkRows, stratum: Strata | None, n_rows: int
) -> Strata | None:
    """Return strata of a chunk's rows and of ``n_rows`` new ones, if any has one."""
    if chunk.stratum is None and stratum is None:
        return None
    none = np.int8(-1)
    before, new = chunk.stratum, stratum
    return np.concatenate(
        [
            np.full(chunk.score.size, none) if before is None else before,
            np.full(n_rows, none) if new is None else new,
        ]
    )


def _append_adapted(
    chunk: ChunkRows,
    before: AdaptedSoftLabels,
    adapted: AdaptedRows | None,
    n_rows: int,
) -> ChunkRows:
    """Add soft labels by features; NaN for rows of an estimator that reads none.

    Parameters
    ----------
    chunk : ChunkRows
        Chunk to which the rows have been added.
    before : AdaptedSoftLabels
        Soft labels of the rows that it had before.
    adapted : AdaptedRows, or None
        Soft labels of the new rows; None if no features were read.
    n_rows : int
        Number of new rows.
    """
    if adapted is None:
        adapted = AdaptedRows(soft_labels=no_soft_labels(n_rows), remarks=("",))
    return replace(
        chunk,
        adapted=join_soft_labels([before, adapted.soft_labels]),
        remark=_graver(chunk.remark, adapted.remarks[0]),
    )


def _graver(before: str, now: str) -> str:
    """Return what to say of a chunk: once far outside, it stays noted."""
    # Saved ledgers keep the text of a remark only.
    stays = before.startswith(OUTSIDE_REFERENCE)
    return before if stays and not now.startswith(OUTSIDE_REFERENCE) else now


def _extend_values(
    before: Mapping[Hashable, tuple[str, ...]], columns: Columns
) -> tuple[dict[Hashable, tuple[str, ...]], dict[Hashable, NDArray[np.int16]]]:
    """Return each segment column's values, new ones last, and the batch's codes."""
    values, codes = dict(before), {}
    for column, segment in columns.segments.items():
        both = tuple(dict.fromkeys([*values.get(column, ()), *segment.values]))
        if len(both) > _MOST_VALUES:
            msg = (
                f"`production[{column!r}]` (segments) must have at most "
                f"{_MOST_VALUES:,} distinct values over all batches, but with these it "
                f"has {len(both):,}. Nothing was added. Segments are groups of rows: "
                "group or bin the values first, or leave the column out."
            )
            raise ValueError(msg)
        code_of = {value: i for i, value in enumerate(both)}
        new_codes = np.array(
            [code_of[value] for value in segment.values], dtype=np.int16
        )
        values[column], codes[column] = both, new_codes[segment.codes]
    return values, codes
