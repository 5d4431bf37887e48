"""The monitor: from the estimate without labels to the realized metric."""

import numpy as np
import pandas as pd
import polars as pl
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.exceptions import NotFittedError
from sklearn.metrics import (
    accuracy_score,
    average_precision_score,
    brier_score_loss,
    f1_score,
    log_loss,
    recall_score,
    roc_auc_score,
)

from estimator import Monitor, PerformanceEstimator
from estimator.monitoring.saved_monitor import MONITOR_VERSION
from tests.estimator.late_world import (
    ALL,
    DAY,
    LABELS,
    PRODUCTION,
    REFERENCE,
    START,
    UNLABELLED,
    analysis,
    assert_same,
    fit,
    world,
)


@pytest.fixture(scope="module")
def estimator():
    return fit(ALL, segments="region")


@pytest.fixture(scope="module")
def monitor(estimator):
    monitor = Monitor(estimator, row_id="id")
    monitor.add_predictions(UNLABELLED)
    monitor.add_labels(PRODUCTION[LABELS])
    return monitor


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"segments": "region"},
        {"chunk": 700},
        {"chunk": None},
        {"chunk": [START + 2 * DAY, START + 9 * DAY]},
        {"timestamp": None, "chunk": 700},
    ],
    ids=str,
)
def test_without_labels_it_is_the_estimate_exactly(options):
    estimator = fit(ALL, **options)
    monitor = Monitor(estimator, row_id="id")
    touched = monitor.add_predictions(UNLABELLED)
    assert_same(monitor.performance(), estimator.estimate(UNLABELLED))
    assert_same(touched, estimator.estimate(UNLABELLED))


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
def test_times_are_shown_in_the_unit_in_which_they_came(unit):
    frames = [
        frame.assign(time=frame["time"].astype(f"datetime64[{unit}]"))
        for frame in (REFERENCE, UNLABELLED)
    ]
    estimator = PerformanceEstimator(chunk="D", timestamp="time").fit(frames[0])
    monitor = Monitor(estimator, row_id="id")
    monitor.add_predictions(frames[1][:1_000])
    monitor.add_predictions(frames[1][1_000:])
    assert_same(monitor.performance(), estimator.estimate(frames[1]))


TRUTH = {
    "roc_auc": lambda y, s: roc_auc_score(y, s),
    "average_precision": lambda y, s: average_precision_score(y, s),
    "accuracy": lambda y, s: accuracy_score(y, s >= 0.5),
    "f1": lambda y, s: f1_score(y, s >= 0.5),
    "recall": lambda y, s: recall_score(y, s >= 0.5),
    "brier_score": lambda y, s: brier_score_loss(y, s),
    "log_loss": lambda y, s: log_loss(y, s),
    "tp": lambda y, s: ((s >= 0.5) & (y == 1)).sum(),
}


def test_with_all_labels_it_is_the_truth_with_width_zero(monitor):
    performance = monitor.performance()
    is_analysis = performance.period == "analysis"
    assert_array_equal(
        performance.n_labels[is_analysis], performance.n_rows[is_analysis]
    )
    assert_array_equal(
        performance.value[is_analysis], performance.realized[is_analysis]
    )
    assert_array_equal(performance.lower[is_analysis], performance.upper[is_analysis])
    assert_array_equal(performance.lower[is_analysis], performance.value[is_analysis])
    days = PRODUCTION.groupby(PRODUCTION["time"].dt.strftime("%Y-%m-%d"))
    for metric, truth in TRUTH.items():
        expected = [
            truth(day["y_true"].to_numpy(), day["y_pred_proba"].to_numpy())
            for _, day in days
        ]
        values = analysis(performance, metric)["value"]
        assert_allclose(values, expected, rtol=1e-12, err_msg=metric)


@pytest.mark.parametrize("metric", ALL)
def test_on_the_way_every_metric_comes_closer_and_surer(monitor, metric):
    errors, widths = [], []
    final = analysis(monitor.performance(), metric).set_index("chunk")["value"]
    for age in (0, 1, 3, 6):
        newest = [
            analysis(monitor.performance(as_of=START + (c + 1 + age) * DAY), metric)
            .set_index("chunk")
            .iloc[c]
            for c in range(4, 9)
        ]
        errors.append(np.mean([abs(row["value"] - final[row.name]) for row in newest]))
        widths.append(np.mean([row["upper"] - row["lower"] for row in newest]))
    assert errors[-1] <= 1e-12
    assert widths[-1] == 0.0
    assert errors[2] < errors[0]
    assert widths == sorted(widths, reverse=True)


def test_what_was_known_then_does_not_change_later():
    """Whatever comes in later, `as_of` answers as it would have at the time."""
    estimator = fit()
    grown, whole = Monitor(estimator, "id"), Monitor(estimator, "id")
    whole.add_predictions(UNLABELLED)
    whole.add_labels(PRODUCTION[LABELS])
    for day in range(1, 15, 3):
        now = START + day * DAY
        seen = PRODUCTION["time"] <= now
        grown.add_predictions(UNLABELLED[seen])
        grown.add_labels(PRODUCTION[seen & (PRODUCTION["known"] <= now)][LABELS])
        assert_same(grown.performance(as_of=now), whole.performance(as_of=now))


