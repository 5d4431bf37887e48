"""One column each: a narwhals series → a checked array, uncopied where it can be."""

import math
from collections.abc import Hashable, Iterable
from dataclasses import dataclass
from decimal import Decimal
from numbers import Real
from typing import Any

import narwhals as nw
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from estimator.frames.datetimes import (
    Moments,
    TimeZone,
    check_years,
    moments,
    number_remedy,
    parse_datetimes,
)

Series = nw.Series[Any]
Scores = NDArray[np.float64] | NDArray[np.float32]

MISSING = "(missing)"
MAX_VALUES = 1_000
_POSITIVE = {"yes", "y", "true", "t", "positive", "pos", "bad", "default", "churn"}
_BLOCK = 1 << 16


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SegmentCodes:
    """Rows by value: `values[codes[i]]` is the text of row `i`, "(missing)" last."""

    codes: NDArray[np.integer[Any]]
    values: list[str]


def read_score(series: Series, what: str) -> Scores:
    """Probabilities as they lie (float64 or float32), NaN where missing."""
    refusal = (
        f"{what} must hold probabilities, numbers in [0, 1], but is of type "
        f"{_type(series)}. Pass `predict_proba(X)[:, 1]`; decisions belong to `y_pred`."
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


def read_binary(
    series: Series, what: str, *, may_be_empty: bool = False
) -> NDArray[Any]:
    """Zeros and ones as they lie (bool, int or float), NaN where missing."""
    words = f"{what} must hold 0 and 1 (or False and True)"
    refusal = (
        f"{words}, but is of type {_type(series)}{_example(series)}. "
        f"{_label_remedy(series)}"
    )
    binary = _numbers(series, what, refusal)
    wrong = binary.dtype != np.bool_ and any(
        # NaN differs from itself
        ((part != 0) & (part != 1) & (part == part)).any()
        for part in _blocks(binary)
    )
    if wrong:
        raise ValueError(_not_binary(binary, words))
    missing = binary.dtype.kind == "f" and math.isnan(np.fmin.reduce(binary))
    if missing and not may_be_empty:
        raise ValueError(_all_missing(what, binary.size))
    return binary


def read_timestamp(
    series: Series, what: str, *, may_be_missing: bool = False
) -> tuple[Moments, TimeZone]:
    """Moments in UTC (wall-clock time where there is no zone) and the time zone."""
    dtype, zone = series.dtype, None
    native = series.to_native()
    if dtype.is_numeric() or dtype == nw.Boolean:
        known = series.drop_nulls()
        remedy = number_remedy(known[0]) if len(known) else ""
        msg = (
            f"{what} must hold timestamps, but is of type {dtype}{_example(series)}. "
            f"{remedy or 'Name another column.'}"
        )
        raise TypeError(msg)
    if _is_pandas(native) and isinstance(native.dtype, pd.DatetimeTZDtype):
        moment, zone = moments(pd.DatetimeIndex(native))  # to_numpy would copy
    elif isinstance(dtype, nw.Datetime):
        moment = series.to_numpy()
        # The object says more than its name: pytz, fixed offsets.
        zone = native.dt.tz if _is_pandas(native) else dtype.time_zone
    elif dtype == nw.Date and not _is_pandas(native):
        moment = series.to_numpy().astype("M8[s]")
    elif dtype in (nw.Object, nw.String, nw.Categorical, nw.Enum, nw.Date):
        moment, zone = parse_datetimes(_python_objects(series), what)
    elif series.null_count() < len(series):
        msg = (
            f"{what} must hold timestamps, but is of type {_type(series)}. "
            "Convert it with pd.to_datetime."
        )
        raise TypeError(msg)
    else:
        moment = np.full(len(series), "NaT", dtype="M8[s]")
    if not may_be_missing and np.isnat(
        moment.min()
    ):  # NaT spreads: one pass, no temporary
        gone = np.flatnonzero(np.isnat(moment))
        msg = (
            f"{what} must have a timestamp in every row, but {gone.size} of "
            f"{moment.size} are missing (first: row {gone[0]}). Drop these rows, "
            'frame.dropna(subset=["…"]), or fill in their time.'
        )
        raise ValueError(msg)
    check_years(moment, zone, what)
    return moment, zone


def read_segment(series: Series, what: str) -> SegmentCodes:
    """Code each row by its value's text; missing cells are a value of their own."""
    try:
        if series.dtype.is_nested():
            raise TypeError  # noqa: TRY301
        codes, values = _factorize(series)
    except TypeError as error:  # a list in a cell has no hash
        msg = (
            f"{what} must hold plain values (text, numbers, booleans), but is of type "
            f"{_type(series)}{_example(series)}. Turn the cells into text first."
        )
        raise TypeError(msg) from error
    seen = np.zeros(len(values) + 1, dtype=np.bool_)
    for part in _blocks(codes):
        seen[part] = True  # -1, a missing cell, is the last place
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
    place = {name: k for k, name in enumerate(names)}
    table = np.full(seen.size, place.get(MISSING, len(names)), dtype=np.int16)
    for value, i in used:
        table[i] = place[_text(value)]
    missing = [i for i, v in enumerate(values) if seen[i] and _is_missing(v)]
    if (seen[-1] or missing) and MISSING not in place:
        names.append(MISSING)
    return SegmentCodes(codes=table[codes], values=names)


def read_number(series: Series, what: str) -> NDArray[np.float64]:
    """Read numbers or booleans, NaN where missing.

    Raises
    ------
    TypeError
        If the column holds something else.
    """
    refusal = (
        f"{what} must hold numbers, but is of type {_type(series)}{_example(series)}."
    )
    return _numbers(series, what, refusal).astype(np.float64)


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
            f"{what} must hold numbers or texts, but is of type {_type(series)}"
            f"{_example(series)}. Turn times into numbers, lists into texts first."
        )
        raise TypeError(msg) from error
    check_writable(values, what)
    texts = ["" if _is_missing(value) else _text(value) for value in values]
    names = list(
        dict.fromkeys(
            t for t, v in zip(texts, values, strict=True) if not _is_missing(v)
        )
    )
    place = {name: k for k, name in enumerate(names)}
    table = np.full(len(values) + 1, -1, dtype=np.int64)  # the last is a missing cell
    for i, value in enumerate(values):
        if not _is_missing(value):
            table[i] = place[texts[i]]
    return table[codes], names


