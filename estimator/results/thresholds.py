"""The line a metric must not cross, and the probability that it has."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from calibration._validation import nearest_name
from estimator.metrics.metric_names import METRIC_SYNONYMS
from estimator.metrics.registry import Metric

Floats = NDArray[np.float64]
ThresholdSpec = tuple[Any, ...]

DEFAULT_THRESHOLD: ThresholdSpec = ("standard_error", 3.0)
_MOST_ERRORS = 1e100  # their product with a standard error is still a number
_EXAMPLES = '("constant", 0.7, None), ("standard_error", 3) or ("quantile", 0.05, 0.95)'


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Thresholds:
    """Where the thresholds of each metric lie, for chunks of any size.

    Attributes
    ----------
    low, high : ndarray of shape (n_metrics,)
        Constants, quantiles or the reference's mean; NaN where there is none.
    margin : ndarray of shape (n_metrics,)
        How far beyond them, for a chunk of one row: k standard errors. A chunk of n
        rows has this over √n.
    per_row : ndarray of bool of shape (n_metrics,)
        Whether all this is to be taken times n: for sums over rows.
    bounds : ndarray of shape (n_metrics, 2)
        Of the metrics; what lies outside cannot be crossed and is no threshold.
    """

    low: Floats
    high: Floats
    margin: Floats
    per_row: NDArray[np.bool_]
    bounds: Floats

    def at(self, n_rows: NDArray[np.int64]) -> tuple[Floats, Floats]:
        """Return lower and upper thresholds, each (n_chunks, n_metrics)."""
        n = np.where(n_rows > 0, n_rows, np.nan)[:, None]
        scale = np.where(self.per_row, n, 1.0)
        half = self.margin / np.sqrt(n)
        low, high = (self.low - half) * scale, (self.high + half) * scale
        return (
            np.where(low >= self.bounds[:, 0], low, np.nan),
            np.where(high <= self.bounds[:, 1], high, np.nan),
        )


def no_thresholds(metrics: tuple[Metric, ...]) -> Thresholds:
    """Return what stands for a segment the reference does not have."""
    nowhere = np.full(len(metrics), np.nan)
    return Thresholds(
        low=nowhere,
        high=nowhere,
        margin=nowhere,
        per_row=np.zeros(len(metrics), dtype=np.bool_),
        bounds=np.array([metric.bounds for metric in metrics]),
    )


def check_thresholds(
    thresholds: Mapping[str, ThresholdSpec] | None, metrics: tuple[Metric, ...]
) -> dict[str, ThresholdSpec]:
    """Return a valid specification per metric, the default where none is given.

    Raises
    ------
    TypeError
        If ``thresholds`` is not a mapping.
    ValueError
        If a metric is not estimated, or a specification is not of a known form.
    """
    if thresholds is not None and not isinstance(thresholds, Mapping):
        msg = (
            f"`thresholds` must be a mapping of metric to {_EXAMPLES}; got "
            f"{thresholds!r}."
        )
        raise TypeError(msg)
    names = [metric.name for metric in metrics]
    specs: dict[str, ThresholdSpec] = dict.fromkeys(names, DEFAULT_THRESHOLD)
    for name, spec in (thresholds or {}).items():
        if name not in specs:
            msg = (
                f"`thresholds` has an entry for {name!r}, which is not among the "
                f"metrics {names}.{nearest_name(name, names, METRIC_SYNONYMS)} Add it "
                "to `metrics`, or drop the threshold."
            )
            raise ValueError(msg)
        try:
            kind, *numbers = spec
            values = [np.nan if x is None else float(x) for x in numbers]
        except (TypeError, ValueError) as error:
            msg = f"`thresholds[{name!r}]` must be like {_EXAMPLES}; got {spec!r}."
            raise ValueError(msg) from error
        if (
            (
                kind == "standard_error"
                and len(values) == 1
                and 0 < values[0] < _MOST_ERRORS
            )
            or (kind == "constant" and len(values) == 2 and not values[0] > values[1])
            or (
                kind == "quantile"
                and len(values) == 2
                and all(np.isnan(v) or 0 <= v <= 1 for v in values)
                and not values[0] > values[1]
            )
        ):
            specs[name] = (kind, *values)
            continue
        msg = (
            f"`thresholds[{name!r}]` must be like {_EXAMPLES}, low before high; "
            f"got {spec!r}."
        )
        raise ValueError(msg)
    return specs


def fit_thresholds(
    specs: Mapping[str, ThresholdSpec],
    metrics: tuple[Metric, ...],
    value: Floats,
    standard_error: Floats,
    n_rows: NDArray[np.int64],
) -> Thresholds:
    """Turn specifications into rules, from the reference chunks' realized values.

    The mean is weighted by rows. A chunk's standard error times √n is that of one row;
    its root mean square over the reference serves chunks of any size.

    Parameters
    ----------
    specs : mapping of str to tuple
        By metric, as ``check_thresholds`` returns them.
    value, standard_error : ndarray of shape (n_chunks, n_metrics)
    n_rows : ndarray of shape (n_chunks,)
    """
    out = no_thresholds(metrics)
    low, high, margin = out.low.copy(), out.high.copy(), np.zeros(len(metrics))
    per_row: list[bool] = []
    for k, metric in enumerate(metrics):
        kind, *numbers = specs[metric.name]
        per_row.append(metric.extensive and kind != "constant")
        if kind == "constant":
            low[k], high[k] = numbers
            continue
        defined = np.isfinite(value[:, k]) & np.isfinite(standard_error[:, k])
        defined &= n_rows > 0
        if not defined.any():
            continue
        n = n_rows[defined].astype(np.float64)
        scale = n if metric.extensive else np.ones_like(n)
        values, errors = value[defined, k] / scale, standard_error[defined, k] / scale
        if kind == "quantile":
            low[k], high[k] = (
                np.nan if np.isnan(q) else np.quantile(values, q) for q in numbers
            )
        else:
            low[k] = high[k] = np.average(values, weights=n)
            margin[k] = numbers[0] * np.sqrt(np.average(errors**2 * n, weights=n))
    return Thresholds(
        low=low,
        high=high,
        margin=margin,
        per_row=np.array(per_row, dtype=np.bool_),
        bounds=out.bounds,
    )


def breach_probability(
    metrics: tuple[Metric, ...],
    value: Floats,
    variance: Floats,
    low: Floats,
    high: Floats,
) -> Floats:
    """Return the probability that the population value lies beyond the threshold.

    Beyond means below ``low`` where higher is better, above ``high`` where lower is;
    NaN for a metric without a good direction, and where there is no threshold.

    Parameters
    ----------
    value, variance, low, high : ndarray of shape (n_chunks, n_metrics)
    """
    higher = np.array([metric.higher_is_better is True for metric in metrics])
    directed = np.array([metric.higher_is_better is not None for metric in metrics])
    beyond = np.where(higher, low - value, value - high)
    deviation = np.sqrt(variance)
    certain = np.where(np.isnan(beyond), np.nan, (beyond > 0) * 1.0)
    spread = np.where(deviation > 0, deviation, 1.0)
    probability = np.where(deviation > 0, ndtr(beyond / spread), certain)
    return np.where(directed, probability, np.nan)
