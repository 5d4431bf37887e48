"""A fitted estimator, or a monitor, as one file: plain arrays and JSON.

It is written atomically, as a NumPy ``.npz`` archive, and read with
``allow_pickle=False``: nothing in it can run. One entry, ``header``, is JSON: the
format's version, constructors' arguments and how to read the arrays beside it.
"""

import json
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import asdict, fields
from datetime import date, datetime
from itertools import pairwise
from numbers import Real
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from calibration import CALIBRATORS, FeatureAwareCalibrator
from calibration.segment_shifts import SegmentShifts
from estimator._columns import MAX_VALUES
from estimator._datetimes import check_years, wall_clock
from estimator.archive import (
    Arrays,
    check_array,
    garbled,
    read_archive,
    under,
    write_archive,
)
from estimator.chunking import check_chunk, make_chunks
from estimator.common_mistakes import RowPrint
from estimator.degradation.announcements import from_json, to_json
from estimator.degradation.thresholds import Thresholds
from estimator.delayed_labels.arrivals import N_AGES, N_BANDS, Arrivals
from estimator.delayed_labels.ledger import Ledger
from estimator.delayed_labels.ledger_file import ledger_from_arrays, ledger_to_arrays
from estimator.delayed_labels.reference_delays import ReferenceDelays
from estimator.features import Feature, FeatureTable
from estimator.frames import required
from estimator.label_free.shift_adaptive import ReferenceSample, ShiftAdapter
from estimator.metrics import resolve_metrics
from estimator.monitor import Epoch, Monitor
from estimator.performance_estimator import (
    COLUMN_ROLES,
    PerformanceEstimator,
    column_names,
    snapshot_parameters,
)
from estimator.reference import Reference
from estimator.results import METRIC_COLUMNS, Performance
from estimator.segment_calibration import SegmentCalibration
from estimator.soft_labels import ErrorCells

MONITOR_FORMAT = "deadreckon monitor"
MONITOR_VERSION = 4
FORMAT = "deadreckon performance estimator"
VERSION = 4

_ADAPTER_NUMBERS = (
    "method",
    "n_reference",
    "outer_slope",
    "weight",
    "relative_error",
    "random_state",
)

# The letters of NumPy's types, of what is no float.
_KIND_OF = {
    **dict.fromkeys(("segment", "period", "chunk", "note"), "O"),
    **dict.fromkeys(("n_rows", "n_labels"), "i"),
    "alert": "b",
}
# Squares of what was learned are still numbers.
_LARGEST = 1e100
_BY_METRIC = {
    field.name for field in fields(Performance) if field.name in METRIC_COLUMNS
}

# What is kept of the map's error; that of segments is put together with each frame.
_CELLS = (
    "edges",
    "log_odds",
    "information",
    "factor",
    "variance",
    "score_range",
)


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
        "row_id": name_to_json(monitor.row_id),
        "ledger": {
            **header,
            "values": [[name_to_json(name), of] for name, of in header["values"]],
        },
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
        saved = header["ledger"]
        saved["values"] = [[name_from_json(name), of] for name, of in saved["values"]]
        ledger = ledger_from_arrays(saved, under(arrays, "ledger/"))
        announcements = {
            (saved["segment"], saved["metric"]): from_json(saved)
            for saved in header["announcements"]
        }
        row_id = name_from_json(header["row_id"])
        _check_labels(ledger, epochs[0].estimator)
        _check_epochs(epochs)
        return Monitor.from_parts(epochs, row_id, ledger, announcements)


