"""Metrics of adapted soft labels, with what adapting adds to their error."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from estimator.chunking.segments import Groups
from estimator.frames.adapted_soft_labels import AdaptedSoftLabels
from estimator.label_free.adapting_settings import SETTINGS
from estimator.metrics.calibration_shift import ShiftFrame
from estimator.metrics.error_cells import ErrorCells
from estimator.metrics.intervals import ShiftError
from estimator.metrics.measurement import Measurement, measure
from estimator.metrics.registry import Metric
from estimator.metrics.rows import Rows
from estimator.progress import Advance

Floats = NDArray[np.float64]


def measure_adapted(
    metrics: tuple[Metric, ...],
    groups: Groups,
    rows: Rows,
    *,
    adapted: AdaptedSoftLabels,
    relative_error: float,
    error_cells: ErrorCells,
    frame: ShiftFrame,
    advance: Advance | None = None,
) -> Measurement:
    r"""Measure adapted soft labels, with what adapting adds to their error.

    :math:`V_\mathrm{cal} = \phi^2 V_0 + \rho^2 (M - M_0)^2 + o^2 V_1`: the variance
    :math:`V_0` that the map of the score leaves in the metric, inflated by a map fitted
    to fewer rows; the error of the step from that map's metric :math:`M_0` to the
    adapted :math:`M`, which grows with the step; and what is not known where the
    reference has hardly a row: with the share :math:`o` of such rows, a shift of the
    log odds and of their slope by as much as they commonly differ from task to task
    (method.md, equation 33).

    Parameters
    ----------
    metrics, groups, error_cells, advance
        As of :func:`measure`.
    rows : Rows
        Rows with the soft labels that the map of the score gives.
    adapted : AdaptedSoftLabels
        Soft labels by row of the frame.
    relative_error : float
        :math:`\rho`.
    frame : ShiftFrame
        In which shifts of the log odds are measured.
    """
    adapted_rows = replace(rows, soft=adapted.calibrated)
    measured = measure(metrics, groups, adapted_rows, advance=advance)
    start = measure(metrics, groups, rows, error_cells=error_cells, advance=advance)
    adjustment = np.nan_to_num(measured.value - start.value)
    phi = groups.mean(adapted.inflation)
    unknown = groups.mean(adapted.unknown_shift)
    # The map's error where the map is: a map that is certain has none, and elsewhere
    # nothing could be told of it.
    variance = np.nan_to_num(start.calibration_variance) * phi[:, None] ** 2
    variance += (relative_error * adjustment) ** 2
    if unknown.any():
        shifted = measure(
            metrics,
            groups,
            adapted_rows,
            error_cells=frame.cells,
            shift=ShiftError(
                covariance=unknown[:, None, None] ** 2
                * np.diag(SETTINGS.unknown_shift) ** 2,
                slope=np.ones(unknown.size),
            ),
        )
        variance += np.nan_to_num(shifted.shift_variance)
    variance[np.isnan(measured.value)] = np.nan
    return replace(
        measured,
        calibration_variance=variance,
        outside=start.outside,
        response=start.response,
        cell_rows=start.cell_rows,
        unknown_shift=unknown,
    )
