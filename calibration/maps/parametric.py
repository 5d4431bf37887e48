"""Calibration by few parameters: Platt, beta, temperature, identity."""

from typing import Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from calibration._validation import check_probabilities, check_training_rows
from calibration.maps.array_state import ArrayStateMixin
from calibration.maps.logistic import (
    LogisticCalibrator,
    LogisticFit,
    clipped_logit,
    fit_logistic,
)

Floats = NDArray[np.float64]

# Keeps separable data finite; moves no estimate that the data determine.
RIDGE = 1e-3


class PlattCalibrator(LogisticCalibrator):
    """Logistic regression on the logit of the score: a shift and a slope.

    Platt's map [1]_ for scores that are probabilities; on the logit the identity is
    one of its members. Right when the score is off by a tilt, biased otherwise.

    Parameters
    ----------
    clip : float, default=1e-6
        Scores are kept within [clip, 1 - clip] before the logit.

    Attributes
    ----------
    coefficients_ : ndarray of shape (2,)
        Shift and slope.
    covariance_ : ndarray of shape (2, 2)
        Their covariance.

    References
    ----------
    .. [1] Platt (1999), "Probabilistic Outputs for Support Vector Machines and
       Comparisons to Regularized Likelihood Methods".

    Examples
    --------
    >>> import numpy as np
    >>> from scipy.special import expit, logit
    >>> rng = np.random.default_rng(0)
    >>> score = rng.random(200_000)
    >>> y = rng.random(200_000) < expit(0.5 + 2.0 * logit(score))
    >>> PlattCalibrator().fit(score, y).coefficients_.round(1)
    array([0.5, 2. ])
    """

    def __init__(self, clip: float = 1e-6) -> None:
        self.clip = clip

    def _learn(self, score: Floats, y: Floats, weight: Floats) -> LogisticFit:
        return fit_standardized(self._basis(score)[:, 1:], y, weight)

    def _basis(self, score: Floats) -> Floats:
        x = clipped_logit(score, self.clip)
        return np.column_stack([np.ones(x.size), x])


class BetaCalibrator(LogisticCalibrator):
    r"""Beta calibration: logit p = c + a ln s - b ln(1 - s), with a, b >= 0.

    The map for scores that are beta distributed in each class [1]_; a = b is Platt's,
    a = b = 1, c = 0 the identity. As in the paper, a negative coefficient is set to 0
    and the others are fitted again.

    Parameters
    ----------
    clip : float, default=1e-6
        Scores are kept within [clip, 1 - clip] before the logarithms.

    Attributes
    ----------
    coefficients_ : ndarray of shape (3,)
        c, a, b.
    covariance_ : ndarray of shape (3, 3)
        Their covariance; rows and columns of a coefficient set to 0 are 0.

    References
    ----------
    .. [1] Kull, Silva Filho, Flach (2017), "Beta calibration: a well-founded and easily
       implemented improvement on logistic calibration for binary classifiers",
       AISTATS, PMLR 54, algorithm 1.

    Examples
    --------
    >>> import numpy as np
    >>> from scipy.special import expit
    >>> rng = np.random.default_rng(0)
    >>> score = rng.random(50_000)
    >>> truth = expit(0.5 + 2.0 * np.log(score) - 0.5 * np.log1p(-score))
    >>> y = rng.random(50_000) < truth
    >>> BetaCalibrator().fit(score, y).coefficients_.round(1)
    array([0.5, 2. , 0.5])
    """

    def __init__(self, clip: float = 1e-6) -> None:
        self.clip = clip

    def _learn(self, score: Floats, y: Floats, weight: Floats) -> LogisticFit:
        columns = self._basis(score)[:, 1:]
        fit = fit_standardized(columns, y, weight)
        while fit.coefficients[1:].min() < 0.0:
            columns[:, fit.coefficients[1:].argmin()] = 0.0  # leaves its coefficient 0
            fit = fit_standardized(columns, y, weight)
        return fit

    def _basis(self, score: Floats) -> Floats:
        s = np.clip(score, self.clip, 1.0 - self.clip)
        return np.column_stack([np.ones(s.size), np.log(s), -np.log1p(-s)])


