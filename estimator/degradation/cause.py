"""Why performance declines: other cases, other behaviour, or both."""

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from estimator.degradation.verdict import Cause, Degradation

Floats = NDArray[np.float64]

_PART = 0.2  # of the change, from which a cause counts
_CERTAIN = 2.0  # standard errors


def with_cause(
    verdict: Degradation, attribution: pd.DataFrame, shared_error: float
) -> Degradation:
    """Return the verdict with the cause that labels show, ``unknown`` if they do not.

    The change from the reference to the estimate is covariate shift, seen without
    labels; what the arrived labels add to the estimate of just their rows is concept
    drift. A cause is named if it makes up at least a fifth of the change and lies two
    standard errors from none. Covariate shift alone is named only once the labels
    exclude that half of the change is concept drift.

    Parameters
    ----------
    verdict : Degradation
        Its chunks are labelled as those of the attribution.
    attribution : DataFrame
        As `Monitor.attribution` gives it, one metric of one segment.
    shared_error : float
        Standard deviation of the estimates' common error.
    """
    cause = _cause(verdict, attribution, shared_error)
    return replace(verdict, cause=cause)


def _cause(verdict: Degradation, attribution: pd.DataFrame, shared: float) -> Cause:
    analysis = slice(verdict.n_reference, None)
    affected = set(verdict.chunks[analysis][verdict.affected[analysis]].tolist())
    rows = attribution[attribution["chunk"].isin(affected)]
    sign = -1.0 if verdict.higher_is_better else 1.0  # the worse the larger
    error = rows["residual_standard_error"].to_numpy(np.float64)
    labeled = np.isfinite(error) & (error > 0.0)
    if verdict.kind == "stable" or not labeled.any():
        return "unknown"
    weight = error[labeled] ** -2.0
    weight /= weight.sum()
    concept = sign * float(weight @ rows["residual"].to_numpy(np.float64)[labeled])
    # The calibration's error is in every chunk's: it does not average out (method.md,
    # equation 61).
    noise = float(np.sqrt(np.sum((weight * error[labeled]) ** 2) + shared**2))
    estimated = sign * rows["covariate_shift"].to_numpy(np.float64)
    covariate = float(weight @ estimated[labeled])
    scatter = _standard_error(estimated[labeled], weight)
    total = max(concept, 0.0) + max(covariate, 0.0)
    is_concept = concept > max(_PART * total, _CERTAIN * noise)
    is_covariate = covariate > max(_PART * total, _CERTAIN * np.hypot(scatter, shared))
    if is_concept:
        return "both" if is_covariate else "concept_drift"
    if is_covariate and concept + _CERTAIN * noise < 0.5 * total:
        return "covariate_shift"
    return "unknown"


def _standard_error(values: Floats, weight: Floats) -> float:
    """Return that of a weighted mean, from the scatter of its values."""
    if values.size < 2:
        return float(np.abs(values).max())
    mean = weight @ values
    spread: Any = weight**2 @ (values - mean) ** 2 * values.size / (values.size - 1)
    return float(np.sqrt(spread))
