import uuid

import narwhals as nw
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from numpy.testing import assert_array_equal

from estimator.ledger.row_ids import IdIndex, read_ids

TEXTS = ["a", "b", "ä€", "", "a" * 500]


def keys_of(values):
    series = nw.from_native(values, series_only=True)
    return read_ids(series, "`labels['id']`")[0]


@pytest.mark.parametrize(
    "series",
    [
        pd.Series([3, 1, 2]),
        pd.Series([3, 1, 2], dtype="Int64"),
        pd.Series([3, 1, 2], dtype="uint8"),
        pd.Series([3, 1, 2], dtype=object),
        pl.Series([3, 1, 2]),
        pa.chunked_array([[3], [1, 2]]),
    ],
    ids=str,
)
def test_whole_numbers_are_their_own_keys(series):
    assert_array_equal(keys_of(series), [3, 1, 2])


def test_texts_are_the_same_key_whatever_holds_them():
    expected = keys_of(pd.Series(TEXTS, dtype=object))
    assert expected.dtype == "S16"
    assert np.unique(expected).size == len(TEXTS)
    for series in (
        pd.Series(TEXTS),
        pd.Series(TEXTS, dtype="category"),
        pl.Series(TEXTS),
        pa.chunked_array([TEXTS]),
    ):
        assert_array_equal(keys_of(series), expected)


def test_a_uuid_is_the_same_as_its_text():
    ids = [uuid.UUID(int=i) for i in range(5)]
    texts = keys_of(pd.Series([str(i) for i in ids]))
    assert_array_equal(keys_of(pd.Series(ids)), texts)


@pytest.mark.parametrize(
    ("series", "error", "message"),
    [
        (pd.Series([1.0, 2.0]), TypeError, "is of type Float64. Whole numbers become"),
        (pd.Series([True]), TypeError, "is of type Boolean"),
        (pd.Series(["a", None]), ValueError, r"1 of 2 are missing \(first: row 1\)"),
        (pd.Series([1, None], dtype="Int64"), ValueError, "1 of 2 are missing"),
        (pd.Series([1, "a"], dtype=object), TypeError, "of one kind"),
        (pd.Series([2**64 - 1], dtype="uint64"), ValueError, "fit 64-bit"),
    ],
)
def test_other_ids_are_refused(series, error, message):
    with pytest.raises(error, match=message):
        keys_of(series)


@pytest.mark.parametrize("as_text", [False, True])
def test_the_index_finds_what_was_added(as_text):
    rng = np.random.default_rng(0)
    ids = rng.permutation(5_000)

    def keyed(values):
        return keys_of(pd.Series(values.astype(str))) if as_text else values

    index = IdIndex()
    for start in range(0, 4_000, 37):
        part = ids[start : min(start + 37, 4_000)]
        index = index.add(keyed(part), part * 10)
        sizes = [keys.size for keys, _ in index.runs]
        assert sizes == sorted(sizes, reverse=True)
    assert len(index) == 4_000
    assert len(index.runs) < 12
    asked = rng.permutation(5_000)
    is_known = np.isin(asked, ids[:4_000])
    assert_array_equal(index.find(keyed(asked)), np.where(is_known, asked * 10, -1))


def test_numbers_and_texts_do_not_mix():
    index = IdIndex().add(np.array([1, 2]), np.array([0, 1]))
    with pytest.raises(TypeError, match="known are whole numbers, these are texts"):
        index.find(keys_of(pd.Series(["1"])))
