"""One column as narwhals gives it: its type, its first value, its objects."""

from collections.abc import Iterable
from typing import Any

import narwhals as nw
import numpy as np
import pandas as pd

Series = nw.Series[Any]

BLOCK = 1 << 16  # rows of which a temporary stays in the cache


def check_writable(values: Iterable[object], what: str) -> None:
    """Refuse texts that no file could hold: those with half a surrogate pair.

    Raises
    ------
    ValueError
        If a text cannot be encoded as UTF-8.
    """
    for value in values:
        try:
            _ = isinstance(value, str) and value.encode()
        except UnicodeEncodeError as error:
            msg = (
                f"{what} must hold texts that UTF-8 can write, but {value!r} is none: "
                "it was decoded wrongly. Read the column again with its own encoding, "
                'or column.str.encode("utf-8", "replace").str.decode("utf-8").'
            )
            raise ValueError(msg) from error


def blocks(array: np.ndarray) -> list[np.ndarray]:
    """Return the array in views, a temporary of one of which stays in the cache."""
    return [array[a : a + BLOCK] for a in range(0, array.size, BLOCK)]


def is_pandas(native: object) -> bool:
    """Whether it is a series of pandas."""
    return isinstance(native, pd.Series)


def python_objects(series: Series) -> np.ndarray:
    """Return the cells as Python objects."""
    return np.asarray(series.to_native(), dtype=object)


def type_text(series: Series) -> str:
    """Return the type of the column, as an error message names it."""
    if series.dtype == nw.Unknown:
        return str(getattr(series.to_native(), "dtype", "null"))
    return str(series.dtype)


def example_text(series: Series) -> str:
    """Return the first value, as an error message shows it; "" if all are missing."""
    values = series.drop_nulls()
    return f" (first value: {values[0]!r})" if len(values) else ""
