"""Gradient-boosted trees that correct given log odds, grown, applied and read."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from calibration.features.feature_matrix import DatasetOptions

if TYPE_CHECKING:
    import lightgbm as lgb

Floats = NDArray[np.float64]

LIGHTGBM_PARAMETERS = {
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
    "num_threads": 1,  # each fold has a thread of its own
}
_TRAILER = "\nend of parameters\n"  # of LightGBM's text


@dataclass(frozen=True, slots=True, kw_only=True)
class Growth:
    """When trees stop to grow.

    Attributes
    ----------
    max_trees : int
        Most trees.
    patience : int
        Trees without a gain on the rows left out after which no more are grown.
    """

    max_trees: int
    patience: int


GROWTH = Growth(max_trees=500, patience=30)


def predict_raw(booster: "lgb.Booster", X: Floats) -> Floats:
    """Return what trees add to the log odds; blocks of rows share out the cores."""
    raw: Floats = np.asarray(booster.predict(X, raw_score=True, num_threads=1))
    return raw


def grow_trees(
    X: Floats,
    labels: Floats,
    spline: Floats,
    start_at: Floats,
    left_out: NDArray[np.bool_],
    parameters: dict[str, object],
    options: DatasetOptions,
) -> "lgb.Booster | None":
    """Return trees that beat the spline on the rows left out, None if none do.

    Parameters
    ----------
    X : ndarray of shape (n_rows, n_columns)
        Columns that trees split on, NaN where missing.
    labels : ndarray of shape (n_rows,)
        Labels 0 and 1.
    spline : ndarray of shape (n_rows,)
        Log odds to beat.
    start_at : ndarray of shape (n_rows,)
        Log odds that trees start from.
    left_out : ndarray of bool of shape (n_rows,)
        Rows that say when to stop; trees grow on the others.
    parameters : dict of str to object
        Parameters of LightGBM's training.
    options : DatasetOptions
        Options of LightGBM's data sets.

    Returns
    -------
    lightgbm.Booster or None
        Trees up to the best number of them.
    """
    booster = _train(
        X, labels, left_out, parameters, options, GROWTH, start_at=start_at
    )
    reached = booster.best_score["valid_0"]["binary_logloss"]
    p = expit(spline[left_out])
    y = labels[left_out]
    before = -np.mean(y * np.log(p) + (1.0 - y) * np.log1p(-p))
    if not reached < before:
        return None
    return _best_trees(booster)


def grow_mean_trees(
    X: Floats,
    target: Floats,
    left_out: NDArray[np.bool_],
    parameters: dict[str, object],
    options: DatasetOptions,
    growth: Growth,
) -> "lgb.Booster | None":
    """Return trees of the mean of a target, None if they gain nothing on rows left out.

    Parameters
    ----------
    X : ndarray of shape (n_rows, n_columns)
        Columns that trees split on, NaN where missing.
    target : ndarray of shape (n_rows,)
        Numbers around 0: without trees the prediction is 0.
    left_out : ndarray of bool of shape (n_rows,)
        Rows that say when to stop; trees grow on the others.
    parameters : dict of str to object
        Parameters of LightGBM's training.
    options : DatasetOptions
        Options of LightGBM's data sets.
    growth : Growth
        When trees stop.

    Returns
    -------
    lightgbm.Booster or None
        Trees up to the best number of them.
    """
    if not left_out.any() or left_out.all():
        return None
    parameters = {
        **parameters,
        "objective": "regression",
        "boost_from_average": False,
    }
    booster = _train(X, target, left_out, parameters, options, growth)
    reached = booster.best_score["valid_0"]["l2"]
    if not reached < np.mean(target[left_out] ** 2):
        return None
    return _best_trees(booster)


def _train(
    X: Floats,
    target: Floats,
    left_out: NDArray[np.bool_],
    parameters: dict[str, object],
    options: DatasetOptions,
    growth: Growth,
    *,
    start_at: Floats | None = None,
) -> "lgb.Booster":
    """Grow trees until the rows left out gain no more."""
    import lightgbm as lgb  # calibration stays light without it

    def dataset(rows: NDArray[np.bool_], grown: "lgb.Dataset | None") -> "lgb.Dataset":
        return lgb.Dataset(
            X[rows],
            target[rows],
            init_score=None if start_at is None else start_at[rows],
            reference=grown,
            params={"verbosity": -1, "num_threads": 1},
            **options,
        )

    data = dataset(~left_out, None)
    return lgb.train(
        parameters,
        data,
        growth.max_trees,
        valid_sets=[dataset(left_out, data)],
        callbacks=[lgb.early_stopping(growth.patience, verbose=False)],
    )


def _best_trees(booster: "lgb.Booster") -> "lgb.Booster":
    """Keep what was best: saved trees would otherwise bring back the others."""
    import lightgbm as lgb  # calibration stays light without it

    return lgb.Booster(
        model_str=booster.model_to_string(num_iteration=booster.best_iteration)
    )


def trees_to_arrays(
    trees: "Sequence[lgb.Booster | None]",
) -> dict[str, np.ndarray]:
    """Return the bytes of LightGBM's text of each fold's trees; none for None."""
    texts = ["" if booster is None else booster.model_to_string() for booster in trees]
    return {
        f"trees/{k}": np.frombuffer(text.encode(), dtype=np.uint8)
        for k, text in enumerate(texts)
    }


def read_trees(
    arrays: Mapping[str, np.ndarray], n_folds: int, n_columns: int
) -> "tuple[lgb.Booster | None, ...]":
    """Return the trees of each fold from the text that LightGBM wrote of them.

    Parameters
    ----------
    arrays : mapping of str to ndarray
        Bytes of the text under ``trees/0``, ``trees/1`` and so on; none where a fold
        has no trees.
    n_folds : int
        Number of folds.
    n_columns : int
        Number of columns that the trees were grown on.

    Returns
    -------
    tuple of lightgbm.Booster or None
        Trees of each fold, None where it has none.

    Raises
    ------
    KeyError, ValueError
        If an array is missing, or holds no trees of so many columns.
    """
    import lightgbm as lgb  # calibration stays light without it

    trees: list[lgb.Booster | None] = []
    for k in range(n_folds):
        text = arrays[f"trees/{k}"].tobytes().decode()
        if text and not (text.startswith("tree\n") and _TRAILER in text):
            # LightGBM would end the process, not raise.
            msg = f"`arrays['trees/{k}']` must be trees as text, as a whole."
            raise ValueError(msg)
        try:
            trees.append(lgb.Booster(model_str=text) if text else None)
        except lgb.basic.LightGBMError as error:
            msg = f"`arrays['trees/{k}']` must be trees as text: {error}."
            raise ValueError(msg) from error
    if any(b is not None and b.num_feature() != n_columns for b in trees):
        msg = "`arrays` must hold trees of the features whose importance it has."
        raise ValueError(msg)
    return tuple(trees)
