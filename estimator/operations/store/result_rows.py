"""Results as rows of the store, and rows as the result that charts are drawn of."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from estimator.operations.store.schema import NUMBERS, REMEMBERED, Row
from estimator.results.assembly import concatenate_periods
from estimator.results.performance import Performance
from estimator.results.trust import GOOD

Key = tuple[str, str, str]  # segment, chunk, metric
# What was believed is kept anew where it has moved by more than this share of the
# prediction interval's half-width: a chunk of which some labels never come moves a
# little every night, for ever.
WORTH_KEEPING = 0.01
# Sums of more metrics at once round otherwise: so small a share is no news.
ROUNDING = 1e-12
_KEY = ("segment", "chunk", "metric")
_FACTS = ("start", "end", "n_rows", "n_labels", "alert", "trust", "note")


def result_rows(analysis: Performance, as_of: int) -> list[Row]:
    """Return one row per segment, chunk and metric; NaN as None.

    Parameters
    ----------
    analysis : Performance
        Of the analysis period alone.
    as_of : int
        The latest time that it knows of, in microseconds since 1970.
    """
    ends = {name: _microseconds(getattr(analysis, name)) for name in ("start", "end")}
    numbers = {name: getattr(analysis, name) for name in NUMBERS}
    return [
        {
            "segment": str(analysis.segment[g]),
            "chunk": str(analysis.chunk[g]),
            "metric": metric,
            "as_of": as_of,
            "start": ends["start"][g],
            "end": ends["end"][g],
            "n_rows": int(analysis.n_rows[g]),
            "n_labels": int(analysis.n_labels[g]),
            **{name: _known(values[g, k]) for name, values in numbers.items()},
            "alert": bool(analysis.alert[g, k]),
            "trust": str(analysis.trust[g, k]),
            "note": str(analysis.note[g, k]),
        }
        for g in range(len(analysis))
        for k, metric in enumerate(analysis.metrics)
    ]


@dataclass(frozen=True, slots=True, kw_only=True)
class Restatement:
    """What is to be written where results have changed.

    Attributes
    ----------
    changed : list of dict
        Rows that are new or differ, with a revision one more than that before.
    history : list of dict
        Those that are worth remembering, and a last row for what is no more.
    gone : list of (segment, chunk, metric)
        What is no more.
    """

    changed: list[Row]
    history: list[Row]
    gone: list[Key]


def restate(rows: Sequence[Row], stored: Sequence[Row], as_of: int) -> Restatement:
    """Compare results with those stored.

    Parameters
    ----------
    rows : sequence of dict
        All there are now, as `result_rows` has them.
    stored : sequence of dict
        As the store has them.
    as_of : int
        Of what is no more.
    """
    before = {_key(row): row for row in stored}
    changed, history = [], []
    for row in rows:
        old = before.pop(_key(row), None)
        if old is not None and _is_same(old, row):
            continue
        new = {**row, "revision": 1 if old is None else old["revision"] + 1}
        remembered = new
        if old is None or _has_moved(old, new):
            history.append({**new, "gone": False})
        else:
            remembered = {name: old[f"remembered_{name}"] for name in REMEMBERED}
        changed.append(new | {f"remembered_{n}": remembered[n] for n in REMEMBERED})
    for old in before.values():
        last = {name: old[name] for name in (*_KEY, *_FACTS)} | dict.fromkeys(NUMBERS)
        revision = old["revision"] + 1
        history.append({**last, "as_of": as_of, "revision": revision, "gone": True})
    return Restatement(changed=changed, history=history, gone=list(before))


def _key(row: Row) -> Key:
    return row["segment"], row["chunk"], row["metric"]


def _is_same(old: Row, new: Row) -> bool:
    if any(old[name] != new[name] for name in _FACTS):
        return False
    return all(
        math.isclose(old[name], new[name], rel_tol=ROUNDING)
        if old[name] is not None and new[name] is not None
        else old[name] is new[name]
        for name in NUMBERS
    )


def _has_moved(old: Row, new: Row) -> bool:
    if any(old[name] != new[name] for name in (*_FACTS, "realized")):
        return True
    if any((old[name] is None) != (new[name] is None) for name in NUMBERS):
        return True
    if new["value"] is None:
        return False
    least = WORTH_KEEPING * 0.5 * (new["upper"] - new["lower"])
    # Since it was last remembered: many small steps are a large one.
    return any(abs(new[n] - old[f"remembered_{n}"]) > least for n in REMEMBERED)


def performance_of_rows(rows: Sequence[Row], reference: Performance) -> Performance:
    """Put a result together from the store's rows, after the reference's chunks."""
    if not rows:
        return reference
    metrics = reference.metrics
    by_key = {_key(row): row for row in rows if row["metric"] in metrics}
    segments = list(dict.fromkeys(reference.segments))
    segments += sorted({segment for segment, _, _ in by_key} - set(segments))
    chunks = _in_time({chunk for _, chunk, _ in by_key})
    groups = [
        (segment, chunk)
        for segment in segments
        for chunk in chunks
        if any((segment, chunk, metric) in by_key for metric in metrics)
    ]
    first = [
        next(by_key[s, c, metric] for metric in metrics if (s, c, metric) in by_key)
        for s, c in groups
    ]

    def each(name: str, kind: type, missing: object) -> np.ndarray:
        # Of an earlier time there may be metrics that nobody asked for yet.
        values = [
            [by_key.get((s, c, metric), {}).get(name, missing) for metric in metrics]
            for s, c in groups
        ]
        return np.array(values, dtype=kind).reshape(len(groups), len(metrics))

    analysis = Performance(
        metrics=metrics,
        level=reference.level,
        segment=np.array([segment for segment, _ in groups], dtype=object),
        period=np.full(len(groups), "analysis", dtype=object),
        chunk=np.array([chunk for _, chunk in groups], dtype=object),
        start=_moments(row["start"] for row in first),
        end=_moments(row["end"] for row in first),
        timezone=reference.timezone,
        n_rows=np.array([row["n_rows"] for row in first], dtype=np.int64),
        n_labels=np.array([row["n_labels"] for row in first], dtype=np.int64),
        alert=each("alert", np.bool_, missing=False),
        trust=each("trust", object, GOOD),
        note=each("note", object, ""),
        **{name: each(name, np.float64, None) for name in NUMBERS},
    )
    return concatenate_periods(reference, analysis)


def _in_time(chunks: set[str]) -> list[str]:
    labels = sorted(chunks)
    if not labels:
        return []
    times = pd.to_datetime(labels, format="ISO8601", utc=True)
    return [labels[i] for i in np.argsort(times, kind="stable").tolist()]


def _known(value: np.float64) -> float | None:
    return None if np.isnan(value) else float(value)


def _microseconds(moments: np.ndarray) -> list[int | None]:
    times = moments.astype("M8[us]")
    missing = np.isnat(times)
    ticks = times.view(np.int64).tolist()
    return [None if gone else tick for gone, tick in zip(missing, ticks, strict=True)]


def _moments(ticks: Iterable[int | None]) -> NDArray[np.datetime64]:
    nat = np.iinfo(np.int64).min
    values = [nat if tick is None else tick for tick in ticks]
    return np.array(values, dtype=np.int64).view("M8[us]")
