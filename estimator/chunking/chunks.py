"""Chunks: consecutive groups of rows, once, as `(rows, offsets)`."""

from collections.abc import Iterable, Iterator, Mapping, Set
from dataclasses import dataclass
from numbers import Integral, Real

import numpy as np
from numpy.typing import NDArray

from estimator.chunking.edges import Edges
from estimator.chunking.periods import Period
from estimator.frames.datetimes import Moments, TimeZone

Rows = NDArray[np.int64] | None
Offsets = NDArray[np.int64]

_BLOCK = 1 << 16  # rows per step where a whole-column temporary would be in the way
_MANY = 10_000  # periods that are always allowed, however few the rows
_UNORDERED = (bytes, Mapping, Set)
_REMEDY = (
    "Pass a row count (int), an offset alias such as 'W', increasing timestamps, or "
    "None for one chunk."
)


ChunkSpec = int | Period | Edges | None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Chunks:
    """Chunk `c` owns `rows[offsets[c]:offsets[c + 1]]`, chunks in time order.

    Attributes
    ----------
    rows : ndarray of shape (n_rows,) or None
        Row order that makes chunks contiguous; None: the rows as they lie.
    offsets : ndarray of shape (n_chunks + 1,)
    label : ndarray of object, shape (n_chunks,)
        ISO start of the period (str), or 0, 1, … (int).
    start, end : ndarray of shape (n_chunks,)
        First and last timestamp, inclusive, in UTC (in wall-clock time where
        `timezone` is None); NaT in an empty chunk. Row positions without timestamps.
    complete : ndarray of bool, shape (n_chunks,)
        False for a last chunk with fewer rows than asked for.
    asked : int or None
        The rows per chunk asked for, where it was a number.
    timezone : str, tzinfo or None
        Zone in which the data showed its timestamps.
    """

    rows: Rows
    offsets: Offsets
    label: np.ndarray
    start: np.ndarray
    end: np.ndarray
    complete: NDArray[np.bool_]
    asked: int | None = None
    timezone: TimeZone = None

    def __len__(self) -> int:
        return self.label.size

    def __repr__(self) -> str:
        return f"<Chunks: {len(self)} of {self.offsets[-1]} rows>"

    def row_sets(self) -> list[NDArray[np.int64]]:
        """Return the rows of each chunk."""
        order = np.arange(self.offsets[-1]) if self.rows is None else self.rows
        return np.split(order, self.offsets[1:-1])

    def select(self, wanted: NDArray[np.int64]) -> "Chunks":
        """Return these chunks alone, by the same rows."""
        begin, stop = self.offsets[wanted], self.offsets[wanted + 1]
        inside = [np.arange(a, b) for a, b in zip(begin, stop, strict=True)]
        rows = np.concatenate([np.empty(0, dtype=np.int64), *inside])
        return Chunks(
            rows=rows if self.rows is None else self.rows[rows],
            offsets=np.concatenate([[0], np.cumsum(stop - begin)]).astype(np.int64),
            label=self.label[wanted],
            start=self.start[wanted],
            end=self.end[wanted],
            complete=self.complete[wanted],
            asked=self.asked,
            timezone=self.timezone,
        )


def check_chunk(chunk: object, *, has_timestamp: bool) -> ChunkSpec:
    """Return what `make_chunks` takes; a value returned before passes through.

    Raises
    ------
    TypeError, ValueError
        If `chunk` is none of the four forms, or needs timestamps that are not there.
    """
    if chunk is None or (isinstance(chunk, Real) and not isinstance(chunk, bool)):
        return None if chunk is None else _check_count(chunk)
    if isinstance(chunk, str):
        spec: Period | Edges = Period.parse(str(chunk))
    elif isinstance(chunk, Period | Edges):
        spec = chunk
    elif isinstance(chunk, Iterable) and not isinstance(chunk, _UNORDERED):
        spec = Edges.parse(chunk)
    else:
        msg = f"`chunk` must not be a {type(chunk).__name__}, got {chunk!r}. {_REMEDY}"
        raise TypeError(msg)
    if not has_timestamp:
        shown = repr(chunk) if isinstance(chunk, str) else "a list of timestamps"
        msg = (
            f"`chunk` = {shown} needs a time of each row, but `timestamp` is None. "
            'Name the column, timestamp="…", or give `chunk` as a row count.'
        )
        raise ValueError(msg)
    return spec


