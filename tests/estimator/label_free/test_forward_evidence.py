"""Trees of the first half of the reference, judged on the second."""

import numpy as np
import pytest
from scipy.special import expit, logit

from estimator.label_free.forward_evidence import (
    predict_half_by_trees,
    weight_beyond_reference,
)


def world(*, lasts, moves=True):
    """Return score, label and a feature whose effect lasts, or turns round halfway.

    A second feature tells halves apart, if it moves.
    """
    rng = np.random.default_rng(0)
    n = 12_000
    score = rng.uniform(0.1, 0.9, n)
    feature = rng.integers(0, 2, n) * 1.0
    effect = np.where((np.arange(n) < n // 2) | lasts, 1.0, -1.0)
    label = rng.random(n) < expit(logit(score) + effect * (feature - 0.5) * 2.0)
    other = rng.normal(0.0, 1.0, n) + 8.0 * moves * (np.arange(n) >= n // 2)
    return score, label * 1.0, np.column_stack([feature, other])


@pytest.mark.parametrize(("lasts", "low", "high"), [(True, 0.8, 1.0), (False, 0, 0.1)])
def test_the_weight_says_whether_what_features_tell_lasts(lasts, low, high):
    score, label, feature = world(lasts=lasts)
    forward = predict_half_by_trees(score, label, feature, (), 0)
    assert forward.start == 6_000
    assert forward.outside > 0.95
    assert low <= weight_beyond_reference(forward, label[forward.start :]) <= high


def test_the_second_half_has_no_part_in_what_is_foretold():
    score, label, feature = world(lasts=True)
    forward = predict_half_by_trees(score, label, feature, (), 0)
    label[forward.start :] = 1.0 - label[forward.start :]
    again = predict_half_by_trees(score, label, feature, (), 0)
    assert np.array_equal(forward.aware, again.aware)
    assert np.array_equal(forward.base, again.base)


def test_a_first_half_without_both_classes_in_every_fold_foretells_nothing():
    score, label, feature = world(lasts=True)
    label[:6_000] = 0.0
    label[:3] = 1.0  # all positives in the first fold
    assert predict_half_by_trees(score, label, feature, (), 0) is None
    assert predict_half_by_trees(score[:6], label[:6], feature[:6], (), 0) is None


def test_without_rows_of_unseen_kinds_nothing_is_known_of_them():
    score, label, feature = world(lasts=True, moves=False)
    forward = predict_half_by_trees(score, label, feature, (), 0)
    assert weight_beyond_reference(forward, label[forward.start :]) < 0.01