def _check_labels(ledger: Ledger, estimator: PerformanceEstimator) -> None:
    """Refuse chunks whose rows do not lie in the period that they are called after.

    Raises
    ------
    ValueError
        If a row's time lies in another period, or a label comes twice.
    """
    labels = [chunk.label for chunk in ledger.chunks]
    has_time = estimator.timestamp is not None
    spec = check_chunk(estimator.chunk, has_timestamp=has_time)
    periods = ledger.chunks and not (spec is None or isinstance(spec, int))
    ends = [
        (required(one.first), required(one.last)) for one in ledger.chunks if periods
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


def _check_epochs(epochs: Sequence[Epoch]) -> None:
    """Refuse estimators that do not follow one another.

    Raises
    ------
    ValueError
        If the first has a first chunk, or those of the others do not rise.
    """
    first, *later = [epoch.from_chunk for epoch in epochs]
    kinds = {type(label) for label in later}
    rising = len(kinds) <= 1 and all(
        a < b  # type: ignore[operator]
        for a, b in pairwise(later)
    )
    if first is not None or not kinds <= {str, int} or not rising:
        msg = f"estimators begin at the chunks {[first, *later]}"
        raise ValueError(msg)


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
            {"column": name_to_json(column), "values": found.values}
            for column, found in delays.arrivals.items()
        ],
        "label_feed": {
            "pause": delays.pause,
            "span": delays.span,
            "dispersion": delays.dispersion,
        },
        "rows": asdict(fitted.rows),
        "adapter": None,
        "shifted": None,
    }
    arrays: Arrays = {
        "drift": np.stack([fitted.drift[segment] for segment in fitted.thresholds]),
    }
    for name, values in fitted.calibrator.to_arrays().items():  # type: ignore[attr-defined]
        arrays[f"calibrator/{name}"] = values
    for name in _CELLS:
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
    if fitted.segments is not None:
        header["shifted"], own = _segments_to_arrays(fitted.segments)
        arrays |= {f"shifts/{name}": values for name, values in own.items()}
    if fitted.adapter is not None:
        header["adapter"], own = _adapter_to_arrays(fitted.adapter)
        arrays |= {f"adapter/{name}": values for name, values in own.items()}
    place = {segment: i for i, segment in enumerate(fitted.thresholds)}
    # By number: NumPy's texts lose a NUL at their end.
    arrays["performance/segment"] = np.array(
        [place[segment] for segment in performance.segment.tolist()], dtype=np.int64
    )
    for field in fields(Performance):
        values = getattr(performance, field.name)
        if isinstance(values, np.ndarray) and field.name != "segment":
            numbers = values.dtype == object and isinstance(values.flat[0], int)
            kind = np.int64 if numbers else np.str_
            plain = values.astype(kind) if values.dtype == object else values
            arrays[f"performance/{field.name}"] = plain
    return header, arrays


def estimator_from_arrays(
    header: Mapping[str, Any], arrays: Arrays
) -> PerformanceEstimator:
    """Put together what `estimator_to_arrays` took apart."""
    estimator = PerformanceEstimator(**_parameters_from_json(header["parameters"]))
    estimator.check_parameters()
    calibrator = CALIBRATORS[header["calibrator"]]
    segments = header["segments"]
    thresholds = under(arrays, "thresholds/")
    performance = under(arrays, "performance/")
    names = np.empty(len(segments), dtype=object)
    names[:] = segments
    performance["segment"] = names[performance["segment"]]
    for name in ("period", "chunk", "note"):
        performance[name] = performance[name].astype(object)
    metrics = resolve_metrics(estimator.metrics, estimator.business_costs)
    reference = Reference(
        metrics=metrics,
        calibrator=calibrator.from_arrays(under(arrays, "calibrator/")),  # type: ignore[attr-defined]
        calibrator_name=header["calibrator"],
        error_cells=ErrorCells(
            has_factor=header["has_factor"],
            segments=None,
            **{name: arrays[f"cells/{name}"] for name in _CELLS},
        ),
        segments=_segments_from_arrays(header["shifted"], under(arrays, "shifts/")),
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
        rows=_row_print(header["rows"]),
        adapter=_adapter_from_arrays(header["adapter"], under(arrays, "adapter/")),
    )
    _check_reference(reference, estimator)
    estimator.reference_ = reference
    estimator.fitted_parameters_ = snapshot_parameters(estimator)
    return estimator


