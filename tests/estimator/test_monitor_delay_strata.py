"""Strata of the delay in a monitor: who gets one, who keeps it, and what it is for."""

import copy

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.special import expit

from estimator import Monitor, PerformanceEstimator
from estimator.delayed_labels.strata.delay_cells import LEARNED
from estimator.files.archive import read_archive, write_archive
from estimator.monitoring.saved_monitor import MONITOR_FORMAT, MONITOR_VERSION

START = pd.Timestamp("2026-01-05")
PER_DAY = 300
LABELS = ["id", "y_true", "known"]


def world(n_days, seed, *, first=0, by_kind=True):
    """Draw rows; positives of kind 1 are known late, and some days have many of them.

    Score and kind say all of a label that there is to say: nothing shifts but the mix.
    """
    rng = np.random.default_rng(seed)
    n = n_days * PER_DAY
    day = np.repeat(np.arange(n_days), PER_DAY)
    kind = rng.random(n) < np.where(day % 2 == 0, 0.9, 0.1)
    z = rng.normal(1.0, 1.2, n)
    label = rng.random(n) < expit(z)
    mean = np.where(label & kind & by_kind, 20.0, 2.0)
    time = START + pd.to_timedelta(first + day + np.arange(n) / n / 2, unit="D")
    labeled_at = time + pd.to_timedelta(rng.exponential(mean), unit="D")
    return pd.DataFrame(
        {
            "id": 1_000_000 * seed + np.arange(n),
            "time": time.astype("datetime64[us]"),
            "y_pred_proba": expit(z),
            "kind": np.where(kind, "slow", "fast"),
            "noise": rng.normal(size=n),
            "region": rng.choice(["north", "south"], n),
            "y_true": label.astype(int),
            "known": labeled_at.astype("datetime64[us]"),
        }
    )


REFERENCE = world(40, 1, first=-120)
PRODUCTION = world(24, 2)
UNLABELLED = PRODUCTION.drop(columns=["y_true", "known"])
FEATURES = ("kind", "noise")


def fit(reference=REFERENCE, **changes):
    options = {
        "method": "cbpe",
        "chunk": "D",
        "timestamp": "time",
        "labeled_at": "known",
        "features": FEATURES,
    }
    return PerformanceEstimator(**(options | changes)).fit(reference)


def strata_of(monitor):
    return np.concatenate([chunk.stratum for chunk in monitor.ledger.chunks])


def frame_of(monitor):
    return monitor.performance().to_frame()


@pytest.fixture(scope="module")
def estimator():
    return fit()


@pytest.fixture
def monitor(estimator):
    monitor = Monitor(estimator, row_id="id")
    monitor.add_predictions(UNLABELLED)
    return monitor


@pytest.mark.parametrize("method", ["cbpe", "feature_aware"])
def test_every_method_learns_strata(method):
    strata = fit(method=method).reference_.delays.strata
    rows = strata.assign(np.array([[0.0, 0.0], [1.0, 0.0]]))
    assert rows[0] != rows[1]


def test_none_are_learned_where_delays_do_not_depend_on_features():
    estimator = fit(world(40, 1, by_kind=False))
    assert estimator.reference_.delays.strata is None
    monitor = Monitor(estimator, row_id="id")
    monitor.add_predictions(UNLABELLED.drop(columns=list(FEATURES)))
    assert monitor.ledger.chunks[0].stratum is None


def test_none_are_learned_where_nobody_says_when_labels_came():
    reference = REFERENCE.drop(columns=["known", *FEATURES])
    assert fit(reference).reference_.delays.strata is None
    assert fit(REFERENCE, labeled_at=None).reference_.delays.strata is None


def test_rows_get_the_stratum_of_their_features(monitor):
    strata = strata_of(monitor)
    kind = PRODUCTION["kind"].to_numpy()
    assert strata.dtype == np.int8
    assert np.median(strata[kind == "slow"]) > np.median(strata[kind == "fast"])


def test_a_frame_without_a_feature_is_refused(monitor):
    rows = UNLABELLED.assign(id=UNLABELLED["id"] + 500_000).drop(columns="kind")
    before = monitor.ledger
    with pytest.raises(ValueError, match=r"'kind'.*`features` of the reference"):
        monitor.add_predictions(rows)
    assert monitor.ledger is before


def test_missing_values_get_a_stratum(estimator):
    monitor = Monitor(estimator, row_id="id")
    monitor.add_predictions(UNLABELLED.assign(kind=None, noise=np.nan))
    assert (strata_of(monitor) >= 0).all()


def test_estimates_without_labels_read_no_features_for_delays(estimator):
    plain = estimator.estimate(UNLABELLED.drop(columns=list(FEATURES)))
    assert_array_equal(plain.value, fit(features=None).estimate(UNLABELLED).value)


