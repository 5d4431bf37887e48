"""Cells of the score: dyadic, nested, exact where scores are few, narrow elsewhere."""

from dataclasses import replace

import hypothesis.extra.numpy as hnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import expit

from estimator.delayed_labels.counts.score_cells import (
    EXACT_SCORES,
    LABELED,
    WIDEST_BITS,
    divide_scores,
    from_ordinal,
    to_ordinal,
)

COARSE = replace(LABELED, exact_scores=0, cells_per_root=0.2, top_share=0.5)
# Where a grid, a clip or a rounding would show: the ends, and what lies next to them.
ODD = [0.0, -0.0, 5e-324, 1e-310, 1e-7, 0.5, 1.0 - 2.0**-53, 1.0, 0.1, 1.0 - 1e-12]
scores = hnp.arrays(
    np.float64,
    st.integers(1, 60),
    elements=st.one_of(
        st.floats(0.0, 1.0), st.sampled_from(ODD), st.floats(1e-7, 9e-7)
    ),
)


@given(scores)
def test_ordinals_rise_with_the_score_and_lead_back(score):
    ordinal = to_ordinal(score)
    assert (from_ordinal(ordinal) == score).all()
    for i in range(score.size):
        assert ((ordinal < ordinal[i]) == (score < score[i])).all()


@given(scores)
def test_few_scores_are_a_cell_each(score):
    cells = divide_scores(score)
    assert (cells.score[cells.cell] == score).all()
    assert not cells.spread.any()
    assert cells.score.size == np.unique(score).size


@given(scores, st.randoms(use_true_random=False))
def test_cells_are_intervals_and_their_score_lies_within(score, random):
    cells = divide_scores(score, fineness=COARSE)
    assert (np.diff(cells.score) > 0).all()
    for cell in range(cells.score.size):
        score_here = score[cells.cell == cell]
        assert score_here.min() <= cells.score[cell] <= score_here.max()
        assert cells.spread[cell] == (score_here.min() < score_here.max())
    order = list(range(score.size))
    random.shuffle(order)
    mixed = divide_scores(score[order], fineness=COARSE)
    assert (mixed.score == cells.score).all()
    assert (mixed.cell == cells.cell[order]).all()


def dyadic(score, cells):
    """Return the smallest dyadic interval of ordinals around each cell's scores."""
    ordinal = to_ordinal(score)
    intervals = []
    for cell in range(cells.score.size):
        ordinal_here = ordinal[cells.cell == cell]
        low, high = int(ordinal_here.min()), int(ordinal_here.max())
        width = 1
        while low // width != high // width:
            width *= 2
        intervals.append((low // width * width, width))
    return intervals


@given(scores, scores)
def test_cells_of_two_chunks_are_nested_or_apart(first, second):
    ours = dyadic(first, divide_scores(first, fineness=COARSE))
    theirs = dyadic(second, divide_scores(second, fineness=COARSE))
    for low, width in ours:
        for other, other_width in theirs:
            apart = low + width <= other or other + other_width <= low
            larger = max(width, other_width)
            assert apart or low // larger == other // larger


def many(kind, n=40_000):
    z = np.random.default_rng(3).normal(size=n)
    return {
        "ordinary": expit(1.5 * z),
        "crowded at 1": expit(8.0 * z + 14.0),
        "crowded at 0": expit(2.0 * z - 14.0),
        "half are one score": np.where(z > 0, 0.3, expit(z)),
    }[kind]


@pytest.mark.parametrize(
    "kind", ["ordinary", "crowded at 1", "crowded at 0", "half are one score"]
)
def test_no_cell_holds_too_many_rows_of_several_scores(kind):
    score = many(kind)
    code = (np.random.default_rng(4).random(score.size) < 0.01).astype(np.int64)
    score[code == 1] = 0.2 + 1e-6 * np.arange((code == 1).sum())
    cells = divide_scores(score, [code])
    assert EXACT_SCORES / 20 < cells.score.size < EXACT_SCORES
    for in_group in (code >= 0, code == 0, code == 1):
        most = np.sqrt(in_group.sum()) / LABELED.cells_per_root
        count = np.bincount(cells.cell[in_group], minlength=cells.score.size)
        by_cell = np.stack([cells.cell[in_group], to_ordinal(score[in_group])])
        distinct = np.unique(by_cell, axis=1)[0]  # one of each distinct score
        several = np.bincount(distinct, minlength=count.size) > 1
        assert count[several].max() <= most
    count = np.bincount(cells.cell, minlength=cells.score.size)
    down_to = np.cumsum(count[::-1])[::-1]
    assert (count <= np.maximum(1, LABELED.top_share * down_to))[cells.spread].all()


@pytest.mark.parametrize("kind", ["ordinary", "crowded at 1", "crowded at 0"])
def test_cells_have_a_relative_width(kind):
    score = many(kind)
    cells = divide_scores(score, fineness=COARSE)
    away = np.minimum(score, 1.0 - score)
    off = np.abs(cells.score[cells.cell] - score)
    assert (off <= away * 2.0 ** (WIDEST_BITS - 52)).all()
