"""The job learns strata of the delay from features, and keeps them in its counts."""

import numpy as np
import pandas as pd
import pytest

from estimator import Monitor, PerformanceEstimator
from estimator.delayed_labels.counts.count_table_bytes import table_from_bytes
from estimator.delayed_labels.strata.delay_cells import LEARNED
from estimator.operations.exit_codes import RAN
from tests.estimator.operations.nightly.test_job import load
from trials.nightly_world import CONFIG, START, World, simulate_days

WITH_FEATURES = f'{CONFIG}method = "cbpe"\nfeatures = ["kind", "noise"]\n'
N_DAYS = 8


def with_features(rows, seed):
    """Give rows a kind: the positives of one kind are known much later."""
    rng = np.random.default_rng(seed)
    kind = rng.random(len(rows)) < 0.5
    wait = rows["labeled_at"] - rows["time"]
    factor = np.where(kind & (rows["y_true"] == 1), 6.0, 1.0)
    return rows.assign(
        kind=np.where(kind, "slow", "fast"),
        noise=rng.normal(size=len(rows)),
        labeled_at=(rows["time"] + wait * factor).dt.floor("s"),
    )


def world_of(folder):
    world = World(folder, n_days=N_DAYS, per_day=400, config=WITH_FEATURES)
    first = START - pd.Timedelta(days=60)
    reference = with_features(simulate_days(15, per_day=400, seed=1, start=first), 1)
    reference.to_csv(world.folder / "reference.csv", index=False)
    world.rows = with_features(world.rows, 2)
    return world


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    world = world_of(tmp_path_factory.mktemp("nightly") / "world")
    world.arrive_all()
    assert world.run() == RAN
    return world


def test_counts_keep_the_strata_of_rows_and_no_feature(ran):
    rows = ran.dump("deadreckon_chunk")["deadreckon_chunk"]
    tables = [table_from_bytes(row[-1]) for row in rows]
    assert len(tables) == N_DAYS
    for table in tables:
        assert list(table.values) == ["region", LEARNED]
        assert set(table.values[LEARNED]) >= {"0", "1"}
        assert not {"kind", "noise"} & table.cells.keys()


def test_the_job_says_what_a_monitor_says(ran):
    estimator = PerformanceEstimator(**ran.config.models["credit"].parameters)
    reference = pd.read_csv(ran.folder / "reference.csv")
    monitor = Monitor(estimator.fit(reference), row_id="id")
    monitor.add_predictions(ran.rows.drop(columns=["y_true", "labeled_at"]))
    came = ran.rows["labeled_at"] < ran.moment(N_DAYS)
    monitor.add_labels(ran.rows.loc[came, ["id", "y_true", "labeled_at"]])
    ours, theirs = load(ran), monitor.performance().to_frame()
    half_width = (theirs["upper"] - theirs["lower"]) / 2
    for name in ("value", "lower", "upper", "estimated"):
        # The tables tell rows apart by score, and waiting ones by time, but roughly.
        off = (ours[name] - theirs[name]).abs()
        assert not (off > 0.03 * half_width + 1e-5).any(), name
    assert (theirs["n_labels"] < theirs["n_rows"]).any()


def test_night_by_night_is_as_all_at_once(ran, tmp_path):
    world = world_of(tmp_path / "world")
    for day in range(N_DAYS):
        world.arrive(day)
        assert world.run() == RAN
    pd.testing.assert_frame_equal(load(world), load(ran))