def test_a_row_keeps_its_stratum_over_saving_and_late_labels(monitor, tmp_path):
    strata = strata_of(monitor)
    monitor.save(tmp_path / "monitor.npz")
    again = Monitor.load(tmp_path / "monitor.npz")
    for one in (monitor, again):
        one.add_labels(PRODUCTION[LABELS])
        assert_array_equal(strata_of(one), strata)
    assert_array_equal(strata_of(copy.deepcopy(monitor)), strata)
    pd.testing.assert_frame_equal(frame_of(monitor), frame_of(again), check_exact=True)


def test_batches_in_any_order_give_the_same(estimator):
    whole = Monitor(estimator, row_id="id")
    whole.add_predictions(UNLABELLED)
    parts = Monitor(estimator, row_id="id")
    part = np.random.default_rng(0).integers(0, 5, len(UNLABELLED))
    for i in (3, 0, 4, 1, 2):
        parts.add_predictions(UNLABELLED[part == i])
    labels = PRODUCTION[LABELS][PRODUCTION["known"] < START + pd.Timedelta(days=24)]
    whole.add_labels(labels)
    for i in (1, 0):
        parts.add_labels(labels[i::2])
    ours, theirs = frame_of(whole), frame_of(parts)
    for column in ("value", "lower", "upper", "estimated", "realized"):
        assert_allclose(ours[column], theirs[column], rtol=1e-9, equal_nan=True)


def test_a_segment_that_says_more_is_taken_instead(estimator):
    both = fit(segments=["kind"], features=["noise", "kind"]).reference_
    only_noise = fit(segments=["kind"], features=["noise"]).reference_
    assert {None, "kind", LEARNED} == both.delays.arrivals.keys()
    assert {None, "kind"} == only_noise.delays.arrivals.keys()


def test_files_from_before_strata_load_and_have_none(estimator, monitor, tmp_path):
    plain = Monitor(fit(features=None), row_id="id")
    plain.add_predictions(UNLABELLED)
    labels = PRODUCTION[LABELS][:3_000]
    for one in (plain, monitor):
        one.add_labels(labels)
    path = tmp_path / "monitor.npz"
    plain.save(path)
    header, arrays = read_archive(path, MONITOR_FORMAT, MONITOR_VERSION, "")
    del header["ledger"]["strata"], header["epochs"][0]["estimator"]["strata"]
    del arrays["ledger/stratum"]
    write_archive(path, header, arrays)
    old = Monitor.load(path)
    assert old.estimator.reference_.delays.strata is None
    pd.testing.assert_frame_equal(frame_of(old), frame_of(plain), check_exact=True)
    old.add_predictions(world(1, 7, first=30).drop(columns=["y_true", "known"]))
    assert all(chunk.stratum is None for chunk in old.ledger.chunks)


def test_after_a_rebase_strata_of_another_estimator_count_no_more(monitor):
    strata = strata_of(monitor)
    label = monitor.ledger.chunks[20].label
    later = fit(world(40, 3, first=-120))
    monitor.rebase(later, label)
    chunks = monitor.ledger.chunks
    assert all(chunk.stratum is None for chunk in chunks[20:])
    kept = np.concatenate([chunk.stratum for chunk in chunks[:20]])
    assert_array_equal(kept, strata[: kept.size])
    more = world(1, 9, first=20).drop(columns=["y_true", "known"])
    monitor.add_predictions(more)
    mixed = monitor.ledger.chunks[20].stratum
    assert_array_equal(mixed[:PER_DAY], np.full(PER_DAY, -1))
    assert (mixed[PER_DAY:] >= 0).all()
    monitor.add_labels(PRODUCTION[LABELS])
    assert np.isfinite(monitor.performance().value).all()


def errors(**changes):
    """Return errors of unfinished days of many slow positives, while labels come."""
    monitor = Monitor(fit(metrics="accuracy", **changes), row_id="id")
    monitor.add_predictions(UNLABELLED)
    monitor.add_labels(PRODUCTION[LABELS])
    truth = frame_of(monitor).query("period == 'analysis'").set_index("chunk")["value"]
    parts = []
    for day in range(8, 24):
        seen = monitor.performance(as_of=START + pd.Timedelta(days=day + 1))
        rows = seen.to_frame().query("period == 'analysis'").set_index("chunk")
        rows = rows[[first % 2 == 0 for first in range(len(rows))]][-4:]
        columns = ["value", "realized", "lower", "upper"]
        parts.append(rows[columns].sub(truth[rows.index], axis=0))
    return pd.concat(parts)


def test_the_bias_of_labelled_rows_by_a_feature_vanishes():
    # A day of many slow positives looks, while its labels come, as if it had few
    # positives. By class alone that is not seen: days of fast ones have the same.
    by_feature, by_class = errors(), errors(features=None)
    labelled_only = by_feature["realized"].mean()
    assert labelled_only < -0.05
    bias, without = (abs(rows["value"].mean()) for rows in (by_feature, by_class))
    assert bias < 0.05 * abs(labelled_only)
    assert bias < 0.5 * without
    covered = (by_feature["lower"] <= 0.0) & (by_feature["upper"] >= 0.0)
    assert covered.mean() >= 0.9
