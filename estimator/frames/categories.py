"""Segments and categories: a narwhals series → a code per row, and texts of values."""

from collections.abc import Hashable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import narwhals as nw
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from estimator.frames.series import (
    Series,
    blocks,
    check_writable,
    example_text,
    is_pandas,
    type_text,
)

if TYPE_CHECKING:
    import pyarrow as pa

MISSING = "(missing)"
MAX_VALUES = 1_000  # of a segment column


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SegmentCodes:
    """Segment of each row, by one column.

    Attributes
    ----------
    codes : ndarray of int, shape (n_rows,)
        Index of each row's value in `values`.
    values : list of str
        Text of each value, sorted; "(missing)", if there is such a row, is the last.
    """

    codes: NDArray[np.integer]
    values: list[str]

    def take(self, rows: NDArray[np.int64] | slice) -> "SegmentCodes":
        """Return the segments of some rows."""
        return SegmentCodes(codes=self.codes[rows], values=self.values)


def stratum_codes(stratum: NDArray[np.int8]) -> SegmentCodes:
    """Return rows' numbered strata as values of a column; -1 is "(none)", the last."""
    n = int(stratum.max(initial=-1)) + 1
    return SegmentCodes(
        codes=np.where(stratum < 0, n, stratum),
        values=[*(str(k) for k in range(n)), *(["(none)"] * bool((stratum < 0).any()))],
    )


def read_segment(series: Series, what: str) -> SegmentCodes:
    """Code each row by its value's text; missing cells are a value of their own."""
    try:
        if series.dtype.is_nested():
            raise TypeError  # noqa: TRY301
        codes, values = _factorize(series)
    except TypeError as error:  # a list in a cell has no hash
        msg = (
            f"{what} must hold plain values (text, numbers, booleans), but is of type "
            f"{type_text(series)}{example_text(series)}. "
            "Turn the cells into text first."
        )
        raise TypeError(msg) from error
    seen = np.zeros(len(values) + 1, dtype=np.bool_)
    for part in blocks(codes):
        seen[part] = True  # -1, a missing cell, is the last entry
    if seen.sum() > MAX_VALUES:
        msg = (
            f"{what} must have at most {MAX_VALUES:,} distinct values as a segment, "
            f"got {seen.sum():,}. Group or bin them first, e.g. pd.cut(column, 10)."
        )
        raise ValueError(msg)
    used = [(v, i) for i, v in enumerate(values) if seen[i] and not _is_missing(v)]
    check_writable([value for value, _ in used], what)
    try:
        used.sort()
    except TypeError:
        used.sort(key=lambda pair: _text(pair[0]))
    names = list(dict.fromkeys(_text(v) for v, _ in used))
    code_by_name = {name: k for k, name in enumerate(names)}
    table = np.full(seen.size, code_by_name.get(MISSING, len(names)), dtype=np.int16)
    for value, i in used:
        table[i] = code_by_name[_text(value)]
    missing = [i for i, v in enumerate(values) if seen[i] and _is_missing(v)]
    if (seen[-1] or missing) and MISSING not in code_by_name:
        names.append(MISSING)
    return SegmentCodes(codes=table[codes], values=names)


def read_category(series: Series, what: str) -> tuple[NDArray[np.int64], list[str]]:
    """Code each row by its value's text, -1 where missing.

    Raises
    ------
    TypeError
        If the column holds times or lists.
    """
    try:
        if series.dtype.is_nested() or series.dtype.is_temporal():
            raise TypeError  # noqa: TRY301
        codes, values = _factorize(series)
    except TypeError as error:  # a list in a cell has no hash
        msg = (
            f"{what} must hold numbers or texts, but is of type {type_text(series)}"
            f"{example_text(series)}. "
            "Turn times into numbers, lists into texts first."
        )
        raise TypeError(msg) from error
    check_writable(values, what)
    texts = ["" if _is_missing(value) else _text(value) for value in values]
    names = list(
        dict.fromkeys(
            t for t, v in zip(texts, values, strict=True) if not _is_missing(v)
        )
    )
    code_by_name = {name: k for k, name in enumerate(names)}
    table = np.full(len(values) + 1, -1, dtype=np.int64)  # the last is a missing cell
    for i, value in enumerate(values):
        if not _is_missing(value):
            table[i] = code_by_name[texts[i]]
    return table[codes], names


def _factorize(series: Series) -> tuple[np.ndarray, list[Hashable]]:
    """Return code of each row, -1 where missing, and the values."""
    native = series.to_native()
    if is_pandas(native):
        if isinstance(native.dtype, pd.CategoricalDtype):
            return native.cat.codes.to_numpy(), native.cat.categories.tolist()
        codes, uniques = pd.factorize(native)
        return codes, list(uniques)
    if nw.dependencies.is_polars_series(native) and _holds_intervals(native.dtype):
        codes, uniques = pd.factorize(native.to_arrow().to_pandas())
        return codes, list(uniques)
    if nw.dependencies.is_pyarrow_chunked_array(native):
        if _holds_intervals(native.type):
            return _interval_codes(native)
        one = native.dictionary_encode().unify_dictionaries().combine_chunks()
        return one.indices.fill_null(-1).to_numpy(), one.dictionary.to_pylist()
    if series.dtype.is_decimal():  # polars has no code for a decimal of any scale
        cells = np.array(series.to_list(), dtype=object)
        codes, uniques = pd.factorize(cells)
        return codes, list(uniques)
    values = [v for v in series.unique().to_list() if v is not None]
    numbers = [*range(len(values)), -1]
    coded = series.replace_strict([*values, None], numbers, return_dtype=nw.Int32)
    return coded.to_numpy(), values


def _holds_intervals(dtype: object) -> bool:
    """Whether an arrow or polars type holds the intervals that `pd.cut` makes."""
    return "pandas.interval" in str(dtype)


def _interval_codes(native: "pa.ChunkedArray") -> tuple[np.ndarray, list[Hashable]]:
    """Factorize a pyarrow column of intervals, whose texts are to be as in pandas."""
    if hasattr(native.type, "value_type"):  # pyarrow cannot encode an extension type
        one = native.unify_dictionaries().combine_chunks()
        codes = one.indices.fill_null(-1).to_numpy()
        return codes, list(one.dictionary.to_pandas())
    codes, uniques = pd.factorize(native.to_pandas())
    return codes, list(uniques)


def _is_missing(value: object) -> bool:
    return value is None or value != value  # NaN


def _text(value: Hashable) -> str:
    # A missing cell turns pandas integers into floats: 1 and 1.0 are one segment.
    if isinstance(value, float | np.floating) and value.is_integer():
        return str(int(value))
    return str(value)
