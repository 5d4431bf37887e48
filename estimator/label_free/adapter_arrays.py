"""What a shift adapter has learned as plain arrays, and back."""

from collections.abc import Mapping
from dataclasses import fields
from numbers import Real
from typing import Any

from calibration import FeatureAwareCalibrator
from estimator.files.archive import Arrays, under
from estimator.frames.column_names import name_from_json, name_to_json
from estimator.frames.features import Feature, FeatureTable
from estimator.label_free.chunk_map import ReferenceSample
from estimator.label_free.shift_adaptive import ShiftAdapter

_ADAPTER_NUMBERS = (
    "method",
    "n_reference",
    "weight",
    "relative_error",
    "random_state",
)


def adapter_to_arrays(adapter: ShiftAdapter) -> tuple[dict[str, object], Arrays]:
    """Take an adapter apart: what JSON can hold, and arrays."""
    header = {
        **{name: getattr(adapter, name) for name in _ADAPTER_NUMBERS},
        "features": [
            {
                "name": name_to_json(feature.name),
                "categories": feature.categories,
                "has_rare": feature.has_rare,
            }
            for feature in adapter.table.features
        ],
        "left_out": [
            [name_to_json(name), why] for name, why in adapter.table.left_out.items()
        ],
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
    features = [
        Feature(
            name=name_from_json(saved["name"]),
            categories=None
            if saved["categories"] is None
            else tuple(saved["categories"]),
            has_rare=saved["has_rare"],
        )
        for saved in header["features"]
    ]
    left_out = {name_from_json(name): str(why) for name, why in header["left_out"]}
    for name in _ADAPTER_NUMBERS[1:]:
        if isinstance(header[name], bool) or not isinstance(header[name], Real):
            msg = f"{name!r} of the adapter is {header[name]!r}"
            raise TypeError(msg)
    trees = FeatureAwareCalibrator.from_arrays
    return ShiftAdapter(
        **{name: header[name] for name in _ADAPTER_NUMBERS},
        table=FeatureTable(features=tuple(features), left_out=left_out),
        feature_aware=trees(under(arrays, "trees/")) if header["has_trees"] else None,
        sample=ReferenceSample(**under(arrays, "sample/"))
        if header["has_sample"]
        else None,
        score_range=arrays["score_range"],
    )


def _arrays_of(kind: type, *, but: tuple[str, ...]) -> list[str]:
    return [field.name for field in fields(kind) if field.name not in but]
