"""From the arrays of a result to one series per metric and segment."""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import fields

import numpy as np
import pandas as pd

from estimator.metric_series import MetricSeries, has_all_labels

_COLUMNS = {field.name for field in fields(MetricSeries)} - {"segment"}


def cut_series(
    arrays: Mapping[str, np.ndarray],
    all_metrics: tuple[str, ...],
    metrics: Sequence[str],
    segments: Sequence[str],
    *,
    level: float,
    timezone: str | None,
) -> dict[str, dict[str, MetricSeries]]:
    """Return one series per segment and metric.

    Parameters
    ----------
    arrays : mapping of str to ndarray
        Columns of a `Performance`, by name.
    all_metrics : tuple of str
        Names of the columns of two-dimensional arrays.
    metrics, segments : sequence of str
        Those to return, which exist.
    level : float
        Coverage that the intervals claim, in (0, 1).
    timezone : str or None
        Time zone in which to show times.

    Returns
    -------
    dict of str to dict of str to MetricSeries
        By segment, then by metric.
    """
    n_rows, n_labels, value = arrays["n_rows"], arrays["n_labels"], arrays["value"]
    labels_came = (arrays["period"] == "analysis") & (n_labels > 0)
    moved = (value != arrays["estimated"]) & np.isfinite(value)
    partly = (n_labels > 0) & ~has_all_labels(n_rows, n_labels)
    reconciled = bool(moved[labels_came].any())
    partly_labeled = bool(partly.any())
    column_of = {metric: all_metrics.index(metric) for metric in metrics}
    if len(segments) == 1:
        rows_of: Mapping[Hashable, np.ndarray] = {
            segments[0]: np.flatnonzero(arrays["segment"] == segments[0])
        }
    else:  # of many, all in one pass
        groups = pd.Series(arrays["segment"]).groupby(arrays["segment"])
        rows_of = {name: np.asarray(rows) for name, rows in groups.indices.items()}
    series: dict[str, dict[str, MetricSeries]] = {}
    for segment in segments:
        rows = rows_of[segment]
        in_reference = arrays["period"][rows] == "reference"
        rows = np.concatenate([rows[in_reference], rows[~in_reference]])
        cut = {name: arrays[name][rows] for name in _COLUMNS & arrays.keys()}
        series[segment] = {
            metric: MetricSeries(
                metric=metric,
                segment=segment,
                level=level,
                timezone=timezone,
                n_reference=int(in_reference.sum()),
                reconciled=reconciled,
                partly_labeled=partly_labeled,
                **{
                    name: column if column.ndim == 1 else column[:, k]
                    for name, column in cut.items()
                },
            )
            for metric, k in column_of.items()
        }
    return series
