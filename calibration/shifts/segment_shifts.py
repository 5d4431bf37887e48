r"""A shift of the calibration map in each segment, shrunk by its own evidence.

A map of the score alone is right on average, and wrong in every segment whose rows have
other labels at the same score. With x the log odds that the map gives, u the same
standardized, and v the value that a row has in each segment column c,

.. math:: \mathrm{logit}\, p = x + f(u) + \sum_c (a_{cv} + b_{cv} u),
          \quad a_{cv} \sim N(0, \sigma_c^2), \; b_{cv} \sim N(0, \tau_c^2).

The shifts a and b are random effects: a value with many rows keeps what its labels say,
one with few goes towards the map of all. The common correction f (a constant, a line
and bends) is what the map of all rows has to give back where segments and scores go
together; without it the map would no longer be right for all rows of a score.

The variances maximize the restricted marginal likelihood in Laplace's approximation:
Newton steps for the coefficients, and between them, on the quadratic that each step
solves, the fixed point of Wood & Fasiolo for the variances (penalized quasi-likelihood,
Breslow & Clayton, section 2). A variance whose likelihood falls from 0 on is exactly 0,
but for that of the bends, which has the bounds that it has in the calibrators.

References
----------
Breslow & Clayton (1993), "Approximate inference in generalized linear mixed models",
Journal of the American Statistical Association 88(421), 9-25.
Wood & Fasiolo (2017), "A generalized Fellner-Schall method for smoothing parameter
optimization", Biometrics 73(4), 1071-1081.
"""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.special import expit
from sklearn.exceptions import ConvergenceWarning

from calibration._kernels.positive_definite import invert_positive_definite
from calibration._kernels.segment_shift import shift_log_odds
from calibration.maps.logistic import LEARNED_PENALTIES, clipped_logit
from calibration.maps.spline import (
    BLOCK,
    SLOPE_SHARE,
    cardinal_segments,
    piecewise_cubics,
    place_knots,
    uncorrelated_columns,
)

Floats = NDArray[np.float64]
Slots = NDArray[np.integer]

