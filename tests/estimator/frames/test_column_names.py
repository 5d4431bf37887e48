"""Names of columns: texts, numbers, times and tuples of these."""

import json
from datetime import date, datetime

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from estimator.frames.column_names import (
    column_names,
    is_column_name,
    name_from_json,
    name_to_json,
)

PLAIN = st.one_of(
    st.text(),
    st.integers(),
    st.floats(allow_nan=False),
    st.booleans(),
    st.none(),
    st.dates(),
    st.datetimes(datetime(1700, 1, 1), datetime(2200, 1, 1)),
)
NAMES = st.recursive(PLAIN, lambda inner: st.lists(inner, max_size=3).map(tuple))


@given(NAMES)
def test_a_name_survives_json(name):
    read = name_from_json(json.loads(json.dumps(name_to_json(name))))
    assert read == name
    assert hash(read) == hash(name)  # a frame finds the same column by it
    assert is_column_name(read)


@pytest.mark.parametrize(
    ("name", "plain"),
    [
        (np.int64(3), 3),
        (np.float32(0.5), 0.5),
        (np.str_("x"), "x"),
        (np.datetime64("2026-01-05T06"), pd.Timestamp("2026-01-05 06:00")),
    ],
)
def test_names_of_numpy_are_read_as_plain_ones(name, plain):
    assert name_from_json(json.loads(json.dumps(name_to_json(name)))) == plain


def test_a_date_is_no_time():
    """In Python they differ, so that a frame would not find the column."""
    read = name_from_json(name_to_json(date(2026, 1, 5)))
    assert type(read) is date


@pytest.mark.parametrize("name", [b"x", frozenset("a"), (1, b"x")])
def test_other_names_cannot_be_saved(name):
    with pytest.raises(TypeError, match=r"must be a text, a number.*Rename the column"):
        name_to_json(name)


@pytest.mark.parametrize(
    ("columns", "names"),
    [
        (None, ()),
        ("income", ("income",)),
        (3, (3,)),
        (["a", 2], ("a", 2)),
        (pd.Index(["a", "b"]), ("a", "b")),
    ],
)
def test_one_name_or_several(columns, names):
    assert column_names(columns) == names
