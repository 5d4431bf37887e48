"""A shift of the calibration: its coordinates, its prior, and what it leaves open."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from calibration.shifts.segment_shifts import CERTAIN
from estimator.metrics.error_cells import (
    ErrorCells,
    least_information,
    shift_axes,
)
from estimator.metrics.soft_labels import ShiftedSoftLabel, SoftLabel, soft_labels_at

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ShiftFrame:
    """In which coordinates a shift of the calibration is measured, and its prior.

    Attributes
    ----------
    centre, scale : float
        Of the calibrated log odds x over the reference, weighted by p(1 - p): the shift
        is ``a + b (x - centre) / scale``, and a and b are nearly independent.
    prior : ndarray of shape (2, 2)
        Covariance of (a, b) that the calibration's own estimation error leaves.
    cells : ErrorCells
        The map's error: the first two factors are a and b, the others what remains.
    """

    centre: float
    scale: float
    prior: Floats
    cells: ErrorCells


def shift_frame(cells: ErrorCells) -> ShiftFrame:
    """Split the map's error into a shift of intercept and slope, and the rest.

    Where segments have shifts of their own, these split, too: what they move all rows
    by is the shift's, and how they differ is the rest. Method.md, equation 45.
    """
    axes, weight = shift_axes(cells), least_information(cells)
    centre, scale, design = axes.centre, axes.scale, axes.design
    inverse = np.linalg.pinv((design * weight) @ design.T)
    rest, prior = cells.factor, inverse.astype(np.float64)
    segments = cells.segments
    if segments is not None:
        # A line in u, (x - its centre) / its scale, in the coordinates here.
        its_centre, its_scale = segments.centre, segments.scale
        into = np.array([[its_scale, centre - its_centre], [0.0, scale]]) / its_scale
        along = into @ segments.along
        prior = along @ segments.covariance @ along.T
        kept = np.eye(len(segments.covariance))
        kept[:2] -= segments.along
        segments = replace(segments, covariance=kept @ segments.covariance @ kept.T)
    elif cells.has_factor:
        along = inverse @ (design * weight) @ cells.factor.T
        rest = cells.factor - along.T @ design
        prior = along @ along.T
    factor = np.concatenate([design, rest])
    return ShiftFrame(
        centre=centre,
        scale=scale,
        prior=prior,
        cells=replace(cells, factor=np.ascontiguousarray(factor), segments=segments),
    )


def log_odds_of(
    soft: SoftLabel | ShiftedSoftLabel | Floats,
    score: Floats,
    rows: NDArray[np.int64] | None = None,
) -> Floats:
    """Return the log odds of soft labels, NaN where there is no score.

    ``rows`` says of which rows; None: of all.
    """
    has_score = ~np.isnan(score if rows is None else score[rows])
    p = np.full(has_score.size, np.nan)
    if has_score.any():
        p[has_score] = soft_labels_at(
            soft, score, has_score if rows is None else rows[has_score]
        )
    np.clip(p, CERTAIN, 1.0 - CERTAIN, out=p)
    rest = np.log1p(-p)
    np.log(p, out=p)
    p -= rest
    return p