def test_order_and_split_of_labels_change_nothing(monitor, estimator):
    other = Monitor(estimator, "id")
    other.add_predictions(UNLABELLED)
    shuffled = PRODUCTION[LABELS].sample(frac=1, random_state=0)
    for part in np.array_split(np.arange(len(shuffled)), 4):
        other.add_labels(shuffled.iloc[part])
    for as_of in (None, START + 5 * DAY):
        assert_same(other.performance(as_of=as_of), monitor.performance(as_of=as_of))


@pytest.mark.parametrize("chunk", ["D", 450])
def test_a_call_says_of_its_chunks_what_performance_says(chunk):
    """Completed chunks are not read again, and nobody can tell."""
    monitor = Monitor(fit(ALL, chunk=chunk, segments="region"), "id")
    for day in range(15):
        begin, end = START + day * DAY, START + (day + 1) * DAY
        today = PRODUCTION[(PRODUCTION["time"] >= begin) & (PRODUCTION["time"] < end)]
        late = PRODUCTION[::37][day : day + 1]  # a row of some earlier or later day
        touched = monitor.add_predictions(
            pd.concat([today, late]).drop_duplicates("id").drop(columns=LABELS[1:])
        )
        whole = monitor.performance().to_frame()
        keys = ["segment", "period", "chunk", "metric"]
        of_touched = touched.to_frame()
        whole = of_touched[keys].merge(whole, on=keys, how="left")[of_touched.columns]
        # States are filtered in another order: equal but for rounding.
        pd.testing.assert_frame_equal(of_touched, whole, rtol=1e-11, atol=1e-11)
        came = PRODUCTION["known"].between(begin, end, inclusive="left")
        monitor.add_labels(PRODUCTION[came][LABELS])
    assert monitor._completed[0].serials.sum() >= 5


def test_label_arrival_says_what_to_expect(monitor):
    as_of = START + 10 * DAY
    arrival = monitor.label_arrival(as_of=as_of)
    assert_allclose(arrival["share"], arrival["expected_share"], atol=0.12)
    ends = PRODUCTION.groupby(PRODUCTION["time"].dt.date)["time"].max()
    wait = (arrival["mature_at"].iloc[:10].to_numpy() - ends.iloc[:10].to_numpy()) / DAY
    assert ((wait > 4.5) & (wait < 6.5)).all()
    assert Monitor(fit(), "id").label_arrival().empty


def test_polars_gives_the_same(monitor, estimator):
    other = Monitor(estimator, "id")
    other.add_predictions(pl.from_pandas(UNLABELLED))
    other.add_labels(pl.from_pandas(PRODUCTION[LABELS]))
    assert_same(other.performance(), monitor.performance())


def test_labels_in_the_predictions_are_labels(monitor, estimator):
    other = Monitor(estimator, "id")
    touched = other.add_predictions(PRODUCTION)
    assert_same(other.performance(), monitor.performance())
    assert_same(touched, monitor.performance())


def test_labels_wait_for_their_rows(monitor, estimator):
    other = Monitor(estimator, "id")
    with pytest.warns(UserWarning, match=r"None of the 4,500 labels .* \(first: id 2"):
        report = other.add_labels(PRODUCTION[LABELS])
    assert (report.n_new, report.n_held) == (0, 4_500)
    assert "labels of 4,500 rows held" in repr(other)
    other.add_predictions(UNLABELLED)
    assert_same(other.performance(), monitor.performance())


def test_a_refused_batch_loses_nothing(monitor, estimator):
    other = Monitor(estimator, "id")
    other.add_predictions(UNLABELLED)
    other.add_labels(PRODUCTION[LABELS])
    changed = UNLABELLED.assign(y_pred_proba=0.5)
    with pytest.raises(ValueError, match="the score of id 2000000 was"):
        other.add_predictions(changed)
    with pytest.raises(ValueError, match="must not arrive after `now`"):
        other.add_labels(PRODUCTION[LABELS], now=START)
    with pytest.raises(ValueError, match="must hold 0 and 1"):
        other.add_predictions(world(1, 9).assign(y_true=2))
    assert_same(other.performance(), monitor.performance())


def test_saved_and_loaded_it_is_the_same(monitor, tmp_path):
    path = tmp_path / "monitor.npz"
    monitor.save(path)
    loaded = Monitor.load(path)
    for as_of in (None, START + 5 * DAY):
        assert_same(loaded.performance(as_of=as_of), monitor.performance(as_of=as_of))
    more = world(2, 7, first=15).drop(columns=["y_true", "known"])
    again = Monitor.load(path)
    assert_same(loaded.add_predictions(more), again.add_predictions(more))
    assert list(tmp_path.iterdir()) == [path]


