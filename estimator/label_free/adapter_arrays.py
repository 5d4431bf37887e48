"""What a shift adapter has learned as plain arrays, and back."""

from collections.abc import Mapping
from dataclasses import fields
from numbers import Real
from typing import Any

from calibration import FeatureAwareCalibrator
from estimator.files.archive import Arrays, under
from estimator.frames.features import table_from_json, table_to_json
from estimator.label_free.chunk_map import ReferenceSample
from estimator.label_free.label_shift import LabelShift
from estimator.label_free.shift_adaptive import ShiftAdapter

_ADAPTER_NUMBERS = (
    "method",
    "n_reference",
    "weight",
    "weight_beyond",
    "relative_error",
    "random_state",
)
_SHIFT_NUMBERS = tuple(field.name for field in fields(LabelShift))


def adapter_to_arrays(adapter: ShiftAdapter) -> tuple[dict[str, object], Arrays]:
    """Take an adapter apart: what JSON can hold, and arrays."""
    header = {
        **{name: getattr(adapter, name) for name in _ADAPTER_NUMBERS},
        **table_to_json(adapter.table),
        "label_shift": None
        if adapter.label_shift is None
        else {name: getattr(adapter.label_shift, name) for name in _SHIFT_NUMBERS},
        "has_trees": adapter.feature_aware is not None,
        "has_sample": adapter.sample is not None,
    }
    arrays: Arrays = {"score_range": adapter.score_range}
    if adapter.feature_aware is not None:
        for name, values in adapter.feature_aware.to_arrays().items():
            arrays[f"trees/{name}"] = values
    if adapter.sample is not None:
        for name in _arrays_of(ReferenceSample, but=()):
            arrays[f"sample/{name}"] = getattr(adapter.sample, name)
    return header, arrays


def adapter_from_arrays(
    header: Mapping[str, Any] | None, arrays: Arrays
) -> ShiftAdapter | None:
    """Put together what `adapter_to_arrays` took apart; None stays None."""
    if header is None:
        return None
    # Files written before the reference was asked for it have no such weight.
    header = {"weight_beyond": 0.0, **header}
    for name in _ADAPTER_NUMBERS[1:]:
        _number(header, name)
    # Files written before label shift was learned have none.
    shift = header.get("label_shift")
    if shift is not None:
        shift = LabelShift(**{name: _number(shift, name) for name in _SHIFT_NUMBERS})
    trees = FeatureAwareCalibrator.from_arrays
    return ShiftAdapter(
        **{name: header[name] for name in _ADAPTER_NUMBERS},
        table=table_from_json(header),
        feature_aware=trees(under(arrays, "trees/")) if header["has_trees"] else None,
        sample=ReferenceSample(**under(arrays, "sample/"))
        if header["has_sample"]
        else None,
        score_range=arrays["score_range"],
        label_shift=shift,
    )


def _number(saved: Mapping[str, Any], name: str) -> Any:
    """Return a number of the header; refuse what is none."""
    if isinstance(saved[name], bool) or not isinstance(saved[name], Real):
        msg = f"{name!r} of the adapter is {saved[name]!r}"
        raise TypeError(msg)
    return saved[name]


def _arrays_of(kind: type, *, but: tuple[str, ...]) -> list[str]:
    return [field.name for field in fields(kind) if field.name not in but]