# Closer to 0 or 1 than this a probability has no log odds that could be shifted.
CERTAIN = 1e-9
# Quantiles of the reference's log odds beyond which a shift goes on as a constant: the
# slope there would rest on a handful of rows.
_RANGE = 0.001, 0.999
_N_KNOTS = 6  # of the bends: those of the spline calibrator
_MOST_PASSES = 50
_MOST_HALVINGS = 30
_MOST_UPDATES = 200
_NEWTON_TOLERANCE = 1e-8  # of the squared step, in standard errors
_VARIANCE_TOLERANCE = 1e-4  # of ln(variance)
# What one more variance has to add to the log likelihood (Akaike): of segments without
# a shift one in ten would else be given one, and follow its noise.
_LEAST_GAIN = 1.0
_BEND_VARIANCE = 1.0 / LEARNED_PENALTIES[1], 1.0 / LEARNED_PENALTIES[0]
_TINY = 1e-4  # share of what the data tell that a variance next to 0 lets through


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class SegmentShifts:
    """What the reference says of the calibration of each segment.

    Coefficients stand in one vector: the common ones (constant, line, bends), then
    intercept and slope of each shift, column by column.

    Attributes
    ----------
    centre, scale : float
        Of the map's log odds x over the reference, weighted by p(1 - p): u is
        ``(x - centre) / scale``.
    bounds : ndarray of shape (2,)
        Of u; beyond them it counts as if it were there.
    knots : ndarray of shape (n_knots,)
        Of the bends, in units of u.
    bends : ndarray of shape (n_knots, n_bends)
        Values of the bends at the knots: uncorrelated with a constant and a line.
    coefficients : ndarray of shape (2 + n_bends + 2 * n_shifts,)
        In units of log odds.
    covariance : ndarray of shape (n_coefficients, n_coefficients)
        Of the estimated coefficients about the true ones; 0 where a variance is 0.
    variance : ndarray of shape (n_columns, 2)
        Of intercepts and slopes over the values of each segment column.
    bend_variance : float
        Of the coefficients of the bends.
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
            [np.ones(u.size), u, _evaluate(u, self.knots, self.bends)]
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
        Intercept and slope of each value.
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


def fit_segment_shifts(
    probability: Floats, label: Floats, slots: Slots, n_values: Sequence[int]
) -> SegmentShifts | None:
    r"""Learn how far the calibration of each segment is from that of all rows.

    Parameters
    ----------
    probability : ndarray of shape (n_rows,)
        What the map of all rows gives.
    label : ndarray of shape (n_rows,)
        0 or 1.
    slots : ndarray of int of shape (n_rows, n_columns)
        Number of the row's value in each segment column; values are numbered through
        all columns. ``sum(n_values)`` stands for a value without a shift.
    n_values : sequence of int
        Values of each column.

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
    >>> found = fit_segment_shifts(p, y, value[:, None], [2])
    >>> found.shifts[:, 0].round(1)
    array([-0.5,  0.5])
    """
    _check(probability, label, slots, n_values)
    x = clipped_logit(probability, CERTAIN)
    p = expit(x)
    weight = p * (1.0 - p)
    centre = float(np.average(x, weights=weight))
    spread = float(np.sqrt(np.average((x - centre) ** 2, weights=weight)))
    scale = spread if spread > 1e-6 else 1.0  # one score: no slope can be told
    u = (x - centre) / scale
    bounds = np.quantile(u, _RANGE)
    np.clip(u, *bounds, out=u)
    knots = place_knots(u, weight, _N_KNOTS)
    bends = np.empty((knots.size, 0))
    if knots.size > 2:
        columns = uncorrelated_columns(
            _evaluate(u, knots, np.eye(knots.size)), knots, weight
        )
        bends = columns[:, 2:]
    design = _Design(
        x=x,
        label=label,
        u=u,
        common=np.column_stack([np.ones(u.size), u, _evaluate(u, knots, bends)]),
        slots=slots,
        n_values=tuple(n_values),
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


def apply_segment_shifts(
    shifts: SegmentShifts, probability: Floats, slots: Slots
) -> Floats:
    """Return the probabilities of rows, shifted as their segments are.

    Parameters
    ----------
    shifts : SegmentShifts
    probability : ndarray of shape (n_rows,)
        What the map of all rows gives.
    slots : ndarray of int of shape (n_rows, n_columns)
        As in `fit_segment_shifts`; ``n_shifts`` and more: no shift.
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


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Design:
    """The rows of the fit; ``common`` is (n_rows, n_common), constant and u first."""

    x: Floats
    label: Floats
    u: Floats
    common: Floats
    slots: Slots
    n_values: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Fit:
    coefficients: Floats
    covariance: Floats
    information: Floats
    variance: Floats  # of each component: by column of intercepts, of slopes; of bends


def _evaluate(u: Floats, knots: Floats, values: Floats) -> Floats:
    """Return natural cubic splines, given at the knots, linear beyond them."""
    out = np.empty((u.size, values.shape[1]))
    if out.size:
        origins = np.concatenate([knots[:1], knots])
        tables = cardinal_segments(knots) @ values
        for start in range(0, u.size, BLOCK):
            rows = slice(start, start + BLOCK)
            piecewise_cubics(u[rows], knots, origins, tables, out=out[rows])
    return out


def _components(n_common: int, n_values: Sequence[int]) -> list[NDArray[np.int64]]:
    """Return the places of coefficients that share a variance; bends come last."""
    places = []
    begin = n_common
    for n in n_values:
        places += [begin + 2 * np.arange(n), begin + 1 + 2 * np.arange(n)]
        begin += 2 * n
    return [*places, np.arange(2, n_common)]