def _check_reference(reference: Reference, estimator: PerformanceEstimator) -> None:
    """Refuse parts that do not fit together: kernels trust their shapes.

    Parameters
    ----------
    reference : Reference
    estimator : PerformanceEstimator
        Parameters that it was learned with.

    Raises
    ------
    ValueError
        If an array has another type or shape than the others ask for.
    """
    performance, cells = reference.performance, reference.error_cells
    segments = list(reference.thresholds)
    columns = column_names(estimator.segments)
    prefixes = tuple(f"{column}=" for column in columns)
    if segments[0] or not all(name.startswith(prefixes) for name in segments[1:]):
        msg = f"the segments {segments[:10]} are not of the columns {columns}"
        raise ValueError(msg)
    n, k = len(performance), len(reference.metrics)
    for field in fields(Performance):
        values = getattr(performance, field.name)
        if not isinstance(values, np.ndarray):
            continue
        shape = (n, k) if values.ndim == 2 or field.name in _BY_METRIC else (n,)
        kind = _KIND_OF.get(field.name, "f")
        if field.name in ("start", "end"):
            kind = "i" if estimator.timestamp is None else "M"
        check_array(values, field.name, kind, shape)
    if performance.timezone is not None:
        wall_clock(np.array(["2026-01-01"], dtype="M8[s]"), performance.timezone)
    for segment, rules in reference.thresholds.items():
        for name in ("low", "high", "margin"):
            check_array(getattr(rules, name), name, "f", (k,))
        check_array(rules.per_row, "per_row", "b", (k,))
        check_array(rules.bounds, "bounds", "f", (k, 2))
        check_array(reference.drift[segment], "drift", "f", (k,))
        _check_finite(reference.drift[segment], "drift", least=0.0)
    n_cells = cells.edges.size + 1
    check_array(cells.edges, "edges", "f", (-1,))
    for name in ("log_odds", "information", "variance"):
        check_array(getattr(cells, name), name, "f", (n_cells,))
    check_array(cells.factor, "factor", "f", (-1, n_cells))
    check_array(cells.score_range, "score_range", "f", (2,))
    check_array(reference.delays.bands, "bands", "f", (N_BANDS - 1,))
    check_array(reference.delays.spread, "spread", "f", (N_AGES, 2, 2))
    for name in ("edges", "log_odds", "factor", "score_range"):
        _check_finite(getattr(cells, name), name)
    for name in ("information", "variance"):
        _check_finite(getattr(cells, name), name, least=0.0)
    _check_finite(reference.delays.spread, "spread")
    for found in reference.delays.arrivals.values():
        _check_finite(found.count, "count", least=0.0)
    if reference.segments is not None:
        _check_segments(reference.segments, columns)
    probabilities = reference.calibrator.predict(np.linspace(0.0, 1.0, 11))
    if not ((probabilities >= 0.0) & (probabilities <= 1.0)).all():
        msg = "the calibration map leaves [0, 1]"
        raise ValueError(msg)
    adapter = reference.adapter
    if adapter is None:
        return
    n_features = len(adapter.table.features)
    check_array(adapter.score_range, "adapter/score_range", "f", (2,))
    if adapter.feature_aware is not None:
        nothing = np.full((2, n_features), np.nan)
        adapter.feature_aware.predict(np.array([0.0, 1.0]), nothing)
    if adapter.sample is not None:
        n_rows = adapter.sample.score.size
        check_array(adapter.sample.score, "score", "f", (n_rows,))
        check_array(adapter.sample.label, "label", "f", (n_rows,))
        check_array(adapter.sample.features, "features", "f", (n_rows, n_features))


def _check_segments(segments: SegmentCalibration, columns: Sequence[Hashable]) -> None:
    shifts = segments.shifts
    if list(segments.values) != list(columns):
        msg = f"shifts are of the columns {list(segments.values)}, not of {columns}"
        raise ValueError(msg)
    n_knots, n_values = shifts.knots.size, sum(map(len, segments.values.values()))
    check_array(shifts.knots, "knots", "f", (-1,))
    check_array(shifts.bends, "bends", "f", (n_knots, -1))
    n = shifts.n_common + 2 * n_values
    check_array(shifts.coefficients, "coefficients", "f", (n,))
    check_array(shifts.covariance, "covariance", "f", (n, n))
    check_array(shifts.variance, "variance", "f", (len(columns), 2))
    check_array(shifts.along, "along", "f", (2, n))
    check_array(shifts.bounds, "bounds", "f", (2,))
    for name in ("knots", "bends", "coefficients", "covariance", "along", "bounds"):
        _check_finite(getattr(shifts, name), name)
    _check_finite(shifts.variance, "variance", least=0.0)
    if n_knots < 2 or not (np.diff(shifts.knots) > 0.0).all():
        msg = "array 'knots' must rise"
        raise ValueError(msg)
    if not (np.isfinite(shifts.centre) and 0.0 < shifts.scale < np.inf):
        msg = f"centre and scale must be finite, got {shifts.centre}, {shifts.scale}"
        raise ValueError(msg)


def _check_finite(array: NDArray[Any], name: str, least: float = -np.inf) -> None:
    if not ((np.abs(array) <= _LARGEST) & (array >= least)).all():
        msg = f"array {name!r} must be finite, and not below {least}"
        raise ValueError(msg)


def _row_print(saved: Mapping[str, Any]) -> RowPrint:
    rows = RowPrint(n_rows=saved["n_rows"], digest=saved["digest"])
    if not isinstance(rows.n_rows, int) or rows.n_rows < 1:
        msg = f"the reference has {rows.n_rows!r} rows"
        raise ValueError(msg)
    return rows


def _segments_to_arrays(
    segments: SegmentCalibration,
) -> tuple[list[dict[str, Any]], Arrays]:
    header = [
        {"column": name_to_json(column), "values": values}
        for column, values in segments.values.items()
    ]
    return header, {
        field.name: np.asarray(getattr(segments.shifts, field.name))
        for field in fields(SegmentShifts)
    }


