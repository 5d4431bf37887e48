"""A dead label feed is seen, changes no value, and is not mistaken for a slow one."""

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose

from estimator import Monitor, PerformanceEstimator
from estimator.delayed_labels.overdue import LabelCalendar, usual_deliveries
from estimator.delayed_labels.reference_delays import longest_pause, measure_dispersion
from estimator.ledger.label_hours import add_hours, count_by_hour

DAY = pd.Timedelta(days=1)
START = pd.Timestamp("2025-06-02")  # a Monday
DIED = pd.Timestamp("2025-06-20")
N_DAYS = 70
LABELS = ["id", "y_true", "labeled_at"]


def slow_by_class(y, rng):
    return rng.exponential(np.where(y, 3.0, 15.0))


def at_once(y, rng):
    return rng.exponential(0.1, y.size)


def world(start, n_days, per_day, first_id, delay=slow_by_class, seed=0):
    rng = np.random.default_rng(seed)
    n = n_days * per_day
    score = rng.random(n)
    label = rng.random(n) < score
    time = start + pd.to_timedelta(np.sort(rng.uniform(0, n_days, n)), unit="D")
    return pd.DataFrame(
        {
            "id": np.arange(n) + first_id,
            "time": time,
            "y_pred_proba": score,
            "y_true": label.astype(int),
            "labeled_at": time + pd.to_timedelta(delay(label, rng), unit="D"),
        }
    )


def on_weekdays(frame):
    """Labels of weekends are entered on Monday morning."""
    arrived_at = frame["labeled_at"]
    wait = (7 - arrived_at.dt.day_of_week) % 7
    monday = (
        arrived_at.dt.normalize()
        + pd.to_timedelta(wait, unit="D")
        + pd.Timedelta(hours=9)
    )
    return frame.assign(
        labeled_at=arrived_at.where(arrived_at.dt.day_of_week < 5, monday)
    )


def once_a_week(frame):
    arrived_at = frame["labeled_at"]
    monday = arrived_at.dt.normalize() + pd.to_timedelta(
        7 - arrived_at.dt.day_of_week, unit="D"
    )
    return frame.assign(labeled_at=monday)


def as_they_come(frame):
    return frame


def deliver(
    deliver=as_they_come, per_day=60, delay=slow_by_class, later=None, n_reference=98
):
    reference = world(START - n_reference * DAY, n_reference, per_day, 0, delay, seed=1)
    production = world(START, N_DAYS, per_day, 10**6, later or delay)
    estimator = PerformanceEstimator(
        chunk="W", timestamp="time", labeled_at="labeled_at", metrics=["accuracy"]
    ).fit(deliver(reference))
    monitor = Monitor(estimator, row_id="id")
    monitor.add_predictions(production.drop(columns=["y_true", "labeled_at"]))
    return monitor, deliver(production)


def overdue_by_night(monitor, nights):
    return [
        int(monitor.label_arrival(as_of=START + day * DAY)["overdue"].sum())
        for day in nights
    ]


BEGINNING, LATER = range(1, 12), range(53, 70)  # with weekends


@pytest.mark.parametrize("feed", [as_they_come, on_weekdays, once_a_week])
@pytest.mark.parametrize("delay", [slow_by_class, at_once])
def test_a_feed_that_works_is_never_called_dead(feed, delay):
    monitor, production = deliver(feed, delay=delay)
    monitor.add_labels(production[LABELS])
    assert not any(overdue_by_night(monitor, [*BEGINNING, *LATER]))


def test_few_labels_and_slower_ones_are_no_dead_feed():
    few, production = deliver(per_day=2)
    few.add_labels(production[LABELS])
    assert not any(overdue_by_night(few, [*BEGINNING, *LATER]))

    def slower(y, rng):
        return 2.0 * slow_by_class(y, rng)

    slow, production = deliver(later=slower)
    slow.add_labels(production[LABELS])
    assert not any(overdue_by_night(slow, [*BEGINNING, *LATER]))