def _maximize(design: _Design) -> _Fit | None:
    """Find coefficients and variances; None if no shift has a variance above 0."""
    n_common = design.common.shape[1]
    components = _components(n_common, design.n_values)
    one_hot = _one_hot(design)
    theta = np.zeros(n_common + 2 * sum(design.n_values))
    # Of the penalty, a line of variance 1 has so much that separable data end.
    fixed = np.zeros(theta.size)
    fixed[1] = SLOPE_SHARE
    variance = np.zeros(len(components))
    departures = np.zeros(variance.size, dtype=np.int64)
    for _ in range(_MOST_PASSES):
        information, gradient = _linearize(design, one_hot, theta)
        target = information @ theta + gradient
        before = variance
        # The first steps may misjudge a component; one that left twice would come and
        # go for ever.
        variance = _choose_variances(
            information, target, components, fixed, variance, departures > 1
        )
        departures += (before > 0.0) & (variance == 0.0)
        if not variance[:-1].any():
            return None
        active, penalty = _active(components, variance, fixed)
        nearer, *_ = _solve(information, target, components, fixed, variance)
        theta[~np.isin(np.arange(theta.size), active)] = 0.0
        step, origin = nearer - theta, theta
        theta = _descend(design, theta, step, active, penalty)
        is_small = float(step @ information @ step) <= _NEWTON_TOLERANCE
        ratio = np.abs(variance - before) <= 10.0 * _VARIANCE_TOLERANCE * variance
        if (is_small or theta is origin) and ratio.all():
            break
    else:
        warnings.warn(
            f"The calibration of the segments still changes after {_MOST_PASSES} "
            "steps. Estimates of segments are less accurate than their intervals say. "
            "Take a longer reference, or leave out a segment column that divides the "
            "rows nearly as another one does.",
            ConvergenceWarning,
            stacklevel=3,
        )
    covariance = np.zeros_like(information)
    bread = np.empty((active.size, active.size))
    invert_positive_definite(
        information[np.ix_(active, active)] + np.diag(penalty), bread
    )
    covariance[np.ix_(active, active)] = bread
    return _Fit(
        coefficients=theta,
        covariance=covariance,
        information=information,
        variance=variance,
    )


def _one_hot(design: _Design) -> sparse.csr_array:
    """Return which rows have which value, (n_shifts, n_rows)."""
    n_rows, n_columns = design.slots.shape
    n_shifts = sum(design.n_values)
    slot = design.slots.ravel()
    row = np.repeat(np.arange(n_rows), n_columns)
    has = slot < n_shifts
    ones = np.ones(int(has.sum()))
    return sparse.csr_array((ones, (slot[has], row[has])), shape=(n_shifts, n_rows))


def _log_odds(design: _Design, theta: Floats) -> Floats:
    n_common = design.common.shape[1]
    shifts = np.append(theta[n_common:].reshape(-1, 2), [[0.0, 0.0]], axis=0)
    x = design.x + design.common @ theta[:n_common]
    for slot in design.slots.T:
        x += shifts[slot, 0] + shifts[slot, 1] * design.u
    return x


def _linearize(
    design: _Design, one_hot: sparse.csr_array, theta: Floats
) -> tuple[Floats, Floats]:
    """Return Fisher information and gradient of the log likelihood.

    Of two values of one column only a row's own has an entry, so that what stands
    between shifts is a diagonal within a column and a table of counts between two.
    """
    n_common, u = design.common.shape[1], design.u
    p = expit(_log_odds(design, theta))
    weight, residual = p * (1.0 - p), design.label - p
    weighted = design.common * weight[:, None]
    information = np.zeros((theta.size, theta.size))
    information[:n_common, :n_common] = design.common.T @ weighted
    of_level = one_hot @ weighted
    of_slope = one_hot @ (weighted * u[:, None])
    information[n_common::2, :n_common] = of_level
    information[n_common + 1 :: 2, :n_common] = of_slope
    level = n_common + 2 * np.arange(len(of_level))
    information[level, level] = of_level[:, 0]
    information[level + 1, level] = of_level[:, 1]
    information[level + 1, level + 1] = of_slope[:, 1]
    stop = np.cumsum(design.n_values)
    parts = [one_hot[s - n : s] for s, n in zip(stop, design.n_values, strict=True)]
    first = n_common + 2 * (stop - np.array(design.n_values))
    last = n_common + 2 * stop
    for i, j in zip(*np.tril_indices(stop.size, -1), strict=True):
        plain, once, twice = (
            (parts[i] @ (parts[j] * (weight * u**power)).T).toarray()
            for power in (0, 1, 2)
        )
        block = information[first[i] : last[i], first[j] : last[j]]
        block[::2, ::2], block[1::2, 1::2] = plain, twice
        block[1::2, ::2] = block[::2, 1::2] = once
    information = np.tril(information)
    information += np.tril(information, -1).T
    gradient = np.empty(theta.size)
    gradient[:n_common] = design.common.T @ residual
    gradient[n_common::2] = one_hot @ residual
    gradient[n_common + 1 :: 2] = one_hot @ (residual * u)
    return information, gradient


