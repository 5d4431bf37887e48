"""A fitted estimator as one file: plain arrays and JSON, written atomically.

The file is a NumPy ``.npz`` archive read with ``allow_pickle=False``: nothing in it can
run. One entry, ``header``, is JSON: the format's version, the constructor's arguments
and how to read the arrays beside it.
"""

import json
from collections.abc import Mapping
from dataclasses import fields
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from calibration import CALIBRATORS
from estimator.degradation.thresholds import Thresholds
from estimator.files import replacing
from estimator.metrics import resolve_metrics
from estimator.performance_estimator import PerformanceEstimator
from estimator.reference import Reference
from estimator.results import Performance
from estimator.soft_labels import ErrorCells

FORMAT = "deadreckon performance estimator"
VERSION = 2

Arrays = dict[str, NDArray[Any]]


def save_estimator(estimator: PerformanceEstimator, path: Path) -> None:
    """Write a fitted estimator; an earlier file at ``path`` is replaced in one step."""
    fitted: Reference = estimator.reference_
    if not fitted.calibrator_name:
        msg = (
            f"`calibrator` must be one of {', '.join(CALIBRATORS)} to be saved, "
            f"got {fitted.calibrator!r}: only pickle could write it, and reading "
            "a pickle runs code. Name a calibrator, or fit again after loading."
        )
        raise TypeError(msg)
    if not path.parent.is_dir():
        msg = f"There is no folder {str(path.parent)!r} to save in. Create it first."
        raise FileNotFoundError(msg)
    performance = fitted.performance
    header = {
        "format": FORMAT,
        "version": VERSION,
        "parameters": _plain_parameters(estimator),
        "calibrator": fitted.calibrator_name,
        "has_factor": fitted.error_cells.has_factor,
        "segments": list(fitted.thresholds),
        "timezone": performance.timezone,
    }
    arrays: Arrays = {
        "header": np.frombuffer(json.dumps(header).encode(), dtype=np.uint8),
        "drift": np.stack([fitted.drift[segment] for segment in fitted.thresholds]),
    }
    for name, values in fitted.calibrator.to_arrays().items():  # type: ignore[attr-defined]
        arrays[f"calibrator/{name}"] = values
    for field in fields(ErrorCells):
        if field.name != "has_factor":
            arrays[f"cells/{field.name}"] = getattr(fitted.error_cells, field.name)
    for field in fields(Thresholds):
        arrays[f"thresholds/{field.name}"] = np.stack(
            [getattr(rules, field.name) for rules in fitted.thresholds.values()]
        )
    for field in fields(Performance):
        values = getattr(performance, field.name)
        if isinstance(values, np.ndarray):
            numbers = values.dtype == object and isinstance(values.flat[0], int)
            kind = np.int64 if numbers else np.str_
            plain = values.astype(kind) if values.dtype == object else values
            arrays[f"performance/{field.name}"] = plain
    with replacing(path) as temporary, temporary.open("wb") as file:
        np.savez(file, allow_pickle=False, **arrays)


def load_estimator(path: Path) -> PerformanceEstimator:
    """Read a fitted estimator, or raise a ValueError that says what the file is not."""
    if not path.is_file():
        msg = f"There is no file {str(path)!r}. Check the path."
        raise FileNotFoundError(msg)
    remedy = "Save the estimator again with `PerformanceEstimator.save`."
    content = BytesIO(path.read_bytes())
    try:
        with np.load(content, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
        header = json.loads(arrays.pop("header").tobytes())
        found, version = header["format"], header["version"]
    except Exception as error:  # a garbled archive fails in ways zipfile does not list
        msg = f"{str(path)!r} is not a saved estimator, or it is damaged. {remedy}"
        raise ValueError(msg) from error
    if found != FORMAT or version != VERSION:
        msg = (
            f"{str(path)!r} is of format {found!r}, version {version}; this version of "
            f"deadreckon reads {FORMAT!r}, version {VERSION}. {remedy}"
        )
        raise ValueError(msg)
    try:
        return _rebuild(header, arrays)
    except (KeyError, TypeError, ValueError, IndexError) as error:
        msg = f"{str(path)!r} lacks or garbles a part of the estimator. {remedy}"
        raise ValueError(msg) from error


def _rebuild(header: Mapping[str, Any], arrays: Arrays) -> PerformanceEstimator:
    parameters = dict(header["parameters"])
    for name in ("metrics", "segments"):
        if isinstance(parameters[name], list):
            parameters[name] = tuple(parameters[name])
    if parameters["thresholds"] is not None:
        parameters["thresholds"] = {
            metric: tuple(spec) for metric, spec in parameters["thresholds"].items()
        }
    estimator = PerformanceEstimator(**parameters)
    calibrator = CALIBRATORS[header["calibrator"]]
    segments = header["segments"]
    thresholds = _under(arrays, "thresholds/")
    performance = _under(arrays, "performance/")
    for name in ("segment", "period", "chunk", "note"):
        performance[name] = performance[name].astype(object)
    metrics = resolve_metrics(estimator.metrics, estimator.business_costs)
    estimator.reference_ = Reference(
        metrics=metrics,
        calibrator=calibrator.from_arrays(_under(arrays, "calibrator/")),  # type: ignore[attr-defined]
        calibrator_name=header["calibrator"],
        error_cells=ErrorCells(
            has_factor=header["has_factor"], **_under(arrays, "cells/")
        ),
        thresholds={
            segment: Thresholds(**{name: of[i] for name, of in thresholds.items()})
            for i, segment in enumerate(segments)
        },
        drift=dict(zip(segments, arrays["drift"], strict=True)),
        performance=Performance(
            metrics=tuple(metric.name for metric in metrics),
            level=estimator.level,
            timezone=header["timezone"],
            **performance,
        ),
    )
    return estimator


def _under(arrays: Arrays, prefix: str) -> Arrays:
    """Return the arrays whose names begin with ``prefix``, without it."""
    return {
        name.removeprefix(prefix): values
        for name, values in arrays.items()
        if name.startswith(prefix)
    }


def _plain_parameters(estimator: PerformanceEstimator) -> dict[str, Any]:
    """Return the constructor's arguments as JSON has them: edges as ISO strings."""
    parameters: dict[str, Any] = estimator.get_params(deep=False)
    chunk = parameters["chunk"]
    if chunk is not None and not isinstance(chunk, str):
        whole = isinstance(chunk, (int, np.integer))
        parameters["chunk"] = (
            int(chunk) if whole else [pd.Timestamp(edge).isoformat() for edge in chunk]
        )
    try:
        return dict(json.loads(json.dumps(parameters, default=_plain)))
    except TypeError as error:
        msg = f"A parameter cannot be saved: {error}. Use numbers and strings."
        raise TypeError(msg) from error


def _plain(value: Any) -> Any:
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, Mapping):
        return dict(value)
    msg = f"{value!r} is a {type(value).__name__}"
    raise TypeError(msg)