def _numbers(series: Series, what: str, refusal: str) -> NDArray[Any]:
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
        return _from_objects(_python_objects(series), refusal)
    else:
        raise TypeError(refusal)
    return _from_objects(array, refusal) if array.dtype == object else array


def _from_objects(values: NDArray[Any], refusal: str) -> NDArray[np.float64]:
    missing = pd.isna(values)
    known = values[~missing]
    kinds = set(map(type, known))
    if not all(issubclass(kind, Real | Decimal | np.bool_) for kind in kinds):
        raise TypeError(refusal)
    out = np.full(values.size, np.nan)
    out[~missing] = known.astype(np.float64)
    return out


def _factorize(series: Series) -> tuple[NDArray[Any], list[Any]]:
    """Return code of each row, -1 where missing, and the values."""
    native = series.to_native()
    if _is_pandas(native):
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
    places = [*range(len(values)), -1]
    replaced = series.replace_strict([*values, None], places, return_dtype=nw.Int32)
    return replaced.to_numpy(), values


def _holds_intervals(dtype: Any) -> bool:
    """Whether an arrow or polars type holds the intervals that `pd.cut` makes."""
    return "pandas.interval" in str(dtype)


def _interval_codes(native: Any) -> tuple[NDArray[Any], list[Any]]:
    """Factorize a pyarrow column of intervals, whose texts are to be as in pandas."""
    if hasattr(native.type, "value_type"):  # pyarrow cannot encode an extension type
        one = native.unify_dictionaries().combine_chunks()
        codes = one.indices.fill_null(-1).to_numpy()
        return codes, list(one.dictionary.to_pandas())
    codes, uniques = pd.factorize(native.to_pandas())
    return codes, list(uniques)


def check_writable(values: Iterable[Any], what: str) -> None:
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


def _blocks(array: NDArray[Any]) -> list[NDArray[Any]]:
    return [array[a : a + _BLOCK] for a in range(0, array.size, _BLOCK)]


def _is_pandas(native: object) -> bool:
    return isinstance(native, pd.Series)


def _python_objects(series: Series) -> NDArray[Any]:
    return np.asarray(series.to_native(), dtype=object)


def _is_missing(value: Any) -> bool:
    return value is None or value != value  # NaN


def _text(value: Hashable) -> str:
    # A missing cell turns pandas integers into floats: 1 and 1.0 are one segment.
    if isinstance(value, float | np.floating) and value.is_integer():
        return str(int(value))
    return str(value)


def _all_missing(what: str, n: int) -> str:
    return f"{what} must hold at least one value, but all {n} are missing."


def _type(series: Series) -> str:
    known = series.dtype != nw.Unknown
    return str(series.dtype if known else getattr(series.to_native(), "dtype", "null"))


def _example(series: Series) -> str:
    known = series.drop_nulls()
    return f" (first value: {known[0]!r})" if len(known) else ""


def _label_remedy(series: Series) -> str:
    """Say how to turn labels that are texts, or something else, into 0 and 1."""
    positive = "yes"
    if series.dtype in (nw.String, nw.Object, nw.Categorical, nw.Enum):
        known = _python_objects(series)
        known = known[~pd.isna(known)]
        texts = sorted({str(value).strip() for value in known[:_BLOCK]})
        if known.size and set(texts) <= {"0", "1"}:
            return "Turn the texts into numbers: column.astype(int)."
        if known.size and set(texts) <= {"0", "1", "0.0", "1.0"}:
            return "Turn the texts into numbers: column.astype(float)."
        if len(texts) == 2:
            likely = [t for t in texts if t.lower() in _POSITIVE]
            positive = (likely or texts[1:])[0]
    return (
        "Map your classes first, with 1 the class that the score is the probability "
        f'of: column == "{positive}".'
    )


def _out_of_range(score: NDArray[Any], what: str) -> str:
    wrong = np.flatnonzero((score < 0) | (score > 1))
    known = score[np.isfinite(score)]
    if known.size and known.min() >= 0 and 2 * (known > 1).sum() > known.size:
        percent = known.max() <= 100
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


def _not_binary(binary: NDArray[Any], words: str) -> str:
    known = binary[binary == binary]
    wrong = np.flatnonzero((binary != 0) & (binary != 1) & (binary == binary))
    found = np.unique(known)
    remedy = "Map your classes first, with 1 the class that the score is about."
    if np.isin(found, [-1, 1]).all():
        remedy = "-1/+1 becomes 0/1 with `(y + 1) // 2`."
    elif np.isin(found, [1, 2]).all():
        remedy = "1/2 becomes 0/1 with `y - 1`."
    return (
        f"{words}, but {wrong.size} of {binary.size} values are others (first: row "
        f"{wrong[0]} is {binary[wrong[0]]:g}). {remedy}"
    )
