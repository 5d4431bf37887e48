"""How wrong the calibration map may be, cell by cell of the score."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from calibration.base import Calibrator, UncertainCalibrator
from calibration.shifts.segment_shifts import CERTAIN

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SegmentErrors:
    """How wrong the shifts of segments may be, and what all rows have in common.

    Attributes
    ----------
    slots : ndarray of int32 of shape (n_rows, n_columns)
        Number of each row's shift, by segment column; of new values the last ones. One
        column after the other is read: Fortran's order is faster.
    u : ndarray of shape (n_cells,)
        Standardized log odds of the map in the middle of each cell of the score.
    common : ndarray of shape (n_common, n_cells)
        What the common coefficients multiply there.
    covariance : ndarray of shape (n_coefficients, n_coefficients)
        Of the common coefficients, then of each shift's intercept and slope.
    new_variance : ndarray of shape (n_new, 2)
        Variance of intercept and slope of values that the reference does not have.
    along : ndarray of shape (2, n_coefficients)
        The constant and the line in u that come nearest to what each coefficient
        multiplies.
    centre, scale : float
        Of the map's log odds x: u is ``(x - centre) / scale``.
    """

    slots: NDArray[np.int32]
    u: Floats
    common: Floats
    covariance: Floats
    new_variance: Floats
    along: Floats
    centre: float
    scale: float

    @property
    def n_shifts(self) -> int:
        """Number of shifts, without those of new values."""
        return (len(self.covariance) - len(self.common)) // 2


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ErrorCells:
    """How wrong the calibration map may be, in log odds, cell by cell of the score.

    Attributes
    ----------
    edges : ndarray of shape (n_cells - 1,)
        Rising scores between the cells; a cell holds its upper edge.
    log_odds : ndarray of shape (n_cells,)
        The map in the middle of each cell.
    information : ndarray of shape (n_cells,)
        Sum of p(1 - p) over the reference's rows in the cell: what their labels say of
        its log odds.
    factor : ndarray of shape (n_factors, n_cells)
        Lᵀ with Cov(log odds at the cells) = L Lᵀ; no rows if the map was not estimated.
    has_factor : bool
        False if the map does not tell its error: then ``variance`` stands for it.
    variance : ndarray of shape (n_cells,)
        Variance of the cell's log odds if its own labels alone had to tell them.
    score_range : ndarray of shape (2,)
        Scores between which the reference can vouch for the map.
    segments : SegmentErrors or None
        The error of the segments' shifts, and of a constant and a line that all rows
        have in common, for the rows of one frame; ``factor`` then holds what remains.
    """

    edges: Floats
    log_odds: Floats
    information: Floats
    factor: Floats
    has_factor: bool
    variance: Floats
    score_range: Floats
    segments: SegmentErrors | None = None


NO_ERROR = ErrorCells(
    edges=np.empty(0),
    log_odds=np.zeros(1),
    information=np.ones(1),
    factor=np.zeros((0, 1)),
    has_factor=True,
    variance=np.zeros(1),
    score_range=np.array([-np.inf, np.inf]),
)


def measure_error_cells(
    calibrator: Calibrator,
    score: Floats,
    calibrated: Floats,
    *,
    max_cells: int = 64,
    rows_per_cell: int = 50,
) -> ErrorCells:
    """Tabulate the error of a calibration map fitted on the given rows.

    Parameters
    ----------
    calibrator : Calibrator
        Fitted map; its ``error_factor``, if it has one, is read at the cells.
    score, calibrated : ndarray of shape (n_rows,)
        Reference scores and what the map makes of them.
    max_cells, rows_per_cell : int
        Cells are score quantiles: as many as leave ``rows_per_cell`` rows to each.
    """
    n_cells = int(np.clip(score.size // rows_per_cell, 1, max_cells))
    edges = np.quantile(score, np.arange(1, n_cells) / n_cells, method="lower")
    edges = np.unique(edges)
    cell = np.searchsorted(edges, score)
    count = np.bincount(cell, minlength=edges.size + 1)
    edges = edges[count[1:] > 0]  # the topmost cell is empty if its edge is the maximum
    cell = np.searchsorted(edges, score)
    count = np.bincount(cell, minlength=edges.size + 1)
    centre = np.bincount(cell, score, edges.size + 1) / count
    spread = calibrated * (1.0 - calibrated)
    information: Floats = np.bincount(cell, spread, edges.size + 1).astype(np.float64)
    middle = np.clip(calibrator.predict(centre), CERTAIN, 1.0 - CERTAIN)
    factor = np.zeros((0, centre.size))
    if isinstance(calibrator, UncertainCalibrator):
        factor = calibrator.error_factor(centre).T / (middle * (1.0 - middle))
    return ErrorCells(
        edges=edges,
        log_odds=np.log(middle) - np.log1p(-middle),
        information=information,
        factor=np.ascontiguousarray(factor, dtype=np.float64),
        has_factor=isinstance(calibrator, UncertainCalibrator),
        variance=1.0 / np.maximum(information, CERTAIN),
        score_range=np.quantile(score, [0.001, 0.999]),
    )
