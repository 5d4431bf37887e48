"""Calibration by a natural cubic spline of the logit: the default."""

from copy import copy
from typing import Self

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import CubicSpline
from scipy.special import expit

from calibration._kernels.piecewise_cubic import bounded_cubic
from calibration.maps.logistic import (
    LOGIT_BOUND,
    LogisticCalibrator,
    LogisticFit,
    clipped_logit,
    fit_logistic,
)

Floats = NDArray[np.float64]

# Rows mapped at a time: 256 kB stay in a core's cache through all passes.
BLOCK = 32_768
# The same for a basis of six columns.
_BASIS_BLOCK = 4_096


# Of the penalty on the bends: the slope is practically free, yet finite if the classes
# are separable.
SLOPE_SHARE = 0.01
# Quantiles of the score between which the reference vouches for the map's bends.
REFERENCE_QUANTILES = 0.001, 0.999


class SplineCalibrator(LogisticCalibrator):
    r"""Logistic regression on a natural cubic spline of the clipped logit.

    Flexible where the scores are, linear in the logit beyond: with 1,000 reference rows
    it is less noisy than isotonic regression and less rigid than Platt's or the beta
    map [1]_. The penalty falls on the bends, not on the slope: with very few rows the
    map shrinks towards Platt's, not towards a constant.

    Beyond the reference's 0.001 and 0.999 quantiles of the score the log odds go on
    with the slope of a straight line through the whole map, and never fall: the end of
    a spline rests on a handful of rows. The error of the map grows there with the
    distance, by how much slopes differ within the map.

    Parameters
    ----------
    n_knots : int, default=6
        Knots at equally spaced quantiles of the score, .02 to .98, fewer where scores
        are tied; fewer than 3 distinct ones make the map linear in the logit.
    l2 : float, optional
        Penalty on the bends, each scaled to variance 1 over the reference. By default
        it is learned from the data by marginal likelihood: where a straight line will
        do, the bends go [3]_.
    clip : float, default=1e-6
        Scores are kept within [clip, 1 - clip] before the logit.

    Attributes
    ----------
    knots_ : ndarray of shape (n_knots + 2,)
        Knots on the logit scale, rising, between the two ends of the reference.
    coefficients_ : ndarray of shape (n_knots + 2,)
        Log odds at the inner knots, then the slopes below and above the ends; they
        determine the whole map.
    covariance_ : ndarray of shape (n_knots + 2, n_knots + 2)
        Covariance of ``coefficients_``, with what the penalty shrinks away.

    References
    ----------
    .. [1] Lucena (2018), "Spline-Based Probability Calibration", arXiv:1809.07751.
    .. [2] Hastie, Tibshirani, Friedman (2009), "The Elements of Statistical Learning",
       2nd ed., section 5.2.1 (natural cubic splines).
    .. [3] Wood & Fasiolo (2017), "A generalized Fellner-Schall method for smoothing
       parameter optimization", Biometrics 73(4), 1071-1081.

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> score = rng.random(100_000)
    >>> y = rng.random(100_000) < score**2
    >>> calibrator = SplineCalibrator().fit(score, y)
    >>> calibrator.predict([0.2, 0.5, 0.8]).round(2)
    array([0.04, 0.25, 0.64])
    >>> error = calibrator.error_factor([0.2, 0.5, 0.8])
    >>> np.sqrt((error**2).sum(axis=1)).round(3)  # standard errors
    array([0.001, 0.003, 0.003])
    """

    knots_: Floats
    segments_: Floats

    def __init__(
        self, n_knots: int = 6, l2: float | None = None, clip: float = 1e-6
    ) -> None:
        self.n_knots = n_knots
        self.l2 = l2
        self.clip = clip

    @property
    def values_(self) -> Floats:
        """Log odds at ``knots_``."""
        return self.segments_[1:, 0] @ self.coefficients_

    def _learn(self, score: Floats, y: Floats, weight: Floats) -> LogisticFit:
        x = clipped_logit(score, self.clip)
        inner = place_knots(x, weight, self.n_knots)
        lowest, highest = _weighted_quantiles(x, weight, REFERENCE_QUANTILES)
        ends = min(lowest, inner[0]), max(highest, inner[-1])
        self.knots_ = np.array([ends[0], *inner, ends[1]])
        self.segments_ = with_tails(inner, cardinal_segments(inner), ends)
        basis = self._basis(score)[:, : inner.size]
        columns = uncorrelated_columns(basis, inner, weight)
        l2 = 1.0 if self.l2 is None else self.l2
        penalty = np.full(columns.shape[1], l2)
        penalty[:2] = 0.0, SLOPE_SHARE * l2
        n_smooth = penalty.size - 2 if self.l2 is None else 0
        fit = fit_logistic(basis @ columns, y, weight, penalty, n_smooth=n_smooth)
        values = LogisticFit(
            columns @ fit.coefficients, columns @ fit.covariance @ columns.T
        )
        p = expit(basis @ values.coefficients)
        line = slope_of_line(basis, np.clip(x, *ends), weight * p * (1.0 - p))
        return append_tails(values, line, self.segments_[1:, 1, : inner.size])

    def with_lines_beyond(self, score_range: Floats, slope: float) -> Self:
        """Return this map with tails, if it was saved before maps had any.

        Parameters
        ----------
        score_range : ndarray of shape (2,)
            Scores beyond which the log odds go on as a line.
        slope : float
            Slope of both lines, in log odds by log odds of the score; it is taken for
            certain.

        Returns
        -------
        SplineCalibrator
            A map that predicts the same between the two scores.
        """
        inner, n = self.knots_, self.knots_.size
        lowest, highest = clipped_logit(score_range, self.clip).tolist()
        ends = min(lowest, inner[0]), max(highest, inner[-1])
        whole = copy(self)
        whole.knots_ = np.array([ends[0], *inner, ends[1]])
        whole.segments_ = with_tails(inner, self.segments_, ends)
        whole.coefficients_ = np.append(self.coefficients_, [slope, slope])
        whole.covariance_ = np.zeros((n + 2, n + 2))
        whole.covariance_[:n, :n] = self.covariance_
        return whole

    def basis(self, score: Floats) -> Floats:
        """Return the splines that are 1 at one inner knot, and both tails.

        Parameters
        ----------
        score : ndarray of float64, shape (n_rows,)
            Scores of the positive class, in [0, 1].

        Returns
        -------
        ndarray of shape (n_rows, n_parameters)
            The map is the expit of ``basis(score) @ coefficients_``.
        """
        n_parameters = self.segments_.shape[2]
        return self._scaled_basis(score, np.ones(score.size), np.eye(n_parameters))

    def _basis(self, score: Floats) -> Floats:
        return self.basis(score)

    def _scaled_basis(self, score: Floats, scale: Floats, root: Floats) -> Floats:
        out = np.empty((score.size, root.shape[1]))
        tables = self.segments_ @ root
        for start in range(0, score.size, _BASIS_BLOCK):
            rows = slice(start, start + _BASIS_BLOCK)
            piecewise_cubics(
                clipped_logit(score[rows], self.clip),
                self.knots_,
                self._origins(),
                tables,
                out=out[rows],
            )
        out *= scale[:, None]
        return out

    def _predict(self, score: Floats) -> Floats:
        origins, table = self._origins(), self.segments_ @ self.coefficients_
        out = np.empty(score.size)
        for start in range(0, score.size, BLOCK):
            block = out[start : start + BLOCK]
            np.clip(score[start : start + BLOCK], self.clip, 1.0 - self.clip, out=block)
            np.divide(block, 1.0 - block, out=block)
            np.log(block, out=block)
            bounded_cubic(block, self.knots_, origins, table, LOGIT_BOUND)
            np.exp(block, out=block)
            block += 1.0
            np.reciprocal(block, out=block)
        return out

    def _origins(self) -> Floats:
        return np.concatenate([self.knots_[:1], self.knots_])


