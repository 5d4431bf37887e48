"""What was read of a reference fits together: kernels trust shapes and numbers."""

from collections.abc import Hashable, Sequence
from dataclasses import fields

import numpy as np

from estimator.delayed_labels.strata.delay_cells import N_AGES, N_BANDS
from estimator.estimation.parameters import Parameters
from estimator.estimation.reference import Reference
from estimator.files.archive import check_array
from estimator.frames.column_names import column_names
from estimator.frames.datetimes import wall_clock
from estimator.label_free.segment_calibration import SegmentCalibration
from estimator.label_free.shift_adaptive import ShiftAdapter
from estimator.metrics.error_cells import ErrorCells
from estimator.results.performance import Performance
from estimator.results.score_spread import ReferenceScores
from estimator.results.tables import METRIC_COLUMNS
from estimator.results.unseen_drift import ReferencePeriod

# The letters of NumPy's types, of what is no float.
_KIND_OF = {
    **dict.fromkeys(("segment", "period", "chunk", "trust", "note"), "O"),
    **dict.fromkeys(("n_rows", "n_labels"), "i"),
    "alert": "b",
}
# Squares of what was learned are still numbers.
_LARGEST = 1e100
_BY_METRIC = {
    field.name for field in fields(Performance) if field.name in METRIC_COLUMNS
}


def check_reference(reference: Reference, parameters: Parameters) -> None:
    """Refuse parts that do not fit together: kernels trust their shapes.

    Parameters
    ----------
    reference : Reference
    parameters : mapping of str to object
        Arguments of the estimator that it was learned with.

    Raises
    ------
    ValueError
        If an array has another type or shape than the others ask for.
    """
    performance = reference.performance
    segments = list(reference.thresholds)
    columns = column_names(parameters["segments"])
    prefixes = tuple(f"{column}=" for column in columns)
    if segments[0] or not all(name.startswith(prefixes) for name in segments[1:]):
        msg = f"the segments {segments[:10]} are not of the columns {columns}"
        raise ValueError(msg)
    _check_performance(performance, has_timestamp=parameters["timestamp"] is not None)
    _check_period(reference.period)
    k = len(reference.metrics)
    for segment, rules in reference.thresholds.items():
        for name in ("low", "high", "margin"):
            check_array(getattr(rules, name), name, "f", (k,))
        check_array(rules.per_row, "per_row", "b", (k,))
        check_array(rules.bounds, "bounds", "f", (k, 2))
        drift = reference.drift[segment]
        for name, values in (("drift", drift.steady), ("drift_rate", drift.rate)):
            check_array(values, name, "f", (k,))
            _check_finite(values, name, least=0.0)
    _check_cells(reference.error_cells)
    if reference.scores is not None:
        _check_scores(reference.scores, reference.error_cells)
    check_array(reference.delays.bands, "bands", "f", (N_BANDS - 1,))
    check_array(reference.delays.spread, "spread", "f", (N_AGES, 2, 2))
    _check_finite(reference.delays.spread, "spread")
    for arrivals in reference.delays.arrivals.values():
        _check_finite(arrivals.count, "count", least=0.0)
    if reference.segments is not None:
        _check_segments(reference.segments, columns)
    probabilities = reference.calibrator.predict(np.linspace(0.0, 1.0, 11))
    if not ((probabilities >= 0.0) & (probabilities <= 1.0)).all():
        msg = "the calibration map leaves [0, 1]"
        raise ValueError(msg)
    if reference.adapter is not None:
        _check_adapter(reference.adapter)


def _check_period(period: ReferencePeriod) -> None:
    if period.ends is not None and not period.ends[1] > period.ends[0]:
        msg = f"the reference's period is from {period.ends[0]} to {period.ends[1]}"
        raise ValueError(msg)
    if not 0.0 <= period.head_start <= 1.0:
        msg = f"the head start must be in [0, 1], got {period.head_start!r}"
        raise ValueError(msg)


def _check_performance(performance: Performance, *, has_timestamp: bool) -> None:
    n, k = len(performance), len(performance.metrics)
    for field in fields(Performance):
        values = getattr(performance, field.name)
        if not isinstance(values, np.ndarray):
            continue
        shape = (n, k) if values.ndim == 2 or field.name in _BY_METRIC else (n,)
        kind = _KIND_OF.get(field.name, "f")
        if field.name in ("start", "end"):
            kind = "i" if not has_timestamp else "M"
        check_array(values, field.name, kind, shape)
    if performance.timezone is not None:
        wall_clock(np.array(["2026-01-01"], dtype="M8[s]"), performance.timezone)


def _check_cells(cells: ErrorCells) -> None:
    n_cells = cells.edges.size + 1
    check_array(cells.edges, "edges", "f", (-1,))
    for name in ("log_odds", "information", "variance"):
        check_array(getattr(cells, name), name, "f", (n_cells,))
    check_array(cells.factor, "factor", "f", (-1, n_cells))
    check_array(cells.score_range, "score_range", "f", (2,))
    for name in ("edges", "log_odds", "factor", "score_range"):
        _check_finite(getattr(cells, name), name)
    for name in ("information", "variance"):
        _check_finite(getattr(cells, name), name, least=0.0)


def _check_scores(scores: ReferenceScores, cells: ErrorCells) -> None:
    n_segments, n_cells = len(scores.segments), cells.edges.size + 1
    check_array(scores.bin_of_cell, "bin_of_cell", "i", (n_cells,))
    steps = np.diff(scores.bin_of_cell, prepend=0)
    if not ((steps == 0) | (steps == 1)).all():
        msg = "array 'bin_of_cell' must rise from 0 in steps of at most 1"
        raise ValueError(msg)
    n_bins = int(scores.bin_of_cell[-1]) + 1
    check_array(scores.rows, "rows", "f", (n_segments, n_bins))
    check_array(scores.farthest, "farthest", "f", (n_segments,))
    for name in ("rows", "farthest"):
        _check_finite(getattr(scores, name), name, least=0.0)


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


def _check_adapter(adapter: ShiftAdapter) -> None:
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


def _check_finite(array: np.ndarray, name: str, least: float = -np.inf) -> None:
    if not ((np.abs(array) <= _LARGEST) & (array >= least)).all():
        msg = f"array {name!r} must be finite, and not below {least}"
        raise ValueError(msg)
