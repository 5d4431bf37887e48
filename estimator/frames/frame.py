"""A pandas, polars or pyarrow frame: names of columns, and one column at a time."""

from collections.abc import Callable, Hashable, Sequence
from difflib import get_close_matches

import narwhals as nw
import pandas as pd

from estimator.frames.series import Series

_SHOWN = 10  # column names in an error message


def open_frame(
    frame: object, name: str, *, may_be_empty: bool = False
) -> tuple[list[Hashable], Callable[[Hashable], Series]]:
    """Return the column names and a way to reach one column without the others."""
    native = nw.to_native(frame, pass_through=True)
    # By hand: narwhals refuses a frame for a duplicate that nobody asked for.
    names: list[Hashable]
    if isinstance(native, pd.DataFrame):
        names = list(native.columns)
    elif nw.dependencies.is_pyarrow_table(native):
        names = list(native.column_names)
    elif nw.dependencies.is_polars_dataframe(native):
        names = list(native.columns)
    else:
        lazy = nw.dependencies.is_polars_lazyframe(native)
        remedy = (
            "Call .collect() on it first."
            if lazy
            else "Wrap arrays in pandas.DataFrame({...}), read files with pandas first."
        )
        msg = (
            f"`{name}` must be a pandas or polars DataFrame or a pyarrow Table, got "
            f"{type(native).__name__}. {remedy}"
        )
        raise TypeError(msg)
    if len(native) == 0 and not may_be_empty:
        msg = f"`{name}` must have at least one row, got an empty frame."
        raise ValueError(msg)
    return names, lambda key: nw.from_native(native[key], series_only=True)


def require_names(
    wanted: Sequence[Hashable], names: Sequence[Hashable], name: str, frame: object
) -> None:
    """Refuse a frame that lacks a wanted column, or has it twice.

    Parameters
    ----------
    wanted, names : list
        Names of the columns that are needed, and of those that are there.
    name : str
        Name of the argument, for the message.
    frame : DataFrame or Table
        Frame that has the names; the message says if its index is what is wanted.

    Raises
    ------
    ValueError
        If a wanted column is absent, or there twice.
    """
    texts = [str(n) for n in names]
    absent = [w for w in dict.fromkeys(wanted) if w not in names]
    if absent:
        near = {w: get_close_matches(str(w), texts, n=3) for w in absent}
        hints = [f" Nearest to {w!r}: {', '.join(c)}." for w, c in near.items() if c]
        shown = ", ".join(repr(n) for n in names[:_SHOWN])
        more = f", … ({len(names)} in all)" if len(names) > _SHOWN else ""
        msg = (
            f"`{name}` must have the columns named in the estimator, but lacks "
            f"{', '.join(map(repr, absent))}.{''.join(hints)}"
            f"{_index_hint(frame, absent)} It has {shown}{more}. "
            "Rename the columns, or name yours in PerformanceEstimator(...)."
        )
        raise ValueError(msg)
    double = [w for w in dict.fromkeys(wanted) if names.count(w) > 1]
    if double:
        positions = [i for i, n in enumerate(names) if n == double[0]]
        msg = (
            f"`{name}` must have column {double[0]!r} once, but it is there "
            f"{len(positions)} times (positions {', '.join(map(str, positions))}). "
            "Drop or rename the others."
        )
        raise ValueError(msg)


def _index_hint(frame: object, absent: Sequence[Hashable]) -> str:
    """Say which absent column is the index of a pandas frame, "" if none is."""
    index = getattr(nw.to_native(frame, pass_through=True), "index", None)
    if not isinstance(index, pd.Index):
        return ""
    name = next((w for w in absent if w in index.names), None)
    if name is not None:
        return f" {name!r} is the frame's index: frame.reset_index()."
    if isinstance(index, pd.DatetimeIndex) and index.name is None:
        return (
            " The frame's index holds times: if it is "
            f"{absent[0]!r}, frame.rename_axis({absent[0]!r}).reset_index()."
        )
    return ""
