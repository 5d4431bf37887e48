"""Calibration by isotonic regression: any rising map, in steps."""

from typing import Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.isotonic import IsotonicRegression
from sklearn.utils.validation import check_is_fitted

from calibration._validation import check_probabilities, check_training_rows
from calibration.maps.array_state import ArrayStateMixin

Floats = NDArray[np.float64]


class IsotonicCalibrator(ArrayStateMixin):
    """Rising piecewise-linear map by the pool-adjacent-violators algorithm.

    Assumes nothing but that higher scores mean higher probability [1]_. It overfits a
    reference of a few thousand rows, and says 0 or 1 for the outermost scores; it has
    no ``error_factor``, since its error is not that of finitely many parameters.

    Attributes
    ----------
    scores_, probabilities_ : ndarray of shape (n_thresholds,)
        Corners of the map, linear between them, constant beyond.

    References
    ----------
    .. [1] Zadrozny & Elkan (2002), "Transforming Classifier Scores into Accurate
       Multiclass Probability Estimates", KDD.

    Examples
    --------
    >>> IsotonicCalibrator().fit([0.1, 0.2, 0.6, 0.9], [0, 1, 0, 1]).predict([0.3, 0.8])
    array([0.5       , 0.83333333])
    """

    scores_: Floats
    probabilities_: Floats

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
            Weights >= 0; a weight of 2 is the row taken twice.

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
        scores, labels, weight = check_training_rows(score, y, sample_weight)
        model = IsotonicRegression(y_min=0.0, y_max=1.0, out_of_bounds="clip")
        model.fit(scores, labels, sample_weight=weight)
        self.scores_ = np.asarray(model.X_thresholds_, dtype=np.float64)
        self.probabilities_ = np.asarray(model.y_thresholds_, dtype=np.float64)
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
            Probabilities of the positive class, within [0, 1].

        Raises
        ------
        sklearn.exceptions.NotFittedError
            Before ``fit``.
        ValueError
            If a score is missing or outside [0, 1].
        """
        check_is_fitted(self)
        checked = check_probabilities(score, "score")
        p: Floats = np.interp(checked, self.scores_, self.probabilities_)
        return p
