"""Rows keep their soft labels however they are cut, joined and laid into a frame."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from estimator.frames.adapted_soft_labels import (
    ADAPTED_NAMES,
    join_soft_labels,
    no_soft_labels,
    soft_labels_by_name,
)


def draw(n_rows):
    """Return soft labels whose values are all different."""
    values = np.random.default_rng(n_rows).permutation(3 * n_rows).astype(float)
    return soft_labels_by_name(
        dict(zip(ADAPTED_NAMES, values.reshape(3, n_rows), strict=True))
    )


def assert_same(one, other):
    for name in ADAPTED_NAMES:
        assert_array_equal(one.by_name()[name], other.by_name()[name])


@given(n_rows=st.integers(0, 30), cut=st.integers(0, 30))
def test_parts_joined_are_the_whole(n_rows, cut):
    whole = draw(n_rows)
    parts = [whole.take(slice(0, cut)), whole.take(slice(cut, None))]
    assert_same(join_soft_labels(parts), whole)


@given(rows=st.lists(st.integers(0, 39), unique=True))
def test_rows_laid_into_a_frame_are_found_there_and_nowhere_else(rows):
    rows = np.array(rows, dtype=np.int64)
    some = draw(rows.size)
    frame = some.spread(rows, 40)
    assert_same(frame.take(rows), some)
    others = np.setdiff1d(np.arange(40), rows)
    assert_same(frame.take(others), no_soft_labels(others.size))
    assert np.isnan(frame.take(others).calibrated).all()
