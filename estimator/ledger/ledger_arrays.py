"""A ledger as plain arrays, and back."""

from collections.abc import Hashable, Mapping, Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from estimator.chunking.chunks import check_chunk, make_chunks
from estimator.files.archive import Arrays, JsonObject, check_array
from estimator.frames.adapted_soft_labels import (
    ADAPTED_NAMES,
    join_soft_labels,
    no_soft_labels,
    soft_labels_by_name,
)
from estimator.frames.columns import not_none
from estimator.frames.datetimes import check_years
from estimator.ledger.label_events import LabelEvents, current_values
from estimator.ledger.ledger import ROW_BITS, ChunkRows, Ledger, hours_of
from estimator.ledger.row_ids import IdIndex

# The letters of NumPy's types, of what is no float.
_KINDS = {"decision": "b", "time": "i", "stratum": "i"}
# By the name in the file, the field of `LabelEvents`.
_EVENT_FIELDS = {
    "location": "location",
    "at": "arrived_at",
    "call": "call",
    "value": "value",
}


def ledger_to_arrays(ledger: Ledger) -> tuple[JsonObject, Arrays]:
    """Take a ledger apart: what JSON can hold, and arrays, chunk after chunk."""
    chunks = ledger.chunks
    header = {
        "labels": [chunk.label for chunk in chunks],
        "values": [[column, list(names)] for column, names in ledger.values.items()],
        "latest": ledger.latest,
        "checked": list(ledger.checked),
        "n_untimed": ledger.n_untimed,
        "timezone": None if ledger.timezone is None else str(ledger.timezone),
        "unit": ledger.unit,
        "runs": len(ledger.index.runs),
        "adapted": [chunk.adapted is not None for chunk in chunks],
        "remarks": [chunk.remark for chunk in chunks],
        "strata": [chunk.stratum is not None for chunk in chunks],
    }
    arrays: Arrays = {
        "sizes": np.array([chunk.score.size for chunk in chunks], dtype=np.int64),
        "n_events": np.array(
            [chunk.events.location.size for chunk in chunks], dtype=np.int64
        ),
        "held_keys": ledger.unmatched_keys,
    }
    for name, field in _EVENT_FIELDS.items():
        arrays[f"held/{name}"] = getattr(ledger.unmatched_labels, field)
    for i, (keys, locations) in enumerate(ledger.index.runs):
        arrays[f"index/{i}/keys"], arrays[f"index/{i}/locations"] = keys, locations
    if chunks:
        arrays["score"] = np.concatenate([chunk.score for chunk in chunks])
        for name in ("decision", "time"):
            columns = [getattr(chunk, name) for chunk in chunks]
            if columns[0] is not None:
                arrays[name] = np.concatenate(columns)
        adapted = [chunk.adapted for chunk in chunks if chunk.adapted is not None]
        arrays |= join_soft_labels([no_soft_labels(0), *adapted]).by_name()
        strata = [chunk.stratum for chunk in chunks if chunk.stratum is not None]
        arrays["stratum"] = np.concatenate([np.empty(0, dtype=np.int8), *strata])
        for i, column in enumerate(ledger.values):
            codes = [chunk.codes[column] for chunk in chunks]
            arrays[f"codes/{i}"] = np.concatenate(codes)
        for name, field in _EVENT_FIELDS.items():
            events = [getattr(chunk.events, field) for chunk in chunks]
            arrays[f"events/{name}"] = np.concatenate(events)
    return header, arrays


def ledger_from_arrays(header: JsonObject, arrays: Arrays) -> Ledger:
    """Put a ledger together again.

    Raises
    ------
    KeyError, TypeError, ValueError
        If a part is missing or does not fit the others.
    """
    values = {column: tuple(names) for column, names in header["values"]}
    _check_arrays(header, arrays, values)
    chunks = _read_chunks(header, arrays, values)
    index = IdIndex(
        tuple(
            (arrays[f"index/{i}/keys"], arrays[f"index/{i}/locations"])
            for i in range(header["runs"])
        )
    )
    if len(index) != sum(chunk.score.size for chunk in chunks):
        msg = "the index has another number of rows than the chunks"
        raise ValueError(msg)
    return Ledger(
        chunks=tuple(chunks),
        hours=hours_of(chunks),
        index=index,
        unmatched_labels=_read_events(arrays, "held", slice(None)),
        unmatched_keys=arrays["held_keys"],
        values=values,
        latest=header["latest"],
        checked=tuple(header["checked"]),
        n_untimed=header["n_untimed"],
        timezone=header["timezone"],
        unit=header["unit"],
    )


