"""How sure an estimate is: its variances, and the two intervals made of them.

V_lab (the labels' own noise), V_cal (the calibration map's estimation error), V_shift
(the error of its tracked shift, once labels come), tau² (drift the calibration cannot
see, until then) and V_pop (which rows the chunk happened to get).
The prediction interval asks "will this number be confirmed when the labels come?"; the
expectation interval asks "where is the metric of the population behind the chunk?".
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from estimator._kernels.soft_label_sums import N_CHANNELS
from estimator.metrics.error_cells import ErrorCells
from estimator.metrics.moments import Moments
from estimator.metrics.registry import Metric
from estimator.metrics.soft_label_sums import SoftLabelSums

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ShiftError:
    """How uncertain the shift of the calibration is that soft labels already contain.

    The first two factors of the error cells are then the shift's own.

    Attributes
    ----------
    covariance : ndarray of shape (n_groups, 2, 2)
        Of the shift's intercept and slope.
    slope : ndarray of shape (n_groups,)
        Of the shifted log odds over the map's: what an error of the map is worth.
    """

    covariance: Floats
    slope: Floats


def error_variances(
    metrics: tuple[Metric, ...],
    moments: Moments,
    sums: SoftLabelSums,
    error_cells: ErrorCells,
    shift: ShiftError | None = None,
) -> tuple[Floats, Floats]:
    """Return V_cal and V_shift: what errors of map and shift do to each metric.

    With an error factor L of the map V_cal is ``|Lᵀ J|²``, J the metric's response to a
    shift of the log odds at each cell: the delta method on the sandwich covariance.
    Without, and for average precision if it is larger, the labels of each reference
    cell count as binomial: the density-ratio form. Where segments have shifts of the
    map, their error is added to either, but for average precision with a factor to
    the first alone. V_shift is ``Jᵀ C J`` with the shift's covariance C. Method.md,
    equations 18 to 20, 27 and 52.
    """
    weights = moments.channels
    response = weights @ sums.jacobian
    of_shift = np.zeros(response.shape[:2])
    scale = np.ones((len(response), 1))
    if shift is not None:
        shift_response, response = response[..., :2], response[..., 2:]
        of_shift = np.einsum(
            "gmi,gij,gmj->gm", shift_response, shift.covariance, shift_response
        ).clip(0.0)
        scale = shift.slope[:, None] ** 2
    variance: Floats = (response * response).sum(axis=2)
    estimated = error_cells.factor.shape[0] > 0 or not error_cells.has_factor
    of_segments = np.zeros_like(variance)
    if sums.by_segment is not None:
        of_segments = np.einsum("gmk,gkl,gml->gm", weights, sums.by_segment, weights)
        of_segments = of_segments.clip(0.0)
    if error_cells.has_factor:  # the two together are the map's error by its factor
        variance += of_segments
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
    if not error_cells.has_factor:  # the cells' form knows nothing of segments
        variance += of_segments
    return variance * scale, of_shift


def interval(
    centre: Floats,
    variance: Floats,
    metrics: tuple[Metric, ...],
    level: float,
    order_error: Floats | None = None,
) -> tuple[Floats, Floats]:
    """Return normal intervals around ``centre``, within the metrics' bounds.

    Method.md, equation 22.

    Parameters
    ----------
    centre, variance : ndarray of shape (n_groups, n_metrics)
    metrics : tuple of Metric
    level : float
        Share of the draws that lie within.
    order_error : ndarray of shape (2, n_groups, n_metrics), optional
        By how much the interval goes further down and up: a bound that holds always,
        and so is added whole.
    """
    low, high = np.array([metric.bounds for metric in metrics]).T
    # Of the tail: 0.5 + level / 2 rounds to 1 for a level just below it.
    half = -ndtri((1.0 - level) / 2.0) * np.sqrt(variance)
    lower, upper = centre - half, centre + half
    if order_error is not None:
        lower, upper = lower - order_error[0], upper + order_error[1]
    return np.maximum(lower, low), np.minimum(upper, high)
