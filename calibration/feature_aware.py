"""Calibration on the score and the features: what a score means differs by row."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit

from calibration._features import check_features, dataset_options
from calibration._logistic import clipped_logit
from calibration._validation import check_probabilities, check_training_rows
from calibration.cross_fitting import blocked_folds, cross_fit
from calibration.spline import SplineCalibrator

if TYPE_CHECKING:
    import lightgbm as lgb

Floats = NDArray[np.float64]

PARAMETERS = {
    "objective": "binary",
    "learning_rate": 0.05,
    "num_leaves": 15,
    "min_data_in_leaf": 100,
    "lambda_l2": 5.0,
    # Categories are ordered by what they say of the label: smooth that, too.
    "cat_smooth": 20.0,
    "cat_l2": 20.0,
    "verbosity": -1,
    "deterministic": True,
    "force_row_wise": True,
    "monotone_constraints_method": "intermediate",
}
MAX_TREES = 500
PATIENCE = 30  # trees without a gain on the rows left out
CLIP = 1e-6
# Monotone trees can only add to the slope of the log odds in the score. Starting from
# half of the spline's, they can make it flatter as well as steeper.
MONOTONE_SHARE = 0.5


class FeatureAwareCalibrator:
    r"""The spline's log odds, corrected by trees that know score and features.

    Calibration on the score alone is blind to a shift inside a score band: if of two
    groups with the same score one defaults more often, the map is right on average over
    the reference and wrong as soon as the mix changes. Trees learn the difference,
    starting from the spline's log odds. Each of five fits leaves out a block of rows
    and stops when these gain no more; a fit that gains nothing leaves the spline as it
    is. Applied to new rows is the mean of the five.

    Parameters
    ----------
    monotone : bool, default=True
        Whether a higher score never means a lower probability, other things being
        equal. Then trees start from half of the spline's log odds: to forbid only the
        correction to fall would forbid flatter maps.
    n_splits : int, default=5
        Contiguous folds.
    random_state : int, default=0
        The result is the same whatever the number of threads.

    Attributes
    ----------
    spline_ : SplineCalibrator
        Fitted on all rows.
    trees_ : tuple of lightgbm.Booster or None
        One per fold; None where features gained nothing.
    folds_ : tuple of (start, stop)
        Rows that each fit left out.
    out_of_fold_ : ndarray of shape (n_rows,)
        Probabilities of the reference's rows, of maps that did not see their labels.
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
    importance_: Floats

    def __init__(
        self, *, monotone: bool = True, n_splits: int = 5, random_state: int = 0
    ) -> None:
        self.monotone = monotone
        self.n_splits = n_splits
        self.random_state = random_state

    def __repr__(self) -> str:
        return f"FeatureAwareCalibrator(monotone={self.monotone})"

    def fit(
        self,
        score: ArrayLike,
        y: ArrayLike,
        features: ArrayLike,
        *,
        categorical: Sequence[int] = (),
    ) -> Self:
        """Learn from labelled rows in time order.

        Parameters
        ----------
        score, y : array-like of shape (n_rows,)
            Scores in [0, 1] and labels 0 and 1.
        features : array-like of shape (n_rows, n_features)
            Numbers, NaN where missing.
        categorical : sequence of int, default=()
            Columns of ``features`` that hold category codes >= 0; a code that was not
            there, like NaN, is treated as missing.

        Raises
        ------
        TypeError, ValueError
            If an argument breaks its rule, or the rows outside some fold are of one
            class.
        """
        scores, labels, _ = check_training_rows(score, y, None)
        X = _with_score(scores, check_features(features, "features"))
        options = dataset_options(X.shape[1], [1 + c for c in categorical])
        base = cross_fit("spline", scores, labels, n_splits=self.n_splits)
        spline = clipped_logit(base.probabilities, CLIP)
        start_at = self._share() * spline
        self.spline_ = SplineCalibrator().fit(scores, labels)
        self.folds_ = tuple(blocked_folds(scores.size, self.n_splits))
        monotone = [int(self.monotone)] + [0] * (X.shape[1] - 1)
        parameters = {
            **PARAMETERS,
            "monotone_constraints": monotone,
            "seed": self.random_state,
        }
        log_odds = spline.copy()
        trees: list[lgb.Booster | None] = []
        gain = np.zeros(X.shape[1])
        for start, stop in self.folds_:
            left_out = np.zeros(scores.size, dtype=np.bool_)
            left_out[start:stop] = True
            booster = _grow(X, labels, spline, start_at, left_out, parameters, options)
            trees.append(booster)
            if booster is not None:
                raw = np.asarray(booster.predict(X[start:stop], raw_score=True))
                log_odds[start:stop] = start_at[start:stop] + raw
                gain += booster.feature_importance("gain")
        self.trees_ = tuple(trees)
        self.out_of_fold_ = expit(log_odds)
        self.out_of_fold_.flags.writeable = False
        total = float(gain.sum())
        self.importance_ = gain / total if total > 0.0 else gain
        self.n_features_ = X.shape[1] - 1
        return self

    def predict(self, score: ArrayLike, features: ArrayLike) -> Floats:
        """Return P(y = 1 | score, features), shape (n_rows,).

        Raises
        ------
        TypeError, ValueError
            If an argument breaks its rule, or the number of features differs.
        """
        scores = check_probabilities(score, "score")
        matrix = check_features(features, "features")
        if matrix.shape != (scores.size, self.n_features_):
            msg = (
                f"`features` must have shape ({scores.size}, {self.n_features_}), as "
                f"`score` and the fit, got {matrix.shape}."
            )
            raise ValueError(msg)
        X = _with_score(scores, matrix)
        spline = clipped_logit(self.spline_.predict(scores), CLIP)
        log_odds = np.zeros(scores.size)
        for booster in self.trees_:
            if booster is None:
                log_odds += spline
            else:
                raw = np.asarray(booster.predict(X, raw_score=True))
                log_odds += self._share() * spline + raw
        probability: Floats = expit(log_odds / len(self.trees_))
        return probability

    def _share(self) -> float:
        return MONOTONE_SHARE if self.monotone else 1.0


