"""A fitted estimator, or a monitor, as one file: plain arrays and JSON.

It is written atomically, as a NumPy ``.npz`` archive, and read with
``allow_pickle=False``: nothing in it can run. One entry, ``header``, is JSON: the
format's version, constructors' arguments and how to read the arrays beside it.
"""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import fields
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from calibration import CALIBRATORS, FeatureAwareCalibrator
from estimator.degradation.announcements import from_json, to_json
from estimator.degradation.thresholds import Thresholds
from estimator.delayed_labels.arrivals import N_AGES, N_BANDS, Arrivals
from estimator.delayed_labels.ledger_file import ledger_from_arrays, ledger_to_arrays
from estimator.delayed_labels.reference_delays import ReferenceDelays
from estimator.features import Feature, FeatureTable
from estimator.files import replacing
from estimator.label_free.shift_adaptive import ReferenceSample, ShiftAdapter
from estimator.metrics import resolve_metrics
from estimator.monitor import Epoch, Monitor
from estimator.performance_estimator import PerformanceEstimator
from estimator.reference import Reference
from estimator.results import Performance
from estimator.soft_labels import ErrorCells

MONITOR_FORMAT = "deadreckon monitor"
MONITOR_VERSION = 3
FORMAT = "deadreckon performance estimator"
VERSION = 3

_ADAPTER_NUMBERS = (
    "method",
    "n_reference",
    "outer_slope",
    "weight",
    "relative_error",
    "random_state",
)

Arrays = dict[str, NDArray[Any]]


def save_estimator(estimator: PerformanceEstimator, path: Path) -> None:
    """Write a fitted estimator; an earlier file at ``path`` is replaced in one step."""
    header, arrays = estimator_to_arrays(estimator)
    write_archive(path, {"format": FORMAT, "version": VERSION, **header}, arrays)


def load_estimator(path: Path) -> PerformanceEstimator:
    """Read a fitted estimator, or raise a ValueError that says what the file is not."""
    remedy = "Save the estimator again with `PerformanceEstimator.save`."
    header, arrays = read_archive(path, FORMAT, VERSION, remedy)
    with garbled(path, remedy):
        return estimator_from_arrays(header, arrays)


def save_monitor(monitor: Monitor, path: Path) -> None:
    """Write a monitor with its estimators; an earlier file is replaced in one step."""
    header, arrays = ledger_to_arrays(monitor.ledger)
    content = {f"ledger/{name}": values for name, values in arrays.items()}
    epochs = []
    for i, epoch in enumerate(monitor.epochs):
        own, arrays = estimator_to_arrays(epoch.estimator)
        epochs.append({"from_chunk": epoch.from_chunk, "estimator": own})
        content |= {f"epoch/{i}/{name}": values for name, values in arrays.items()}
    top = {
        "format": MONITOR_FORMAT,
        "version": MONITOR_VERSION,
        "row_id": monitor.row_id,
        "ledger": header,
        "epochs": epochs,
        "announcements": [
            {"segment": segment, "metric": metric, **to_json(found)}
            for (segment, metric), found in monitor.announced.items()
        ],
    }
    write_archive(path, top, content)


def load_monitor(path: Path) -> Monitor:
    """Read a monitor, or raise a ValueError that says what the file is not."""
    remedy = "Save the monitor again with `Monitor.save`."
    header, arrays = read_archive(path, MONITOR_FORMAT, MONITOR_VERSION, remedy)
    with garbled(path, remedy):
        epochs = tuple(
            Epoch(
                estimator=estimator_from_arrays(
                    epoch["estimator"], under(arrays, f"epoch/{i}/")
                ),
                from_chunk=epoch["from_chunk"],
            )
            for i, epoch in enumerate(header["epochs"])
        )
        ledger = ledger_from_arrays(header["ledger"], under(arrays, "ledger/"))
        announcements = {
            (saved["segment"], saved["metric"]): from_json(saved)
            for saved in header["announcements"]
        }
        return Monitor.from_parts(epochs, header["row_id"], ledger, announcements)


