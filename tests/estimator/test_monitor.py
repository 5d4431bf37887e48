"""The monitor: from the estimate without labels to the realized metric."""

import uuid

import numpy as np
import pandas as pd
import polars as pl
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.special import expit
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
from estimator.metrics.registry import METRIC_NAMES
from estimator.monitoring.saved_monitor import MONITOR_VERSION

DAY = pd.Timedelta(days=1)
START = pd.Timestamp("2026-01-05")
PER_DAY = 300
ALL = tuple(METRIC_NAMES)
COSTS = {"tn": 1.0, "fp": -5.0, "fn": -20.0, "tp": 10.0}
LABELS = ["id", "y_true", "known"]


def world(n_days, seed, *, first=0, c=0.0, by_class=True):
    """Draw rows of which positives are known within 2 days, negatives within 6."""
    rng = np.random.default_rng(seed)
    n = n_days * PER_DAY
    z = rng.normal(0.2, 1.1, n)
    day = np.repeat(np.arange(n_days), PER_DAY)
    slope = 1.3 + (c(day) if callable(c) else c)
    label = rng.random(n) < expit(slope * z - 1)
    wait = rng.random(n) * np.where(label & by_class, 2.0, 6.0)
    time = START + first * DAY + pd.to_timedelta(day + np.arange(n) / n / 2, unit="D")
    return pd.DataFrame(
        {
            "id": 1_000_000 * seed + np.arange(n),
            "time": time.astype("datetime64[us]"),
            "y_pred_proba": expit(z).round(4),
            "region": rng.choice(["north", "south"], n),
            "y_true": label.astype(int),
            "known": (time + pd.to_timedelta(wait, unit="D")).astype("datetime64[us]"),
        }
    )


REFERENCE = world(12, 1, first=-40)
PRODUCTION = world(15, 2)
UNLABELLED = PRODUCTION.drop(columns=["y_true", "known"])


def fit(metrics=("roc_auc", "accuracy"), **changes):
    options = {"chunk": "D", "timestamp": "time", "labeled_at": "known"} | changes
    return PerformanceEstimator(metrics, business_costs=COSTS, **options).fit(REFERENCE)


@pytest.fixture(scope="module")
def estimator():
    return fit(ALL, segments="region")


@pytest.fixture(scope="module")
def monitor(estimator):
    monitor = Monitor(estimator, row_id="id")
    monitor.add_predictions(UNLABELLED)
    monitor.add_labels(PRODUCTION[LABELS])
    return monitor


def analysis(performance, metric=None, segment=""):
    frame = performance.to_frame().query("period == 'analysis' and segment == @segment")
    return frame if metric is None else frame.query("metric == @metric")


def assert_same(first, second):
    pd.testing.assert_frame_equal(first.to_frame(), second.to_frame(), check_exact=True)


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


def test_labels_correct_the_newest_chunk_for_which_none_has_come():
    def slope(day):
        return np.where(day >= 4, -0.8, 0.0)

    drifted = world(15, 3, c=slope)
    monitor = Monitor(fit(), "id")
    monitor.add_predictions(drifted.drop(columns=["y_true", "known"]))
    monitor.add_labels(drifted[LABELS])
    now = analysis(monitor.performance(as_of=START + 14.01 * DAY), "roc_auc").iloc[13]
    final = analysis(monitor.performance(), "roc_auc").iloc[13]["realized"]
    assert now["n_labels"] < 80
    assert abs(now["value"] - final) < 0.5 * abs(now["estimated"] - final)
    assert now["lower"] <= final <= now["upper"]


