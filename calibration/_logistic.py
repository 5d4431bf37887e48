"""Logistic regression on a basis of the score: what most calibrators here share."""

from typing import NamedTuple, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit
from sklearn.linear_model import LogisticRegression
from sklearn.utils.validation import check_is_fitted

from calibration._state import ArrayStateMixin
from calibration._validation import check_probabilities, check_training_rows

Floats = NDArray[np.float64]

# Probabilities stay 1e-12 away from 0 and 1, so that nothing downstream divides by 0.
LOGIT_BOUND = float(np.log1p(-1e-12) - np.log(1e-12))


class LogisticFit(NamedTuple):
    """Coefficients of a logistic regression and their covariance."""

    coefficients: Floats
    covariance: Floats


def clipped_logit(score: Floats, clip: float) -> Floats:
    """Return the log odds of ``score`` kept within [clip, 1 - clip]."""
    clipped = np.clip(score, clip, 1.0 - clip)
    logit: Floats = np.log(clipped / (1.0 - clipped))
    return logit


def fit_logistic(
    design: Floats, y: Floats, weight: Floats, penalty: Floats, *, intercept: bool
) -> LogisticFit:
    r"""Fit by penalized maximum likelihood, with the sandwich covariance.

    Minimizes :math:`\sum_i w_i \ell_i + \tfrac12 \sum_j \lambda_j \beta_j^2`, the
    intercept unpenalized. The covariance is :math:`H^{-1} G H^{-1}` with
    :math:`H = \sum_i w_i p_i (1 - p_i) x_i x_i^T + \Lambda` and
    :math:`G = \sum_i w_i^2 p_i (1 - p_i) x_i x_i^T`: weights weigh, they do not count
    observations, and the labels vary as the model says [1]_.

    Parameters
    ----------
    design : ndarray of shape (n_rows, n_columns)
        Without the intercept's column of ones.
    y, weight : ndarray of shape (n_rows,)
        Labels 0 and 1, both present, and weights > 0.
    penalty : ndarray of shape (n_columns,)
        :math:`\lambda`, > 0.
    intercept : bool
        Whether to fit one; it then comes first among the coefficients.

    References
    ----------
    .. [1] White (1982), "Maximum Likelihood Estimation of Misspecified Models",
       Econometrica 50(1), 1-25.
    """
    # One C for all columns is scikit-learn's; scaling the columns gives each its own.
    root = np.sqrt(penalty)
    model = LogisticRegression(
        C=1.0,
        solver="newton-cholesky",
        fit_intercept=intercept,
        tol=1e-8,
        max_iter=1000,
    ).fit(design / root, y, sample_weight=weight)
    coefficients = model.coef_[0] / root
    ridge = penalty
    if intercept:
        coefficients = np.r_[model.intercept_, coefficients]
        design = np.column_stack([np.ones(len(design)), design])
        ridge = np.r_[0.0, penalty]
    p = expit(design @ coefficients)
    information = weight * p * (1.0 - p)
    hessian = (design.T * information) @ design + np.diag(ridge)
    noise = (design.T * (information * weight)) @ design
    bread = np.linalg.pinv(hessian, hermitian=True)
    return LogisticFit(coefficients, bread @ noise @ bread)


class LogisticCalibrator(ArrayStateMixin):
    """Base of the calibrators with logit P(y = 1 | s) linear in a basis of the score.

    A subclass learns in ``_learn`` and says in ``_basis`` what its coefficients
    multiply.

    Attributes
    ----------
    coefficients_ : ndarray of shape (n_parameters,)
        The map: ``logit(p) = basis(score) @ coefficients_``.
    covariance_ : ndarray of shape (n_parameters, n_parameters)
        Covariance of ``coefficients_`` over repeated reference samples.
    """

    coefficients_: Floats
    covariance_: Floats

    def fit(
        self, score: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None
    ) -> Self:
        """Learn the map from labelled rows.

        Parameters
        ----------
        score : array-like of shape (n_rows,)
            Raw scores of the positive class, in [0, 1].
        y : array-like of shape (n_rows,)
            Labels, 0 and 1 or booleans, both classes present.
        sample_weight : array-like of shape (n_rows,), optional
            Weights >= 0; a weight of 2 gives the map of the row taken twice, but
            ``error_factor`` does not take it for two independent rows.

        Returns
        -------
        self

        Raises
        ------
        TypeError
            If an argument is not numeric.
        ValueError
            If an argument breaks its rule; the message says where and what to do.
        """
        self.coefficients_, self.covariance_ = self._learn(
            *check_training_rows(score, y, sample_weight)
        )
        return self

    def predict(self, score: ArrayLike) -> Floats:
        """Return P(y = 1 | score), shape (n_rows,), strictly between 0 and 1.

        Raises
        ------
        sklearn.exceptions.NotFittedError
            Before ``fit``.
        ValueError
            If a score is missing or outside [0, 1].
        """
        check_is_fitted(self)
        return self._predict(check_probabilities(score, "score"))

    def error_factor(self, score: ArrayLike) -> Floats:
        """Return L with ``Cov(predict(score)) = L @ L.T``, by the delta method.

        Returns
        -------
        ndarray of shape (n_rows, n_parameters)
            ``p (1 - p) * basis @ root``, where ``root @ root.T`` is ``covariance_``.

        Raises
        ------
        sklearn.exceptions.NotFittedError
            Before ``fit``.
        ValueError
            If a score is missing or outside [0, 1].
        """
        check_is_fitted(self)
        checked = check_probabilities(score, "score")
        p = self._predict(checked)
        return self._scaled_basis(checked, p * (1.0 - p), square_root(self.covariance_))

    def _learn(self, score: Floats, y: Floats, weight: Floats) -> LogisticFit:
        raise NotImplementedError

    def _basis(self, score: Floats) -> Floats:
        raise NotImplementedError

    def _predict(self, score: Floats) -> Floats:
        logit = self._basis(score) @ self.coefficients_
        p: Floats = expit(np.clip(logit, -LOGIT_BOUND, LOGIT_BOUND))
        return p

    def _scaled_basis(self, score: Floats, scale: Floats, root: Floats) -> Floats:
        scaled: Floats = scale[:, np.newaxis] * (self._basis(score) @ root)
        return scaled


def square_root(covariance: Floats) -> Floats:
    """Return R with ``R @ R.T`` the covariance, which may be singular."""
    values, vectors = np.linalg.eigh(covariance)
    root: Floats = vectors * np.sqrt(np.maximum(values, 0.0))
    return root
