"""Features as LightGBM wants them: a matrix of numbers, and which are categories."""

from collections.abc import Sequence
from typing import TypedDict

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]


def check_features(values: ArrayLike, name: str) -> Floats:
    """Return features as a float64 matrix with at least one row and one column.

    Raises
    ------
    TypeError
        If ``values`` does not convert to numbers.
    ValueError
        If it is not two-dimensional, is empty, or holds an infinite number.
    """
    try:
        matrix = np.ascontiguousarray(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        msg = (
            f"`{name}` must be numeric, got values that are not. Turn categories into "
            "codes 0, 1, … and name their columns in `categorical`."
        )
        raise TypeError(msg) from error
    if matrix.ndim != 2 or matrix.size == 0:
        msg = (
            f"`{name}` must have shape (n_rows, n_features), both >= 1, got "
            f"{np.shape(values)}."
        )
        raise ValueError(msg)
    if np.isinf(matrix).any():
        row, column = np.argwhere(np.isinf(matrix))[0].tolist()
        msg = (
            f"`{name}` must not be infinite, but {name}[{row}, {column}] is. Missing "
            "values are NaN."
        )
        raise ValueError(msg)
    return matrix


class DatasetOptions(TypedDict):
    """Options of LightGBM's data sets."""

    categorical_feature: list[int]


def dataset_options(n_features: int, categorical: Sequence[int]) -> DatasetOptions:
    """Return what tells LightGBM which of the columns are categories.

    Raises
    ------
    ValueError
        If ``categorical`` names a column that is not there.
    """
    wrong = [column for column in categorical if not 0 <= column < n_features]
    if wrong:
        msg = f"`categorical` must hold columns 0 to {n_features - 1}, got {wrong[0]}."
        raise ValueError(msg)
    return {"categorical_feature": [int(column) for column in categorical]}
