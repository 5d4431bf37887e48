"""The fit of segment shifts: coefficients by Newton steps, variances between them.

The variances maximize the restricted marginal likelihood in Laplace's approximation:
Newton steps for the coefficients, and between them, on the quadratic that each step
solves, the choice of variances (penalized quasi-likelihood, Breslow & Clayton, section
2). Method.md, equations 24 to 26.

References
----------
Breslow & Clayton (1993), "Approximate inference in generalized linear mixed models",
Journal of the American Statistical Association 88(421), 9-25.
"""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit
from sklearn.exceptions import ConvergenceWarning

from calibration.maps.logistic import clipped_logit
from calibration.maps.spline import SLOPE_SHARE
from calibration.maps.spline_basis import place_knots, uncorrelated_columns
from calibration.shifts.restricted_likelihood import Quadratic
from calibration.shifts.segment_design import (
    SegmentDesign,
    linearize,
    one_hot_values,
)
from calibration.shifts.segment_shifts import (
    CERTAIN,
    SegmentShifts,
    Slots,
    evaluate_splines,
)
from calibration.shifts.variance_choice import choose_variances

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class SegmentFitSettings:
    """What the shifts range over, and when the Newton steps end.

    Attributes
    ----------
    score_quantiles : tuple of float
        Quantiles of the reference's log odds beyond which a shift goes on as a
        constant: the slope there would rest on a handful of rows.
    n_knots : int
        Number of knots of the bends: that of the spline calibrator.
    least_spread : float
        Standard deviation of the log odds up to which there is one score, and no slope
        can be estimated.
    max_passes : int
        Number of Newton steps at most; then the fit warns.
    max_halvings : int
        Number of times that a step is halved at most until the penalized loss falls.
    newton_tolerance : float
        Squared step, in standard errors, at which the coefficients have settled.
    variance_tolerance : float
        Change, as a share of the variance, at which the variances have settled: ten
        times what the choice of variances leaves open.
    max_departures : int
        How often a variance may fall to 0 and come back. The first steps may misjudge a
        component; one that left twice would come and go for ever.
    """

    score_quantiles: tuple[float, float] = (0.001, 0.999)
    n_knots: int = 6
    least_spread: float = 1e-6
    max_passes: int = 50
    max_halvings: int = 30
    newton_tolerance: float = 1e-8
    variance_tolerance: float = 1e-3
    max_departures: int = 1


SETTINGS: Final = SegmentFitSettings()


def fit_segment_shifts(
    probability: Floats, label: Floats, slots: Slots, n_values: Sequence[int]
) -> SegmentShifts | None:
    r"""Learn how far the calibration of each segment is from that of all rows.

    Parameters
    ----------
    probability : ndarray of shape (n_rows,)
        Probability of the positive class that the map of all rows gives.
    label : ndarray of shape (n_rows,)
        Labels, 0 or 1.
    slots : ndarray of int of shape (n_rows, n_columns)
        Number of the row's value in each segment column; values are numbered through
        all columns. ``sum(n_values)`` stands for a value without a shift.
    n_values : sequence of int
        Number of values of each column.

    Returns
    -------
    SegmentShifts or None
        None if no variance is above 0: all segments have the calibration of all rows.

    Raises
    ------
    ValueError
        If shapes do not match, or a slot is out of range.

    Warns
    -----
    ConvergenceWarning
        If coefficients and variances still change after 50 Newton steps.

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> p = rng.uniform(0.1, 0.9, 20_000)
    >>> value = rng.integers(0, 2, p.size)
    >>> odds = p / (1.0 - p) * np.exp(np.where(value == 1, 0.5, -0.5))
    >>> y = (rng.random(p.size) < odds / (1.0 + odds)).astype(float)
    >>> shifts = fit_segment_shifts(p, y, value[:, None], [2])
    >>> shifts.shifts[:, 0].round(1)
    array([-0.5,  0.5])
    """
    _check(probability, label, slots, n_values)
    x = clipped_logit(probability, CERTAIN)
    p = expit(x)
    weight = p * (1.0 - p)
    centre = float(np.average(x, weights=weight))
    spread = float(np.sqrt(np.average((x - centre) ** 2, weights=weight)))
    scale = spread if spread > SETTINGS.least_spread else 1.0
    u = (x - centre) / scale
    bounds = np.quantile(u, SETTINGS.score_quantiles)
    np.clip(u, *bounds, out=u)
    knots = place_knots(u, weight, SETTINGS.n_knots)
    bends = np.empty((knots.size, 0))
    if knots.size > 2:
        columns = uncorrelated_columns(
            evaluate_splines(u, knots, np.eye(knots.size)), knots, weight
        )
        bends = columns[:, 2:]
    design = SegmentDesign(
        x=x,
        label=label,
        u=u,
        common=np.column_stack([np.ones(u.size), u, evaluate_splines(u, knots, bends)]),
        slots=slots,
        n_values=tuple(n_values),
        one_hot=one_hot_values(slots, sum(n_values)),
    )
    fit = _maximize(design)
    if fit is None:
        return None
    line = fit.information[:2, :2]
    return SegmentShifts(
        centre=centre,
        scale=scale,
        bounds=bounds,
        knots=knots,
        bends=bends,
        coefficients=fit.coefficients,
        covariance=fit.covariance,
        variance=fit.variance[:-1].reshape(-1, 2),
        bend_variance=float(fit.variance[-1]),
        along=np.linalg.pinv(line, hermitian=True) @ fit.information[:2],
    )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Fit:
    """What maximizes the penalized likelihood.

    Attributes
    ----------
    coefficients : ndarray of shape (n_coefficients,)
        In units of log odds.
    covariance, information : ndarray of shape (n_coefficients, n_coefficients)
        Covariance of the coefficients, and Fisher information of the labels alone.
    variance : ndarray of shape (n_components,)
        Variance of each component: by column of intercepts, of slopes; of bends.
    """

    coefficients: Floats
    covariance: Floats
    information: Floats
    variance: Floats


