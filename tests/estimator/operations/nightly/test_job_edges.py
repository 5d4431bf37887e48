"""Sources as they are in life: changed, mixed, late, gone."""

import os

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import sqlalchemy as sa

from estimator.operations.exit_codes import (
    ALERT,
    BAD_DATA,
    CRASHED,
    MISUSED,
    NOTHING_NEW,
    RAN,
)
from estimator.operations.nightly import model_run
from estimator.operations.nightly.overview import gauges_of
from estimator.operations.sources import sql_import as staging
from tests.estimator.operations.nightly.changed_worlds import (
    declined,
    edit,
    files,
    fresh,
)
from tests.estimator.operations.nightly.test_job import load, overview_of
from trials.nightly_world import START, World


def with_features(tmp_path, method):
    world = World(tmp_path / "world", n_days=2, per_day=3_000)
    rng = np.random.default_rng(0)
    reference = pd.read_csv(world.folder / "reference.csv")
    reference["age"] = rng.normal(40, 10, len(reference))
    reference.to_csv(world.folder / "reference.csv", index=False)
    world.rows["age"] = rng.normal(45, 12, len(world.rows))
    edit(world, 'segments = ["region"]', f'features = ["age"]\nmethod = "{method}"')
    world.arrive_all()
    return world


@pytest.mark.parametrize("method", ["pape", "auto", "feature_aware"])
def test_files_touched_or_in_another_order_change_nothing(tmp_path, method):
    world = with_features(tmp_path, method)
    assert world.run() == RAN
    before = world.final()
    for i, file in enumerate(files(world)):
        rows = pq.read_table(file).to_pandas().sample(frac=1, random_state=0)
        table = pa.Table.from_pandas(rows, preserve_index=False)
        file.unlink()
        pq.write_table(table, file.with_name(f"{9 - i}.parquet"), row_group_size=100)
    for file in files(world, "labels"):
        os.utime(file)
    assert world.run() == NOTHING_NEW
    assert world.final() == before


def test_times_in_the_future(world, caplog):
    world.run()
    before = world.dump()
    label = world.rows[:1][["id", "y_true"]].assign(
        labeled_at=pd.Timestamp("2099-01-01")
    )
    label.to_parquet(world.folder / "labels" / "odd.parquet")
    assert world.run() == BAD_DATA
    assert "must not lie in the future" in caplog.text
    assert world.run(until=pd.Timestamp("2099-01-01")) == MISUSED
    assert world.dump() == before
    (world.folder / "labels" / "odd.parquet").unlink()
    assert world.run() == NOTHING_NEW


def test_a_day_that_has_but_begun_does_not_calm_anybody(tmp_path):
    world = declined(tmp_path)
    world.rows = world.rows[
        world.rows["time"] < START + pd.Timedelta(days=14, minutes=40)
    ]
    world.arrive_all()
    world.run()
    frame = load(world)
    newest = frame[(frame["chunk"] == "2026-01-19") & (frame["segment"] == "")]
    assert (newest["n_rows"] < 10).all()
    assert world.run(fail_on="alert") == ALERT


def test_a_segment_that_is_no_more_is_no_reason_to_warn(tmp_path):
    world = World(tmp_path / "world", n_days=12)
    early = world.rows["time"] < START + pd.Timedelta(days=4)
    south = world.rows["region"] == "south"
    world.rows.loc[early & south, "y_true"] = 1 - world.rows["y_true"]
    world.rows.loc[~early, "region"] = "north"
    world.rows["labeled_at"] = world.rows["time"] + pd.Timedelta(minutes=1)
    world.arrive_all()
    world.run()
    frame = load(world)
    gone = (frame["segment"] == "region=south") & (frame["period"] == "analysis")
    assert frame.loc[gone, "alert"].any()
    gauges = gauges_of(overview_of(world), last_success=0.0)
    assert {one.segment for one in gauges.metrics} == {"", "region=north"}
    assert not any(one.alert for one in gauges.metrics)


