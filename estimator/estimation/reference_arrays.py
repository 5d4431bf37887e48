"""What an estimator has learned as plain arrays and a header for JSON, and back."""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import asdict, fields
from typing import Any, NotRequired, TypedDict

import numpy as np

from calibration import CALIBRATORS, SplineCalibrator
from calibration.base import SavableCalibrator
from calibration.shifts.segment_shifts import SegmentShifts
from estimator.delayed_labels.arrivals import Arrivals
from estimator.delayed_labels.reference_delays import ReferenceDelays
from estimator.delayed_labels.strata.delay_cells import LEARNED, N_AGES, N_BANDS
from estimator.delayed_labels.strata.strata_arrays import (
    strata_from_arrays,
    strata_to_arrays,
)
from estimator.estimation.common_mistakes import RowPrint
from estimator.estimation.parameters import Parameters
from estimator.estimation.reference import Reference
from estimator.estimation.reference_array_checks import check_reference
from estimator.files.archive import Arrays, under
from estimator.frames.categories import MAX_VALUES
from estimator.frames.column_names import name_from_json, name_to_json
from estimator.label_free.adapter_arrays import adapter_from_arrays, adapter_to_arrays
from estimator.label_free.segment_calibration import SegmentCalibration
from estimator.metrics.error_cells import ErrorCells
from estimator.metrics.metric_names import resolve_metrics
from estimator.results.performance import Performance
from estimator.results.score_spread import ReferenceScores
from estimator.results.thresholds import Thresholds
from estimator.results.trust import GOOD
from estimator.results.unseen_drift import Drift, ReferencePeriod

# What is kept of the map's error; that of segments is put together with each frame.
_CELLS = (
    "edges",
    "log_odds",
    "information",
    "factor",
    "variance",
    "score_range",
)
_SCORES = ("bin_of_cell", "rows", "farthest")


class _SavedColumn(TypedDict):
    """A segment column in the header: its name as JSON has it, and its values.

    ``learned`` says that these are the learned strata of delays, not a column.
    """

    column: object
    values: Sequence[str]
    learned: NotRequired[bool]


def reference_to_arrays(fitted: Reference) -> tuple[dict[str, object], Arrays]:
    """Take what was learned apart: what JSON can hold, and arrays.

    Raises
    ------
    TypeError
        If the calibrator is the caller's own object.
    """
    calibrator = fitted.calibrator
    if not (fitted.calibrator_name and isinstance(calibrator, SavableCalibrator)):
        msg = (
            f"`calibrator` must be one of {', '.join(CALIBRATORS)} to be saved, "
            f"got {calibrator!r}: only pickle could write it, and reading "
            "a pickle runs code. Name a calibrator, or fit again after loading."
        )
        raise TypeError(msg)
    performance, delays = fitted.performance, fitted.delays
    ends = fitted.period.ends
    header: dict[str, object] = {
        "calibrator": fitted.calibrator_name,
        "has_factor": fitted.error_cells.has_factor,
        "segments": list(fitted.thresholds),
        "timezone": performance.timezone,
        "delays": [
            {"column": None, "values": arrivals.values, "learned": True}
            if column is LEARNED
            else {"column": name_to_json(column), "values": arrivals.values}
            for column, arrivals in delays.arrivals.items()
        ],
        "label_feed": {
            "pause": delays.pause,
            "span": delays.span,
            "dispersion": delays.dispersion,
        },
        "period": {
            "ends": None if ends is None else [str(end) for end in ends],
            "head_start": fitted.period.head_start,
        },
        "rows": asdict(fitted.rows),
        "adapter": None,
        "shifted": None,
        "strata": None,
    }
    arrays: Arrays = {
        **_scores_to_arrays(fitted.scores),
        "drift": np.stack([fitted.drift[name].steady for name in fitted.thresholds]),
        "drift_rate": np.stack([fitted.drift[name].rate for name in fitted.thresholds]),
    }
    for name, values in calibrator.to_arrays().items():
        arrays[f"calibrator/{name}"] = values
    for name in _CELLS:
        arrays[f"cells/{name}"] = getattr(fitted.error_cells, name)
    arrays |= _delays_to_arrays(delays)
    for field in fields(Thresholds):
        arrays[f"thresholds/{field.name}"] = np.stack(
            [getattr(rules, field.name) for rules in fitted.thresholds.values()]
        )
    if fitted.segments is not None:
        header["shifted"], parts = _segments_to_arrays(fitted.segments)
        arrays |= {f"shifts/{name}": values for name, values in parts.items()}
    if fitted.adapter is not None:
        header["adapter"], parts = adapter_to_arrays(fitted.adapter)
        arrays |= {f"adapter/{name}": values for name, values in parts.items()}
    if delays.strata is not None:
        header["strata"], parts = strata_to_arrays(delays.strata)
        arrays |= {f"strata/{name}": values for name, values in parts.items()}
    parts = _performance_to_arrays(performance, list(fitted.thresholds))
    return header, arrays | {f"performance/{name}": x for name, x in parts.items()}


