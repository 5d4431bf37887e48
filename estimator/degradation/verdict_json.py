"""A verdict as JSON: what is needed to draw it again, and to say its sentence."""

import math
from collections.abc import Mapping
from dataclasses import fields
from typing import Any

import numpy as np
import pandas as pd

from estimator.degradation.series import plain
from estimator.degradation.shapes.findings import Event, Interval, Season
from estimator.degradation.verdict import Degradation

_ARRAYS = {"values": "f8", "standard_errors": "f8", "fitted": "f8", "affected": "?"}
_CHUNKS_AND_TIMES = (
    "onset",
    "end",
    "onset_interval",
    "end_interval",
    "period",
    "period_interval",
)


def to_json(verdict: Degradation) -> dict[str, object]:
    """Return what `from_json` makes a verdict of: numbers, texts, lists of them.

    Chunks are to be named by labels, texts or numbers, as `Performance` has them.
    """
    saved: dict[str, object] = {}
    for field in fields(Degradation):
        value = getattr(verdict, field.name)
        if isinstance(value, np.ndarray):
            value = [_to_json_value(item) for item in value.tolist()]
        saved[field.name] = _to_json_value(value)
    return saved


def from_json(saved: Mapping[str, Any]) -> Degradation:
    """Return the verdict that `to_json` took apart."""
    entries = dict(saved)
    # A verdict that was saved before the field existed has it in its name alone.
    entries.setdefault("per_row", entries["metric"].endswith(" per row"))
    for name, kind in _ARRAYS.items():
        # None is NaN in an array of floats.
        entries[name] = np.array(entries[name], dtype=kind)
    chunks = np.empty(len(entries["chunks"]), dtype=object)
    chunks[:] = entries["chunks"]
    entries["chunks"] = chunks
    for name in _CHUNKS_AND_TIMES:  # an open end stays None
        entries[name] = _from_json_value(entries[name])
    # A verdict that was saved before they existed has none.
    season, events = entries.get("season"), entries.get("events", ())
    entries["season"] = None if season is None else Season(**_from_json_values(season))
    entries["events"] = tuple(Event(**_from_json_values(event)) for event in events)
    entries["magnitude"] = _number(entries["magnitude"])
    low, high = map(_number, _from_json_value(entries["magnitude_interval"]))
    entries["magnitude_interval"] = Interval(low, high)
    return Degradation(**entries)


def _to_json_value(value: object) -> object:
    if isinstance(value, Season | Event):
        return {
            field.name: _to_json_value(getattr(value, field.name))
            for field in fields(value)
        }
    if isinstance(value, tuple) and not isinstance(value, Interval):
        return [_to_json_value(one) for one in value]
    if isinstance(value, Interval):
        return {"low": _to_json_value(value.low), "high": _to_json_value(value.high)}
    if isinstance(value, pd.Timedelta):
        return {"nanoseconds": value.as_unit("ns").value}
    value = plain(value)
    return None if isinstance(value, float) and math.isnan(value) else value


def _from_json_value(value: object) -> Any:
    if isinstance(value, dict) and "nanoseconds" in value:
        return pd.Timedelta(value["nanoseconds"], unit="ns")
    if isinstance(value, dict):
        return Interval(_from_json_value(value["low"]), _from_json_value(value["high"]))
    return value


def _from_json_values(saved: Mapping[str, Any]) -> dict[str, Any]:
    return {name: _from_json_value(value) for name, value in saved.items()}


def _number(value: float | None) -> float:
    return float("nan") if value is None else float(value)