def test_class_dependent_delays_do_not_look_like_drift():
    """Positives come first: labelled rows alone mislead, the value and z do not."""
    z, errors, naive = [], [], []
    estimator = fit(("accuracy", "roc_auc"))
    for seed in range(10, 18):
        calm = world(15, seed)
        monitor = Monitor(estimator, "id")
        monitor.add_predictions(calm.drop(columns=["y_true", "known"]))
        monitor.add_labels(calm[LABELS])
        as_of = START + 15 * DAY
        attribution = monitor.attribution(as_of=as_of).query("segment == ''")
        z.append(attribution["residual_z"].to_numpy()[-6:])
        newest = analysis(monitor.performance(as_of=as_of), "accuracy").iloc[-3:]
        final = analysis(monitor.performance(), "accuracy")["realized"].iloc[-3:]
        errors.append(newest["value"].to_numpy() - final.to_numpy())
        naive.append(newest["realized"].to_numpy() - final.to_numpy())
    assert np.sqrt(np.mean(np.square(errors))) < 0.4 * np.sqrt(
        np.mean(np.square(naive))
    )
    assert np.mean(np.abs(z) > 1.96) < 0.15


def test_attribution_splits_the_change():
    drifted = world(15, 3, c=lambda day: np.where(day >= 4, -0.8, 0.0))
    monitor = Monitor(fit(), "id")
    monitor.add_predictions(drifted.drop(columns=["y_true", "known"]))
    before = monitor.attribution()
    assert before["residual_z"].isna().all()
    assert (before["concept_drift"] == 0).all()
    monitor.add_labels(drifted[LABELS])
    attribution = monitor.attribution().query("metric == 'roc_auc'")
    assert_allclose(
        attribution["reference"]
        + attribution["covariate_shift"]
        + attribution["concept_drift"],
        attribution["value"],
    )
    assert (attribution["residual_z"].abs() > 3)[4:].mean() > 0.8
    assert attribution["concept_drift"][4:].mean() < -0.08
    assert attribution["covariate_shift"].abs().mean() < 0.03


def test_label_arrival_says_what_to_expect(monitor):
    as_of = START + 10 * DAY
    arrival = monitor.label_arrival(as_of=as_of)
    assert_allclose(arrival["share"], arrival["expected_share"], atol=0.12)
    ends = PRODUCTION.groupby(PRODUCTION["time"].dt.date)["time"].max()
    wait = (arrival["mature_at"].iloc[:10].to_numpy() - ends.iloc[:10].to_numpy()) / DAY
    assert ((wait > 4.5) & (wait < 6.5)).all()
    assert Monitor(fit(), "id").label_arrival().empty


def test_texts_and_uuids_will_do_as_ids():
    estimator = fit()
    kinds = {
        "number": lambda i: i,
        "text": lambda i: f"row {i}",
        "uuid": lambda i: uuid.UUID(int=int(i)),
    }
    performances = []
    for make in kinds.values():
        frame = PRODUCTION.assign(id=[make(i) for i in PRODUCTION["id"]])
        monitor = Monitor(estimator, "id")
        monitor.add_predictions(frame.drop(columns=["y_true", "known"]))
        assert monitor.add_labels(frame[LABELS][::2]).n_new == len(frame) / 2
        performances.append(monitor.performance())
    assert_same(performances[0], performances[1])
    assert_same(performances[0], performances[2])


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


def test_after_a_retraining_history_stays_and_is_marked():
    old = fit()
    monitor = Monitor(old, "id")
    monitor.add_predictions(UNLABELLED)
    monitor.add_labels(PRODUCTION[LABELS])
    before = analysis(monitor.performance()).reset_index()
    retrained = PerformanceEstimator(
        ("roc_auc", "accuracy"), chunk="D", timestamp="time", labeled_at="known"
    ).fit(world(10, 6, first=-40, c=0.5))
    monitor.rebase(retrained, "2026-01-15")
    after = analysis(monitor.performance()).reset_index()
    kept = after["chunk"] < "2026-01-15"
    numbers = ["estimated", "value", "realized"]
    pd.testing.assert_frame_equal(after[kept][numbers], before[kept][numbers])
    assert (after[kept]["note"] == "before the rebase").all()
    assert (after[~kept]["note"] == "").all()
    assert (after[~kept]["estimated"] != before[~kept]["estimated"]).all()
    assert monitor.estimator is retrained
    assert (
        monitor.attribution()["chunk"].drop_duplicates() == before["chunk"][::2]
    ).all()


