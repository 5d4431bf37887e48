"""Calibration on the score and the features: what a score means differs by row."""

from collections.abc import Callable, Mapping, Sequence
from copy import copy
from typing import TYPE_CHECKING, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from calibration._kernels.threads import for_each
from calibration._validation import check_probabilities, check_training_rows
from calibration.cross_fitting import cross_fit
from calibration.features.feature_matrix import check_features, dataset_options
from calibration.features.trees import (
    LIGHTGBM_PARAMETERS,
    grow_trees,
    predict_raw,
    read_trees,
    trees_to_arrays,
)
from calibration.maps.logistic import clipped_logit, fit_logistic
from calibration.maps.spline import (
    REFERENCE_SCORE_QUANTILES,
    SLOPE_SHARE,
    SplineCalibrator,
)
from calibration.maps.spline_basis import smooth_columns

if TYPE_CHECKING:
    import lightgbm as lgb

Floats = NDArray[np.float64]

CLIP = 1e-6  # a probability nearer to 0 or 1 is read as this near
BLOCK = 50_000  # rows read at a time by one thread
# Monotone trees can only add to the slope of the log odds in the score. Starting from
# half of the spline's, they can make it flatter as well as steeper.
MONOTONE_SHARE = 0.5


class FeatureAwareCalibrator(BaseEstimator):
    r"""The spline's log odds, corrected by trees that know score and features.

    Calibration on the score alone is blind to a shift inside a score band: if of two
    groups with the same score one defaults more often, the map is right on average over
    the reference and wrong as soon as the mix changes. Trees learn the difference,
    starting from the spline's log odds. Each of five fits leaves out a block of rows
    and stops when these gain no more; a fit that gains nothing leaves the spline as it
    is. Applied to new rows is the mean of the five probabilities.

    Trees that stop early are right for no group by quite the whole: what their rows
    that were left out miss on average at a score is put back by a spline of the score.
    So on rows like the reference's the map says of each score what the spline says,
    and where nothing shifts adapting costs nothing.

    Parameters
    ----------
    monotone : bool, default=True
        Whether trees may only rise in the score. Then they start from half of the
        spline's log odds: to forbid only the correction to fall would forbid flatter
        maps.
    n_splits : int, default=5
        Number of contiguous folds.
    random_state : int, default=0
        Seed of the trees. The result is the same whatever the number of threads.

    Attributes
    ----------
    spline_ : SplineCalibrator
        Calibration on the score alone, fitted on all rows.
    trees_ : tuple of lightgbm.Booster or None
        Trees of each fold; None where features gained nothing.
    folds_ : tuple of (start, stop)
        Positions of the first row that each fit left out, and of the one after the
        last.
    out_of_fold_ : ndarray of shape (n_rows,)
        Probabilities of the reference's rows, of trees grown on the other folds; their
        own labels only said when to stop, and share in what is put back.
    recalibration_ : ndarray of shape (n_parameters,)
        What is put back, in the spline's coefficients: log odds at its inner knots.
    score_range_ : ndarray of shape (2,)
        Lowest and highest score that the reference vouches for; scores beyond are read
        as these.
    importance_ : ndarray of shape (1 + n_features,)
        Share of the score and of each feature in the correction; sums to 1, or is 0.

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> group, score = rng.integers(0, 2, 20_000), rng.random(20_000)
    >>> truth = np.where(group == 1, score**0.5, score**2)
    >>> y = rng.random(20_000) < truth
    >>> calibrator = FeatureAwareCalibrator().fit(score, y, group[:, None])
    >>> calibrator.predict([0.5, 0.5], [[0.0], [1.0]]).round(1)
    array([0.2, 0.7])
    """

    spline_: SplineCalibrator
    trees_: "tuple[lgb.Booster | None, ...]"
    folds_: tuple[tuple[int, int], ...]
    out_of_fold_: Floats
    recalibration_: Floats
    score_range_: Floats
    importance_: Floats

    def __init__(
        self, *, monotone: bool = True, n_splits: int = 5, random_state: int = 0
    ) -> None:
        self.monotone = monotone
        self.n_splits = n_splits
        self.random_state = random_state

    def fit(
        self,
        score: ArrayLike,
        y: ArrayLike,
        features: ArrayLike,
        *,
        categorical: Sequence[int] = (),
        advance: Callable[[int], None] | None = None,
    ) -> Self:
        """Learn from labelled rows in time order.

        Parameters
        ----------
        score, y : array-like of shape (n_rows,)
            Scores in [0, 1] and labels 0 and 1.
        features : array-like of shape (n_rows, n_features)
            Features as numbers, NaN where missing.
        categorical : sequence of int, default=()
            Columns of ``features`` that hold category codes >= 0; a code that was not
            there, like NaN, is treated as missing.
        advance : callable, optional
            Called with 1 after each fold.

        Returns
        -------
        self
            The fitted calibrator.

        Raises
        ------
        TypeError, ValueError
            If an argument breaks its rule, or the rows outside some fold are of one
            class.
        """
        scores, labels, _ = check_training_rows(score, y, None)
        matrix = check_features(features, "features")
        _check_rows(scores, matrix)
        self.score_range_ = np.quantile(scores, REFERENCE_SCORE_QUANTILES)
        scores = np.clip(scores, *self.score_range_)
        X = _with_score(scores, matrix)
        options = dataset_options(X.shape[1], [1 + c for c in categorical])
        base = cross_fit("spline", scores, labels, n_splits=self.n_splits)
        spline = clipped_logit(base.probabilities, CLIP)
        start_at = self._share() * spline
        self.spline_ = SplineCalibrator().fit(scores, labels)
        self.folds_ = base.folds
        monotone = [int(self.monotone)] + [0] * (X.shape[1] - 1)
        parameters = {
            **LIGHTGBM_PARAMETERS,
            "monotone_constraints": monotone,
            "seed": self.random_state,
        }
        log_odds = spline.copy()
        trees: list[lgb.Booster | None] = [None] * len(self.folds_)
        gains = np.zeros((len(self.folds_), X.shape[1]))

        def leave_out(fold: int) -> None:
            start, stop = self.folds_[fold]
            left_out = np.zeros(scores.size, dtype=np.bool_)
            left_out[start:stop] = True
            booster = grow_trees(
                X, labels, spline, start_at, left_out, parameters, options
            )
            trees[fold] = booster
            if booster is not None:
                raw = predict_raw(booster, X[start:stop])
                log_odds[start:stop] = start_at[start:stop] + raw
                gains[fold] = booster.feature_importance("gain")
            if advance is not None:
                advance(1)

        for_each(range(len(self.folds_)), leave_out)
        gain = gains.sum(axis=0)
        self.trees_ = tuple(trees)
        self._recalibrate_by_score(scores, labels, log_odds)
        total = float(gain.sum())
        self.importance_ = gain / total if total > 0.0 else gain
        self.n_features_ = X.shape[1] - 1
        return self

    def predict(
        self,
        score: ArrayLike,
        features: ArrayLike,
        *,
        advance: Callable[[int], None] | None = None,
    ) -> Floats:
        """Return P(y = 1 | score, features) of each row.

        Parameters
        ----------
        score : array-like of shape (n_rows,)
            Raw scores of the positive class, in [0, 1].
        features : array-like of shape (n_rows, n_features)
            Numbers in the columns of the fit, NaN where missing.
        advance : callable, optional
            Called with the number of rows whenever a block is done.

        Returns
        -------
        ndarray of float64, shape (n_rows,)
            Probabilities of the positive class, within [0, 1].

        Raises
        ------
        TypeError, ValueError
            If an argument breaks its rule, or the number of features differs.
        """
        check_is_fitted(self, "trees_")
        scores = check_probabilities(score, "score")
        matrix = check_features(features, "features")
        if matrix.shape != (scores.size, self.n_features_):
            msg = (
                f"`features` must have shape ({scores.size}, {self.n_features_}), as "
                f"`score` and the fit, got {matrix.shape}."
            )
            raise ValueError(msg)
        probability = np.zeros(scores.size)
        blocks = [slice(a, a + BLOCK) for a in range(0, scores.size, BLOCK)]

        def read(block: slice) -> None:
            probability[block] = self._predict(scores[block], matrix[block])
            if advance is not None:
                advance(scores[block].size)

        for_each(blocks, read)
        return probability

    def to_arrays(self) -> dict[str, np.ndarray]:
        """Return what was learned, but ``out_of_fold_``, as arrays; trees as text.

        Returns
        -------
        dict of str to ndarray
            Parameters and what was learned, by name.

        Raises
        ------
        sklearn.exceptions.NotFittedError
            Before ``fit``.
        """
        check_is_fitted(self, "trees_")
        arrays: dict[str, np.ndarray] = {
            "parameters": np.array([self.monotone, self.n_splits, self.random_state]),
            "folds": np.array(self.folds_, dtype=np.int64),
            "recalibration": self.recalibration_,
            "score_range": self.score_range_,
            "importance": self.importance_,
        }
        for name, values in self.spline_.to_arrays().items():
            arrays[f"spline/{name}"] = values
        return arrays | trees_to_arrays(self.trees_)

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> Self:
        """Rebuild the calibrator that ``to_arrays`` described; it has no out-of-fold.

        Parameters
        ----------
        arrays : mapping of str to ndarray
            Arrays that ``to_arrays`` returned.

        Returns
        -------
        FeatureAwareCalibrator
            The fitted calibrator.

        Raises
        ------
        KeyError, ValueError
            If an array is missing or is not what ``to_arrays`` makes.
        """
        monotone, n_splits, random_state = arrays["parameters"].tolist()
        calibrator = cls(
            monotone=bool(monotone), n_splits=n_splits, random_state=random_state
        )
        calibrator.folds_ = tuple((a, b) for a, b in arrays["folds"].tolist())
        calibrator.recalibration_ = arrays["recalibration"]
        calibrator.score_range_ = arrays["score_range"]
        calibrator.importance_ = arrays["importance"]
        calibrator.n_features_ = calibrator.importance_.size - 1
        calibrator.spline_ = SplineCalibrator.from_arrays(
            {
                name.removeprefix("spline/"): values
                for name, values in arrays.items()
                if name.startswith("spline/")
            }
        )
        calibrator.trees_ = read_trees(
            arrays, len(calibrator.folds_), calibrator.n_features_ + 1
        )
        return calibrator

    def _predict(self, scores: Floats, matrix: Floats) -> Floats:
        scores = np.clip(scores, *self.score_range_)
        X = _with_score(scores, matrix)
        from_trees, alone = (
            clipped_logit(self._starting(share).predict(scores), CLIP)
            for share in (self._share(), 1.0)
        )
        probability = np.zeros(scores.size)
        for booster in self.trees_:
            if booster is None:
                probability += expit(alone)
            else:  # method.md, equation 28
                probability += expit(from_trees + predict_raw(booster, X))
        probability /= len(self.trees_)
        return probability

    def _recalibrate_by_score(
        self, score: Floats, label: Floats, log_odds: Floats
    ) -> None:
        """Learn what rows that were left out miss by score.

        From all folds at once: a fold whose labels run high makes its own rows look too
        low and those of the others too high, which together is nothing. A correction of
        each fold from the others alone would go against its labels.
        """
        # Scores are kept within the ends of the spline: its tails are not wanted.
        knots = self.spline_.knots_[1:-1]
        basis = self.spline_.basis(score, with_tails=False)
        unit = np.ones(score.size)
        columns = smooth_columns(basis, knots, unit)
        design = basis @ columns
        penalty = np.ones(columns.shape[1])
        penalty[:2] = 0.0, SLOPE_SHARE

        n_smooth = penalty.size - 2
        fit = fit_logistic(
            design, label, unit, penalty, n_smooth=n_smooth, offset=log_odds
        )
        correction = columns @ fit.coefficients
        self.recalibration_ = np.append(correction, [0.0, 0.0])
        self.out_of_fold_ = expit(log_odds + basis @ correction)
        self.out_of_fold_.flags.writeable = False

    def _starting(self, share: float) -> SplineCalibrator:
        """Return the spline that trees start from, with what is put back."""
        start = copy(self.spline_)
        start.coefficients_ = share * start.coefficients_ + self.recalibration_
        return start

    def _share(self) -> float:
        return MONOTONE_SHARE if self.monotone else 1.0


def _check_rows(score: Floats, features: Floats) -> None:
    if len(features) != score.size:
        msg = (
            f"`features` must have one row per score, got {len(features)} rows for "
            f"{score.size} scores."
        )
        raise ValueError(msg)


def _with_score(score: Floats, features: Floats) -> Floats:
    """Return the matrix of the trees: log odds of the score, then the features."""
    return np.column_stack([clipped_logit(score, CLIP), features])