class TemperatureCalibrator(LogisticCalibrator):
    """Temperature scaling: logit p = logit(s) / T, one parameter.

    Moves all scores towards or away from 1/2 [1]_: the map for a network that is too
    sure of itself. It cannot correct a shift in prevalence.

    Parameters
    ----------
    clip : float, default=1e-6
        Scores are kept within [clip, 1 - clip] before the logit.

    Attributes
    ----------
    coefficients_ : ndarray of shape (1,)
        1 / T.
    covariance_ : ndarray of shape (1, 1)
        Its variance.

    References
    ----------
    .. [1] Guo, Pleiss, Sun, Weinberger (2017), "On Calibration of Modern Neural
       Networks", ICML.

    Examples
    --------
    >>> import numpy as np
    >>> from scipy.special import expit, logit
    >>> rng = np.random.default_rng(0)
    >>> score = rng.random(20_000)
    >>> y = rng.random(20_000) < expit(logit(score) / 2.5)
    >>> round(TemperatureCalibrator().fit(score, y).temperature_, 1)
    2.5
    """

    def __init__(self, clip: float = 1e-6) -> None:
        self.clip = clip

    @property
    def temperature_(self) -> float:
        """T; above 1 where the score is overconfident."""
        return float(1.0 / self.coefficients_[0])

    def _learn(self, score: Floats, y: Floats, weight: Floats) -> LogisticFit:
        return fit_logistic(self._basis(score), y, weight, np.array([RIDGE]))

    def _basis(self, score: Floats) -> Floats:
        return clipped_logit(score, self.clip)[:, np.newaxis]


class IdentityCalibrator(ArrayStateMixin):
    """Takes the score for the probability.

    There is nothing to learn, so it predicts without ``fit``, and its map has no
    estimation error: ``error_factor`` has no columns.

    Examples
    --------
    >>> IdentityCalibrator().predict([0.2, 0.7])
    array([0.2, 0.7])
    >>> IdentityCalibrator().error_factor([0.2, 0.7]).shape
    (2, 0)
    """

    def fit(
        self, score: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None
    ) -> Self:
        """Check the labelled rows as every calibrator does, and learn nothing.

        Parameters
        ----------
        score : array-like of shape (n_rows,)
            Raw scores of the positive class, in [0, 1].
        y : array-like of shape (n_rows,)
            Labels, 0 and 1 or booleans, both classes present.
        sample_weight : array-like of shape (n_rows,), optional
            Weights >= 0.

        Returns
        -------
        self
            The calibrator as it was.

        Raises
        ------
        TypeError
            If an argument is not numeric.
        ValueError
            If an argument breaks its rule; the message says where and what to do.
        """
        check_training_rows(score, y, sample_weight)
        return self

    def predict(self, score: ArrayLike) -> Floats:
        """Return a copy of the scores.

        Parameters
        ----------
        score : array-like of shape (n_rows,)
            Raw scores of the positive class, in [0, 1].

        Returns
        -------
        ndarray of float64, shape (n_rows,)
            Probabilities of the positive class, equal to the scores.

        Raises
        ------
        ValueError
            If a score is missing or outside [0, 1].
        """
        return check_probabilities(score, "score").copy()

    def error_factor(self, score: ArrayLike) -> Floats:
        """Return L without a column: the map has no estimation error.

        Parameters
        ----------
        score : array-like of shape (n_rows,)
            Raw scores of the positive class, in [0, 1].

        Returns
        -------
        ndarray of float64, shape (n_rows, 0)
            An empty array.

        Raises
        ------
        ValueError
            If a score is missing or outside [0, 1].
        """
        return np.empty((check_probabilities(score, "score").size, 0))

    def __sklearn_is_fitted__(self) -> bool:
        """Tell scikit-learn that there is nothing to wait for."""
        return True


def fit_standardized(columns: Floats, y: Floats, weight: Floats) -> LogisticFit:
    """Fit an intercept and ``columns``, solved on centred and scaled columns.

    So that the ridge means the same for any spread of scores. A column that does not
    vary gets the coefficient 0.
    """
    centre = np.average(columns, axis=0, weights=weight)
    scale = np.sqrt(np.average((columns - centre) ** 2, axis=0, weights=weight))
    inverse = np.where(scale > 1e-7, 1.0 / np.maximum(scale, 1e-7), 0.0)
    scaled = (columns - centre) * inverse
    design = np.column_stack([np.ones(len(scaled)), scaled])
    fit = fit_logistic(design, y, weight, np.r_[0.0, np.full(columns.shape[1], RIDGE)])
    back = np.diag(np.r_[1.0, inverse])
    back[0, 1:] = -centre * inverse
    return LogisticFit(back @ fit.coefficients, back @ fit.covariance @ back.T)