def piecewise_cubics(
    x: Floats, knots: Floats, origins: Floats, tables: Floats, *, out: Floats
) -> None:
    """Write several piecewise cubics with common knots, in columns.

    NumPy is fast enough here: only ``fit`` asks for a basis, and compiling a kernel for
    it would be a tenth of what the first fit after an installation takes.

    Parameters
    ----------
    x : ndarray of shape (n_rows,)
    knots : ndarray of shape (n_knots,)
        Rising; segment ``j`` ends where segment ``j + 1`` begins, at ``knots[j]``.
    origins : ndarray of shape (n_knots + 1,)
        From where each segment counts.
    tables : ndarray of shape (n_knots + 1, 4, n_columns)
        Coefficients of 1, u, u², u³, with u the distance to the segment's origin.
    out : ndarray of shape (n_rows, n_columns)
    """
    segment = np.searchsorted(knots, x, side="right")
    u = (x - origins[segment])[:, None]
    np.take(tables[:, 3], segment, axis=0, out=out)
    for power in (2, 1, 0):
        out *= u
        out += np.take(tables[:, power], segment, axis=0)


def place_knots(x: Floats, weight: Floats, n_knots: int) -> Floats:
    """Return distinct weighted quantiles of ``x``; two knots make the map linear.

    Each knot is an observed value, so that none is without data around it, and a
    row of weight 2 is a row taken twice.
    """
    if n_knots < 2:
        msg = f"`n_knots` must be >= 2, got {n_knots}."
        raise ValueError(msg)
    order = np.argsort(x)
    x = x[order]
    mass = np.cumsum(weight[order])
    levels = np.linspace(0.02, 0.98, n_knots) * mass[-1]
    knots = x[np.searchsorted(mass, levels)]
    # Knots closer than this would only make the basis ill-conditioned.
    gap = max(1e-3 * (knots[-1] - knots[0]), 1e-6)
    distinct = [knots[0]]
    for knot in knots[1:]:
        if knot - distinct[-1] > gap:
            distinct.append(knot)
    if len(distinct) > 2:
        return np.array(distinct)
    if x[-1] - x[0] > 1e-6:
        return np.array([x[0], x[-1]])
    return np.array([x[0] - 0.5, x[0] + 0.5])  # one score: a constant map


