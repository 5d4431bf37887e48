"""Logistic regression on a basis of the score: what most calibrators here share."""

from typing import NamedTuple, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit
from sklearn.utils.validation import check_is_fitted

from calibration._validation import check_probabilities, check_training_rows
from calibration.maps.array_state import ArrayStateMixin

Floats = NDArray[np.float64]

# Probabilities stay 1e-12 away from 0 and 1, so that nothing downstream divides by 0.
LOGIT_BOUND = float(np.log1p(-1e-12) - np.log(1e-12))

# A bend may always move the log odds by about 1/sqrt(300), and the error of the map
# counts with 1/sqrt(50): how straight the truth is cannot be known, and intervals must
# not pretend it is. With 300 for both, intervals from 1,000 rows hold in 89.6 % for
# accuracy in the simulated world of `benchmarks.coverage`, with 50 in 90.9 %; 100 for
# both has 0.7 % more error of accuracy in `benchmarks.calibrators`.
LEARNED_PENALTIES = 1e-2, 3e2
SUREST_PENALTY = 50.0
_LEARNING_TOLERANCE = 0.1  # of ln(penalty): far less than the data can tell
_MOST_STEPS = 100
_NEWTON_TOLERANCE = 1e-6  # in units of log likelihood, whatever the number of rows
_SMALLEST_STEP = 1e-8
_LARGEST_LOGIT = 500.0
_ROWS_AT_ONCE = 20_000
_ROWS_PER_PRODUCT = 4_096


class LogisticFit(NamedTuple):
    """Coefficients of a logistic regression and their covariance.

    Attributes
    ----------
    coefficients : ndarray of shape (n_columns,)
    covariance : ndarray of shape (n_columns, n_columns)
    information : ndarray of shape (n_columns, n_columns)
        Weighted sum of p(1 - p) x xᵀ over the rows, x the design; empty where the
        coefficients have been transformed.
    """

    coefficients: Floats
    covariance: Floats
    information: Floats = np.empty((0, 0))


def clipped_logit(score: Floats, clip: float) -> Floats:
    """Return the log odds of ``score`` kept within [clip, 1 - clip]."""
    clipped = np.clip(score, clip, 1.0 - clip)
    logit: Floats = np.log(clipped / (1.0 - clipped))
    return logit


def fit_logistic(
    design: Floats,
    y: Floats,
    weight: Floats,
    penalty: Floats,
    *,
    n_smooth: int = 0,
    offset: Floats | None = None,
) -> LogisticFit:
    r"""Fit by penalized maximum likelihood, with the covariance of the coefficients.

    Minimizes :math:`\sum_i w_i \ell_i + \tfrac12 \sum_j \lambda_j \beta_j^2`. The
    penalty of the last ``n_smooth`` columns can be learned: they are then taken for
    draws of one normal distribution, whose precision :math:`\lambda` maximizes the
    marginal likelihood, by the fixed point :math:`\lambda = (k - \lambda \sum_j V_{jj})
    / \sum_j \beta_j^2` with :math:`V = H^{-1}` [1]_.

    The covariance is :math:`H^{-1} (G + S) H^{-1}` with :math:`H = \sum_i w_i p_i
    (1 - p_i) x_i x_i^T + \Lambda` and :math:`G = \sum_i w_i^2 p_i (1 - p_i) x_i
    x_i^T`: weights weigh, they do not count observations, and :math:`S = \Lambda
    \max(1, \Lambda / 50)` accounts for what the penalty shrinks away, a learned one no
    surer than 50 (method.md, equations 16 and 17).

    Parameters
    ----------
    design : ndarray of shape (n_rows, n_columns)
        With a column of ones for an intercept.
    y, weight : ndarray of shape (n_rows,)
        Labels 0 and 1, both present, and weights > 0.
    penalty : ndarray of shape (n_columns,)
        :math:`\lambda` >= 0.
    n_smooth : int, default=0
        How many of the last columns share a learned penalty.
    offset : ndarray of shape (n_rows,), optional
        Known part of the log odds.

    References
    ----------
    .. [1] Wood & Fasiolo (2017), "A generalized Fellner-Schall method for smoothing
       parameter optimization", Biometrics 73(4), 1071-1081.
    """
    fixed = np.zeros(y.size) if offset is None else offset
    beta, penalty, bread, information, fisher = _maximize(
        design, y, weight, penalty, fixed, n_smooth=n_smooth
    )
    noise = fisher
    if (weight != 1.0).any():
        noise = weighted_gram(design, weight * information)
    shrunk = penalty.copy()
    if n_smooth:
        shrunk[-n_smooth:] *= np.maximum(penalty[-n_smooth:] / SUREST_PENALTY, 1.0)
    noise = noise + np.diag(shrunk)
    return LogisticFit(beta, bread @ noise @ bread, fisher)