def _read_chunks(
    header: JsonObject,
    arrays: Arrays,
    values: Mapping[Hashable, tuple[str, ...]],
) -> list[ChunkRows]:
    """Cut the columns of all chunks into those of each."""
    sizes = arrays["sizes"]
    rows_of = _parts(sizes)
    events_of = _parts(arrays["n_events"])
    adapted_of = _parts(sizes * np.array(header["adapted"], dtype=np.int64))
    has_stratum = _has_strata(header)
    strata_of = _parts(sizes * has_stratum)
    chunks = []
    for c, label in enumerate(header["labels"]):
        rows = rows_of[c]
        events = _read_events(arrays, "events", events_of[c])
        score = arrays["score"][rows]
        time = arrays["time"][rows] if "time" in arrays else None
        codes = {column: arrays[f"codes/{i}"][rows] for i, column in enumerate(values)}
        adapted = None
        if header["adapted"][c]:
            adapted = soft_labels_by_name(
                {name: arrays[name][adapted_of[c]] for name in ADAPTED_NAMES}
            )
        columns = [score, time, *codes.values()]
        columns += [] if adapted is None else adapted.by_name().values()
        if any(x is not None and x.size != sizes[c] for x in columns):
            msg = f"chunk {label!r} has columns of unequal length"
            raise ValueError(msg)
        chunks.append(
            ChunkRows(
                label=label,
                score=score,
                decision=arrays["decision"][rows] if "decision" in arrays else None,
                time=time,
                codes=codes,
                events=events,
                first=None if time is None else int(time.min()),
                last=None if time is None else int(time.max()),
                n_labeled=int((current_values(events, score.size) >= 0).sum()),
                remark=header["remarks"][c],
                adapted=adapted,
                stratum=arrays["stratum"][strata_of[c]].astype(np.int8)
                if has_stratum[c]
                else None,
            )
        )
    return chunks


def _has_strata(header: JsonObject) -> NDArray[np.bool_]:
    """Return which chunks have strata; in files from before they were learned none."""
    return np.array(header.get("strata", [False] * len(header["labels"])), dtype=bool)


def _parts(sizes: NDArray[np.integer]) -> list[slice]:
    """Return where each of several parts lies that follow one another."""
    edges = [0, *np.cumsum(sizes).tolist()]
    return [slice(start, stop) for start, stop in pairwise(edges)]


def _read_events(arrays: Arrays, prefix: str, part: slice) -> LabelEvents:
    return LabelEvents(
        **{
            field: arrays[f"{prefix}/{name}"][part]
            for name, field in _EVENT_FIELDS.items()
        }
    )