def _segments_from_arrays(
    header: list[dict[str, Any]] | None, arrays: Arrays
) -> SegmentCalibration | None:
    if header is None:
        return None
    shifts: dict[str, Any] = dict(arrays)
    for name in ("centre", "scale", "bend_variance"):
        shifts[name] = float(shifts[name])
    return SegmentCalibration(
        values={name_from_json(of["column"]): tuple(of["values"]) for of in header},
        shifts=SegmentShifts(**shifts),
    )


def _adapter_to_arrays(adapter: ShiftAdapter) -> tuple[dict[str, Any], Arrays]:
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


def _adapter_from_arrays(
    header: Mapping[str, Any] | None, arrays: Arrays
) -> ShiftAdapter | None:
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


def _arrivals(delays: list[dict[str, Any]], arrays: Arrays) -> dict[Any, Arrivals]:
    found = {}
    for i, delay in enumerate(delays):
        values = tuple(delay["values"])
        if len(values) > MAX_VALUES + 1:  # and "(missing)"
            msg = f"a segment column has {len(values)} values"
            raise ValueError(msg)
        count = np.zeros((2, len(values), N_BANDS, N_AGES))
        count.ravel()[arrays[f"delays/{i}/cell"]] = arrays[f"delays/{i}/count"]
        found[name_from_json(delay["column"])] = Arrivals(values=values, count=count)
    return found


def _arrays_of(kind: type, *, but: tuple[str, ...]) -> list[str]:
    return [field.name for field in fields(kind) if field.name not in but]


def name_to_json(name: Hashable) -> Any:
    """Return a column's name as JSON can hold it; `name_from_json` is its inverse.

    Raises
    ------
    TypeError
        If it is neither a text, a number, a time nor a tuple of these.
    """
    if isinstance(name, tuple):
        return {"tuple": [name_to_json(part) for part in name]}
    if isinstance(name, datetime | np.datetime64):
        return {"time": pd.Timestamp(name).isoformat()}
    if isinstance(name, date):
        return {"date": name.isoformat()}
    plain = name.item() if isinstance(name, np.generic) else name
    if plain is None or isinstance(plain, str | int | float):
        return plain
    msg = (
        f"A column's name must be a text, a number, a time or a tuple of these to be "
        f"saved, got {name!r}. Rename the column."
    )
    raise TypeError(msg)


def name_from_json(name: Any) -> Any:
    """Return the column's name that `name_to_json` has written."""
    if not isinstance(name, dict):
        return name
    if "tuple" in name:
        return tuple(map(name_from_json, name["tuple"]))
    if "date" in name:
        return date.fromisoformat(name["date"])
    return pd.Timestamp(name["time"])


def _plain_parameters(estimator: PerformanceEstimator) -> dict[str, Any]:
    """Return the constructor's arguments as JSON has them: edges as ISO strings."""
    parameters: dict[str, Any] = estimator.get_params(deep=False)
    chunk = parameters["chunk"]
    if isinstance(chunk, Real):
        parameters["chunk"] = int(float(chunk))
    elif chunk is not None and not isinstance(chunk, str):
        parameters["chunk"] = [pd.Timestamp(edge).isoformat() for edge in chunk]
    for role in COLUMN_ROLES:
        parameters[role] = name_to_json(parameters[role])
    for role in ("segments", "features"):
        names = parameters[role]
        parameters[role] = (
            name_to_json(names)
            if isinstance(names, str) or not isinstance(names, Iterable)
            else [name_to_json(name) for name in names]
        )
    try:
        return dict(json.loads(json.dumps(parameters, default=_plain)))
    except TypeError as error:
        msg = f"A parameter cannot be saved: {error}. Use numbers and strings."
        raise TypeError(msg) from error


def _parameters_from_json(saved: Mapping[str, Any]) -> dict[str, Any]:
    """Return the constructor's arguments that `_plain_parameters` has written."""
    parameters = dict(saved)
    for role in COLUMN_ROLES:
        parameters[role] = name_from_json(parameters[role])
    for role in ("segments", "features"):
        names = parameters[role]
        parameters[role] = (
            tuple(map(name_from_json, names))
            if isinstance(names, list)
            else name_from_json(names)
        )
    if isinstance(parameters["metrics"], list):
        parameters["metrics"] = tuple(parameters["metrics"])
    if parameters["thresholds"] is not None:
        parameters["thresholds"] = {
            metric: tuple(spec) for metric, spec in parameters["thresholds"].items()
        }
    return parameters


def _plain(value: Any) -> Any:
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, (np.ndarray, pd.Index)):
        return value.tolist()
    if isinstance(value, Mapping):
        return dict(value)
    msg = f"{value!r} is a {type(value).__name__}"
    raise TypeError(msg)