def _maximize(
    design: Floats,
    y: Floats,
    weight: Floats,
    penalty: Floats,
    offset: Floats,
    *,
    n_smooth: int,
) -> tuple[Floats, Floats, Floats, Floats, Floats]:
    """Return coefficients, penalty, inverse Hessian, information by row and in all.

    Newton's method with step halving: the problem is convex with a handful of columns,
    so that a general optimizer would take ten times as long. Many rows begin where
    every tenth of them ended.
    """
    beta = np.zeros(design.shape[1])
    few = slice(None, None, 10)
    if y.size > _ROWS_AT_ONCE and 0.0 < y[few].mean() < 1.0:
        beta, penalty, *_ = _maximize(
            design[few], y[few], weight[few], penalty, offset[few], n_smooth=n_smooth
        )
    design = np.asfortranarray(design)  # columns in a row: all loops are long ones
    logit = _bounded_logit(design, beta, offset)
    loss = _log_loss(logit, y, weight)
    for _ in range(_MOST_STEPS):
        p = 1.0 / (1.0 + np.exp(-logit))
        information = weight * p * (1.0 - p)
        fisher = weighted_gram(design, information)
        slope = np.einsum("ij,i->j", design, weight * (p - y))
        bread, step, decrement = _newton_step(fisher, slope, penalty, beta)
        is_learned = True
        if n_smooth and decrement < 1.0:  # near enough for the bends to speak
            before, penalty = penalty, _learn_penalty(penalty, bread, beta, n_smooth)
            is_learned = penalty is before
            bread, step, decrement = _newton_step(fisher, slope, penalty, beta)
        if is_learned and decrement <= _NEWTON_TOLERANCE:
            beta = beta - step  # squares what is left of the error
            break
        here, size = loss + 0.5 * (penalty * beta) @ beta, 1.0
        while size > _SMALLEST_STEP:
            nearer = beta - size * step
            its_logit = _bounded_logit(design, nearer, offset)
            its_loss = _log_loss(its_logit, y, weight)
            if its_loss + 0.5 * (penalty * nearer) @ nearer < here:
                beta, logit, loss = nearer, its_logit, its_loss
                break
            size /= 2.0
        else:  # no descent left in floating point: this is the minimum
            if is_learned:
                break
    return beta, penalty, bread, information, fisher


def _bounded_logit(design: Floats, beta: Floats, offset: Floats) -> Floats:
    """Return the log odds of each row, kept where exp of them is still a number."""
    logit = np.einsum("ij,j->i", design, beta) + offset
    bounded: Floats = np.clip(logit, -_LARGEST_LOGIT, _LARGEST_LOGIT)
    return bounded


def weighted_gram(design: Floats, weight: Floats) -> Floats:
    """Return ``design.T @ diag(weight) @ design``.

    In blocks too small for BLAS to start its threads: on matrices this narrow they gain
    nothing, and on a busy machine waiting for one another makes them several times
    slower. For the same reason the products with vectors are left to einsum.
    """
    gram = np.zeros((design.shape[1], design.shape[1]))
    for start in range(0, len(design), _ROWS_PER_PRODUCT):
        block = design[start : start + _ROWS_PER_PRODUCT]
        gram += (block.T * weight[start : start + _ROWS_PER_PRODUCT]) @ block
    return gram


def _log_loss(logit: Floats, y: Floats, weight: Floats) -> float:
    """Return the weighted sum of -ln P(label): ln(1 + exp(-margin)) of each row."""
    margin = np.where(y > 0.5, logit, -logit)
    rows = np.log1p(np.exp(-np.abs(margin))) + np.maximum(-margin, 0.0)
    return float(weight @ rows)


def _newton_step(
    fisher: Floats, slope: Floats, penalty: Floats, beta: Floats
) -> tuple[Floats, Floats, float]:
    """Return the inverse Hessian, the step, and twice what it promises to gain."""
    # The pseudo-inverse; `np.linalg.pinv` takes three times as long on so few columns.
    values, vectors = np.linalg.eigh(fisher + np.diag(penalty))
    null = np.abs(values) <= 1e-15 * np.abs(values).max()
    bread: Floats = (vectors / np.where(null, np.inf, values)) @ vectors.T
    gradient = slope + penalty * beta
    step = bread @ gradient
    return bread, step, float(gradient @ step)


def _learn_penalty(
    penalty: Floats, bread: Floats, beta: Floats, n_smooth: int
) -> Floats:
    """Return the penalty one fixed-point step on, or the same object if it is there."""
    free = n_smooth - penalty[-1] * np.trace(bread[-n_smooth:, -n_smooth:])
    size = max(float(beta[-n_smooth:] @ beta[-n_smooth:]), 1e-12)
    learned = np.clip(free / size, *LEARNED_PENALTIES)
    if abs(np.log(learned / penalty[-1])) < _LEARNING_TOLERANCE:
        return penalty
    return np.concatenate([penalty[:-n_smooth], np.full(n_smooth, learned)])


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
            The fitted calibrator.

        Raises
        ------
        TypeError
            If an argument is not numeric.
        ValueError
            If an argument breaks its rule; the message says where and what to do.
        """
        fit = self._learn(*check_training_rows(score, y, sample_weight))
        self.coefficients_, self.covariance_ = fit.coefficients, fit.covariance
        return self

    def predict(self, score: ArrayLike) -> Floats:
        """Return P(y = 1 | score) of each row.

        Parameters
        ----------
        score : array-like of shape (n_rows,)
            Raw scores of the positive class, in [0, 1].

        Returns
        -------
        ndarray of float64, shape (n_rows,)
            Probabilities of the positive class, strictly between 0 and 1.

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

        Parameters
        ----------
        score : array-like of shape (n_rows,)
            Raw scores of the positive class, in [0, 1].

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
