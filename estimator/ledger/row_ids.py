"""Row ids as sortable keys, and a sorted index that grows with what is added.

Integers are their own keys. Texts (and UUIDs, by their text) become 128-bit hashes: 16
bytes a row whatever the length, no Python object kept. Two of a billion ids collide
with a chance of 10⁻²¹.
"""

from collections.abc import Callable
from dataclasses import dataclass

import narwhals as nw
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from estimator.frames.series import Series, check_writable

Keys = NDArray[np.int64] | NDArray[np.bytes_]

_HASH_KEYS = ("deadreckon row 0", "deadreckon row 1")


def read_ids(series: Series, what: str) -> tuple[Keys, Callable[[int], str]]:
    """Return the keys of a column of ids, and a way to show the id of a row.

    Raises
    ------
    TypeError
        If the ids are neither whole numbers nor texts or UUIDs.
    ValueError
        If one is missing, or beyond 64 bits.
    """
    missing = series.null_count()
    dtype = series.dtype
    values: np.ndarray
    if dtype.is_integer() and not missing:
        values = series.to_numpy()
        if values.dtype.kind == "u" and values.size and values.max() > 2**63 - 1:
            msg = f"{what} must fit 64-bit integers, got {values.max()}. Pass texts."
            raise ValueError(msg)
        keys: Keys = values.astype(np.int64, copy=False)
        return keys, lambda i: str(values[i])
    if dtype.is_float() or dtype == nw.Boolean:
        msg = (
            f"{what} must hold row ids, whole numbers or texts, but is of type "
            f"{dtype}. Whole numbers become floats where some are missing: drop "
            'these rows, then column.astype("int64").'
        )
        raise TypeError(msg)
    values = np.asarray(series.to_native(), dtype=object)
    gone = pd.isna(values)
    if gone.any():
        msg = (
            f"{what} must have an id in every row, but {gone.sum()} of {gone.size} are "
            f"missing (first: row {np.argmax(gone)}). Drop these rows."
        )
        raise ValueError(msg)
    kinds = {type(value) for value in values}
    whole = all(issubclass(kind, int | np.integer) for kind in kinds)
    if kinds and whole and bool not in kinds:
        return _whole_numbers(values, what)
    texts = _texts(values, kinds, what)
    check_writable(texts, what)
    return _hash(texts), lambda i: repr(texts[i])


def _whole_numbers(
    values: NDArray[np.object_], what: str
) -> tuple[Keys, Callable[[int], str]]:
    """Return the keys of whole numbers that came as Python objects."""
    beyond = [value for value in values if not -(2**63) <= value < 2**63]
    if beyond:
        msg = (
            f"{what} must fit 64-bit integers, but {len(beyond)} of {values.size} ids "
            "do not. Pass texts: column.astype(str)."
        )
        raise ValueError(msg)
    numbers = values.astype(np.int64)
    return numbers, lambda i: str(numbers[i])


def _texts(values: np.ndarray, kinds: set[type], what: str) -> NDArray[np.object_]:
    named = {kind.__name__ for kind in kinds}
    if named <= {"str", "str_"}:
        return values
    if named == {"UUID"}:
        return np.array([str(value) for value in values] or [], dtype=object)
    msg = (
        f"{what} must hold row ids of one kind, whole numbers, texts or UUIDs, but "
        f"holds {', '.join(sorted(named))}. Turn them into texts: column.astype(str)."
    )
    raise TypeError(msg)


def _hash(texts: NDArray[np.object_]) -> NDArray[np.bytes_]:
    # NumPy compares fixed-width bytes like numbers of that many digits, padded with
    # zeros: sorting and searching are exact.
    halves = [
        pd.util.hash_array(texts, hash_key=key, categorize=False) for key in _HASH_KEYS
    ]
    return np.stack(halves, axis=1).view("S16").ravel()


@dataclass(frozen=True, slots=True, eq=False)
class IdIndex:
    """Where each id is: sorted runs, merged when they are of like size.

    So adding costs what is added, times the logarithm of what is there.

    Attributes
    ----------
    runs : tuple of (keys, locations)
        Each sorted by key; sizes fall.
    """

    runs: tuple[tuple[Keys, NDArray[np.int64]], ...] = ()

    def __len__(self) -> int:
        return sum(keys.size for keys, _ in self.runs)

    def find(self, keys: Keys) -> NDArray[np.int64]:
        """Return the location of each key, -1 where there is none.

        Raises
        ------
        TypeError
            If the keys are texts and the index holds numbers, or vice versa.
        """
        location = np.full(keys.size, -1, dtype=np.int64)
        if not self.runs or not keys.size:
            return location
        self._check_kind(keys)
        order = np.argsort(keys, kind="stable")  # neighbours search the same places
        wanted = keys[order]
        for run, locations in self.runs:
            position = np.minimum(np.searchsorted(run, wanted), run.size - 1)
            hit = run[position] == wanted
            location[order[hit]] = locations[position[hit]]
        return location

    def add(self, keys: Keys, locations: NDArray[np.int64]) -> "IdIndex":
        """Return an index that also has these keys, none of which it had."""
        if not keys.size:
            return self
        self._check_kind(keys)
        runs = list(self.runs)
        parts = [(keys, locations)]
        size = keys.size
        while runs and runs[-1][0].size <= 2 * size:
            size += runs[-1][0].size
            parts.insert(0, runs.pop())
        both = [np.concatenate([part[i] for part in parts]) for i in (0, 1)]
        if not bool((both[0][1:] > both[0][:-1]).all()):
            order = np.argsort(both[0], kind="stable")
            both = [column[order] for column in both]
        return IdIndex((*runs, (both[0], both[1])))

    def _check_kind(self, keys: Keys) -> None:
        if self.runs and self.runs[0][0].dtype.kind != keys.dtype.kind:
            kinds = {"i": "whole numbers", "S": "texts"}
            expected, got = self.runs[0][0].dtype.kind, keys.dtype.kind
            msg = (
                "`row_id` must hold ids of one kind: those known are "
                f"{kinds[expected]}, these are {kinds[got]}. Convert the column, e.g. "
                "column.astype(str)."
            )
            raise TypeError(msg)
