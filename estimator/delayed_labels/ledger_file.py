"""A ledger as plain arrays, and back."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from estimator.delayed_labels.events import NAMES, LabelEvents, current_values
from estimator.delayed_labels.ledger import ChunkRows, Ledger
from estimator.delayed_labels.row_ids import IdIndex

Arrays = dict[str, NDArray[Any]]
ADAPTED = ("calibrated", "inflation", "outside")


def ledger_to_arrays(ledger: Ledger) -> tuple[dict[str, Any], Arrays]:
    """Take a ledger apart: what JSON can hold, and arrays, chunk after chunk."""
    chunks = ledger.chunks
    header = {
        "labels": [chunk.label for chunk in chunks],
        "values": [[column, list(of)] for column, of in ledger.values.items()],
        "latest": ledger.latest,
        "checked": list(ledger.checked),
        "n_untimed": ledger.n_untimed,
        "timezone": None if ledger.timezone is None else str(ledger.timezone),
        "unit": ledger.unit,
        "runs": len(ledger.index.runs),
        "adapted": [chunk.calibrated is not None for chunk in chunks],
        "remarks": [chunk.remark for chunk in chunks],
    }
    arrays: Arrays = {
        "sizes": np.array([chunk.score.size for chunk in chunks], dtype=np.int64),
        "n_events": np.array(
            [chunk.events.location.size for chunk in chunks], dtype=np.int64
        ),
        "held_keys": ledger.held_keys,
    }
    for name in NAMES:
        arrays[f"held/{name}"] = getattr(ledger.held, name)
    for i, (keys, locations) in enumerate(ledger.index.runs):
        arrays[f"index/{i}/keys"], arrays[f"index/{i}/locations"] = keys, locations
    if chunks:
        arrays["score"] = np.concatenate([chunk.score for chunk in chunks])
        for name in ("decision", "time"):
            columns = [getattr(chunk, name) for chunk in chunks]
            if columns[0] is not None:
                arrays[name] = np.concatenate(columns)
        for name in ADAPTED:
            adapted = [getattr(chunk, name) for chunk in chunks]
            parts = [values for values in adapted if values is not None]
            arrays[name] = np.concatenate([np.empty(0), *parts])
        for i, column in enumerate(ledger.values):
            codes = [chunk.codes[column] for chunk in chunks]
            arrays[f"codes/{i}"] = np.concatenate(codes)
        for name in NAMES:
            events = [getattr(chunk.events, name) for chunk in chunks]
            arrays[f"events/{name}"] = np.concatenate(events)
    return header, arrays


def ledger_from_arrays(header: Mapping[str, Any], arrays: Arrays) -> Ledger:
    """Put a ledger together again.

    Raises
    ------
    KeyError, TypeError, ValueError
        If a part is missing or does not fit the others.
    """
    values = {column: tuple(of) for column, of in header["values"]}
    ends = np.cumsum(arrays["sizes"])
    last_events = np.cumsum(arrays["n_events"])
    chunks = []
    adapted_sizes = arrays["sizes"] * np.array(header["adapted"], dtype=np.int64)
    adapted_ends = np.cumsum(adapted_sizes)
    for c, label in enumerate(header["labels"]):
        own = slice(int(ends[c] - arrays["sizes"][c]), int(ends[c]))
        labeled = slice(
            int(last_events[c] - arrays["n_events"][c]), int(last_events[c])
        )
        events = LabelEvents(
            **{name: arrays[f"events/{name}"][labeled] for name in NAMES}
        )
        score = arrays["score"][own]
        time = arrays["time"][own] if "time" in arrays else None
        codes = {column: arrays[f"codes/{i}"][own] for i, column in enumerate(values)}
        adapted = {}
        if header["adapted"][c]:
            by_features = slice(
                int(adapted_ends[c] - adapted_sizes[c]), int(adapted_ends[c])
            )
            adapted = {name: arrays[name][by_features] for name in ADAPTED}
        columns = [score, time, *codes.values(), *adapted.values()]
        if any(x is not None and x.size != arrays["sizes"][c] for x in columns):
            msg = f"chunk {label!r} has columns of unequal length"
            raise ValueError(msg)
        chunks.append(
            ChunkRows(
                label=label,
                score=score,
                decision=arrays["decision"][own] if "decision" in arrays else None,
                time=time,
                codes=codes,
                events=events,
                first=None if time is None else int(time.min()),
                last=None if time is None else int(time.max()),
                n_labeled=int((current_values(events, score.size) >= 0).sum()),
                remark=header["remarks"][c],
                **adapted,
            )
        )
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
        index=index,
        held=LabelEvents(**{name: arrays[f"held/{name}"] for name in NAMES}),
        held_keys=arrays["held_keys"],
        values=values,
        latest=header["latest"],
        checked=tuple(header["checked"]),
        n_untimed=header["n_untimed"],
        timezone=header["timezone"],
        unit=header["unit"],
    )
