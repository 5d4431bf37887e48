"""The order in which rows happen to lie changes no result."""

import hypothesis.strategies as st
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from numpy.testing import assert_array_equal
from scipy.special import expit

from estimator import Monitor, PerformanceEstimator
from estimator.chunking.chunks import make_chunks
from estimator.chunking.row_order import hash_rows, take_chunks

N_REFERENCE, N_PRODUCTION = 4_000, 1_500


def world(n, seed, *, first=0, n_days=20, bent=0.0):
    """Draw rows whose times are whole days: nearly all are tied with others."""
    rng = np.random.default_rng(seed)
    age, channel = rng.normal(bent, 1.0, n), rng.choice(["a", "b", "c"], n)
    z = rng.normal(0.0, 1.2, n)
    truth = expit(0.8 * z + 0.9 * age * (channel == "a") - 0.3)
    day = np.sort(rng.integers(0, n_days, n))
    time = pd.Timestamp("2026-01-05") + pd.to_timedelta(first + day, unit="D")
    return pd.DataFrame(
        {
            "id": 1_000_000 * seed + np.arange(n),
            "time": time,
            "y_pred_proba": expit(z).round(2),  # scores are tied as well
            "age": np.where(rng.random(n) < 0.1, np.nan, age.round(1)),
            "channel": channel,
            "region": rng.choice(["north", "south"], n),
            "y_true": (rng.random(n) < truth).astype(int),
        }
    )


REFERENCE = world(N_REFERENCE, 1, first=-30)
PRODUCTION = world(N_PRODUCTION, 2, n_days=10, bent=0.5)
UNLABELLED = PRODUCTION.drop(columns="y_true")
METRICS = ("roc_auc", "accuracy", "f1", "log_loss")


def shuffled(frame, seed):
    return frame.sample(frac=1.0, random_state=seed)


def make(method="cbpe", chunk="W", **options):
    features = ("age", "channel") if method != "cbpe" else None
    return PerformanceEstimator(
        METRICS,
        method=method,
        chunk=chunk,
        timestamp="time",
        features=features,
        segments="region",
        **options,
    )


def assert_equal(first, second, rtol=1e-12):
    pd.testing.assert_frame_equal(
        first.to_frame(), second.to_frame(), rtol=rtol, atol=rtol
    )


EDGES = [pd.Timestamp("2026-01-08"), pd.Timestamp("2026-01-12")]


@pytest.mark.parametrize("chunk", ["W", "D", None, EDGES], ids=str)
@settings(max_examples=8, deadline=None)
@given(seed=st.integers(0, 2**32 - 2))
def test_by_the_score_alone(chunk, seed):
    expected = make(chunk=chunk).fit(REFERENCE).estimate(UNLABELLED)
    fitted = make(chunk=chunk).fit(shuffled(REFERENCE, seed))
    assert_equal(fitted.estimate(shuffled(UNLABELLED, seed + 1)), expected)


def test_by_the_score_alone_on_so_many_rows_that_fits_begin_with_a_tenth():
    reference = world(30_000, 3, first=-30)
    expected = make().fit(reference).estimate(UNLABELLED)
    for seed in (0, 1):
        performance = make().fit(shuffled(reference, seed)).estimate(UNLABELLED)
        assert_equal(performance, expected)


@pytest.mark.parametrize("chunk", ["W", None])
@pytest.mark.parametrize("method", ["feature_aware", "pape", "auto"])
def test_with_features(method, chunk):
    fitted = make(method, chunk).fit(REFERENCE)
    expected = fitted.estimate(UNLABELLED)
    for seed in (0, 1):
        again = make(method, chunk).fit(shuffled(REFERENCE, seed))
        assert_equal(again.estimate(shuffled(UNLABELLED, seed + 5)), expected)
        ours, theirs = fitted.reference_.adapter, again.reference_.adapter
        # Of what trees and weights were learned nothing differs by a bit.
        assert (ours.weight, ours.relative_error) == (
            theirs.weight,
            theirs.relative_error,
        )
        if ours.feature_aware is not None:
            first, second = (
                adapter.feature_aware.to_arrays() for adapter in (ours, theirs)
            )
            for name in first:
                assert_array_equal(first[name], second[name], err_msg=name)


@pytest.mark.parametrize("method", ["cbpe", "auto"])
def test_predictions_and_labels_of_a_monitor(method):
    fitted = make(method).fit(REFERENCE)
    labels = PRODUCTION[["id", "y_true"]][:900]
    expected = Monitor(fitted, "id")
    expected.add_predictions(UNLABELLED)
    expected.add_labels(labels)
    for seed in (0, 1):
        monitor = Monitor(fitted, "id")
        monitor.add_predictions(shuffled(UNLABELLED, seed))
        monitor.add_labels(shuffled(labels, seed))
        assert_equal(monitor.performance(), expected.performance(), rtol=1e-10)
        assert_equal(monitor.performance(), monitor.performance())


@pytest.mark.parametrize("method", ["cbpe", "pape"])
def test_within_chunks_of_a_row_count_without_times(method):
    """There the order of rows is time: it decides on chunks, not within one."""
    options = {"timestamp": None, "chunk": 500}
    fitted = make(method).set_params(**options).fit(REFERENCE)
    expected = fitted.estimate(UNLABELLED)
    rng = np.random.default_rng(0)
    within = np.concatenate([500 * c + rng.permutation(500) for c in range(3)])
    assert_equal(fitted.estimate(UNLABELLED.iloc[within]), expected)


def test_features_that_come_equally_often_are_coded_by_name():
    reference = REFERENCE.assign(
        channel=np.tile(["b", "a", "d", "c"], N_REFERENCE // 4)
    )
    tables = [
        make("feature_aware")
        .fit(shuffled(reference, seed))
        .reference_.adapter.table.features[1]
        for seed in (0, 1)
    ]
    assert tables[0] == tables[1]
    assert tables[0].categories == ("a", "b", "c", "d")


def test_rows_of_one_time_lie_as_if_shuffled():
    """By value, folds of a reference of one day would be blocks of the score."""
    one_day = REFERENCE.assign(time=pd.Timestamp("2026-01-01"))
    performance = make(chunk=None).fit(one_day).reference_.performance
    shares = np.abs(performance.estimated - performance.realized)[0, :2]
    assert (shares < 0.03).all()


def test_a_hash_knows_rows_by_their_content():
    score = np.array([0.2, 0.0, 0.2, np.nan])
    other = np.array([1, 2, 1, 3])
    first = hash_rows([score, other])
    assert first[0] == first[2]
    assert np.unique(first).size == 3
    assert_array_equal(first, hash_rows([np.array([0.2, -0.0, 0.2, -np.nan]), other]))
    assert (hash_rows([other, score]) != first).all()


@pytest.mark.parametrize("chunk", [7, "D", None])
def test_chunks_are_the_same_rows_after_reordering(chunk):
    rng = np.random.default_rng(0)
    days = np.datetime64("2026-01-01", "s") + rng.integers(0, 5, 30) * np.timedelta64(
        86_400, "s"
    )
    chunks = make_chunks(30, chunk, days)
    order = rng.permutation(30)
    moved = take_chunks(chunks, order)
    for before, after in zip(chunks.row_sets(), moved.row_sets(), strict=True):
        assert_array_equal(np.sort(order[after]), np.sort(before))
