"""Confidence-based performance estimation (CBPE): metrics of rows with soft labels."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from estimator.chunking.segments import Groups
from estimator.metrics.error_cells import NO_ERROR, ErrorCells
from estimator.metrics.intervals import ShiftError, error_variances
from estimator.metrics.moments import compute_moments, undefined_reasons
from estimator.metrics.registry import Metric
from estimator.metrics.rows import Rows
from estimator.metrics.soft_label_sums import join_sums, sum_soft_labels
from estimator.metrics.soft_labels import (
    ShiftedSoftLabel,
    soft_labels_by_row,
)
from estimator.progress import Advance

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Measurement:
    """Metrics of each group at its rows' soft labels: shape (n_groups, n_metrics).

    Attributes
    ----------
    value : ndarray
        NaN where undefined; then ``reason`` says why, and is "" elsewhere.
    label_variance, calibration_variance, shift_variance, sampling_variance : ndarray
        V_lab, V_cal, V_shift and V_pop of :mod:`estimator.metrics.intervals`.
    order_error : ndarray of shape (2, n_groups, n_metrics)
        How far below and above the value the metric of the rows may lie because a
        table of counts does not tell their order within its cells; 0 for rows.
    outside : ndarray of shape (n_groups,)
        Rows of the frame with a score outside of what the reference can vouch for.
    response : ndarray of shape (n_groups, n_metrics, 2)
        Change of the value by a shift of the calibration, per unit of its intercept and
        slope in log odds.
    cell_rows : ndarray of shape (n_groups, n_cells)
        Rows of the frame by cell of the score, as the map's error has cells.
    unknown_shift : ndarray of shape (n_groups,)
        How far the calibration may have shifted unseen, on average over the rows, as of
        `AdaptedSoftLabels`; 0 where no feature is read.
    """

    value: Floats
    label_variance: Floats
    calibration_variance: Floats
    shift_variance: Floats
    sampling_variance: Floats
    reason: NDArray[np.object_]
    order_error: Floats
    outside: Floats
    response: Floats
    cell_rows: Floats
    unknown_shift: Floats


def measure(
    metrics: tuple[Metric, ...],
    groups: Groups,
    rows: Rows,
    *,
    error_cells: ErrorCells = NO_ERROR,
    shift: ShiftError | None = None,
    advance: Advance | None = None,
) -> Measurement:
    r"""Compute the metrics of each group from its rows' soft labels.

    With soft labels :math:`z_i` in place of labels, pairs drawn without replacement,
    a ratio metric is the ratio of its expected parts plus the second-order term
    :math:`-\sum_i z_i (1 - z_i) h_i g_i / B`, with :math:`h_i` the label's influence
    on the metric and :math:`g_i` on its denominator :math:`B`. With calibrated
    probabilities that is the estimate [1]_, with labels the realized metric.

    Parameters
    ----------
    metrics : tuple of Metric
        Metrics to compute.
    groups : Groups
        Which rows belong to which chunk of which segment.
    rows : Rows
        Score, soft label and decision of each row.
    error_cells : ErrorCells
        Error of the calibration map behind the soft labels.
    shift : ShiftError, optional
        Error of the shift that the soft labels contain.
    advance : callable, optional
        Called with the number of rows whenever some are done.

    References
    ----------
    .. [1] Bialek et al. (2024), "Estimating Model Performance Under Covariate Shift
       Without Labels", arXiv:2401.08348.
    """
    with_log_loss = any(metric.name == "log_loss" for metric in metrics)
    if isinstance(rows.soft, ShiftedSoftLabel) and len(groups.parts) > 1:
        # Each part has the rows of the first: once is enough.
        row_numbers, offsets = groups.parts[0]
        soft = soft_labels_by_row(rows.soft, rows.score, row_numbers, int(offsets[-1]))
        rows = replace(rows, soft=soft)
    sums = join_sums(
        [
            sum_soft_labels(
                rows,
                row_numbers=row_numbers,
                offsets=offsets,
                error_cells=error_cells,
                with_log_loss=with_log_loss,
                advance=advance,
            )
            for row_numbers, offsets in groups.parts
        ]
    )
    moments = compute_moments(metrics, sums.sums)
    reason = undefined_reasons(metrics, sums.sums, moments)
    undefined = reason != ""
    for values in (moments.value, moments.label_variance, moments.sampling_variance):
        values[undefined] = np.nan
    # A correction may carry a value over the edge of what is possible.
    of_map, of_shift = error_variances(metrics, moments, sums, error_cells, shift)
    low, high = np.array([metric.bounds for metric in metrics]).T
    return Measurement(
        value=np.clip(moments.value, low, high),
        label_variance=moments.label_variance,
        calibration_variance=np.where(undefined, np.nan, of_map),
        shift_variance=np.where(undefined, np.nan, of_shift),
        sampling_variance=moments.sampling_variance,
        reason=reason,
        order_error=_order_error(metrics, sums.sums),
        outside=sums.sums[:, 22],
        response=moments.channels @ sums.along_shift,
        cell_rows=sums.cell_rows,
        unknown_shift=np.zeros(len(sums.sums)),
    )


def _order_error(metrics: tuple[Metric, ...], sums: Floats) -> Floats:
    error = np.zeros((2, len(sums), len(metrics)))
    for k, metric in enumerate(metrics):
        if metric.order_columns is not None:
            error[:, :, k] = sums[:, metric.order_columns].T
    return error