def _delays_to_arrays(delays: ReferenceDelays) -> Arrays:
    arrays: Arrays = {"delays/bands": delays.bands, "delays/spread": delays.spread}
    for i, arrivals in enumerate(delays.arrivals.values()):
        seen = np.flatnonzero(arrivals.count)  # most cells are empty
        arrays[f"delays/{i}/cell"] = seen
        arrays[f"delays/{i}/count"] = arrivals.count.ravel()[seen]
    return arrays


def _performance_to_arrays(performance: Performance, segments: list[str]) -> Arrays:
    """Return a result's columns; segments as numbers, for NumPy's texts lose a NUL."""
    number = {segment: i for i, segment in enumerate(segments)}
    arrays: Arrays = {
        "segment": np.array(
            [number[segment] for segment in performance.segment.tolist()],
            dtype=np.int64,
        )
    }
    for field in fields(Performance):
        values = getattr(performance, field.name)
        if isinstance(values, np.ndarray) and field.name != "segment":
            numbers = values.dtype == object and isinstance(values.flat[0], int)
            kind = np.int64 if numbers else np.str_
            plain = values.astype(kind) if values.dtype == object else values
            arrays[field.name] = plain
    return arrays


def reference_from_arrays(
    header: Mapping[str, Any], arrays: Arrays, parameters: Parameters
) -> Reference:
    """Put together what `reference_to_arrays` took apart.

    Parameters
    ----------
    header : mapping
        What JSON holds.
    arrays : dict of ndarray by name
    parameters : mapping of str to object
        Arguments of the estimator that it was learned with.

    Raises
    ------
    KeyError, TypeError, ValueError
        If parts are missing or do not fit together.
    """
    segments = header["segments"]
    thresholds = under(arrays, "thresholds/")
    performance = under(arrays, "performance/")
    names = np.empty(len(segments), dtype=object)
    names[:] = segments
    performance["segment"] = names[performance["segment"]]
    # Files written before results had trust: the reference has all its labels.
    performance.setdefault("trust", np.full(performance["note"].shape, GOOD))
    for name in ("period", "chunk", "trust", "note"):
        performance[name] = performance[name].astype(object)
    metrics = resolve_metrics(parameters["metrics"], parameters["business_costs"])
    # Files written before drift grew with time have no rate.
    drift_rate = arrays.get("drift_rate", np.zeros_like(arrays["drift"]))
    reference_chunks = Performance(
        metrics=tuple(metric.name for metric in metrics),
        level=parameters["level"],
        timezone=header["timezone"],
        **performance,
    )
    reference = Reference(
        metrics=metrics,
        calibrator=_calibrator(header, arrays),
        calibrator_name=header["calibrator"],
        error_cells=ErrorCells(
            has_factor=header["has_factor"],
            segments=None,
            **{name: arrays[f"cells/{name}"] for name in _CELLS},
        ),
        segments=_segments_from_arrays(header["shifted"], under(arrays, "shifts/")),
        thresholds={
            segment: Thresholds(
                **{name: values[i] for name, values in thresholds.items()}
            )
            for i, segment in enumerate(segments)
        },
        drift={
            segment: Drift(steady=steady, rate=rate)
            for segment, steady, rate in zip(
                segments, arrays["drift"], drift_rate, strict=True
            )
        },
        period=_period_from_json(header.get("period"), reference_chunks),
        performance=reference_chunks,
        delays=ReferenceDelays(
            bands=arrays["delays/bands"],
            spread=arrays["delays/spread"],
            arrivals=_arrivals(header["delays"], arrays),
            **header.get("label_feed", {}),  # files from before have none
            strata=strata_from_arrays(header.get("strata"), under(arrays, "strata/")),
        ),
        rows=_row_print(header["rows"]),
        adapter=adapter_from_arrays(header["adapter"], under(arrays, "adapter/")),
        scores=_scores_from_arrays(segments, under(arrays, "scores/")),
    )
    check_reference(reference, parameters)
    return reference


