"""Scores, labels and numbers: a narwhals series → a checked array, uncopied if it can.

An error says what kind of column came, and how to turn it into what is needed.
"""

import math
from decimal import Decimal
from numbers import Real

import narwhals as nw
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from estimator.frames.series import (
    BLOCK,
    Series,
    blocks,
    example_text,
    python_objects,
    type_text,
)

Scores = NDArray[np.float64] | NDArray[np.float32]

_POSITIVE = {"yes", "y", "true", "t", "positive", "pos", "bad", "default", "churn"}


def read_score(series: Series, what: str) -> Scores:
    """Probabilities as they lie (float64 or float32), NaN where missing."""
    refusal = (
        f"{what} must hold probabilities, numbers in [0, 1], but is of type "
        f"{type_text(series)}. "
        "Pass `predict_proba(X)[:, 1]`; decisions belong to `y_pred`."
    )
    score = _numbers(series, what, refusal)
    if score.dtype == np.bool_:
        raise TypeError(refusal)
    if score.dtype.kind != "f" or score.dtype.itemsize not in (4, 8):
        score = score.astype(np.float64)
    # Two passes without temporaries; `min` is NaN as soon as one value is.
    low, high = score.min(), score.max()
    if math.isnan(low):
        low, high = np.fmin.reduce(score), np.fmax.reduce(score)
    if math.isnan(low):
        raise ValueError(_all_missing(what, score.size))
    if low < 0 or high > 1:
        raise ValueError(_out_of_range(score, what))
    return score


def read_binary(series: Series, what: str, *, may_be_empty: bool = False) -> np.ndarray:
    """Zeros and ones as they lie (bool, int or float), NaN where missing."""
    words = f"{what} must hold 0 and 1 (or False and True)"
    refusal = (
        f"{words}, but is of type {type_text(series)}{example_text(series)}. "
        f"{_label_remedy(series)}"
    )
    binary = _numbers(series, what, refusal)
    wrong = binary.dtype != np.bool_ and any(
        # NaN differs from itself
        ((part != 0) & (part != 1) & (part == part)).any()
        for part in blocks(binary)
    )
    if wrong:
        raise ValueError(_not_binary(binary, words))
    missing = binary.dtype.kind == "f" and math.isnan(np.fmin.reduce(binary))
    if missing and not may_be_empty:
        raise ValueError(_all_missing(what, binary.size))
    return binary


def read_number(series: Series, what: str) -> NDArray[np.float64]:
    """Read numbers or booleans, NaN where missing.

    Raises
    ------
    TypeError
        If the column holds something else.
    """
    refusal = (
        f"{what} must hold numbers, but is of type {type_text(series)}"
        f"{example_text(series)}."
    )
    return _numbers(series, what, refusal).astype(np.float64)


def _numbers(series: Series, what: str, refusal: str) -> np.ndarray:
    """Numbers or booleans as an array of bool, int or float; TypeError otherwise."""
    dtype = series.dtype
    if dtype.is_float() or dtype.is_integer():
        array = series.to_numpy()
    elif dtype.is_decimal():
        array = series.cast(nw.Float64).to_numpy()
    elif dtype == nw.Boolean:
        # Only a nullable column needs the detour through floats.
        whole = series.null_count() == 0
        array = series.to_numpy() if whole else series.cast(nw.Float64).to_numpy()
        array = array.astype(np.bool_, copy=False) if whole else array
    elif series.null_count() == len(series):
        return np.full(len(series), np.nan)
    elif getattr(getattr(series.to_native(), "dtype", None), "kind", "-") in "biuf":
        array = series.to_numpy().astype(np.float64)  # sparse, or foreign bytes
    elif dtype in (nw.Object, nw.Categorical):
        return _from_objects(python_objects(series), refusal)
    else:
        raise TypeError(refusal)
    return _from_objects(array, refusal) if array.dtype == object else array


def _from_objects(values: np.ndarray, refusal: str) -> NDArray[np.float64]:
    missing = pd.isna(values)
    numbers = values[~missing]
    kinds = set(map(type, numbers))
    if not all(issubclass(kind, Real | Decimal | np.bool_) for kind in kinds):
        raise TypeError(refusal)
    out = np.full(values.size, np.nan)
    out[~missing] = numbers.astype(np.float64)
    return out


def _all_missing(what: str, n: int) -> str:
    return f"{what} must hold at least one value, but all {n} are missing."


def _label_remedy(series: Series) -> str:
    """Say how to turn labels that are texts, or something else, into 0 and 1."""
    positive = "yes"
    if series.dtype in (nw.String, nw.Object, nw.Categorical, nw.Enum):
        labels = python_objects(series)
        labels = labels[~pd.isna(labels)]
        texts = sorted({str(value).strip() for value in labels[:BLOCK]})
        if labels.size and set(texts) <= {"0", "1"}:
            return "Turn the texts into numbers: column.astype(int)."
        if labels.size and set(texts) <= {"0", "1", "0.0", "1.0"}:
            return "Turn the texts into numbers: column.astype(float)."
        if len(texts) == 2:
            likely = [t for t in texts if t.lower() in _POSITIVE]
            positive = (likely or texts[1:])[0]
    return (
        "Map your classes first, with 1 the class that the score is the probability "
        f'of: column == "{positive}".'
    )


def _out_of_range(score: np.ndarray, what: str) -> str:
    wrong = np.flatnonzero((score < 0) | (score > 1))
    finite = score[np.isfinite(score)]
    if finite.size and finite.min() >= 0 and 2 * (finite > 1).sum() > finite.size:
        percent = finite.max() <= 100
    else:
        percent = False
    remedy = "They look like margins (log-odds): pass `predict_proba(X)[:, 1]`."
    if percent:
        remedy = "They look like percentages: divide them by 100."
    elif np.isinf(score[wrong]).all():
        remedy = (
            "Infinite scores come from a division by zero or an overflow: mend what "
            "computes them, or make them missing (NaN), and these rows are left out."
        )
    return (
        f"{what} must lie in [0, 1], but {wrong.size} of {score.size} values do not "
        f"(first: row {wrong[0]} is {score[wrong[0]]:g}). {remedy}"
    )


def _not_binary(binary: np.ndarray, words: str) -> str:
    present = binary[binary == binary]
    wrong = np.flatnonzero((binary != 0) & (binary != 1) & (binary == binary))
    distinct = np.unique(present)
    remedy = "Map your classes first, with 1 the class that the score is about."
    if np.isin(distinct, [-1, 1]).all():
        remedy = "-1/+1 becomes 0/1 with `(y + 1) // 2`."
    elif np.isin(distinct, [1, 2]).all():
        remedy = "1/2 becomes 0/1 with `y - 1`."
    return (
        f"{words}, but {wrong.size} of {binary.size} values are others (first: row "
        f"{wrong[0]} is {binary[wrong[0]]:g}). {remedy}"
    )