def write_archive(path: Path, header: Mapping[str, Any], arrays: Arrays) -> None:
    """Write arrays and a JSON header to one file, in one step."""
    if not path.parent.is_dir():
        msg = f"There is no folder {str(path.parent)!r} to save in. Create it first."
        raise FileNotFoundError(msg)
    text = np.frombuffer(json.dumps(header).encode(), dtype=np.uint8)
    with replacing(path) as temporary, temporary.open("wb") as file:
        np.savez(file, allow_pickle=False, header=text, **arrays)


def read_archive(
    path: Path, kind: str, version: int, remedy: str
) -> tuple[dict[str, Any], Arrays]:
    """Read what `write_archive` wrote, if it is of this kind and version.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If it is damaged, of another kind or another version.
    """
    if not path.is_file():
        msg = f"There is no file {str(path)!r}. Check the path."
        raise FileNotFoundError(msg)
    content = BytesIO(path.read_bytes())
    try:
        with np.load(content, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
        header = json.loads(arrays.pop("header").tobytes())
        found = header["format"], header["version"]
    except Exception as error:  # a garbled archive fails in ways zipfile does not list
        msg = f"{str(path)!r} is not a saved {_noun(kind)}, or it is damaged. {remedy}"
        raise ValueError(msg) from error
    if found != (kind, version):
        msg = (
            f"{str(path)!r} is of format {found[0]!r}, version {found[1]}; this "
            f"version of deadreckon reads {kind!r}, version {version}. {remedy}"
        )
        raise ValueError(msg)
    return header, arrays


@contextmanager
def garbled(path: Path, remedy: str) -> Iterator[None]:
    """Turn what goes wrong in rebuilding into one clear ValueError."""
    try:
        yield
    except (KeyError, TypeError, ValueError, IndexError) as error:
        msg = f"{str(path)!r} lacks or garbles a part of its content. {remedy}"
        raise ValueError(msg) from error


def estimator_to_arrays(
    estimator: PerformanceEstimator,
) -> tuple[dict[str, Any], Arrays]:
    """Take a fitted estimator apart: what JSON can hold, and arrays."""
    fitted: Reference = estimator.reference_
    if not fitted.calibrator_name:
        msg = (
            f"`calibrator` must be one of {', '.join(CALIBRATORS)} to be saved, "
            f"got {fitted.calibrator!r}: only pickle could write it, and reading "
            "a pickle runs code. Name a calibrator, or fit again after loading."
        )
        raise TypeError(msg)
    performance, delays = fitted.performance, fitted.delays
    header = {
        "parameters": _plain_parameters(estimator),
        "calibrator": fitted.calibrator_name,
        "has_factor": fitted.error_cells.has_factor,
        "segments": list(fitted.thresholds),
        "timezone": performance.timezone,
        "delays": [
            {"column": column, "values": found.values}
            for column, found in delays.arrivals.items()
        ],
        "label_feed": {
            "pause": delays.pause,
            "span": delays.span,
            "dispersion": delays.dispersion,
        },
        "adapter": None,
    }
    arrays: Arrays = {
        "drift": np.stack([fitted.drift[segment] for segment in fitted.thresholds]),
    }
    for name, values in fitted.calibrator.to_arrays().items():  # type: ignore[attr-defined]
        arrays[f"calibrator/{name}"] = values
    for name in _arrays_of(ErrorCells, but=("has_factor",)):
        arrays[f"cells/{name}"] = getattr(fitted.error_cells, name)
    arrays["delays/bands"], arrays["delays/spread"] = delays.bands, delays.spread
    for i, found in enumerate(delays.arrivals.values()):
        seen = np.flatnonzero(found.count)  # most cells are empty
        arrays[f"delays/{i}/cell"] = seen
        arrays[f"delays/{i}/count"] = found.count.ravel()[seen]
    for field in fields(Thresholds):
        arrays[f"thresholds/{field.name}"] = np.stack(
            [getattr(rules, field.name) for rules in fitted.thresholds.values()]
        )
    if fitted.adapter is not None:
        header["adapter"], own = _adapter_to_arrays(fitted.adapter)
        arrays |= {f"adapter/{name}": values for name, values in own.items()}
    for field in fields(Performance):
        values = getattr(performance, field.name)
        if isinstance(values, np.ndarray):
            numbers = values.dtype == object and isinstance(values.flat[0], int)
            kind = np.int64 if numbers else np.str_
            plain = values.astype(kind) if values.dtype == object else values
            arrays[f"performance/{field.name}"] = plain
    return header, arrays


def estimator_from_arrays(
    header: Mapping[str, Any], arrays: Arrays
) -> PerformanceEstimator:
    """Put together what `estimator_to_arrays` took apart."""
    parameters = dict(header["parameters"])
    for name in ("metrics", "segments", "features"):
        if isinstance(parameters[name], list):
            parameters[name] = tuple(parameters[name])
    if parameters["thresholds"] is not None:
        parameters["thresholds"] = {
            metric: tuple(spec) for metric, spec in parameters["thresholds"].items()
        }
    estimator = PerformanceEstimator(**parameters)
    calibrator = CALIBRATORS[header["calibrator"]]
    segments = header["segments"]
    thresholds = under(arrays, "thresholds/")
    performance = under(arrays, "performance/")
    for name in ("segment", "period", "chunk", "note"):
        performance[name] = performance[name].astype(object)
    metrics = resolve_metrics(estimator.metrics, estimator.business_costs)
    estimator.reference_ = Reference(
        metrics=metrics,
        calibrator=calibrator.from_arrays(under(arrays, "calibrator/")),  # type: ignore[attr-defined]
        calibrator_name=header["calibrator"],
        error_cells=ErrorCells(
            has_factor=header["has_factor"], **under(arrays, "cells/")
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
        delays=ReferenceDelays(
            bands=arrays["delays/bands"],
            spread=arrays["delays/spread"],
            arrivals=_arrivals(header["delays"], arrays),
            **header.get("label_feed", {}),  # files from before have none
        ),
        adapter=_adapter_from_arrays(header["adapter"], under(arrays, "adapter/")),
    )
    return estimator


def _adapter_to_arrays(adapter: ShiftAdapter) -> tuple[dict[str, Any], Arrays]:
    header = {
        **{name: getattr(adapter, name) for name in _ADAPTER_NUMBERS},
        "features": [
            {
                "name": feature.name,
                "categories": feature.categories,
                "has_rare": feature.has_rare,
            }
            for feature in adapter.table.features
        ],
        "left_out": [[name, why] for name, why in adapter.table.left_out.items()],
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


def _adapter_from_arrays(
    header: Mapping[str, Any] | None, arrays: Arrays
) -> ShiftAdapter | None:
    if header is None:
        return None
    features = [
        Feature(
            name=saved["name"],
            categories=None
            if saved["categories"] is None
            else tuple(saved["categories"]),
            has_rare=saved["has_rare"],
        )
        for saved in header["features"]
    ]
    left_out = {name: str(why) for name, why in header["left_out"]}
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


def _arrivals(delays: list[dict[str, Any]], arrays: Arrays) -> dict[Any, Arrivals]:
    found = {}
    for i, delay in enumerate(delays):
        values = tuple(delay["values"])
        count = np.zeros((2, len(values), N_BANDS, N_AGES))
        count.ravel()[arrays[f"delays/{i}/cell"]] = arrays[f"delays/{i}/count"]
        found[delay["column"]] = Arrivals(values=values, count=count)
    return found


def _arrays_of(kind: type, *, but: tuple[str, ...]) -> list[str]:
    return [field.name for field in fields(kind) if field.name not in but]


def _noun(kind: str) -> str:
    """Return the last word of a format's name: estimator, monitor."""
    return kind.rsplit(" ", 1)[-1]


def under(arrays: Arrays, prefix: str) -> Arrays:
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
    if isinstance(value, (np.ndarray, pd.Index)):
        return value.tolist()
    if isinstance(value, Mapping):
        return dict(value)
    msg = f"{value!r} is a {type(value).__name__}"
    raise TypeError(msg)
