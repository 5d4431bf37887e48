"""How wrong the calibration map may be, cell by cell of the score."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from calibration.base import Calibrator, UncertainCalibrator
from calibration.maps.logistic import clipped_logit
from calibration.maps.spline import REFERENCE_SCORE_QUANTILES
from calibration.shifts.segment_shifts import CERTAIN

Floats = NDArray[np.float64]

# Bounds of the cells beyond the reference, in log odds of the score from its outer
# quantile. The error of a map grows with this distance, and is read in the middle of a
# cell. Scores differ down to 1e-6, which is rarely more than 10 away.
TAIL_BOUNDS = 0.0, 0.5, 1.0, 2.0, 4.0, 8.0
SCORE_CLIP = 1e-6
# Least information of a whole reference, in cases: a map that is certain of every row
# has none, and n rows of one class leave p(1 - p) = 1 / (2n) by Jeffreys' rule.
_LEAST_INFORMATION = 0.5


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
        its log odds. Beyond the reference's range next to nothing.
    factor : ndarray of shape (n_factors, n_cells)
        Lᵀ with Cov(log odds at the cells) = L Lᵀ; no rows if the map was not estimated.
    has_factor : bool
        False if the map does not tell its error: then ``variance`` stands for it.
    variance : ndarray of shape (n_cells,)
        Variance of the cell's log odds if its own labels alone had to tell them; beyond
        the reference's range that of the nearest cell within, or of the map if larger.
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


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ShiftAxes:
    """What a shift of the calibration by intercept and slope does to each cell.

    Attributes
    ----------
    centre, scale : float
        Of the calibrated log odds x over the reference, weighted by p(1 - p).
    design : ndarray of shape (2, n_cells)
        One, and (x - centre) / scale: what intercept and slope multiply.
    """

    centre: float
    scale: float
    design: Floats


def shift_axes(cells: ErrorCells) -> ShiftAxes:
    """Return the coordinates in which intercept and slope are nearly independent."""
    x, weight = cells.log_odds, least_information(cells)
    centre = float(np.average(x, weights=weight))
    scale = float(np.sqrt(np.average((x - centre) ** 2, weights=weight))) or 1.0
    design = np.stack([np.ones_like(x), (x - centre) / scale])
    return ShiftAxes(centre=centre, scale=scale, design=design)


def least_information(cells: ErrorCells) -> Floats:
    """Return the information of each cell, at least half a case in all of them."""
    lacking = _LEAST_INFORMATION - cells.information.sum()
    weight: Floats = cells.information + max(lacking, 0.0) / cells.information.size
    return weight


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
        Cells are score quantiles: as many as leave ``rows_per_cell`` rows to each. A
        map that tells its error has up to six more on either side of the reference.
    """
    n_cells = int(np.clip(score.size // rows_per_cell, 1, max_cells))
    score_range = np.quantile(score, REFERENCE_SCORE_QUANTILES)
    has_factor = isinstance(calibrator, UncertainCalibrator)
    below, above = _tails(*score_range.tolist()) if has_factor else (_NO_TAIL, _NO_TAIL)
    lowest = below.edges[-1] if below.edges.size else -np.inf
    highest = above.edges[0] if above.edges.size else np.inf
    edges = np.quantile(score, np.arange(1, n_cells) / n_cells, method="lower")
    edges = np.unique(edges[(edges > lowest) & (edges < highest)])
    if edges.size and score[score <= highest].max() <= edges[-1]:
        edges = edges[:-1]  # nothing is above it
    edges = np.concatenate([below.edges, edges, above.edges])
    cell = np.searchsorted(edges, score)
    inner = slice(below.edges.size, edges.size + 1 - above.edges.size)
    count, sums = (np.bincount(cell, by, edges.size + 1)[inner] for by in (None, score))
    centre = np.concatenate([below.centre, sums / count, above.centre])
    spread = calibrated * (1.0 - calibrated)
    information: Floats = np.bincount(cell, spread, edges.size + 1).astype(np.float64)
    middle = np.clip(calibrator.predict(centre), CERTAIN, 1.0 - CERTAIN)
    factor = np.zeros((0, centre.size))
    if isinstance(calibrator, UncertainCalibrator):
        factor = calibrator.error_factor(centre).T / (middle * (1.0 - middle))
    variance = 1.0 / np.maximum(information, CERTAIN)
    variance[: inner.start] = variance[inner.start]
    variance[inner.stop :] = variance[inner.stop - 1]
    for tail in (slice(inner.start), slice(inner.stop, None)):
        variance[tail] = np.maximum(variance[tail], (factor[:, tail] ** 2).sum(axis=0))
    return ErrorCells(
        edges=edges,
        log_odds=np.log(middle) - np.log1p(-middle),
        information=information,
        factor=np.ascontiguousarray(factor, dtype=np.float64),
        has_factor=has_factor,
        variance=variance,
        score_range=score_range,
    )


class _Tail(NamedTuple):
    """Cells beyond one end of the reference, by rising score.

    Attributes
    ----------
    edges : ndarray of shape (n_cells,)
        Scores that bound them, up to the cells within the reference.
    centre : ndarray of shape (n_cells,)
        Scores in their middle.
    """

    edges: Floats
    centre: Floats


_NO_TAIL = _Tail(np.empty(0), np.empty(0))


def _tails(lowest: float, highest: float) -> tuple[_Tail, _Tail]:
    """Cut the scores beyond the reference's range into cells, on both sides."""
    bounds = np.array(TAIL_BOUNDS)
    middles = np.append(0.5 * (bounds[1:] + bounds[:-1]), 1.25 * bounds[-1])
    tails = []
    for side, end in ((-1.0, lowest), (1.0, highest)):
        logit, farthest = clipped_logit(np.array([end, side > 0.0]), SCORE_CLIP)
        used = bounds < side * (farthest - logit)
        edges = expit(logit + side * bounds[used])
        edges[:1] = end
        tails.append(_Tail(edges, expit(logit + side * middles[used])))
    below, above = tails
    edges = below.edges[::-1].copy()
    # A cell holds its upper edge, and the end of the reference is within.
    edges[-1:] = np.nextafter(edges[-1:], -1.0)
    return _Tail(edges, below.centre[::-1]), above
