"""What a call says of its chunks, after a long history, is what all rows say.

`Monitor.performance` reads every row and takes no shortcut: it is the twin of
`Monitor.add_predictions`, which leaves complete chunks alone.
"""

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit

from estimator import Monitor, PerformanceEstimator
from estimator.ledger import adding_rows

DAY = pd.Timedelta(days=1)
START = pd.Timestamp("2026-01-05")
PER_DAY, N_DAYS = 40, 45
KEYS = ["segment", "period", "chunk", "metric"]


def world(n_days, seed, *, first=0, drift=0.0):
    """Draw rows whose labels come within four days, positives sooner."""
    rng = np.random.default_rng(seed)
    n = n_days * PER_DAY
    z, age = rng.normal(0.2, 1.1, n), rng.normal(size=n)
    day = np.repeat(np.arange(n_days), PER_DAY)
    label = rng.random(n) < expit((1.3 + drift * day) * z + 0.4 * age - 1)
    wait = rng.random(n) * np.where(label, 2.0, 4.0)
    time = START + first * DAY + pd.to_timedelta(day + rng.random(n) * 0.9, unit="D")
    return pd.DataFrame(
        {
            "id": 1_000_000 * seed + np.arange(n),
            "time": time.astype("datetime64[us]"),
            "y_pred_proba": expit(z),
            "age": age,
            "region": rng.choice(["north", "south"], n),
            "y_true": label.astype(int),
            "known": (time + pd.to_timedelta(wait, unit="D")).astype("datetime64[us]"),
        }
    )


REFERENCE = world(50, 1, first=-60)
ROWS = world(N_DAYS, 2, drift=-0.02)
LABELS = ["id", "y_true", "known"]


def fit(reference=REFERENCE, **options):
    return PerformanceEstimator(
        ("roc_auc", "accuracy", "f1"),
        chunk="D",
        timestamp="time",
        labeled_at="known",
        **options,
    ).fit(reference)


def check(touched, monitor):
    """Hold the touched chunks against the same of all rows."""
    of_touched, whole = touched.to_frame(), monitor.performance().to_frame()
    whole = of_touched[KEYS].merge(whole, on=KEYS, how="left")[of_touched.columns]
    pd.testing.assert_frame_equal(of_touched, whole, rtol=1e-10, atol=1e-10)


def run(monitor, rows, *, days, each=None):
    """Let days pass: rows come at their end, labels when they are known."""
    for day in days:
        begin, end = START + day * DAY, START + (day + 1) * DAY
        today = rows[(rows["time"] >= begin) & (rows["time"] < end)]
        touched = monitor.add_predictions(today.drop(columns=LABELS[1:]))
        if day % 5 == 4:
            check(touched, monitor)
        if each is not None:
            each(day)
        came = rows["known"].between(begin, end, inclusive="left")
        came &= rows["time"] < end
        monitor.add_labels(rows[came][LABELS], now=end)


@pytest.mark.parametrize(
    "options",
    [{}, {"segments": "region"}, {"features": "age", "method": "feature_aware"}],
    ids=["alone", "segments", "features"],
)
def test_a_long_history_changes_nothing(options):
    monitor = Monitor(fit(**options), "id")
    run(monitor, ROWS, days=range(N_DAYS))
    completed = monitor._completed[0]
    assert completed.serials.sum() > N_DAYS - 8
    assert len(completed.filtered) > N_DAYS - 8


