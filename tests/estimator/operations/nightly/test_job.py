"""The nightly job as a whole: safe to run twice, late labels, nights and backfills."""

import pandas as pd
import pytest

from estimator import Monitor, PerformanceEstimator
from estimator.operations.exit_codes import NOTHING_NEW, RAN
from estimator.operations.nightly.overview import load_overview
from estimator.operations.store.connection import open_store
from trials.nightly_world import START, World


@pytest.fixture
def world(tmp_path):
    return World(tmp_path)


def test_running_twice_changes_nothing(world):
    world.arrive_all()
    assert world.run() == RAN
    before = world.dump()
    pages = {file: file.read_bytes() for file in world.folder.glob("report/*")}
    assert world.run() == NOTHING_NEW
    assert world.dump() == before
    assert {file: file.read_bytes() for file in pages} == pages


@pytest.mark.slow
def test_ninety_nights_end_like_one_run_over_all(tmp_path):
    nightly, whole = (World(tmp_path / name, n_days=90) for name in ("nights", "whole"))
    for day in range(nightly.n_days):
        nightly.arrive(day)
        assert nightly.run() == RAN
    whole.arrive_all()
    assert whole.run() == RAN
    assert nightly.final() == whole.final()


def test_backfill_by_as_of_ends_like_nights(tmp_path):
    nightly, backfilled = World(tmp_path / "nightly"), World(tmp_path / "backfilled")
    backfilled.arrive_all()
    for day in range(nightly.n_days):
        nightly.arrive(day)
        nightly.run()
        end = START + pd.Timedelta(days=day + 1) - pd.Timedelta(microseconds=1)
        assert backfilled.run(until=end) == RAN
    assert backfilled.final() == nightly.final()
    values = [
        w.dump("deadreckon_result_history", but=("as_of",))
        for w in (nightly, backfilled)
    ]
    assert values[0] == values[1]


def test_late_labels_restate_the_facts_of_exactly_their_chunks(world):
    world.arrive_all()
    world.run()
    facts = ("segment", "chunk", "metric", "n_labels", "realized")
    before = load(world)[list(facts)]
    late = world.rows[world.rows["time"].between(START, START + pd.Timedelta(days=2))]
    late = late[late["labeled_at"] >= START + pd.Timedelta(days=world.n_days)]
    days = set(late["time"].dt.strftime("%Y-%m-%d"))
    assert days
    late = late.assign(labeled_at=START + pd.Timedelta(days=world.n_days - 0.01))
    late[["id", "y_true", "labeled_at"]].to_parquet(
        world.folder / "labels" / "late.parquet"
    )
    assert world.run() == RAN
    after = load(world)[list(facts)]
    same = (before == after) | (before.isna() & after.isna())
    assert set(after.loc[~same.all(axis=1), "chunk"]) == days


def test_rows_of_fully_labelled_chunks_are_never_restated(world):
    world.rows["labeled_at"] = world.rows["time"] + pd.Timedelta(hours=1)
    for day in range(world.n_days):
        world.arrive(day)
        world.run()
    rows = world.dump("deadreckon_result")["deadreckon_result"]
    revision = {row[2]: row[4] for row in rows}
    # Once when it came, once when the last labels came the night after.
    assert set(revision.values()) <= {1, 2}


def test_says_what_a_monitor_says(world):
    world.arrive_all()
    world.run()
    settings = world.config.models["credit"]
    estimator = PerformanceEstimator(**settings.parameters)
    estimator.fit(pd.read_csv(world.folder / "reference.csv"))
    monitor = Monitor(estimator, row_id="id")
    monitor.add_predictions(world.rows.drop(columns=["y_true", "labeled_at"]))
    end = START + pd.Timedelta(days=world.n_days)
    labels = world.rows.loc[world.rows["labeled_at"] < end]
    monitor.add_labels(labels[["id", "y_true", "labeled_at"]])
    ours, theirs = load(world), monitor.performance().to_frame()
    exact = ["segment", "period", "chunk", "metric", "n_rows", "n_labels", "note"]
    pd.testing.assert_frame_equal(ours[exact], theirs[exact])
    half_width = (theirs["upper"] - theirs["lower"]) / 2
    for name in ("value", "lower", "upper", "estimated"):
        # The tables tell rows apart by score, and waiting ones by time, but roughly.
        off = (ours[name] - theirs[name]).abs()
        assert (ours[name].isna() == theirs[name].isna()).all()
        assert not (off > 0.03 * half_width + 1e-5).any(), name
    sentences = [str(v) for v in overview_of(world).verdicts[""].values()]
    assert sentences == [str(v) for v in monitor.degradation().values()]


def test_what_was_believed_then_stays_answerable(world):
    beliefs = {}
    for day in range(world.n_days):
        world.arrive(day)
        world.run()
        beliefs[day] = load(world)
    for day in (3, 7, world.n_days - 1):
        end = START + pd.Timedelta(days=day + 1)
        then = load(world, as_of=end)
        now = beliefs[day]
        exact = ["segment", "chunk", "metric", "n_rows", "n_labels", "alert", "note"]
        pd.testing.assert_frame_equal(then[exact], now[exact])
        half_width = (now["upper"] - now["lower"]) / 2
        off = (then["value"] - now["value"]).abs()
        assert not (off > 0.011 * half_width + 1e-12).any()


def overview_of(world, as_of=None):
    with open_store(world.config.job.store) as store:
        return load_overview(store, "credit", as_of)


def load(world, as_of=None):
    return overview_of(world, as_of).performance.to_frame()
