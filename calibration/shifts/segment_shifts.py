r"""A shift of the calibration map in each segment: the model, and its application.

A map of the score alone is right on average, and wrong in every segment whose rows have
other labels at the same score. With x the log odds that the map gives, u the same
standardized, and v the value that a row has in each segment column c,

.. math:: \mathrm{logit}\, p = x + f(u) + \sum_c (a_{cv} + b_{cv} u),
          \quad a_{cv} \sim N(0, \sigma_c^2), \; b_{cv} \sim N(0, \tau_c^2).

The shifts a and b are random effects: a value with many rows keeps what its labels say,
one with few goes towards the map of all. The common correction f (a constant, a line
and bends) is what the map of all rows has to give back where segments and scores go
together; without it the map would no longer be right for all rows of a score.
Method.md, equation 24; :mod:`calibration.shifts.segment_fit` fits it.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from calibration._kernels.segment_shift import shift_log_odds
from calibration.maps.logistic import clipped_logit
from calibration.maps.spline import BLOCK
from calibration.maps.spline_basis import cardinal_segments, piecewise_cubics

Floats = NDArray[np.float64]
Slots = NDArray[np.integer]

# Closer to 0 or 1 than this a probability has no log odds that could be shifted.
CERTAIN = 1e-9


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class SegmentShifts:
    """Shift of the calibration in each segment, as the reference's labels show it.

    Coefficients stand in one vector: the common ones (constant, line, bends), then
    intercept and slope of each shift, column by column.

    Attributes
    ----------
    centre, scale : float
        Mean and standard deviation of the map's log odds x over the reference, weighted
        by p(1 - p): u is ``(x - centre) / scale``.
    bounds : ndarray of shape (2,)
        Least and greatest u; beyond them it counts as if it were there.
    knots : ndarray of shape (n_knots,)
        Knots of the bends, in units of u.
    bends : ndarray of shape (n_knots, n_bends)
        Values of the bends at the knots: uncorrelated with a constant and a line.
    coefficients : ndarray of shape (2 + n_bends + 2 * n_shifts,)
        Common coefficients and shifts, in units of log odds.
    covariance : ndarray of shape (n_coefficients, n_coefficients)
        Covariance of the estimated coefficients about the true ones, in log odds to the
        power 2; 0 where a variance is 0.
    variance : ndarray of shape (n_columns, 2)
        Variance of intercepts and slopes over the values of each segment column, in log
        odds to the power 2.
    bend_variance : float
        Variance of the coefficients of the bends, in log odds to the power 2.
    along : ndarray of shape (2, n_coefficients)
        The constant and the line in u that come nearest to what each coefficient
        multiplies, over the reference, weighted by p(1 - p).
    """

    centre: float
    scale: float
    bounds: Floats
    knots: Floats
    bends: Floats
    coefficients: Floats
    covariance: Floats
    variance: Floats
    bend_variance: float
    along: Floats

    def __repr__(self) -> str:
        deviation = ", ".join(f"{v:.2f}" for v in np.sqrt(self.variance[:, 0]))
        return f"<SegmentShifts: {len(self.shifts)} values, deviation {deviation}>"

    @property
    def n_common(self) -> int:
        """Number of common coefficients: a constant, a line, and the bends."""
        return 2 + int(self.bends.shape[1])

    @property
    def shifts(self) -> Floats:
        """Intercept and slope of each value, shape (n_shifts, 2)."""
        return self.coefficients[self.n_common :].reshape(-1, 2)

    def standardize(self, log_odds: Floats) -> Floats:
        """Return u, kept within the bounds."""
        u: Floats = (log_odds - self.centre) / self.scale
        return np.clip(u, *self.bounds, out=u)

    def common_basis(self, u: Floats) -> Floats:
        """Return what the common coefficients multiply, shape (n_rows, n_common)."""
        return np.column_stack(
            [np.ones(u.size), u, evaluate_splines(u, self.knots, self.bends)]
        )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ShiftTables:
    """Shifts in the form in which rows are moved fastest.

    Attributes
    ----------
    centre, scale, bounds, knots
        As of `SegmentShifts`.
    origins : ndarray of shape (n_knots + 1,)
        Values of u from which the segments of ``common`` count.
    common : ndarray of shape (n_knots + 1, 4)
        Shift that all rows have in common, in log odds: a cubic for each segment.
    level, slope : ndarray of shape (n_shifts,)
        Intercept and slope of each value, in log odds.
    """

    centre: float
    scale: float
    bounds: Floats
    knots: Floats
    origins: Floats
    common: Floats
    level: Floats
    slope: Floats

    def apply(self, probability: Floats, slots: Slots) -> Floats:
        """Return the probabilities of rows, as `apply_segment_shifts` does."""
        x = clipped_logit(probability, CERTAIN)
        lowest, highest = self.bounds.tolist()
        shift_log_odds(
            x,
            np.ascontiguousarray(slots.T, dtype=np.int32),
            self.centre,
            self.scale,
            lowest,
            highest,
            self.knots,
            self.origins,
            self.common,
            self.level,
            self.slope,
        )
        np.exp(x, out=x)
        x += 1.0
        return np.reciprocal(x, out=x)


def apply_segment_shifts(
    shifts: SegmentShifts, probability: Floats, slots: Slots
) -> Floats:
    """Return the probabilities of rows, shifted as their segments are.

    Parameters
    ----------
    shifts : SegmentShifts
        Shifts learned on the reference.
    probability : ndarray of shape (n_rows,)
        Probability of the positive class that the map of all rows gives.
    slots : ndarray of int of shape (n_rows, n_columns)
        Number of the row's value in each segment column; ``n_shifts`` and more: no
        shift.

    Returns
    -------
    ndarray of shape (n_rows,)
        Probability of the positive class in the row's segments.
    """
    return tabulate_shifts(shifts).apply(probability, slots)


def tabulate_shifts(shifts: SegmentShifts) -> ShiftTables:
    """Prepare shifts for many calls of `ShiftTables.apply`."""
    common = shifts.coefficients[: shifts.n_common]
    origins = np.concatenate([shifts.knots[:1], shifts.knots])
    table = cardinal_segments(shifts.knots) @ (shifts.bends @ common[2:])
    table[:, 0] += common[0] + common[1] * origins
    table[:, 1] += common[1]
    level, slope = shifts.shifts.T.copy()
    return ShiftTables(
        centre=float(shifts.centre),
        scale=float(shifts.scale),
        bounds=shifts.bounds,
        knots=shifts.knots,
        origins=origins,
        common=table,
        level=level,
        slope=slope,
    )


def evaluate_splines(u: Floats, knots: Floats, values: Floats) -> Floats:
    """Return natural cubic splines, given at the knots, linear beyond them."""
    out = np.empty((u.size, values.shape[1]))
    if out.size:
        origins = np.concatenate([knots[:1], knots])
        tables = cardinal_segments(knots) @ values
        for start in range(0, u.size, BLOCK):
            rows = slice(start, start + BLOCK)
            piecewise_cubics(u[rows], knots, origins, tables, out=out[rows])
    return out