def _check_arrays(
    header: JsonObject,
    arrays: Arrays,
    values: Mapping[Hashable, Sequence[str]],
) -> None:
    """Refuse columns that do not fit together, and locations that are nowhere.

    Raises
    ------
    KeyError, ValueError
        If an array is missing, or has another type, shape or range than it must.
    """
    n_chunks = len(header["labels"])
    for name in ("sizes", "n_events"):
        check_array(arrays[name], name, "i", (n_chunks,))
        if (arrays[name] < 0).any():
            msg = f"{name!r} has a negative number"
            raise ValueError(msg)
    for name in ("remarks", "adapted"):
        if len(header[name]) != n_chunks:
            msg = f"{name!r} has not one entry per chunk"
            raise ValueError(msg)
    if not all(isinstance(remark, str) for remark in header["remarks"]):
        msg = "a remark is no text"
        raise ValueError(msg)
    n_rows = int(arrays["sizes"].sum())
    adapted = np.array(header["adapted"], dtype=np.bool_)
    has_stratum = _has_strata(header)
    if has_stratum.size != n_chunks:
        msg = "'strata' has not one entry per chunk"
        raise ValueError(msg)
    sizes = {"decision": n_rows, "time": n_rows, "score": n_rows}
    sizes |= dict.fromkeys(ADAPTED_NAMES, int(arrays["sizes"][adapted].sum()))
    sizes["stratum"] = int(arrays["sizes"][has_stratum].sum())
    for name, size in sizes.items():
        if name in arrays:
            check_array(arrays[name], name, _KINDS.get(name, "f"), (size,))
    for i, names in enumerate(values.values()):
        codes = arrays[f"codes/{i}"] if n_chunks else np.empty(0, dtype=np.int16)
        check_array(codes, f"codes/{i}", "i", (n_rows,))
        _check_range(codes, len(names), f"codes/{i}")
    if n_chunks:
        rows = np.repeat(arrays["sizes"], arrays["n_events"])
        _check_events(arrays, "events", int(arrays["n_events"].sum()), rows)
    n_unmatched = arrays["held/location"].size
    _check_events(arrays, "held", n_unmatched, arrays["held_keys"].size)
    _check_index(header, arrays)


def _check_events(
    arrays: Arrays, prefix: str, size: int, stop: int | NDArray[np.int64]
) -> None:
    """Refuse labels that do not fit together, or are of rows that are nowhere."""
    for name in _EVENT_FIELDS:
        check_array(arrays[f"{prefix}/{name}"], f"{prefix}/{name}", "i", (size,))
    _check_range(arrays[f"{prefix}/location"], stop, f"{prefix}/location")
    _check_range(arrays[f"{prefix}/value"], 2, f"{prefix}/value")


def _check_index(header: JsonObject, arrays: Arrays) -> None:
    """Refuse ids out of order, and ids of rows that are nowhere."""
    n_chunks = len(header["labels"])
    for i in range(header["runs"]):
        keys, locations = arrays[f"index/{i}/keys"], arrays[f"index/{i}/locations"]
        check_array(locations, f"index/{i}/locations", "i", (keys.size,))
        serial, row = locations >> ROW_BITS, locations & ((1 << ROW_BITS) - 1)
        _check_range(serial, n_chunks, f"index/{i}/locations")
        _check_range(row, arrays["sizes"][serial], f"index/{i}/locations")
        if not (keys[1:] > keys[:-1]).all():
            msg = f"'index/{i}/keys' do not rise"
            raise ValueError(msg)


def _check_range(numbers: np.ndarray, stop: int | NDArray[np.int64], name: str) -> None:
    if not ((numbers >= 0) & (numbers < stop)).all():
        msg = f"{name!r} has a number that is nowhere"
        raise ValueError(msg)


def check_labels(ledger: Ledger, chunk: object, *, has_time: bool) -> None:
    """Refuse chunks whose rows do not lie in the period that they are called after.

    Parameters
    ----------
    ledger : Ledger
    chunk : str, int, None or sequence of timestamps
        As of `PerformanceEstimator`.
    has_time : bool
        Whether rows have times.

    Raises
    ------
    ValueError
        If a row's time lies in another period, or a label comes twice.
    """
    labels = [chunk.label for chunk in ledger.chunks]
    spec = check_chunk(chunk, has_timestamp=has_time)
    periods = ledger.chunks and not (spec is None or isinstance(spec, int))
    ends = [
        (not_none(one.first), not_none(one.last)) for one in ledger.chunks if periods
    ]
    if ends:
        times = np.array(ends, dtype=np.int64).ravel().view("M8[us]")
        check_years(times, ledger.timezone, "`time`")
        chunks = make_chunks(times.size, spec, times, ledger.timezone)
        order = np.arange(times.size) if chunks.rows is None else chunks.rows
        label = np.empty(times.size, dtype=object)
        label[order] = np.repeat(chunks.label, np.diff(chunks.offsets))
        if label.tolist() != [name for name in labels for _ in range(2)]:
            msg = "a chunk has rows of another period"
            raise ValueError(msg)
    if len(set(labels)) < len(labels):
        msg = "two chunks have the same label"
        raise ValueError(msg)
