"""Gradient-boosted trees that correct given log odds, grown, applied and read."""

from collections.abc import Mapping
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
MAX_TREES = 500
PATIENCE = 30  # trees without a gain on the rows left out
_TRAILER = "\nend of parameters\n"  # of LightGBM's text


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
    import lightgbm as lgb  # calibration stays light without it

    learn = ~left_out
    data = lgb.Dataset(
        X[learn],
        labels[learn],
        init_score=start_at[learn],
        params={"verbosity": -1, "num_threads": 1},
        **options,
    )
    validation = lgb.Dataset(
        X[left_out],
        labels[left_out],
        init_score=start_at[left_out],
        reference=data,
        params={"verbosity": -1, "num_threads": 1},
    )
    booster = lgb.train(
        parameters,
        data,
        MAX_TREES,
        valid_sets=[validation],
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