def test_features_and_ids_of_the_client_are_not_saved(tmp_path, estimator):
    secret = world(1, 5).assign(id=lambda f: f["id"].map("customer-{}".format), age=41)
    monitor = Monitor(estimator, "id")
    monitor.add_predictions(secret)
    path = tmp_path / "monitor.npz"
    monitor.save(path)
    assert b"customer-" not in path.read_bytes()
    assert not [name for name in np.load(path).files if "age" in name.split("/")]


def test_a_damaged_file_gives_a_clear_error(monitor, estimator, tmp_path):
    path = tmp_path / "monitor.npz"
    monitor.save(path)
    whole = path.read_bytes()
    for damaged in (whole[: len(whole) // 2], b"", whole[:100] + b"x" * 5_000):
        path.write_bytes(damaged)
        with pytest.raises(ValueError, match="not a saved monitor, or it is damaged"):
            Monitor.load(path)
    estimator.save(path)
    match = f"reads 'deadreckon monitor', version {MONITOR_VERSION}"
    with pytest.raises(ValueError, match=match):
        Monitor.load(path)
    with pytest.raises(FileNotFoundError, match="There is no file"):
        Monitor.load(tmp_path / "nothing")
    with pytest.raises(FileNotFoundError, match="There is no folder"):
        monitor.save(tmp_path / "nowhere" / "monitor.npz")


def test_another_version_is_refused(monitor, tmp_path, monkeypatch):
    path = tmp_path / "monitor.npz"
    monitor.save(path)
    monkeypatch.setattr("estimator.monitor.MONITOR_VERSION", MONITOR_VERSION + 1)
    match = rf"version {MONITOR_VERSION}; this version .* {MONITOR_VERSION + 1}"
    with pytest.raises(ValueError, match=match):
        Monitor.load(path)


@pytest.mark.parametrize("as_of", ["not a time", pd.NaT])
def test_as_of_must_be_a_time(monitor, as_of):
    with pytest.raises(ValueError, match="`as_of` must be a timestamp, got"):
        monitor.performance(as_of=as_of)


def test_as_of_needs_times():
    monitor = Monitor(fit(timestamp=None, labeled_at=None, chunk=500), "id")
    monitor.add_predictions(UNLABELLED)
    monitor.add_labels(PRODUCTION[["id", "y_true"]])
    with pytest.raises(ValueError, match="`as_of` needs times"):
        monitor.performance(as_of=START)


def test_an_empty_monitor_knows_the_reference():
    estimator = fit()
    assert_same(
        Monitor(estimator, "id").performance(), estimator.reference_.performance
    )


def test_a_night_without_anything_new_changes_nothing(monitor, estimator):
    other = Monitor(estimator, "id")
    other.add_predictions(PRODUCTION)
    again = other.add_predictions(UNLABELLED)
    assert_same(again, estimator.reference_.performance)
    other.performance()  # all is completed now
    assert_same(other.add_predictions(UNLABELLED), again)
    report = other.add_labels(PRODUCTION[LABELS][:0])
    assert (report.n_new, report.n_held) == (0, 0)
    assert_same(other.performance(), monitor.performance())


def test_a_night_of_rows_without_scores_is_said(estimator):
    monitor = Monitor(estimator, "id")
    monitor.add_predictions(UNLABELLED[:900])
    monitor.add_labels(PRODUCTION[LABELS][:900])
    monitor.performance()
    holes = UNLABELLED[900:1_200].copy()
    holes.loc[holes.index[1:], "y_pred_proba"] = np.nan
    holes.loc[holes.index[0], "time"] = START  # the one with a score is of another day
    result = analysis(monitor.add_predictions(holes), "accuracy")
    assert result["n_rows"].tolist() == [301, 0]
    assert result["note"].iloc[1].startswith("299 rows left out: no score")
    pd.testing.assert_frame_equal(
        analysis(monitor.performance(), "accuracy").iloc[[0, 3]].reset_index(drop=True),
        result.reset_index(drop=True),
    )


def test_zones_of_as_of_follow_the_data(monitor):
    with pytest.raises(ValueError, match="`as_of` must have no time zone"):
        monitor.performance(as_of=START.tz_localize("UTC"))
    zone = "Europe/Lisbon"
    localized = [
        frame.assign(
            time=frame["time"].dt.tz_localize(zone),
            known=frame["known"].dt.tz_localize(zone),
        )
        for frame in (REFERENCE, PRODUCTION)
    ]
    estimator = PerformanceEstimator(
        chunk="D", timestamp="time", labeled_at="known"
    ).fit(localized[0])
    aware = Monitor(estimator, "id")
    aware.add_predictions(localized[1])
    noon = START + 5.5 * DAY
    assert_same(
        aware.performance(as_of=noon), aware.performance(as_of=noon.tz_localize(zone))
    )


def test_before_fit_there_is_nothing_to_monitor():
    with pytest.raises(NotFittedError):
        Monitor(PerformanceEstimator(), "id")
