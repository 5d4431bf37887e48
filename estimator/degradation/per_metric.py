"""Verdicts on the metrics of one segment."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from estimator.degradation.cause import with_cause
from estimator.degradation.classification import classify_degradation
from estimator.degradation.verdict import Degradation, label_chunks
from estimator.frames.datetimes import wall_clock
from estimator.metric_series import MetricSeries
from estimator.metrics.registry import BUSINESS_VALUE, METRICS

Floats = NDArray[np.float64]
# Least time between the two parts of a chunk that reference and analysis share.
_SHORTEST: Final = np.timedelta64(1, "us")


def judge_series(
    series: Mapping[str, MetricSeries],
    *,
    since: str | int | None = None,
    attribution: pd.DataFrame | None = None,
) -> dict[str, Degradation]:
    """Return the verdict on each metric that has a good direction and a value.

    Totals such as business value are judged per row: more rows are no improvement.

    Parameters
    ----------
    series : mapping of str to MetricSeries
        Reference and analysis of one segment, by metric.
    since : str or int, optional
        Label of the first analysis chunk to count.
    attribution : DataFrame, optional
        Attribution of the estimates, as `Monitor.attribution` gives it: then the
        verdict names a cause.

    Returns
    -------
    dict of str to Degradation
        Verdict on each metric. Counts have no good direction and are left out, like
        metrics that no chunk has a value of.
    """
    verdicts: dict[str, Degradation] = {}
    for name, metric_series in series.items():
        registered = METRICS.get(name)
        higher_is_better = True if registered is None else registered.higher_is_better
        if higher_is_better is None:
            continue
        verdict = _judge(
            metric_series.since(since), attribution, higher_is_better=higher_is_better
        )
        if verdict is not None:
            verdicts[name] = verdict
    return verdicts


def _judge(
    series: MetricSeries, attribution: pd.DataFrame | None, *, higher_is_better: bool
) -> Degradation | None:
    """Return the verdict on one metric, None if no chunk has a value."""
    is_total = series.metric == BUSINESS_VALUE
    scale = np.maximum(series.n_rows, 1) if is_total else np.ones(len(series))
    values, standard_errors = series.value / scale, series.standard_error / scale
    calibration_errors = (series.calibration_error / scale)[series.n_reference :]
    shared_error = _finite_median(calibration_errors)
    if not (np.isfinite(values) & np.isfinite(standard_errors)).any():
        return None
    verdict = classify_degradation(
        values,
        standard_errors,
        n_reference=series.n_reference,
        times=_times(series),
        higher_is_better=higher_is_better,
        shared_error=shared_error,
    )
    per_row = bool(scale.max() != 1.0)
    verdict = replace(
        label_chunks(verdict, series.chunk.tolist()),
        metric=f"{series.metric} per row" if per_row else series.metric,
        per_row=per_row,
    )
    if attribution is None:
        return verdict
    is_series = attribution["segment"] == series.segment
    is_series &= attribution["metric"] == series.metric
    attributed = attribution[is_series]
    if is_total:
        attributed = _per_row(attributed)
    return with_cause(verdict, attributed)


def _times(series: MetricSeries) -> pd.DatetimeIndex | None:
    """Return when the chunks are: their labels, else their middles, None if unknown.

    None, too, where chunks of one period overlap in time: then their order is all there
    is.
    """
    if series.start.dtype.kind != "M":
        return None
    start, label = series.start, series.chunk
    # A batch may have other chunks than the reference: counted rows beside weeks.
    if all(isinstance(name, str) for name in label.tolist()):
        times = pd.to_datetime(label.tolist(), format="ISO8601", utc=True)
        times = pd.DatetimeIndex(times).tz_localize(None)
        repeated = np.flatnonzero(label[1:] == label[:-1]) + 1
        if repeated.size:
            # The reference ends and production begins within one period: its second
            # part is as late as its first row, on the clock of the label. Rows that
            # have dates alone may come at the very start of the period.
            has_offset = "+" in label[0] or "-" in label[0][10:]
            zone = None if has_offset else series.timezone
            values = times.to_numpy().astype("M8[us]")
            first_row = wall_clock(start[repeated], zone).astype("M8[us]")
            values[repeated] = np.maximum(first_row, values[repeated] + _SHORTEST)
            times = pd.DatetimeIndex(values)
    else:
        times = pd.DatetimeIndex(start + (series.end - start) / 2)
    if times.isna().any():
        return None
    times = _reference_first(times, series.n_reference)
    return times if times.is_monotonic_increasing and times.is_unique else None


def _reference_first(times: pd.DatetimeIndex, n_reference: int) -> pd.DatetimeIndex:
    """Return times of which the reference's are before the analysis.

    A reference that reaches into the analysis is moved back until its last chunk is a
    usual spacing before the first of the analysis: how its chunks follow one another
    is all that is asked of it, and the analysis keeps its dates.
    """
    reference, analysis = times[:n_reference], times[n_reference:]
    if not len(reference) or not len(analysis) or reference[-1] < analysis[0]:
        return times
    longer = analysis if len(analysis) > 1 else reference
    spacing = longer.to_series().diff().dropna().median() if len(longer) > 1 else pd.NaT
    if pd.isna(spacing):
        return times
    earlier = reference - (reference[-1] - analysis[0] + spacing)
    return pd.DatetimeIndex(earlier.append(analysis))


def _per_row(attribution: pd.DataFrame) -> pd.DataFrame:
    """Return the attribution of a total as one of means over rows."""
    labeled = attribution["n_labels"].where(attribution["n_labels"] > 0)
    of_labels = ("residual", "residual_standard_error", "residual_shared_error")
    return attribution.assign(
        covariate_shift=attribution["covariate_shift"] / attribution["n_rows"],
        **{name: attribution[name] / labeled for name in of_labels},
    )


def _finite_median(errors: Floats) -> float:
    """Return the median of the errors that are not NaN, 0 if all are."""
    finite = errors[np.isfinite(errors)]
    return float(np.median(finite)) if finite.size else 0.0