def _with_score(score: Floats, features: Floats) -> Floats:
    """Return the matrix of the trees: log odds of the score, then the features."""
    if len(features) != score.size:
        msg = (
            f"`features` must have one row per score, got {len(features)} rows for "
            f"{score.size} scores."
        )
        raise ValueError(msg)
    return np.column_stack([clipped_logit(score, CLIP), features])


def _grow(
    X: Floats,
    labels: Floats,
    spline: Floats,
    start_at: Floats,
    left_out: NDArray[np.bool_],
    parameters: dict[str, Any],
    options: dict[str, Any],
) -> "lgb.Booster | None":
    """Return trees that beat the spline on the rows left out, None if none do."""
    import lightgbm as lgb  # calibration stays light without it

    learn = ~left_out
    data = lgb.Dataset(
        X[learn],
        labels[learn],
        init_score=start_at[learn],
        params={"verbosity": -1},
        **options,
    )
    held = lgb.Dataset(
        X[left_out],
        labels[left_out],
        init_score=start_at[left_out],
        reference=data,
        params={"verbosity": -1},
    )
    booster = lgb.train(
        parameters,
        data,
        MAX_TREES,
        valid_sets=[held],
        callbacks=[lgb.early_stopping(PATIENCE, verbose=False)],
    )
    reached = booster.best_score["valid_0"]["binary_logloss"]
    p = expit(spline[left_out])
    y = labels[left_out]
    before = -np.mean(y * np.log(p) + (1.0 - y) * np.log1p(-p))
    if not reached < before:
        return None
    # Only what was best is kept: saved trees would otherwise bring back the others.
    return lgb.Booster(
        model_str=booster.model_to_string(num_iteration=booster.best_iteration)
    )