@pytest.mark.parametrize(
    ("feed", "within"), [(as_they_come, 4), (on_weekdays, 9), (once_a_week, 22)]
)
def test_a_dead_feed_is_seen_and_counted(feed, within):
    monitor, production = deliver(feed)
    came = production["labeled_at"] < DIED
    monitor.add_labels(production.loc[came, LABELS])
    alive = (DIED - START).days
    assert not any(overdue_by_night(monitor, range(alive - 3, alive + 1)))
    assert all(overdue_by_night(monitor, range(alive + within, N_DAYS, 4)))
    arrival = monitor.label_arrival(as_of=START + N_DAYS * DAY)
    due = production["labeled_at"] <= START + N_DAYS * DAY
    week = production["time"].dt.to_period("W").dt.start_time
    truth = due.groupby(week).sum().to_numpy()
    sizes = came.groupby(week).size().to_numpy()
    # The delay model knows no weekdays: the youngest chunks are off by some days.
    recent = slice(None) if feed is as_they_come else slice(-2)
    off = np.abs(arrival["expected"] - truth)[recent]
    np.testing.assert_array_less(off, 0.08 * sizes[recent] + 6)
    assert_allclose(arrival["expected"].sum(), truth.sum(), rtol=0.07)
    assert (arrival["overdue"] == arrival["expected"] - arrival["n_labels"]).all()


def test_labels_of_which_none_has_ever_come():
    monitor, production = deliver()
    early = monitor.label_arrival(as_of=START + DAY)
    assert early["overdue"].sum() == 0  # the young end: they are still to be expected
    arrival = monitor.label_arrival()
    truth = (production["labeled_at"] <= production["time"].max()).sum()
    assert_allclose(arrival["overdue"].sum(), truth, rtol=0.03)
    assert arrival["n_labels"].sum() == 0


def test_without_any_delay_known_nothing_is_expected():
    reference = world(START - 98 * DAY, 98, 60, 0, seed=1)
    estimator = PerformanceEstimator(chunk="W", timestamp="time").fit(reference)
    monitor = Monitor(estimator, row_id="id")
    monitor.add_predictions(world(START, N_DAYS, 60, 10**6).drop(columns="y_true"))
    arrival = monitor.label_arrival()
    assert arrival["expected"].isna().all()
    assert (arrival["overdue"] == 0).all()


def stray_labels(monitor, production):
    late = production["labeled_at"].between(DIED + 45 * DAY, DIED + 50 * DAY)
    monitor.add_labels(production.loc[late, LABELS][:3])


def empty_batches(monitor, production):
    for day in range(1, 50, 7):
        monitor.add_labels(production.loc[:0, LABELS][:0], now=DIED + day * DAY)


@pytest.mark.parametrize("happens", [stray_labels, empty_batches])
def test_a_dead_feed_moves_no_value(happens):
    """Whoever waits in vain is not of the class whose labels take longer."""
    monitor, production = deliver()
    monitor.add_labels(production.loc[production["labeled_at"] < DIED, LABELS])
    before = monitor.performance()
    happens(monitor, production)
    after = monitor.performance()
    analysis = after.period == "analysis"
    half = 0.5 * (before.upper - before.lower)[analysis]
    moved = np.abs(after.value - before.value)[analysis]
    assert (moved <= 0.25 * half + 1e-4).all()
    assert_allclose(after.upper - after.lower, before.upper - before.lower, atol=0.01)
    assert monitor.label_arrival()["overdue"].sum() > 1_000
    # And so says the call that only reads what still waits.
    touched = monitor.add_predictions(
        world(START + N_DAYS * DAY, 1, 60, 2 * 10**6).drop(
            columns=["y_true", "labeled_at"]
        )
    )
    assert_allclose(
        touched.value[-1], monitor.performance().value[-1], atol=0.1 * half.max()
    )


def test_a_feed_that_comes_back_is_as_if_it_had_never_been_gone():
    monitor, production = deliver()
    monitor.add_labels(production.loc[production["labeled_at"] < DIED, LABELS])
    assert monitor.label_arrival()["overdue"].sum() > 0
    monitor.add_labels(production.loc[production["labeled_at"] >= DIED, LABELS])
    assert monitor.label_arrival()["overdue"].sum() == 0


def test_what_is_known_of_the_feed_is_saved(tmp_path):
    monitor, production = deliver(once_a_week)
    monitor.add_labels(production.loc[production["labeled_at"] < DIED, LABELS])
    monitor.save(tmp_path / "monitor.npz")
    loaded = Monitor.load(tmp_path / "monitor.npz")
    pd.testing.assert_frame_equal(loaded.label_arrival(), monitor.label_arrival())
    delays = loaded.estimator.reference_.delays
    assert delays.pause == 7 * 86_400.0
    assert delays.dispersion == monitor.estimator.reference_.delays.dispersion


def calendar_of(time, as_of):
    return LabelCalendar(as_of=as_of, hours=count_by_hour(time))