def test_late_rows_and_corrected_labels_of_old_chunks_count():
    rows = ROWS.copy()
    late = rows.index[rows["time"] < START + 20 * DAY][::90]
    monitor = Monitor(fit(), "id")

    def each(day):
        old = rows[rows["time"].dt.normalize() == START + (day // 2) * DAY]
        if day in (13, 23, 33):  # restated, of a chunk that was complete
            some = old[:7][LABELS].assign(
                y_true=lambda f: 1 - f["y_true"], known=START + (day + 0.5) * DAY
            )
            before = monitor._completed[0].serials.sum()
            assert monitor.add_labels(some).n_restated == 7
            # Only that chunk is read again.
            assert monitor._completed[0].serials.sum() == before - 1
        if day in (28, 38):  # a row of a chunk that was complete
            one = rows.loc[late[day % 3 : day % 3 + 1]].assign(id=9_000_000_000 + day)
            check(monitor.add_predictions(one.drop(columns=LABELS[1:])), monitor)
            monitor.add_labels(one[["id", "y_true"]], now=START + (day + 0.6) * DAY)

    run(monitor, rows, days=range(N_DAYS), each=each)
    fresh = Monitor(monitor.estimator, "id")
    fresh._ledger = monitor.ledger
    pd.testing.assert_frame_equal(
        fresh.performance().to_frame(), monitor.performance().to_frame()
    )


def test_a_look_into_the_past_disturbs_nothing():
    monitor = Monitor(fit(), "id")

    def each(day):
        if day % 7 == 3:
            monitor.performance(as_of=START + day / 2 * DAY)
            monitor.label_arrival(as_of=START + day / 3 * DAY)

    run(monitor, ROWS, days=range(25), each=each)


def test_each_estimator_has_its_own_history():
    monitor = Monitor(fit(), "id")
    run(monitor, ROWS, days=range(20))
    again = fit(world(30, 5, first=-20, drift=-0.02))
    monitor.rebase(again, (START + 18 * DAY).strftime("%Y-%m-%d"))
    run(monitor, ROWS, days=range(20, 36))
    assert monitor._completed[0].serials[:18].all()
    assert not monitor._completed[0].serials[18:].any()
    assert monitor._completed[1].serials[18:].sum() >= 10
    assert not monitor._completed[1].serials[:18].any()
    old = ROWS[(ROWS["time"] >= START + 3 * DAY) & (ROWS["time"] < START + 4 * DAY)]
    one = old[:1].assign(id=9_000_000_001).drop(columns=LABELS[1:])
    check(monitor.add_predictions(one), monitor)


def test_chunks_of_a_row_count_keep_what_they_taught():
    options = {"chunk": 2 * PER_DAY}
    estimator = fit().set_params(**options).fit(REFERENCE)
    monitor = Monitor(estimator, "id")
    run(monitor, ROWS.sort_values("time"), days=range(30))
    assert len(monitor._completed[0].filtered) >= 10


def batch(day, values, seed=0):
    """Return a day's rows without labels, one of each value of a segment."""
    rng = np.random.default_rng(seed)
    n = len(values)
    return pd.DataFrame(
        {
            "id": 10_000_000 * (day + 1) + np.arange(n),
            "time": START + day * DAY,
            "y_pred_proba": rng.random(n),
            "region": values,
        }
    )


def test_segment_values_of_other_batches_cost_nothing():
    """A result of each value ever seen, for each batch, would grow with its square."""
    monitor = Monitor(fit(segments="region"), "id")
    for day in range(5):
        values = [f"{day} {i}" for i in range(300)]
        touched = monitor.add_predictions(batch(day, values))
        of_chunk = touched.segment[touched.period == "analysis"]
        expected = {"", "region=north", "region=south"}
        expected |= {f"region={value}" for value in values}
        assert set(of_chunk) == expected
        assert of_chunk.size == len(expected)
    again = monitor.add_predictions(batch(5, ["0 1", "north"]))
    of_chunk = again.segment[again.period == "analysis"]
    assert set(of_chunk) == {"", "region=north", "region=south", "region=0 1"}
    check(again, monitor)
    past = monitor.performance(as_of=START + 1.5 * DAY)
    assert not any(name.startswith("region=2 ") for name in past.segments)


def test_more_segment_values_than_codes_are_refused(monkeypatch):
    assert adding_rows._MOST_VALUES == 32_767
    monkeypatch.setattr(adding_rows, "_MOST_VALUES", 2_500)
    monitor = Monitor(fit(segments="region"), "id")
    for day in range(2):
        values = [f"{day} {i}" for i in range(1_000)]
        monitor.add_predictions(batch(day, values))
    more = [f"2 {i}" for i in range(1_000)]
    with pytest.raises(ValueError, match=r"at most 2,500 distinct .* it has 3,000\."):
        monitor.add_predictions(batch(2, more))
    assert monitor.ledger.n_rows == 2_000