def _scores_to_arrays(scores: ReferenceScores | None) -> Arrays:
    names = _SCORES if scores is not None else ()
    return {f"scores/{name}": getattr(scores, name) for name in names}


def _scores_from_arrays(
    segments: Sequence[str], arrays: Arrays
) -> ReferenceScores | None:
    """Return how scores are spread; None in files of before that was kept."""
    if not arrays:
        return None
    return ReferenceScores(
        segments=tuple(segments), **{name: arrays[name] for name in _SCORES}
    )


def _calibrator(header: Mapping[str, Any], arrays: Arrays) -> SavableCalibrator:
    """Return the map; files from before it had tails hold their slope elsewhere."""
    kind = CALIBRATORS[header["calibrator"]]
    calibrator = kind.from_arrays(under(arrays, "calibrator/"))
    slope = (header["adapter"] or {}).get("outer_slope")
    if slope is None or not isinstance(calibrator, SplineCalibrator):
        return calibrator
    if header["shifted"] is not None:  # then the slope is one by the shifted map
        return calibrator
    return calibrator.with_lines_beyond(arrays["cells/score_range"], float(slope))


def _period_from_json(
    saved: Mapping[str, Any] | None, chunks: Performance
) -> ReferencePeriod:
    """Return when the reference was; files from before have its chunks only."""
    if saved is not None:
        ends = None
        if saved["ends"] is not None:
            begin, end = (np.datetime64(text) for text in saved["ends"])
            ends = (begin, end)
        return ReferencePeriod(ends=ends, head_start=saved["head_start"])
    if chunks.start.dtype.kind != "M" or np.isnat(chunks.start).all():
        return ReferencePeriod()
    begin, end = np.nanmin(chunks.start), np.nanmax(chunks.end)
    return ReferencePeriod(ends=(begin, end)) if end > begin else ReferencePeriod()


def _row_print(saved: Mapping[str, Any]) -> RowPrint:
    rows = RowPrint(n_rows=saved["n_rows"], digest=saved["digest"])
    if not isinstance(rows.n_rows, int) or rows.n_rows < 1:
        msg = f"the reference has {rows.n_rows!r} rows"
        raise ValueError(msg)
    return rows


def _segments_to_arrays(
    segments: SegmentCalibration,
) -> tuple[list[_SavedColumn], Arrays]:
    header: list[_SavedColumn] = [
        {"column": name_to_json(column), "values": values}
        for column, values in segments.values.items()
    ]
    return header, {
        field.name: np.asarray(getattr(segments.shifts, field.name))
        for field in fields(SegmentShifts)
    }


def _segments_from_arrays(
    header: list[_SavedColumn] | None, arrays: Arrays
) -> SegmentCalibration | None:
    if header is None:
        return None
    numbers = ("centre", "scale", "bend_variance")
    others = {name: array for name, array in arrays.items() if name not in numbers}
    centre, scale, bend_variance = (float(arrays[name]) for name in numbers)
    return SegmentCalibration(
        values={
            name_from_json(saved["column"]): tuple(saved["values"]) for saved in header
        },
        shifts=SegmentShifts(
            centre=centre, scale=scale, bend_variance=bend_variance, **others
        ),
    )


def _arrivals(delays: list[_SavedColumn], arrays: Arrays) -> dict[Hashable, Arrivals]:
    arrivals: dict[Hashable, Arrivals] = {}
    for i, delay in enumerate(delays):
        values = tuple(delay["values"])
        if len(values) > MAX_VALUES + 1:  # and "(missing)"
            msg = f"a segment column has {len(values)} values"
            raise ValueError(msg)
        count = np.zeros((2, len(values), N_BANDS, N_AGES))
        count.ravel()[arrays[f"delays/{i}/cell"]] = arrays[f"delays/{i}/count"]
        column = name_from_json(delay["column"])
        if delay.get("learned", False):
            column = LEARNED
        arrivals[column] = Arrivals(values=values, count=count)
    return arrivals