def _components(n_common: int, n_values: Sequence[int]) -> list[NDArray[np.int64]]:
    """Return the positions of coefficients that share a variance; bends come last."""
    components = []
    begin = n_common
    for n in n_values:
        components += [begin + 2 * np.arange(n), begin + 1 + 2 * np.arange(n)]
        begin += 2 * n
    return [*components, np.arange(2, n_common)]


def _maximize(design: SegmentDesign) -> _Fit | None:
    """Find coefficients and variances; None if no shift has a variance above 0."""
    components = _components(design.n_common, design.n_values)
    theta = np.zeros(design.n_coefficients)
    # Of the penalty, a line of variance 1 has so much that separable data end.
    fixed = np.zeros(theta.size)
    fixed[1] = SLOPE_SHARE
    variance = np.zeros(len(components))
    departures = np.zeros(variance.size, dtype=np.int64)
    for _ in range(SETTINGS.max_passes):
        information, gradient = linearize(design, theta)
        quadratic = Quadratic(
            information=information,
            target=information @ theta + gradient,
            components=components,
            fixed=fixed,
        )
        last_variance = variance
        excluded = departures > SETTINGS.max_departures
        variance = choose_variances(quadratic, last_variance, excluded)
        departures += (last_variance > 0.0) & (variance == 0.0)
        if not variance[:-1].any():
            return None
        active, precision = quadratic.active(variance)
        minimum = quadratic.solve(variance).coefficients
        theta[~np.isin(np.arange(theta.size), active)] = 0.0
        step, origin = minimum - theta, theta
        theta = _descend(design, theta, step, active, precision)
        is_small = float(step @ information @ step) <= SETTINGS.newton_tolerance
        change = np.abs(variance - last_variance)
        has_settled = change <= SETTINGS.variance_tolerance * variance
        if (is_small or theta is origin) and has_settled.all():
            break
    else:
        warnings.warn(
            "The calibration of the segments still changes after "
            f"{SETTINGS.max_passes} steps. Estimates of segments are less accurate "
            "than their intervals say. Take a longer reference, or leave out a segment "
            "column that divides the rows nearly as another one does.",
            ConvergenceWarning,
            stacklevel=3,
        )
    return _Fit(
        coefficients=theta,
        covariance=quadratic.covariance(variance),
        information=information,
        variance=variance,
    )


def _descend(
    design: SegmentDesign,
    theta: Floats,
    step: Floats,
    active: NDArray[np.int64],
    precision: Floats,
) -> Floats:
    """Return where a Newton step leads, halved until the penalized loss falls.

    Parameters
    ----------
    design : SegmentDesign
        Rows of the fit.
    theta, step : ndarray of shape (n_coefficients,)
        Coefficients before the step, and the step, in log odds.
    active : ndarray of int
        Positions of the coefficients that no variance of 0 holds at 0.
    precision : ndarray of the shape of active
        Their precisions, in log odds to the power -2.

    Returns
    -------
    ndarray of shape (n_coefficients,)
        ``theta`` itself if no step lowers the loss.
    """

    def loss(coefficients: Floats) -> float:
        penalized = coefficients[active]
        penalty = 0.5 * (precision * penalized) @ penalized
        return design.log_loss(coefficients) + float(penalty)

    start, share = loss(theta), 1.0
    for _ in range(SETTINGS.max_halvings):
        trial = theta + share * step
        if loss(trial) <= start:
            return trial
        share /= 2.0
    return theta  # no descent left in floating point: this is the minimum


def _check(
    probability: Floats, label: Floats, slots: Slots, n_values: Sequence[int]
) -> None:
    n_rows = probability.size
    for name, array, shape in (
        ("label", label, (n_rows,)),
        ("slots", slots, (n_rows, len(n_values))),
    ):
        if array.shape != shape:
            msg = f"`{name}` must have shape {shape}, got {array.shape}."
            raise ValueError(msg)
    if slots.size and (slots.min() < 0 or slots.max() > sum(n_values)):
        msg = (
            f"`slots` must lie between 0 and {sum(n_values)}, the number of values, "
            f"got {slots.min()} to {slots.max()}."
        )
        raise ValueError(msg)