@pytest.mark.parametrize("first", ["labelled", "waiting"])
def test_labels_of_a_database_of_which_some_are_missing(tmp_path, monkeypatch, first):
    monkeypatch.setattr(staging, "ROWS_AT_A_TIME", 100)
    world, apart = (World(tmp_path / name, n_days=3) for name in ("database", "files"))
    apart.arrive_all()
    apart.run()
    is_labelled = world.rows["labeled_at"] < START + pd.Timedelta(days=3)
    labels = world.rows.assign(
        y_true=world.rows["y_true"].astype("Int64").where(is_labelled),
        labeled_at=world.rows["labeled_at"].where(is_labelled),
    )[["id", "y_true", "labeled_at"]]
    labels = labels.sort_values(
        "y_true", na_position="last" if first == "labelled" else "first"
    )
    labels["id"] = labels["id"].astype("Int64")
    labels = pd.concat([labels, labels[:1].assign(id=labels["id"][:1].where([False]))])
    url = f"sqlite:///{tmp_path / 'source.db'}"
    engine = sa.create_engine(url)
    labels.to_sql("outcomes", engine, index=False)
    engine.dispose()
    edit(
        world,
        '"labels/*.parquet"',
        f'{{ url = "{url}", query = "select * from outcomes;" }}',  # noqa: S608
    )
    for day in range(3):
        world.arrive(day)
    assert world.run() == RAN
    assert world.final() == apart.final()


def test_a_wrong_query_is_no_silence(world, tmp_path, caplog):
    (tmp_path / "source.db").touch()  # an empty database
    url = f"sqlite:///{tmp_path / 'source.db'}"
    edit(world, '"labels/*.parquet"', f'{{ url = "{url}", query = "selct 1" }}')
    assert world.run() == BAD_DATA
    assert "syntax error" in caplog.text


def test_a_file_with_another_clock_than_the_others(world, caplog):
    frame = pd.read_parquet(files(world)[3])
    zoned = frame.assign(time=frame["time"].dt.tz_localize("America/Los_Angeles"))
    zoned.to_parquet(files(world)[3])
    assert world.run() == BAD_DATA
    assert "003.parquet is of another kind" in caplog.text or "time zone" in caplog.text


def test_whole_numbers_of_other_widths_are_alike(world, tmp_path):
    whole = fresh(world, tmp_path / "other")
    world.run()
    for i, file in enumerate(files(whole)):
        frame = pd.read_parquet(file)
        frame.astype({"id": ["int32", "int64", "uint32"][i % 3]}).to_parquet(file)
    assert whole.run() == RAN
    assert whole.final() == world.final()


def test_an_erased_row_is_counted_no_more(world, tmp_path, caplog):
    world.run()
    pd.read_parquet(files(world)[1])[1:].to_parquet(files(world)[1])
    assert world.run() == RAN
    assert "is counted anew" in caplog.text
    whole = fresh(world, tmp_path / "whole")
    whole.run()
    assert world.final() == whole.final()


def test_a_corrected_segment_leaves_nothing_behind(world, tmp_path):
    frame = pd.read_parquet(files(world)[1])
    frame.assign(region="typo").to_parquet(files(world)[1])
    world.run()
    assert "region=typo" in set(load(world)["segment"])
    frame.to_parquet(files(world)[1])
    assert world.run() == RAN
    whole = fresh(world, tmp_path / "whole")
    whole.run()
    assert world.final() == whole.final()
    newest = START + pd.Timedelta(days=5)
    assert "region=typo" not in set(
        load(world, as_of=newest + pd.Timedelta(days=9))["segment"]
    )


def test_a_bug_in_one_model_does_not_stop_the_others(world, monkeypatch, caplog):
    model_config = world.path.read_text().split("[models.credit]")[1]
    world.path.write_text(
        world.path.read_text()
        + "\n[models.fraud]"
        + model_config.replace("models.credit", "models.fraud")
    )
    done = model_run.evaluate
    calls = []

    def broken(*arguments):
        calls.append(arguments)
        if len(calls) == 1:
            msg = "a bug"
            raise KeyError(msg)
        return done(*arguments)

    monkeypatch.setattr(model_run, "evaluate", broken)
    assert world.run() == CRASHED
    assert "a bug" in caplog.text
    assert {row[0] for row in world.dump("deadreckon_chunk")["deadreckon_chunk"]} == {
        "fraud"
    }
    runs = {row[1]: row[4] for row in world.dump("deadreckon_run")["deadreckon_run"]}
    assert runs == {"credit": CRASHED, "fraud": RAN}


def test_labels_that_are_nowhere_are_missed_aloud(world, caplog):
    edit(world, '"labels/*.parquet"', '"lables/*.parquet"')
    assert world.run() == RAN
    assert "no file matches" in caplog.text
    assert "lables" in caplog.text
    assert load(world).query("period == 'analysis'")["n_labels"].sum() == 0