def _weighted_quantiles(
    x: Floats, weight: Floats, levels: tuple[float, ...]
) -> list[float]:
    """Return observed values: a row of weight 2 is a row taken twice."""
    order = np.argsort(x)
    mass = np.cumsum(weight[order])
    rows = np.searchsorted(mass, np.array(levels) * mass[-1])
    quantiles: list[float] = x[order[rows]].tolist()
    return quantiles


def cardinal_segments(knots: Floats) -> Floats:
    """Return the natural cubic splines that are 1 at one knot and 0 at the others.

    Returns
    -------
    ndarray of shape (n_knots + 1, 4, n_knots)
        Per segment the coefficients of 1, u, u^2, u^3 of each spline, u counted from
        the segment's left knot; the outer segments are linear.
    """
    n = knots.size
    spline = CubicSpline(knots, np.eye(n), bc_type="natural")
    segments = np.zeros((n + 1, 4, n))
    segments[1:-1] = spline.c[::-1].transpose(1, 0, 2)
    for segment, knot in ((0, 0), (-1, n - 1)):
        segments[segment, 0, knot] = 1.0
        segments[segment, 1] = spline(knots[knot], 1)
    return segments


def with_tails(knots: Floats, segments: Floats, ends: tuple[float, float]) -> Floats:
    """Let slopes of their own continue a natural spline beyond two ends.

    Parameters
    ----------
    knots : ndarray of shape (n_knots,)
        Rising, between the ends.
    segments : ndarray of shape (n_knots + 1, 4, n_knots)
        Of `cardinal_segments`.
    ends : (float, float)
        Where the tails begin.

    Returns
    -------
    ndarray of shape (n_knots + 3, 4, n_knots + 2)
        The same at the knots with both ends; the last two columns are 0 between the
        ends, and beyond them the distance to the nearer end, with its sign.
    """
    n = knots.size
    table = np.zeros((n + 3, 4, n + 2))
    table[1:-1, :, :n] = segments
    for side in (0, -1):
        distance = ends[side] - knots[side]
        table[side, 0, :n] = segments[side, 0] + segments[side, 1] * distance
        table[side, 1, n:][side] = 1.0
    # Segments count from their left knot, the first one from where it ends.
    table[1, 0, :n] = table[0, 0, :n]
    return table


def slope_of_line(basis: Floats, x: Floats, information: Floats) -> Floats:
    """Return what the slope of the straight line nearest to a map is of its values.

    Parameters
    ----------
    basis : ndarray of shape (n_rows, n_knots)
        Splines that are 1 at one knot and 0 at the others.
    x : ndarray of shape (n_rows,)
        Logits of the scores, kept within the ends.
    information : ndarray of shape (n_rows,)
        Weight of each row, times p(1 - p): then it is Platt's line, to first order.

    Returns
    -------
    ndarray of shape (n_knots,)
        The slope is its product with the values; 0 where all rows have one score.
    """
    share = information / information.sum()
    centred = x - share @ x
    spread = float(share @ centred**2)
    line: Floats = (share * centred) @ basis
    return line / spread if spread > 1e-12 else np.zeros(line.size)


def append_tails(fit: LogisticFit, line: Floats, slopes: Floats) -> LogisticFit:
    """Append the slopes of both tails to the values at the knots.

    A tail has the slope of the line, or 0 if that falls. It may differ from the line by
    as much as slopes do within the map: by the mean square over the knots, with what
    is not known of them. The method page, section 3, on tails.

    Parameters
    ----------
    fit : LogisticFit
        Values at the knots.
    line : ndarray of shape (n_knots,)
        What the slope of the line is of the values.
    slopes : ndarray of shape (n_slopes, n_knots)
        What the slopes within the map are of the values.
    """
    values, covariance = fit
    differences = slopes - line
    variance = float(
        np.mean((differences @ values) ** 2)
        + np.mean(((differences @ covariance) * differences).sum(axis=1))
    )
    extend = np.vstack([np.eye(values.size), line, line])
    joint = extend @ covariance @ extend.T
    joint[-2, -2] += variance
    joint[-1, -1] += variance
    slope = max(0.0, float(line @ values))
    return LogisticFit(np.append(values, [slope, slope]), joint)


def uncorrelated_columns(basis: Floats, knots: Floats, weight: Floats) -> Floats:
    """Return knot values of a constant, a line and bends, orthonormal on the rows.

    Gram-Schmidt in this order, by Cholesky. A line without variance (one distinct
    score) becomes 0, which a penalty then leaves at 0.
    """
    start = np.column_stack([np.ones(knots.size), knots, np.eye(knots.size)[:, 1:-1]])
    if not np.ptp(basis @ knots) > 0.5e-6:
        return start * [1.0, 0.0]
    gram = start.T @ ((basis.T * (weight / weight.sum())) @ basis) @ start
    columns: Floats = np.linalg.solve(np.linalg.cholesky(gram), start.T).T
    return columns