def test_the_last_usual_delivery():
    rng = np.random.default_rng(0)
    seconds = np.sort(rng.uniform(0, 30, 3_000)) * 86_400
    usual = np.rint(1e6 * seconds).astype(np.int64)
    day = 86_400_000_000
    for n_stray in (0, 3, 20):
        stray = np.linspace(40, 79, n_stray) * day
        time = np.append(usual, stray.astype(np.int64))
        deliveries = usual_deliveries(calendar_of(rng.permutation(time), 80 * day))
        assert abs(deliveries[0] - usual.max()) <= 80 * day / 1_024
        assert deliveries[-1] == time.max()
    healthy = calendar_of(usual, 30 * day)
    assert usual_deliveries(healthy) == [usual.max()]
    assert usual_deliveries(calendar_of(usual[:0], 1)) == []


def naive_hours(time):
    """Return the last arrival of each hour, and the arrivals in it."""
    by_hour = pd.Series(time).groupby(time // 3_600_000_000).agg(["max", "size"])
    return by_hour["max"].tolist(), by_hour["size"].tolist()


@pytest.mark.parametrize("n", [0, 1, 2, 500])
def test_labels_are_counted_by_the_hour(n):
    rng = np.random.default_rng(n)
    time = rng.integers(-(10**12), 10**12, n)
    some = rng.random(n) < 0.5
    hours = count_by_hour(time)
    assert (hours.time.tolist(), hours.count.tolist()) == naive_hours(time)
    # Labels of some chunks are replaced by more labels of the same chunks.
    more = rng.integers(-(10**12), 10**12, n // 2)
    every = np.append(time, more)
    changed = add_hours(
        hours, count_by_hour(np.append(time[some], more)), count_by_hour(time[some])
    )
    assert (changed.time.tolist(), changed.count.tolist()) == naive_hours(every)
    until = hours.until(0)
    assert until.count.sum() == pytest.approx((time <= 0).sum(), abs=n / 500)


@pytest.mark.parametrize("n_hours", [0, 1, 2, 30])
def test_the_pause_of_counted_hours_is_that_of_their_labels(n_hours):
    """Many stray hours are few stray labels."""
    rng = np.random.default_rng(n_hours)
    hour = 3_600_000_000
    for _ in range(20):
        usual = rng.choice(200, n_hours, replace=False)
        stray = 200 + np.cumsum(rng.integers(10, 200, n_hours // 3))
        time = np.append(usual, stray).astype(np.int64) * hour
        count = np.append(rng.integers(1, 50, n_hours), np.ones(n_hours // 3))
        labels = np.repeat(time, count.astype(np.int64))
        pause = calendar_of(rng.permutation(labels), 10**4 * hour).pause_until(None)
        assert pause == longest_pause(labels)


def test_a_feed_that_died_long_ago_is_found_and_one_outage_is_forgotten():
    day = 86_400_000_000
    daily = np.repeat(np.arange(400), 50) * day
    died, now = daily[daily < 300 * day], 400 * day
    burst = np.repeat(350, 20)  # enough to pass for a delivery, but the last of all
    for stray in ([], [395], [250, 310, 350, 380, 399], burst):
        time = np.append(died, np.array(stray, dtype=np.int64) * day)
        assert usual_deliveries(calendar_of(time, now))[0] == 299 * day
    # One tenth as many for a year, and then none for two months but for a stray one.
    fewer = [daily, np.repeat(np.arange(400, 765), 5) * day, [820 * day]]
    deliveries = usual_deliveries(calendar_of(np.concatenate(fewer), 825 * day))
    assert 764 * day in deliveries
    outage = daily[(daily < 100 * day) | (daily >= 130 * day)]
    calendar = calendar_of(outage, now)
    assert calendar.pause_until(160 * day) == 31 * 86_400.0
    assert calendar.pause_until(399 * day) == 86_400.0


def test_a_monitor_knows_of_a_feed_that_died_long_ago():
    """One stray label after more than three months makes no feed."""
    monitor, production = deliver()
    died = START + 45 * DAY
    monitor.add_labels(production.loc[production["labeled_at"] < died, LABELS])
    later = world(START + N_DAYS * DAY, 90, 60, 2 * 10**6)
    monitor.add_predictions(later.drop(columns=["y_true", "labeled_at"]))
    before = monitor.performance()
    n_overdue = monitor.label_arrival()["overdue"].sum()
    assert n_overdue > 5_000
    stray = later.tail(300).head(1).assign(labeled_at=later["time"].max() - DAY)
    monitor.add_labels(stray[LABELS])
    after = monitor.performance()
    assert monitor.label_arrival()["overdue"].sum() == pytest.approx(
        n_overdue, rel=0.02
    )
    analysis = after.period == "analysis"
    half = 0.5 * (before.upper - before.lower)[analysis]
    moved = np.abs(after.value - before.value)[analysis]
    assert (moved <= 0.25 * half + 1e-4).all()


def test_one_outage_long_ago_hides_no_dead_feed():
    """A pause of 30 days is usual for as long as it is one of the last three months."""
    reference = world(START - 98 * DAY, 98, 60, 0, at_once, seed=1)
    estimator = PerformanceEstimator(
        chunk="W", timestamp="time", labeled_at="labeled_at", metrics=["accuracy"]
    ).fit(reference)
    production = world(START, 240, 20, 10**6, at_once)
    came = production["labeled_at"]
    begin = START + 20 * DAY
    came = came.mask(came.between(begin, begin + 30 * DAY), begin + 30 * DAY)
    production["labeled_at"] = came
    died = START + 220 * DAY
    monitor = Monitor(estimator, row_id="id")
    monitor.add_predictions(production.drop(columns=["y_true", "labeled_at"]))
    monitor.add_labels(production.loc[came < died, LABELS])
    assert monitor.label_arrival(as_of=died + DAY)["overdue"].sum() == 0
    assert monitor.label_arrival()["overdue"].sum() > 300
    # The hours that are kept are those of all labels, whenever and however they came.
    hours = monitor.ledger.hours
    expected = naive_hours(came[came < died].astype("M8[us]").astype("i8").to_numpy())
    assert (hours.time.tolist(), hours.count.tolist()) == expected


def test_a_retraining_does_not_hide_a_dead_feed():
    """Stray labels of the old model's rows are few for both models together."""
    died, retrained = START + 58 * DAY, START + 56 * DAY
    overdue = []
    for again in (False, True):
        monitor, production = deliver()
        if again:
            monitor.rebase(monitor.estimator, f"{retrained:%Y-%m-%d}")
        came = production["labeled_at"]
        monitor.add_labels(production.loc[came < died, LABELS])
        stray = production[(came > died) & (came < START + N_DAYS * DAY)]
        stray = stray[stray["time"] < retrained].iloc[::2]
        monitor.add_labels(stray[LABELS])
        overdue.append(monitor.label_arrival())
        assert len(stray) > 100
    plain, rebased = overdue
    new = plain["chunk"] >= f"{retrained:%Y-%m-%d}"
    assert (plain.loc[new, "overdue"] > 100).all()
    assert rebased["chunk"].tolist() == plain["chunk"].tolist()
    assert_allclose(rebased["overdue"], plain["overdue"], rtol=0.1, atol=5)


def test_chunks_that_differ_by_chance_have_no_dispersion():
    rng = np.random.default_rng(0)
    chunk = np.repeat(np.arange(40), 500)
    same = measure_dispersion(rng.exponential(10, chunk.size), chunk, 40)
    assert same < 0.05
    speed = np.exp(rng.normal(0, 0.5, 40))
    differs = measure_dispersion(rng.exponential(10 * speed[chunk]), chunk, 40)
    # By the delta method: d share / d log speed at the median is ½ ln 2, over ½.
    assert differs == pytest.approx(0.5 * np.log(2), rel=0.3)


def test_a_pause_is_the_longest_where_labels_are_many():
    assert longest_pause(np.array([5])) == 0.0
    tail = np.append(np.arange(100), [1_000, 5_000]) * 1_000_000
    assert longest_pause(tail) == 1.0


def test_between_the_two_deliveries_of_a_day_no_label_is_missed():
    """Predictions of a day come first: its labels are due, but no delivery is."""
    monitor, labels = deliver(delay=at_once)
    monitor = Monitor(monitor.estimator, row_id="id")
    overdue = []
    for day in range(20):
        time = labels["time"]
        rows = labels[time.between(START + day * DAY, START + (day + 1) * DAY)]
        monitor.add_predictions(rows.drop(columns=["y_true", "labeled_at"]))
        overdue.append(int(monitor.label_arrival()["overdue"].sum()))
        monitor.add_labels(rows[LABELS])
    assert overdue == [0] * 20


@pytest.mark.parametrize("every", [1, 7])
@pytest.mark.parametrize("n_days", [30, 92, 120, 400])
def test_a_delivery_at_the_beginning_is_no_end_of_deliveries(every, n_days):
    """All labels of a delivery at one moment: a high rate, for a moment."""
    day = 86_400 * 10**6
    time = np.repeat(np.arange(0, n_days, every) * day, 500)
    calendar = LabelCalendar(as_of=n_days * day, hours=count_by_hour(time))
    assert len(usual_deliveries(calendar)) == 1
