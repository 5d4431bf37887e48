"""Calibration by a natural cubic spline of the logit: the default."""

from copy import copy
from typing import Self

import numpy as np
from numpy.typing import NDArray

from calibration._kernels.piecewise_cubic import bounded_cubic
from calibration.maps.logistic import (
    LOGIT_BOUND,
    LogisticCalibrator,
    LogisticFit,
    clipped_logit,
    fit_logistic,
)
from calibration.maps.spline_basis import (
    cardinal_segments,
    piecewise_cubics,
    place_knots,
    smooth_columns,
    weighted_quantiles,
    with_tails,
)

Floats = NDArray[np.float64]

# Rows mapped at a time: 256 kB stay in a core's cache through all passes.
BLOCK = 32_768
# The same for a basis of six columns.
_BASIS_BLOCK = 4_096


# Of the penalty on the bends: the slope is practically free, yet finite if the classes
# are separable.
SLOPE_SHARE = 0.01
# Quantiles of the score in the reference: between them it vouches for the map's bends,
# beyond them methods that read features take a score for the nearest of the two.
REFERENCE_SCORE_QUANTILES = 0.001, 0.999


class SplineCalibrator(LogisticCalibrator):
    r"""Logistic regression on a natural cubic spline of the clipped logit.

    Flexible where the scores are, linear in the logit beyond: with 1,000 reference rows
    it is less noisy than isotonic regression and less rigid than Platt's or the beta
    map [1]_. The penalty falls on the curvature, not on the slope: with very few rows
    the map shrinks towards Platt's, not towards a constant, and knots are more than a
    smooth map needs, for the one that turns.

    Beyond the reference's 0.001 and 0.999 quantiles of the score the log odds go on
    with the slope of a straight line through the whole map, and never fall: the end of
    a spline rests on a handful of rows. The error of the map grows there with the
    distance, by how much slopes differ within the map.

    Parameters
    ----------
    n_knots : int, default=8
        Knots at equally spaced quantiles of the score, .02 to .98, fewer where scores
        are tied; fewer than 3 distinct ones make the map linear in the logit.
    l2 : float, optional
        Penalty on the curvature between the outer knots, scaled such that the bends it
        takes for likely have variance 1 / l2 each over the reference, on average. By
        default it is learned from the data by marginal likelihood: where a straight
        line will do, the bends go [3]_.
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
    array([0.001, 0.003, 0.004])
    """

    knots_: Floats
    segments_: Floats

    def __init__(
        self, n_knots: int = 8, l2: float | None = None, clip: float = 1e-6
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
        lowest, highest = weighted_quantiles(
            x, weight, np.array(REFERENCE_SCORE_QUANTILES)
        )
        ends = min(lowest, inner[0]), max(highest, inner[-1])
        self.knots_ = np.array([ends[0], *inner, ends[1]])
        self.segments_ = with_tails(inner, cardinal_segments(inner), ends)
        basis = self.basis(score, with_tails=False)
        columns = smooth_columns(basis, inner, weight)
        l2 = 1.0 if self.l2 is None else self.l2
        penalty = np.full(columns.shape[1], l2)
        penalty[:2] = 0.0, SLOPE_SHARE * l2
        n_smooth = penalty.size - 2 if self.l2 is None else 0
        design = (columns.T @ basis.T).T  # by columns, as the fit reads it
        fit = fit_logistic(design, y, weight, penalty, n_smooth=n_smooth)
        return _append_tails(fit, columns, inner, self.segments_[1:, 1, : inner.size])

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

    def basis(self, score: Floats, *, with_tails: bool = True) -> Floats:
        """Return the splines that are 1 at one inner knot, and both tails.

        Parameters
        ----------
        score : ndarray of float64, shape (n_rows,)
            Scores of the positive class, in [0, 1].
        with_tails : bool, default=True
            Whether the last two columns, 0 between the ends, are wanted.

        Returns
        -------
        ndarray of shape (n_rows, n_parameters)
            The map is the expit of ``basis(score) @ coefficients_``.
        """
        columns = np.eye(self.segments_.shape[2])
        if not with_tails:
            columns = columns[:, :-2]
        return self._scaled_basis(score, np.ones(score.size), columns)

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


def _append_tails(
    fit: LogisticFit, columns: Floats, knots: Floats, slopes: Floats
) -> LogisticFit:
    """Return a fit in values at the knots, with the slopes of both tails.

    A tail has the slope of the straight line nearest to the map, by the information of
    the rows, or 0 if that falls: Platt's, to first order. It may differ from the line
    by as much as slopes do within the map: by the mean square over the knots, with what
    is not known of them. The method page, section 3, on tails.

    Parameters
    ----------
    fit : LogisticFit
        Of a constant, a line and bends.
    columns : ndarray of shape (n_knots, n_columns)
        Values of these at the knots.
    knots : ndarray of shape (n_knots,)
        Rising.
    slopes : ndarray of shape (n_slopes, n_knots)
        What the slopes within the map are of the values at the knots.
    """
    information = fit.information
    nearest = np.linalg.pinv(information[:2, :2]) @ information[:2]
    rise = (columns[-1, 1] - columns[0, 1]) / (knots[-1] - knots[0])
    line = rise * nearest[1]
    differences = slopes @ columns - line
    variance = float(
        np.mean((differences @ fit.coefficients) ** 2)
        + np.mean(((differences @ fit.covariance) * differences).sum(axis=1))
    )
    extended = np.vstack([columns, line, line])
    covariance = extended @ fit.covariance @ extended.T
    covariance[-2, -2] += variance
    covariance[-1, -1] += variance
    coefficients = extended @ fit.coefficients
    coefficients[-2:] = np.maximum(coefficients[-2:], 0.0)
    return LogisticFit(coefficients, covariance)
