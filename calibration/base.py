"""What a calibrator is: the protocols everything else is written against."""

from collections.abc import Mapping
from typing import Protocol, Self, runtime_checkable

import numpy as np
from numpy.typing import ArrayLike, NDArray


@runtime_checkable
class Calibrator(Protocol):
    """A map from raw scores to probabilities, learned from labelled rows.

    Any object with these two methods will do; scikit-learn regressors on one
    unvalidated vector, such as ``IsotonicRegression``, already have them.
    """

    def fit(
        self, score: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None
    ) -> Self:
        """Learn the map from scores in [0, 1] and labels 0 and 1.

        Parameters
        ----------
        score, y : array-like of shape (n_rows,)
            Raw scores of the positive class, and labels.
        sample_weight : array-like of shape (n_rows,), optional
            Weights >= 0; a weight of 2 gives the map of the row taken twice.

        Returns
        -------
        self
            The fitted calibrator.
        """
        ...

    def predict(self, score: ArrayLike) -> NDArray[np.float64]:
        """Return P(y = 1 | score) of each row.

        Parameters
        ----------
        score : array-like of shape (n_rows,)
            Raw scores of the positive class, in [0, 1].

        Returns
        -------
        ndarray of float64, shape (n_rows,)
            Probabilities of the positive class, within [0, 1].
        """
        ...


@runtime_checkable
class UncertainCalibrator(Calibrator, Protocol):
    """A calibrator that knows the estimation error of its own map.

    With ``L = error_factor(score)``, the covariance of ``predict(score)`` over
    repeated reference samples is ``L @ L.T``. For a statistic whose gradient in the
    probabilities is ``h``, the variance that the map contributes is therefore
    ``((L.T @ h) ** 2).sum()``, from matrices with a handful of columns.
    """

    def error_factor(self, score: ArrayLike) -> NDArray[np.float64]:
        """Return L, whose product with its transpose is the covariance of `predict`.

        Parameters
        ----------
        score : array-like of shape (n_rows,)
            Raw scores of the positive class, in [0, 1].

        Returns
        -------
        ndarray of float64, shape (n_rows, n_parameters)
            L, in units of probability.
        """
        ...


@runtime_checkable
class SavableCalibrator(Calibrator, Protocol):
    """A calibrator that can be saved as plain arrays: every one in ``CALIBRATORS``."""

    def to_arrays(self) -> dict[str, np.ndarray]:
        """Take the fitted calibrator apart.

        Returns
        -------
        dict of str to ndarray
            Parameters and what was learned, by name.
        """
        ...

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> Self:
        """Put together what ``to_arrays`` took apart.

        Parameters
        ----------
        arrays : mapping of str to ndarray
            Arrays that ``to_arrays`` returned.

        Returns
        -------
        SavableCalibrator
            A calibrator that predicts as the saved one did.
        """
        ...
