"""Verdicts on the metrics of a `Performance`."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from calibration._validation import nearest_name
from estimator._datetimes import wall_clock
from estimator.degradation.cause import with_cause
from estimator.degradation.verdict import (
    Degradation,
    classify_degradation,
    label_chunks,
)
from estimator.metrics import BUSINESS_VALUE, METRIC_SYNONYMS, METRICS
from estimator.results import Performance

Floats = NDArray[np.float64]


def judge_performance(
    performance: Performance,
    metrics: str | Sequence[str] | None = None,
    *,
    segment: str = "",
    since: str | int | None = None,
    attribution: pd.DataFrame | None = None,
) -> dict[str, Degradation]:
    """Return the verdict on each metric that has a good direction and a value.

    Totals such as business value are judged per row: more rows are no improvement.

    Parameters
    ----------
    performance : Performance
        Reference and analysis.
    metrics : str or sequence of str, default=all
    segment : str, default=""
        As in the column of that name; "" is all rows.
    since : str or int, optional
        First analysis chunk to count.
    attribution : DataFrame, optional
        As `Monitor.attribution` gives it: then the verdict names a cause.

    Returns
    -------
    dict of str to Degradation
        By metric. Counts have no good direction and are left out, like metrics that no
        chunk has a value of.

    Raises
    ------
    ValueError
        If a metric or the segment is not in the result.
    """
    names = check_names(performance, metrics, segment)
    of = performance.segment == segment
    reference = performance.period == "reference"
    if since is not None:
        later = [
            r or label >= since
            for r, label in zip(reference, performance.chunk, strict=True)
        ]
        of = of & np.array(later)
    rows = np.flatnonzero(of)
    n_reference = int(reference[rows].sum())
    times = _times(performance, rows)
    found = {}
    for name in names:
        k = performance.metrics.index(name)
        registered = METRICS.get(name)
        higher = True if registered is None else registered.higher_is_better
        if higher is None:
            continue
        scale = np.ones(rows.size)
        if name == BUSINESS_VALUE:
            scale = np.maximum(performance.n_rows[rows], 1).astype(np.float64)
        value = performance.value[rows, k] / scale
        error = performance.standard_error[rows, k] / scale
        shared = _typical(
            performance.calibration_error[rows, k][n_reference:] / scale[n_reference:]
        )
        usable = np.isfinite(value) & np.isfinite(error)
        if not usable.any():
            continue
        verdict = classify_degradation(
            value,
            error,
            n_reference=n_reference,
            times=times,
            higher_is_better=higher,
            shared_error=shared,
        )
        verdict = label_chunks(verdict, performance.chunk[rows].tolist())
        verdict = replace(
            verdict, metric=name if scale.max() == 1.0 else f"{name} per row"
        )
        if attribution is not None:
            own = attribution[
                (attribution["segment"] == segment) & (attribution["metric"] == name)
            ]
            if name == BUSINESS_VALUE:
                own = _per_row(own)
            verdict = with_cause(verdict, own, shared)
        found[name] = verdict
    return found


def check_names(
    performance: Performance, metrics: str | Sequence[str] | None, segment: str
) -> tuple[str, ...]:
    """Return the metrics asked for, all by default, if they and the segment exist."""
    if metrics is None:
        names = performance.metrics
    else:
        names = (metrics,) if isinstance(metrics, str) else tuple(metrics)
    for name in names:
        if name not in performance.metrics:
            msg = (
                f"`metrics` must be among {', '.join(performance.metrics)}; got "
                f"{name!r}.{nearest_name(name, performance.metrics, METRIC_SYNONYMS)}"
            )
            raise ValueError(msg)
    if segment not in performance.segments:
        msg = (
            f"`segment` must be one of {list(performance.segments)[:10]}, got "
            f"{segment!r}.{nearest_name(segment, performance.segments)}"
        )
        raise ValueError(msg)
    return names


def _times(performance: Performance, rows: NDArray[np.int64]) -> Any:
    """Return when the chunks are: their labels, else their middles, None if unknown.

    None, too, where chunks overlap in time: then their order is all there is.
    """
    if performance.start.dtype.kind != "M":
        return None
    start = performance.start[rows]
    label = performance.chunk[rows]
    # A batch may have other chunks than the reference: counted rows beside weeks.
    if all(isinstance(name, str) for name in label.tolist()):
        times = pd.to_datetime(label.tolist(), format="ISO8601", utc=True)
        times = pd.DatetimeIndex(times).tz_localize(None)
        shared = np.flatnonzero(label[1:] == label[:-1]) + 1
        if shared.size:
            # The reference ends and production begins within one period: its second
            # part is as late as its first row, on the clock of the label.
            dated = "+" not in label[0] and "-" not in label[0][10:]
            zone = performance.timezone if dated else None
            values = times.to_numpy().astype("M8[us]")
            values[shared] = wall_clock(start[shared], zone)
            times = pd.DatetimeIndex(values)
    else:
        times = pd.DatetimeIndex(start + (performance.end[rows] - start) / 2)
    ordered = times.notna().all() and times.is_monotonic_increasing
    return times if ordered and times.is_unique else None


def _per_row(attribution: pd.DataFrame) -> pd.DataFrame:
    """Return the attribution of a total as one of means over rows."""
    labeled = attribution["n_labels"].where(attribution["n_labels"] > 0)
    return attribution.assign(
        covariate_shift=attribution["covariate_shift"] / attribution["n_rows"],
        residual=attribution["residual"] / labeled,
        residual_standard_error=attribution["residual_standard_error"] / labeled,
    )


def _typical(errors: Floats) -> float:
    known = errors[np.isfinite(errors)]
    return float(np.median(known)) if known.size else 0.0