def make_chunks(
    n_rows: int,
    chunk: object,
    timestamp: Moments | None = None,
    timezone: TimeZone = None,
) -> Chunks:
    """Cut rows into chunks.

    Parameters
    ----------
    n_rows : int
        At least 1.
    chunk : int, str, sequence of timestamps, None or the result of `check_chunk`
    timestamp : ndarray of datetime64, shape (n_rows,), optional
        UTC, or wall-clock time if `timezone` is None; no NaT.
    timezone : str or tzinfo, optional
        Zone whose days, weeks and hours are meant.

    Raises
    ------
    ValueError
        If the periods of an alias far outnumber the rows, or the boundaries have a
        time zone and the rows have none.

    Examples
    --------
    >>> days = np.array(["2026-03-15", "2026-03-09", "2026-03-16"], dtype="M8[s]")
    >>> chunks = make_chunks(3, "W", days)
    >>> chunks.label
    array(['2026-03-09', '2026-03-16'], dtype=object)
    >>> chunks.rows, chunks.offsets
    (array([0, 1, 2]), array([0, 2, 3]))
    """
    spec = check_chunk(chunk, has_timestamp=timestamp is not None)
    if timestamp is None or spec is None or isinstance(spec, int):
        size = spec if isinstance(spec, int) else n_rows
        return _by_count(n_rows, size, timestamp, timezone)
    in_order = _is_sorted(timestamp)
    ends = timestamp[[0, -1]] if in_order else (timestamp.min(), timestamp.max())
    first, last = ends
    if isinstance(spec, Period):
        limit = max(_MANY, n_rows)
        starts, label = spec.between(first, last, timezone, limit)
    else:
        starts, label = spec.between(first, last, timezone)
    inner = _at_least(starts[1:], timestamp.dtype)
    if in_order:
        rows = None
        cuts = np.searchsorted(timestamp.view(np.int64), inner)
        offsets = np.concatenate([[0], cuts, [n_rows]]).astype(np.int64)
    else:
        rows, offsets = _group(timestamp.view(np.int64), inner)
    start, end = _reach(timestamp, rows, offsets, in_order=in_order)
    return Chunks(
        rows=rows,
        offsets=offsets,
        label=_objects(label),
        start=start,
        end=end,
        complete=np.ones(len(label), dtype=np.bool_),
        timezone=timezone,
    )


def by_segment(
    chunks: Chunks, codes: NDArray[np.integer], n_values: int
) -> tuple[NDArray[np.int64], Offsets]:
    """Group rows by (value, chunk), stable: group `v * n_chunks + c`.

    Parameters
    ----------
    codes : ndarray of int, shape (n_rows,)
        Value of each row of the frame, in 0 … n_values - 1.
    """
    rows, bounds = chunks.rows, chunks.offsets
    value = codes[: bounds[-1]] if rows is None else codes.take(rows)
    if n_values <= np.iinfo(np.uint16).max:  # NumPy sorts these by radix
        value = value.astype(np.uint16)
    order = np.argsort(value, kind="stable")  # by value; chunks are contiguous already
    counts = np.empty((n_values, len(chunks)), dtype=np.int64)
    for c in range(len(chunks)):
        part = value[bounds[c] : bounds[c + 1]]
        counts[:, c] = np.bincount(part, minlength=n_values)
    offsets = np.concatenate([[0], np.cumsum(counts)])
    return order if rows is None else rows.take(order), offsets


def keep_rows(
    rows: Rows, offsets: Offsets, keep: NDArray[np.bool_]
) -> tuple[Rows, Offsets]:
    """Drop the rows of the frame where `keep` (by row) is False; chunks stay."""
    kept = keep if rows is None else keep[rows]
    if kept.all():
        return rows, offsets
    positions = np.flatnonzero(kept)
    left = np.searchsorted(positions, offsets).astype(np.int64)
    return positions if rows is None else rows[positions], left


def _check_count(chunk: Real) -> int:
    if not isinstance(chunk, Integral) and not float(chunk).is_integer():
        msg = f"`chunk` must be a whole number of rows, got {chunk!r}. {_REMEDY}"
        raise TypeError(msg)
    size = int(float(chunk))
    if size < 1:
        msg = f"`chunk` must be at least 1 row, got {chunk!r}. {_REMEDY}"
        raise ValueError(msg)
    return size


def _at_least(starts: Moments, dtype: np.dtype) -> NDArray[np.int64]:
    """First tick of `dtype`'s unit at or after each start, without overflow."""
    # All later than the first row and none after the last: they fit its unit.
    floor = starts.astype(dtype)
    return floor.view(np.int64) + (floor.astype(starts.dtype) < starts)


