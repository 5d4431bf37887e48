"""Why performance declines: other cases, other behaviour, or both."""

from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from estimator.degradation.verdict import Cause, Degradation

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class CauseSettings:
    """When a cause is named; judgements, all three.

    Attributes
    ----------
    smallest_part : float
        Share of the change from which on a cause counts. With less, each change of any
        size has both causes; with more, a lesser one is left out.
    certain : float
        Standard errors from none that a cause must lie: two are 95 %. With more, a
        cause is named later, when more labels have come.
    hidden_part : float
        Share of the change that concept drift must be shown to be below, before
        covariate shift alone is named: labels that show nothing yet exclude nothing.
    """

    smallest_part: float = 0.2
    certain: float = 2.0
    hidden_part: float = 0.5


SETTINGS: Final = CauseSettings()


def with_cause(verdict: Degradation, attribution: pd.DataFrame) -> Degradation:
    """Return the verdict with the cause that labels show, ``unknown`` if they do not.

    The change from the reference to the estimate is covariate shift, seen without
    labels; what the arrived labels add to the estimate of just their rows is concept
    drift. A cause is named if it makes up at least a fifth of the change and lies two
    standard errors from none. Covariate shift alone is named only once the labels
    exclude that half of the change is concept drift.

    Parameters
    ----------
    verdict : Degradation
        Verdict whose chunks are labelled as those of the attribution.
    attribution : DataFrame
        Attribution of one metric of one segment, a row per chunk, as
        `Monitor.attribution` gives it.

    Returns
    -------
    Degradation
        The same verdict, with a cause.
    """
    return replace(verdict, cause=_cause(verdict, attribution))


def _cause(verdict: Degradation, attribution: pd.DataFrame) -> Cause:
    analysis = slice(verdict.n_reference, None)
    affected = set(verdict.chunks[analysis][verdict.affected[analysis]].tolist())
    rows = attribution[attribution["chunk"].isin(affected)]
    sign = -1.0 if verdict.higher_is_better else 1.0  # the worse the larger
    sensitivity = rows["residual_sensitivity"].to_numpy(np.float64)
    # What labels that can hardly be otherwise show of a drift is little, with as little
    # noise (method.md, equation 64).
    with np.errstate(divide="ignore", invalid="ignore"):
        drift = sign * rows["residual"].to_numpy(np.float64) / sensitivity
        error = rows["residual_standard_error"].to_numpy(np.float64) / sensitivity
        shared = rows["residual_shared_error"].to_numpy(np.float64) / sensitivity
    labeled = np.isfinite(drift) & np.isfinite(error) & (error > 0.0)
    if verdict.kind == "stable" or not labeled.any():
        return "unknown"
    drift, error, shared = drift[labeled], error[labeled], shared[labeled]
    weight = error**-2.0
    weight /= weight.sum()
    concept = float(weight @ drift)
    # The calibration's error is in every chunk's: it does not average out.
    common = float(weight @ shared)
    chance = float(weight**2 @ np.maximum(error**2 - shared**2, 0.0))
    noise = float(np.sqrt(chance + common**2))
    estimated = sign * rows["covariate_shift"].to_numpy(np.float64)
    covariate = float(weight @ estimated[labeled])
    scatter = _standard_error(estimated[labeled], weight)
    total = max(concept, 0.0) + max(covariate, 0.0)
    part, certain = SETTINGS.smallest_part * total, SETTINGS.certain
    is_concept = concept > max(part, certain * noise)
    is_covariate = covariate > max(part, certain * np.hypot(scatter, common))
    if is_concept:
        return "both" if is_covariate else "concept_drift"
    if is_covariate and concept + certain * noise < SETTINGS.hidden_part * total:
        return "covariate_shift"
    return "unknown"


def _standard_error(values: Floats, weight: Floats) -> float:
    """Return that of a weighted mean, from the scatter of its values."""
    if values.size < 2:
        return float(np.abs(values).max())
    mean = weight @ values
    spread = weight**2 @ (values - mean) ** 2 * values.size / (values.size - 1)
    return float(np.sqrt(spread))
