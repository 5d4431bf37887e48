"""How sure an estimate is: its variances, and the two intervals made of them.

V_lab (the labels' own noise), V_cal (the calibration map's estimation error), tau²
(drift the calibration cannot see) and V_pop (which rows the chunk happened to get).
The prediction interval asks "will this number be confirmed when the labels come?"; the
expectation interval asks "where is the metric of the population behind the chunk?".
"""

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from estimator._kernels.soft_label_sums import N_CHANNELS
from estimator.metrics import Metric, Moments
from estimator.soft_labels import ErrorCells, SoftLabelSums

Floats = NDArray[np.float64]


def calibration_variance(
    metric: Metric, moments: Moments, sums: SoftLabelSums, error_cells: ErrorCells
) -> Floats:
    """Return V_cal: what the calibration map's error does to the metric.

    With an error factor L of the map it is ``|Lᵀ J|²``, J the metric's response to a
    shift of the map at each cell: the delta method on the sandwich covariance. Without,
    and for average precision if it is larger, the labels of each reference cell count
    as binomial: the density-ratio form.
    """
    weights = moments.channels
    response = np.einsum("ck,ckr->cr", weights, sums.jacobian)
    from_factor: Floats = (response**2).sum(axis=1)
    estimated = error_cells.factor.shape[1] > 0
    if error_cells.has_factor and not (
        metric.name == "average_precision" and estimated
    ):
        return from_factor
    from_cells = (weights**2 * sums.scatter[:, :N_CHANNELS]).sum(axis=1)
    from_cells += 2.0 * weights[:, 0] * weights[:, 1] * sums.scatter[:, N_CHANNELS]
    larger: Floats = np.maximum(from_factor, from_cells)
    return larger


def unseen_drift(residual: Floats, variance: Floats, *, min_chunks: int = 5) -> float:
    """Estimate tau²: what cross-fitted reference chunks miss beyond known noise.

    Parameters
    ----------
    residual : ndarray of shape (n_chunks,)
        Cross-fitted estimate minus realized value; NaN where either is undefined.
    variance : ndarray of shape (n_chunks,)
        V_lab + V_cal of the same chunks.
    min_chunks : int
        With fewer defined chunks nothing can be told apart from noise: 0.
    """
    known = np.isfinite(residual) & np.isfinite(variance)
    if known.sum() < min_chunks:
        return 0.0
    return max(0.0, float(np.mean(residual[known] ** 2 - variance[known])))


def interval(
    centre: Floats, variance: Floats, metric: Metric, level: float
) -> tuple[Floats, Floats]:
    """Return the normal interval around ``centre``, within the metric's bounds."""
    half = ndtri(0.5 + level / 2.0) * np.sqrt(variance)
    return np.maximum(centre - half, metric.bounds[0]), np.minimum(
        centre + half, metric.bounds[1]
    )
