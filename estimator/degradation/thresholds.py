"""The line a metric must not cross, and the probability that it has."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from estimator.metrics import Metric

Floats = NDArray[np.float64]
ThresholdSpec = tuple[Any, ...]

DEFAULT_THRESHOLD: ThresholdSpec = ("standard_error", 3.0)
_EXAMPLES = '("constant", 0.7, None), ("standard_error", 3) or ("quantile", 0.05, 0.95)'


@dataclass(frozen=True, slots=True, kw_only=True)
class Threshold:
    """A rule for where the thresholds of one metric lie.

    Attributes
    ----------
    kind : str
        ``"constant"`` or ``"standard_error"``; quantiles of the reference are constants
        once the reference is known.
    low, high : float
        The constants, or the reference's mean twice; NaN where there is no threshold.
    standard_error : float
        Reference standard error of a single row: a chunk of n rows has this over √n.
    k : float
        How many standard errors from the mean.
    """

    kind: str
    low: float
    high: float
    standard_error: float = 0.0
    k: float = 0.0

    def at(self, n_rows: NDArray[np.int64], metric: Metric) -> tuple[Floats, Floats]:
        """Return the lower and upper threshold of chunks of ``n_rows`` rows.

        A threshold that lies outside the metric's bounds cannot be crossed: NaN.
        """
        n = np.where(n_rows > 0, n_rows, np.nan)
        scale = n if metric.extensive and self.kind != "constant" else np.ones_like(n)
        half = self.k * self.standard_error / np.sqrt(n)
        low, high = (self.low - half) * scale, (self.high + half) * scale
        return (
            np.where(low >= metric.bounds[0], low, np.nan),
            np.where(high <= metric.bounds[1], high, np.nan),
        )


def check_thresholds(
    thresholds: Mapping[str, ThresholdSpec] | None, metrics: tuple[Metric, ...]
) -> dict[str, ThresholdSpec]:
    """Return a valid specification per metric, the default where none is given.

    Raises
    ------
    ValueError
        If a metric is not estimated, or a specification is not of a known form.
    """
    names = [metric.name for metric in metrics]
    specs: dict[str, ThresholdSpec] = dict.fromkeys(names, DEFAULT_THRESHOLD)
    for name, spec in (thresholds or {}).items():
        if name not in specs:
            msg = (
                f"`thresholds` has an entry for {name!r}, which is not among the "
                f"metrics {names}. Add it to `metrics`, or drop the threshold."
            )
            raise ValueError(msg)
        try:
            kind, *numbers = spec
            values = [np.nan if x is None else float(x) for x in numbers]
        except (TypeError, ValueError) as error:
            msg = f"`thresholds[{name!r}]` must be like {_EXAMPLES}; got {spec!r}."
            raise ValueError(msg) from error
        if (
            (kind == "standard_error" and len(values) == 1 and values[0] > 0)
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


def fit_threshold(
    spec: ThresholdSpec,
    metric: Metric,
    value: Floats,
    standard_error: Floats,
    n_rows: Floats,
) -> Threshold:
    """Turn a specification into a rule, from the reference chunks' realized values.

    The mean is weighted by rows. A chunk's standard error times √n is that of one row;
    its root mean square over the reference serves chunks of any size.
    """
    kind, *numbers = spec
    if kind == "constant":
        return Threshold(kind="constant", low=numbers[0], high=numbers[1])
    known = np.isfinite(value) & np.isfinite(standard_error) & (n_rows > 0)
    if not known.any():
        return Threshold(kind="standard_error", low=np.nan, high=np.nan)
    n = n_rows[known]
    per_row = n if metric.extensive else np.ones_like(n)
    value, standard_error = value[known] / per_row, standard_error[known] / per_row
    if kind == "quantile":
        low, high = (
            np.nan if np.isnan(q) else float(np.quantile(value, q)) for q in numbers
        )
        return Threshold(kind="quantile", low=low, high=high)
    mean = float(np.average(value, weights=n))
    row_variance = float(np.average(standard_error**2 * n, weights=n))
    return Threshold(
        kind="standard_error",
        low=mean,
        high=mean,
        standard_error=row_variance**0.5,
        k=numbers[0],
    )


def breach_probability(
    metric: Metric, value: Floats, variance: Floats, low: Floats, high: Floats
) -> Floats:
    """Return the probability that the population value lies beyond the threshold.

    Beyond means below ``low`` where higher is better, above ``high`` where lower is;
    NaN for a metric without a good direction, and where there is no threshold.
    """
    if metric.higher_is_better is None:
        return np.full_like(value, np.nan)
    beyond = low - value if metric.higher_is_better else value - high
    deviation = np.sqrt(variance)
    certain = np.where(np.isnan(beyond), np.nan, (beyond > 0) * 1.0)
    spread = np.where(deviation > 0, deviation, 1.0)
    return np.where(deviation > 0, ndtr(beyond / spread), certain)