def _by_count(
    n_rows: int, size: int, timestamp: Moments | None, timezone: TimeZone
) -> Chunks:
    rows: Rows = None
    in_order = timestamp is None or _is_sorted(timestamp)
    # In one chunk the order matters to nobody.
    if timestamp is not None and not in_order and size < n_rows:
        rows, in_order = np.argsort(timestamp.view(np.int64), kind="stable"), True
    offsets = np.append(np.arange(0, n_rows, size), n_rows).astype(np.int64)
    start: np.ndarray
    end: np.ndarray
    if timestamp is None:
        start, end = offsets[:-1], offsets[1:] - 1
    else:
        start, end = _reach(timestamp, rows, offsets, in_order=in_order)
    n_chunks = offsets.size - 1
    return Chunks(
        rows=rows,
        offsets=offsets,
        label=_objects(range(n_chunks)),
        start=start,
        end=end,
        complete=np.diff(offsets) == size,
        asked=size,
        timezone=timezone,
    )


def _is_sorted(timestamp: Moments) -> bool:
    ticks = timestamp.view(np.int64)
    return all(
        bool(
            (
                ticks[a + 1 : a + _BLOCK + 1]
                >= ticks[a : a + _BLOCK][: ticks.size - a - 1]
            ).all()
        )
        for a in range(0, ticks.size, _BLOCK)
    )


def _group(
    ticks: NDArray[np.int64], inner: NDArray[np.int64]
) -> tuple[NDArray[np.int64], Offsets]:
    """Stable order and offsets of rows by the period they fall into."""
    small = np.min_scalar_type(inner.size)  # numpy sorts 16 bits by radix
    chunk = np.empty(ticks.size, dtype=small)
    counts = np.zeros(inner.size + 1, dtype=np.int64)
    for a in range(0, ticks.size, _BLOCK):
        part = np.searchsorted(inner, ticks[a : a + _BLOCK], side="right")
        chunk[a : a + _BLOCK] = part
        counts += np.bincount(part, minlength=counts.size)
    offsets = np.concatenate([[0], np.cumsum(counts)])
    return np.argsort(chunk, kind="stable"), offsets


def _reach(
    timestamp: Moments, rows: Rows, offsets: Offsets, *, in_order: bool
) -> tuple[Moments, Moments]:
    """First and last timestamp of each chunk, NaT where it is empty."""
    full = np.flatnonzero(np.diff(offsets))
    start = np.full(offsets.size - 1, "NaT", dtype=timestamp.dtype)
    end = start.copy()
    begins, stops = offsets[full], offsets[full + 1]
    if in_order:
        first, last = (
            (begins, stops - 1) if rows is None else (rows[begins], rows[stops - 1])
        )
        start[full], end[full] = timestamp[first], timestamp[last]
    else:
        moment = timestamp if rows is None else timestamp[rows]
        start[full] = np.minimum.reduceat(moment, begins)
        end[full] = np.maximum.reduceat(moment, begins)
    return start, end


def _objects(values: Iterable[object]) -> np.ndarray:
    values = list(values)
    out = np.empty(len(values), dtype=object)
    out[:] = values
    return out


def is_ascending(values: NDArray[np.float64], offsets: NDArray[np.int64]) -> bool:
    """Whether each chunk is sorted already, as a table of counts is."""
    falls = np.append(values[1:] < values[:-1], False)
    ends = offsets[1:][offsets[1:] > 0] - 1
    falls[ends] = False  # from one chunk to the next
    return not falls.any()


def ascending_order(
    values: NDArray[np.float64], offsets: NDArray[np.int64]
) -> NDArray[np.intp]:
    """Return what sorts each chunk by value."""
    order = np.empty(values.size, dtype=np.intp)
    first = 0
    for chunks in rectangles(values, offsets):
        last = first + chunks.size
        starts = np.arange(first, last, chunks.shape[1])[:, None]
        in_order = order[first:last].reshape(chunks.shape)
        np.add(np.argsort(chunks, axis=1), starts, out=in_order)
        first = last
    return order


def rectangles(
    values: NDArray[np.float64], offsets: NDArray[np.int64]
) -> Iterator[NDArray[np.float64]]:
    """Yield views of consecutive chunks of equal size, one row of the view a chunk.

    Sorting a rectangle is one call; a call for each of many small chunks would take
    longer than the sort.
    """
    sizes = np.diff(offsets)
    ends = np.flatnonzero(np.diff(sizes, append=-1)) + 1
    begin = 0
    for end in ends.tolist():
        if sizes[begin]:
            inside = values[offsets[begin] : offsets[end]]
            yield inside.reshape(end - begin, sizes[begin])
        begin = end
