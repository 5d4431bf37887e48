"""Names of a frame's columns: whatever it calls them, and as JSON has them."""

from collections.abc import Hashable, Iterable
from datetime import date, datetime

import numpy as np
import pandas as pd


def column_names(columns: object) -> tuple[Hashable, ...]:
    """Return column names given as one, several or None."""
    if columns is None:
        return ()
    if isinstance(columns, str) or not isinstance(columns, Iterable):
        return (columns,)
    return tuple(columns)


def is_column_name(name: object) -> bool:
    """Whether a frame can find a column by this name: one that equals itself."""
    try:
        hash(name)
        return bool(name == name)
    except (TypeError, ValueError):  # a list; a missing value, which equals nothing
        return False


def name_to_json(name: Hashable) -> object:
    """Return a column's name as JSON can hold it; `name_from_json` is its inverse.

    Raises
    ------
    TypeError
        If it is neither a text, a number, a time nor a tuple of these.
    """
    if isinstance(name, tuple):
        return {"tuple": [name_to_json(part) for part in name]}
    if isinstance(name, datetime | np.datetime64):
        return {"time": pd.Timestamp(name).isoformat()}
    if isinstance(name, date):
        return {"date": name.isoformat()}
    plain = name.item() if isinstance(name, np.generic) else name
    if plain is None or isinstance(plain, str | int | float):
        return plain
    msg = (
        f"A column's name must be a text, a number, a time or a tuple of these to be "
        f"saved, got {name!r}. Rename the column."
    )
    raise TypeError(msg)


def name_from_json(name: object) -> Hashable:
    """Return the column's name that `name_to_json` has written."""
    if not isinstance(name, dict):
        return name
    if "tuple" in name:
        return tuple(map(name_from_json, name["tuple"]))
    if "date" in name:
        return date.fromisoformat(name["date"])
    return pd.Timestamp(name["time"])