def _choose_variances(
    information: Floats,
    target: Floats,
    components: list[NDArray[np.int64]],
    fixed: Floats,
    start: Floats,
    excluded: NDArray[np.bool_],
) -> Floats:
    """Maximize the restricted likelihood of the quadratic that a Newton step solves.

    From a tiny variance the fixed point rises or falls as the likelihood does from 0
    on: where it falls the variance is 0, and so it is where it gains less than a
    parameter costs. Components that are ``excluded`` keep 0.

    A component that gains too little stays out, and one that falls to 0 beside others
    does until one of these is out: the choice ends, whatever the data are.
    """

    def step(variance: Floats) -> Floats:
        """Return by how much the fixed point moves ln(variance), 0 where it is 0."""
        beta, uncertain, _ = _solve(information, target, components, fixed, variance)
        moved = np.zeros(variance.size)
        for k in np.flatnonzero(variance).tolist():
            places = components[k]
            free = places.size - uncertain[places].sum() / variance[k]
            size = beta[places] @ beta[places]
            moved[k] = np.log(max(size, 1e-300) / max(free, 1e-300) / variance[k])
        return moved

    def likelihood(variance: Floats) -> float:
        return _solve(information, target, components, fixed, variance)[2]

    variance = start.copy()
    has_bends = components[-1].size > 0
    if has_bends:
        variance[-1] = max(variance[-1], _BEND_VARIANCE[0])
    weak: set[int] = set()
    fallen: set[int] = set()
    while True:
        was_positive = variance > 0.0
        for k, places in enumerate(components[:-1]):
            told = float(information[places, places].mean()) if places.size else 0.0
            if told <= 0.0 or excluded[k] or k in weak | fallen:
                continue
            trial = variance.copy()
            trial[k] = _TINY / told
            if step(trial)[k] <= 0.0:
                variance[k] = 0.0
            elif not variance[k]:
                variance[k] = 1.0 / told
        last = np.zeros(variance.size)
        for turn in range(_MOST_UPDATES):
            moved = step(variance)
            if has_bends:
                bend = variance[-1] * np.exp(np.clip(moved[-1], -5.0, 5.0))
                moved[-1] = np.log(np.clip(bend, *_BEND_VARIANCE) / variance[-1])
            if np.abs(moved).max() <= _VARIANCE_TOLERANCE:
                break
            longer = np.ones(variance.size)
            if turn % 3 == 2:  # Aitken: as far as the last two steps point
                ratio = np.divide(moved, last, np.zeros_like(last), where=last != 0.0)
                longer = 1.0 / (1.0 - np.clip(ratio, 0.0, 0.9))
            longer[-1] = 1.0  # the bends' has bounds
            variance = variance * np.exp(np.clip(longer * moved, -5.0, 5.0))
            last = moved
        is_positive = variance > 0.0
        fallen.update(np.flatnonzero(was_positive & ~is_positive).tolist())
        if (is_positive != was_positive).any():
            continue
        gain = np.full(variance.size, np.inf)
        for k in np.flatnonzero(variance[:-1]).tolist():
            without = np.where(np.arange(variance.size) == k, 0.0, variance)
            gain[k] = likelihood(variance) - likelihood(without)
        weakest = int(np.argmin(gain))
        if gain[weakest] >= _LEAST_GAIN:  # infinite if none is left
            break
        weak.add(weakest)
        fallen.clear()
        variance[weakest] = 0.0
    return variance


