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
    metrics: tuple[Metric, ...],
    moments: Moments,
    sums: SoftLabelSums,
    error_cells: ErrorCells,
) -> Floats:
    """Return V_cal: what the calibration map's error does to each metric.

    With an error factor L of the map it is ``|Lᵀ J|²``, J the metric's response to a
    shift of the log odds at each cell: the delta method on the sandwich covariance.
    Without, and for average precision if it is larger, the labels of each reference
    cell count as binomial: the density-ratio form.
    """
    weights = moments.channels
    response = weights @ sums.jacobian
    variance: Floats = (response * response).sum(axis=2)
    estimated = error_cells.factor.shape[0] > 0 or not error_cells.has_factor
    larger_of_both = [
        k
        for k, metric in enumerate(metrics)
        if metric.name == "average_precision" or not error_cells.has_factor
    ]
    if estimated and larger_of_both:
        weights = weights[:, larger_of_both]
        by_cells = (weights**2 @ sums.scatter[:, :N_CHANNELS, None])[:, :, 0]
        both = 2.0 * sums.scatter[:, N_CHANNELS, None]
        by_cells += both * weights[:, :, 0] * weights[:, :, 1]
        variance[:, larger_of_both] = np.maximum(variance[:, larger_of_both], by_cells)
    return variance


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
    centre: Floats, variance: Floats, metrics: tuple[Metric, ...], level: float
) -> tuple[Floats, Floats]:
    """Return normal intervals around ``centre``, within the metrics' bounds."""
    low, high = np.array([metric.bounds for metric in metrics]).T
    half = ndtri(0.5 + level / 2.0) * np.sqrt(variance)
    return np.maximum(centre - half, low), np.minimum(centre + half, high)