def test_rebase_survives_saving(tmp_path):
    monitor = Monitor(fit(), "id")
    monitor.add_predictions(UNLABELLED)
    monitor.rebase(fit(), "2026-02-01")  # a chunk still to come
    monitor.save(tmp_path / "m.npz")
    loaded = Monitor.load(tmp_path / "m.npz")
    more = world(20, 8, first=25).drop(columns=["y_true", "known"])
    assert_same(loaded.add_predictions(more), monitor.add_predictions(more))
    assert_same(loaded.performance(), monitor.performance())


@pytest.mark.parametrize(
    ("change", "from_chunk", "message"),
    [
        ({"chunk": "W"}, "2026-01-15", "must have the same `chunk` as before, 'D'"),
        ({"metrics": "f1"}, "2026-01-15", "must have the same `metrics`"),
        ({}, 3, "`from_chunk` must be the ISO start of a period"),
        ({}, "2026-01-10", "must come after the last rebase at '2026-01-12'"),
    ],
)
def test_a_rebase_that_does_not_fit_is_refused(change, from_chunk, message):
    monitor = Monitor(fit(), "id")
    monitor.add_predictions(UNLABELLED)
    monitor.rebase(fit(), "2026-01-12")
    with pytest.raises(ValueError, match=message):
        monitor.rebase(fit(**change), from_chunk)


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


@pytest.mark.parametrize("n_values", [2, 100])
def test_segments_may_be_many_and_new_ones_may_come(n_values):
    rng = np.random.default_rng(0)
    frames = [
        f.assign(region=[f"r{i}" for i in rng.integers(0, n_values, len(f))])
        for f in (REFERENCE, PRODUCTION)
    ]
    frames[1].loc[frames[1].index[-600:], "region"] = "new"
    estimator = PerformanceEstimator(
        chunk="D", timestamp="time", labeled_at="known", segments="region"
    ).fit(frames[0])
    monitor = Monitor(estimator, "id")
    monitor.add_predictions(frames[1].drop(columns=["y_true", "known"]))
    monitor.add_labels(frames[1][LABELS])
    performance = monitor.performance(as_of=START + 14 * DAY)
    assert "region=new" in performance.segments
    new = analysis(performance, "accuracy", "region=new")
    assert (new["note"].str.contains("segment is not in the reference")).all()


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


def test_predictions_without_the_id_are_named():
    monitor = Monitor(fit(), "row")
    with pytest.raises(ValueError, match=r"`production` must have .* lacks 'row'"):
        monitor.add_predictions(UNLABELLED)


def test_rows_without_a_score_are_left_out_and_said():
    holes = UNLABELLED.assign(
        y_pred_proba=UNLABELLED["y_pred_proba"].mask(UNLABELLED.index % 10 == 0)
    )
    monitor = Monitor(fit(), "id")
    monitor.add_predictions(holes)
    monitor.add_labels(PRODUCTION[LABELS])
    result = analysis(monitor.performance(), "roc_auc")
    assert (result["n_rows"] == 270).all()
    assert_array_equal(result["n_labels"], result["n_rows"])
    assert (result["note"] == "30 rows left out: no score").all()


def test_decisions_of_the_client_are_used():
    frames = [f.assign(d=f["y_pred_proba"] > 0.7) for f in (REFERENCE, PRODUCTION)]
    estimator = PerformanceEstimator(
        "accuracy", chunk="D", timestamp="time", y_pred="d"
    ).fit(frames[0])
    monitor = Monitor(estimator, "id")
    monitor.add_predictions(frames[1])
    right = (frames[1]["d"] == frames[1]["y_true"]).groupby(frames[1]["time"].dt.date)
    value = analysis(monitor.performance())["value"]
    assert_allclose(value, right.mean())
