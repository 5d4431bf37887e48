"""Strata learned from features: seen where delays depend on these, and only there."""

import json
from dataclasses import replace

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.special import expit
from scipy.stats import spearmanr

from estimator.delayed_labels.strata.delay_cells import age_step
from estimator.delayed_labels.strata.learned import (
    SETTINGS,
    FeatureRows,
    learn_strata,
    rank_delays,
)
from estimator.delayed_labels.strata.strata_arrays import (
    strata_from_arrays,
    strata_to_arrays,
)
from estimator.frames.features import Feature, FeatureTable

DAY = 86_400.0
TABLE = FeatureTable(
    features=(
        Feature(name="speed"),
        Feature(name="noise"),
        Feature(name="kind", categories=("a", "b", "c")),
    ),
    left_out={},
)


def simulate(n, seed=0, by_speed=(0.0, 0.0), by_kind=0.0):
    """Draw exponential delays whose log mean a feature moves, by class.

    The class depends on the features, too: that alone must make no strata.
    """
    rng = np.random.default_rng(seed)
    matrix = np.column_stack(
        [rng.normal(size=n), rng.normal(size=n), rng.integers(0, 3, n)]
    )
    label = (rng.random(n) < expit(matrix[:, 0] - 0.5)).astype(float)
    log_mean = np.where(label == 1, by_speed[1], by_speed[0]) * matrix[:, 0]
    log_mean += by_kind * (matrix[:, 2] == 1)
    mean = np.where(label == 1, 10.0, 30.0) * np.exp(log_mean)
    features = FeatureRows(table=TABLE, matrix=matrix, random_state=0)
    return features, label, rng.integers(0, 3, n), age_step(rng.exponential(mean) * DAY)


def with_matrix(features, matrix):
    return replace(features, matrix=matrix)


def test_delays_that_depend_on_a_feature_make_ordered_strata():
    features, label, band, age = simulate(20_000, by_speed=(1.0, 1.0))
    learned = learn_strata(features, label, band, age)
    strata, stratum = learned.strata, learned.stratum
    assert 3 <= strata.n_strata <= SETTINGS.most_strata
    assert_array_equal(np.unique(stratum), np.arange(strata.n_strata))
    for y in (0, 1):
        median = [
            np.median(age[(stratum == k) & (label == y)])
            for k in range(strata.n_strata)
        ]
        assert spearmanr(np.arange(strata.n_strata), median).statistic > 0.95
    # New rows get the strata of their feature, and of nothing else.
    new = simulate(5_000, seed=1)[0]
    assigned = strata.assign(new.matrix)
    assert spearmanr(assigned, new.matrix[:, 0]).statistic > 0.95
    assert abs(spearmanr(assigned, new.matrix[:, 1]).statistic) < 0.05


def test_a_category_makes_strata_as_well():
    features, label, band, age = simulate(20_000, by_kind=1.0)
    assigned = learn_strata(features, label, band, age).strata.assign(features.matrix)
    is_slow = features.matrix[:, 2] == 1
    assert spearmanr(assigned, is_slow).statistic > 0.95


def test_classes_may_differ_in_opposite_directions():
    # On average over the classes nobody is slower: each must be asked by itself.
    features, label, band, age = simulate(20_000, by_speed=(-1.0, 1.0))
    learned = learn_strata(features, label, band, age)
    fast = learned.strata.assign(np.array([[-2.0, 0.0, 0.0], [2.0, 0.0, 0.0]]))
    assert fast[0] != fast[1]


@pytest.mark.parametrize("seed", range(5))
def test_delays_that_depend_on_no_feature_leave_one_stratum(seed):
    assert learn_strata(*simulate(20_000, seed)) is None


def test_few_labels_teach_no_strata():
    assert learn_strata(*simulate(150, by_speed=(1.0, 1.0))) is None


def test_labels_of_one_class_teach_strata_of_it():
    features, label, band, age = simulate(10_000, by_speed=(1.0, 0.0))
    learned = learn_strata(features, np.zeros(label.size), band, age)
    assert learned.strata.n_strata >= 2


def test_a_row_without_some_value_gets_a_stratum():
    features, label, band, age = simulate(20_000, by_speed=(1.0, 1.0), by_kind=0.5)
    rng = np.random.default_rng(2)
    matrix = features.matrix.copy()
    matrix[rng.random(matrix.shape) < 0.2] = np.nan
    strata = learn_strata(with_matrix(features, matrix), label, band, age).strata
    assigned = strata.assign(np.full((3, 3), np.nan))
    assert (assigned == assigned[0]).all()
    assert 0 <= assigned[0] < strata.n_strata


def test_a_rows_stratum_depends_on_no_other_row():
    features, label, band, age = simulate(20_000, by_speed=(1.0, 1.0))
    strata = learn_strata(features, label, band, age).strata
    new = simulate(1_000, seed=3)[0].matrix
    order = np.random.default_rng(0).permutation(1_000)
    assert_array_equal(strata.assign(new)[order], strata.assign(new[order]))
    halves = [strata.assign(new[:300]), strata.assign(new[300:])]
    assert_array_equal(np.concatenate(halves), strata.assign(new))


def test_no_row_is_seen_by_the_trees_that_predict_it():
    # Noise of the labels of a fold must not move the strata of its own rows: features
    # that tell rows apart one by one gain nothing.
    features, label, band, age = simulate(20_000)
    running = np.random.default_rng(4).permutation(label.size).astype(float)
    matrix = np.column_stack([running, running % 97, features.matrix[:, 2]])
    assert learn_strata(with_matrix(features, matrix), label, band, age) is None


def test_ranks_have_mean_zero_in_every_class_and_band():
    _, label, band, age = simulate(5_000, by_speed=(1.0, 1.0))
    rank = rank_delays(label, band, age)
    for y in (0, 1):
        for b in range(3):
            group = (label == y) & (band == b)
            assert_allclose(rank[group].mean(), 0.0, atol=1e-12)
            assert spearmanr(rank[group], age[group]).statistic > 0.999
    assert np.abs(rank).max() < 0.5


def test_strata_come_back_from_arrays_as_they_were():
    features, label, band, age = simulate(20_000, by_speed=(1.0, -1.0), by_kind=0.5)
    strata = learn_strata(features, label, band, age).strata
    header, arrays = strata_to_arrays(strata)
    again = strata_from_arrays(json.loads(json.dumps(header)), arrays)
    new = simulate(2_000, seed=5)[0].matrix
    assert_array_equal(again.assign(new), strata.assign(new))
    assert again.table == strata.table
    assert strata_from_arrays(None, {}) is None


@pytest.mark.parametrize(
    ("name", "change", "match"),
    [
        ("stratum", lambda x: x + SETTINGS.most_strata, "from 0 to 11"),
        ("stratum", lambda x: x[:, :0], "stratum"),
        ("edges/0", lambda x: x[::-1], "must rise"),
        ("class/1/trees/0", lambda x: x[:40], "trees"),
    ],
)
def test_strata_that_do_not_fit_together_are_refused(name, change, match):
    features, label, band, age = simulate(20_000, by_speed=(1.0, 1.0))
    strata = learn_strata(features, label, band, age).strata
    header, arrays = strata_to_arrays(strata)
    arrays[name] = change(arrays[name])
    with pytest.raises(ValueError, match=match):
        strata_from_arrays(header, arrays)