def _solve(
    information: Floats,
    target: Floats,
    components: list[NDArray[np.int64]],
    fixed: Floats,
    variance: Floats,
) -> tuple[Floats, Floats, float]:
    """Return coefficients, their variances, and the restricted log likelihood.

    Shifts of one column do not touch each other: those of the column with the most
    values are eliminated first, two by two, and only what is left needs an inverse.
    """
    with np.errstate(divide="ignore"):
        precision = 1.0 / variance
    sizes = [places.size for places in components[:-1:2]]
    largest = 2 * int(np.argmax(sizes))
    level, slope = components[largest], components[largest + 1]
    active, penalty = _active(components, variance, fixed)
    kept = ~np.isin(active, np.concatenate([level, slope]))
    rest, penalty = active[kept], penalty[kept]
    a = information[level, level] + precision[largest]
    d = information[slope, slope] + precision[largest + 1]
    c = information[slope, level]
    if variance[largest] and variance[largest + 1]:
        determinant = a * d - c * c
        pairs = d / determinant, -c / determinant, a / determinant
    else:  # the inverse of an infinite precision is 0
        determinant = np.where(np.isfinite(a), a, 1.0) * np.where(
            np.isfinite(d), d, 1.0
        )
        pairs = 1.0 / a, np.zeros_like(a), 1.0 / d
    of_level, of_slope = (
        information[np.ix_(level, rest)],
        information[np.ix_(slope, rest)],
    )
    onto_level = pairs[0][:, None] * of_level + pairs[1][:, None] * of_slope
    onto_slope = pairs[1][:, None] * of_level + pairs[2][:, None] * of_slope
    inside = information[np.ix_(rest, rest)] + np.diag(penalty)
    # Sums without BLAS, whose threads gain nothing here.
    inside -= np.einsum("ki,kj->ij", of_level, onto_level)
    inside -= np.einsum("ki,kj->ij", of_slope, onto_slope)
    bread = np.empty_like(inside)
    log_determinant = invert_positive_definite(inside, bread)
    log_determinant += float(np.log(determinant).sum())
    for places, size in zip(components, variance, strict=True):
        if size > 0.0:
            log_determinant += places.size * float(np.log(size))
    beta, uncertain = np.zeros(fixed.size), np.zeros(fixed.size)
    of_rest = target[rest] - np.einsum("ki,k->i", onto_level, target[level])
    of_rest -= np.einsum("ki,k->i", onto_slope, target[slope])
    beta[rest] = np.einsum("ij,j->i", bread, of_rest)
    uncertain[rest] = np.diag(bread)
    for places, onto, i, j in (
        (level, onto_level, 0, 1), (slope, onto_slope, 1, 2),
    ):  # fmt: skip
        beta[places] = pairs[i] * target[level] + pairs[j] * target[slope]
        beta[places] -= np.einsum("ki,i->k", onto, beta[rest])
        uncertain[places] = pairs[i if places is level else j]
        carried = np.einsum("ki,ij->kj", onto, bread)
        uncertain[places] += np.einsum("kj,kj->k", carried, onto)
    return beta, uncertain, 0.5 * (float(target @ beta) - log_determinant)


def _active(
    components: list[NDArray[np.int64]], variance: Floats, fixed: Floats
) -> tuple[NDArray[np.int64], Floats]:
    """Return the coefficients that are not 0 by a variance of 0, and their penalty."""
    penalty = np.full(fixed.size, np.inf)
    penalty[:2] = fixed[:2]
    for places, size in zip(components, variance, strict=True):
        if size > 0.0:
            penalty[places] = 1.0 / size
    active = np.flatnonzero(np.isfinite(penalty))
    return active, penalty[active]


def _descend(
    design: _Design,
    theta: Floats,
    step: Floats,
    active: NDArray[np.int64],
    penalty: Floats,
) -> Floats:
    """Return where a Newton step leads, halved until the penalized loss falls."""

    def loss(at: Floats) -> float:
        x = _log_odds(design, at)
        rows = np.logaddexp(0.0, np.where(design.label > 0.5, -x, x))
        return float(rows.sum() + 0.5 * (penalty * at[active]) @ at[active])

    here, size = loss(theta), 1.0
    for _ in range(_MOST_HALVINGS):
        nearer = theta + size * step
        if loss(nearer) <= here:
            return nearer
        size /= 2.0
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
