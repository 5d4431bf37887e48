"""Sources and configurations as they are in life: changed, mixed, doubled, gone."""

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
from tests.estimator.operations.nightly.test_job import load, overview_of
from trials.nightly_world import START, World


@pytest.fixture
def world(tmp_path):
    world = World(tmp_path / "world", n_days=6)
    world.arrive_all()
    return world


def edit(world, old, new):
    text = world.path.read_text()
    assert old in text
    world.path.write_text(text.replace(old, new))


def files(world, kind="predictions"):
    return sorted((world.folder / kind).glob("*"))


def fresh(world, folder):
    """Return a world with the same files and configuration, but no store."""
    import shutil

    other = object.__new__(World)
    shutil.copytree(world.folder, folder)
    for file in folder.glob("deadreckon.db*"):
        file.unlink()
    other.folder, other.path = folder, folder / "nightly.toml"
    other.rows, other.n_days = world.rows, world.n_days
    return other


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


def test_changed_segments_are_counted_anew_whatever_the_lookback(world, tmp_path):
    edit(world, 'row_id = "id"', 'row_id = "id"\nlookback = "2D"')
    edit(world, 'segments = ["region"]\n', "")
    world.run()
    edit(world, '"accuracy"]', '"accuracy"]\nsegments = ["region"]')
    assert world.run() == RAN
    whole = fresh(world, tmp_path / "whole")
    whole.run()
    assert world.final() == whole.final()
    edit(world, 'segments = ["region"]\n', "")
    assert world.run() == RAN
    assert {row["segment"] for row in load(world).to_dict("records")} == {""}


def test_what_cannot_be_counted_anew_is_not_lost(world, caplog):
    world.run()
    before = world.dump()
    gone = files(world)[0].read_bytes()
    files(world)[0].unlink()
    edit(world, 'segments = ["region"]', "decision_threshold = 0.3")
    assert world.run() == MISUSED
    assert "must be counted anew" in caplog.text
    assert "2026-01-05" in caplog.text
    assert world.dump() == before
    edit(world, "decision_threshold = 0.3", 'segments = ["region"]')
    assert world.run() == NOTHING_NEW
    edit(world, 'segments = ["region"]', "decision_threshold = 0.3")
    (world.folder / "predictions" / "000.parquet").write_bytes(gone)
    assert world.run() == RAN


def test_a_metric_that_came_later_is_unknown_before(world):
    world.run(until=START + pd.Timedelta(days=3))
    edit(world, '"accuracy"]', '"accuracy", "f1"]')
    world.run()
    then = load(world, as_of=START + pd.Timedelta(days=3))
    analysis = then[then["period"] == "analysis"]
    assert analysis.loc[analysis["metric"] == "f1", "value"].isna().all()
    assert analysis.loc[analysis["metric"] == "roc_auc", "value"].notna().all()


def test_a_metric_that_was_dropped_was_believed_before(world):
    world.run(until=START + pd.Timedelta(days=3))
    edit(world, '["roc_auc", "accuracy"]', '["roc_auc"]')
    world.run()
    rows = world.dump("deadreckon_result")["deadreckon_result"]
    assert {row[3] for row in rows} == {"roc_auc"}
    history = world.dump("deadreckon_result_history")["deadreckon_result_history"]
    assert {row[3] for row in history} == {"roc_auc", "accuracy"}


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


@pytest.mark.parametrize("kind", ["numbers", "texts"])
@pytest.mark.parametrize("ending", ["parquet", "csv"])
def test_one_id_in_two_chunks_is_an_error_at_night_and_at_once(
    tmp_path, caplog, ending, kind
):
    worlds = [World(tmp_path / name, n_days=3) for name in ("nights", "whole")]
    for each in worlds:
        if kind == "texts":
            each.rows["id"] = "row-" + each.rows["id"].astype(str)
        each.rows.loc[each.rows.index[-1], "id"] = each.rows["id"].iloc[0]
        edit(each, "predictions/*.parquet", f"predictions/*.{ending}")
        each.arrive_all()
        for file in each.folder.glob("predictions/*.parquet"):
            if ending == "csv":
                pd.read_parquet(file).to_csv(file.with_suffix(".csv"), index=False)
                file.unlink()
    nights, whole = worlds
    last = nights.folder / "predictions" / f"002.{ending}"
    kept = last.read_bytes()
    last.unlink()
    assert nights.run() == RAN
    last.write_bytes(kept)
    before = nights.dump()
    for each in worlds:
        assert each.run() == BAD_DATA
        first, other = (each.folder / f"predictions/{i:03d}.{ending}" for i in (0, 2))
        identity, time = each.rows["id"].iloc[0], each.rows["time"].iloc[0]
        identity = str(identity) if kind == "texts" else int(identity)
        assert f"(ids: {identity!r}; {identity!r} is at {time} in {first} and" in (
            caplog.text
        )
        assert f"in {other}). Nothing was stored." in caplog.text
        caplog.clear()
    assert nights.dump() == before
    rows = pd.read_parquet(last)[:-1] if ending == "parquet" else pd.read_csv(last)[:-1]
    last.unlink()
    for each in worlds:
        rows.to_csv(each.folder / "predictions" / "002.csv", index=False)
        edit(each, f"predictions/*.{ending}", "predictions/*")
        (each.folder / "predictions" / "002.parquet").unlink(missing_ok=True)
        assert each.run() == RAN
    assert nights.final() == whole.final()


def test_an_id_on_two_days_of_a_backfill(tmp_path, caplog):
    """All files are there from the first night on; time brings the rows."""
    world = World(tmp_path / "world", n_days=3)
    world.rows.loc[world.rows.index[-1], "id"] = world.rows["id"].iloc[0]
    world.arrive_all()
    for day in (1, 2):
        assert world.run(until=world.moment(day)) == RAN
    assert world.run(until=world.end()) == BAD_DATA
    assert "must belong to one row, but one has rows of different times" in caplog.text


def test_rows_delivered_again_on_another_day_count_once(tmp_path):
    world, plain = (World(tmp_path / name, n_days=3) for name in ("world", "plain"))
    for each in (world, plain):
        each.arrive_all()
    early = pd.read_parquet(world.folder / "predictions" / "000.parquet")
    last = world.folder / "predictions" / "002.parquet"
    pd.concat([pd.read_parquet(last), early]).to_parquet(last)
    for each in (world, plain):
        assert each.run() == RAN
    assert world.final() == plain.final()


@pytest.mark.parametrize("as_text", [False, True])
def test_ids_that_share_their_hash_are_told_apart(tmp_path, monkeypatch, as_text):
    monkeypatch.setattr("estimator.operations.sources.row_ids._HASH", "1")
    world = World(tmp_path / "world", n_days=2)
    if as_text:
        world.rows["id"] = "row " + world.rows["id"].astype(str)
    world.arrive_all()
    assert world.run() == RAN
    last = world.folder / "predictions" / "001.parquet"
    rows = pd.read_parquet(last)
    rows.loc[0, "id"] = world.rows["id"].iloc[0]
    rows.to_parquet(last)
    (world.folder / "deadreckon.db").unlink()
    assert world.run() == BAD_DATA


def test_an_id_on_two_days_of_a_database(tmp_path, caplog):
    world = World(tmp_path / "world", n_days=3)
    world.rows.loc[world.rows.index[-1], "id"] = world.rows["id"].iloc[0]
    url = f"sqlite:///{tmp_path / 'source.db'}"
    engine = sa.create_engine(url)
    rows = world.rows.drop(columns=["y_true", "labeled_at"])
    rows.to_sql("scored", engine, index=False)
    engine.dispose()
    edit(world, '"predictions/*.parquet"', f'{{ url = "{url}", table = "scored" }}')
    assert world.run() == BAD_DATA
    assert "must belong to one row" in caplog.text


def declined(tmp_path):
    world = World(tmp_path / "declined", n_days=15)
    late = world.rows["time"] > START + pd.Timedelta(days=8)
    coin = np.random.default_rng(0).random(len(world.rows)) < 0.5
    world.rows["y_true"] = np.where(late, coin, world.rows["y_true"]).astype(int)
    world.rows["labeled_at"] = world.rows["time"] + pd.Timedelta(minutes=1)
    return world


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


def test_rows_delivered_again_with_their_labels(tmp_path):
    world, apart = (World(tmp_path / name, n_days=3) for name in ("own", "apart"))
    edit(world, 'labels = "labels/*.parquet"\n', "")
    apart.arrive_all()
    apart.run()
    end = START + pd.Timedelta(days=3)
    world.arrive_all()
    world.run()
    is_labelled = world.rows["labeled_at"] < end
    again = world.rows.assign(
        y_true=world.rows["y_true"].where(is_labelled),
        labeled_at=world.rows["labeled_at"].where(is_labelled),
    )
    again.to_parquet(world.folder / "predictions" / "again.parquet")
    assert world.run() == RAN
    assert world.final() == apart.final()


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


@pytest.mark.parametrize(
    "moment", ["2026-01-08", "2026-01-08T00:00", "2026-01-08T00:00:00", "20260108"]
)
def test_a_retraining_begins_with_its_chunk_however_it_is_written(world, moment):
    text = world.path.read_text()
    world.path.write_text(
        f'{text}\n[[models.credit.retrained]]\nfrom_chunk = "{moment}"\n'
        'reference = "reference.csv"\n'
    )
    assert world.run() == RAN
    frame = load(world).query("period == 'analysis'")
    earlier = frame["note"].str.contains("before the rebase")
    assert (earlier == (frame["chunk"] < "2026-01-08")).all()


def test_a_retraining_cannot_begin_within_a_chunk(world, caplog):
    text = world.path.read_text()
    world.path.write_text(
        f'{text}\n[[models.credit.retrained]]\nfrom_chunk = "2026-01-08T12:00"\n'
        'reference = "reference.csv"\n'
    )
    assert world.run() == MISUSED
    assert "must be where a chunk begins" in caplog.text


def test_a_retraining_added_later_leaves_earlier_chunks_alone(world):
    world.run()
    for file in files(world)[:2]:
        file.unlink()  # as old files are, in time
    text = world.path.read_text()
    world.path.write_text(
        f'{text}\n[[models.credit.retrained]]\nfrom_chunk = "2026-01-09"\n'
        'reference = "reference.csv"\n'
    )
    assert world.run() == RAN
    assert len(world.sizes()) == 6


def test_a_corrected_row_id_is_read_anew(world, tmp_path):
    for file in files(world):
        frame = pd.read_parquet(file)
        frame.assign(customer=frame["id"] + 5_000_000).to_parquet(file)
    labels = pd.concat([pd.read_parquet(file) for file in files(world, "labels")])
    for file in files(world, "labels"):
        frame = pd.read_parquet(file)
        frame.assign(customer=frame["id"]).to_parquet(file)
    edit(world, 'row_id = "id"', 'row_id = "customer"')
    world.run()
    assert load(world).query("period == 'analysis'")["n_labels"].sum() == 0
    edit(world, 'row_id = "customer"', 'row_id = "id"')
    assert world.run() == RAN
    corrected = load(world).query(
        "period == 'analysis' and segment == '' and metric == 'roc_auc'"
    )
    assert corrected["n_labels"].sum() == labels["id"].isin(world.rows["id"]).sum()


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


def test_edges_need_not_lie_on_the_hour(world):
    edit(
        world,
        'chunk = "D"',
        'chunk = ["2026-01-05T00:00:10", "2026-01-07", "2026-01-09T12:30"]',
    )
    first = world.rows["time"].min()
    assert first > pd.Timestamp("2026-01-05T00:00:10")
    assert world.run() == RAN
    assert len(world.sizes()) == 3
    edit(world, '"2026-01-05T00:00:10"', '"2026-01-05T02:30"')
    world.path.with_name("deadreckon.db").unlink()
    assert world.run() == BAD_DATA


def test_labels_that_are_nowhere_are_missed_aloud(world, caplog):
    edit(world, '"labels/*.parquet"', '"lables/*.parquet"')
    assert world.run() == RAN
    assert "no file matches" in caplog.text
    assert "lables" in caplog.text
    assert load(world).query("period == 'analysis'")["n_labels"].sum() == 0


def test_a_later_retraining_or_metric_does_not_change_the_past(tmp_path):
    world = declined(tmp_path)
    world.arrive_all()
    then = START + pd.Timedelta(days=13)
    world.run(until=then)
    before = overview_of(world, as_of=then)
    edit(world, '"accuracy"]', '"accuracy", "f1"]')
    text = world.path.read_text()
    pd.read_csv(world.folder / "reference.csv")[::2].to_csv(
        world.folder / "other.csv", index=False
    )
    world.path.write_text(
        f'{text}\n[[models.credit.retrained]]\nfrom_chunk = "2026-01-19"\n'
        'reference = "other.csv"\n'
    )
    assert world.run() == RAN
    after = overview_of(world, as_of=then)
    assert "f1" not in after.verdicts[""]
    for metric, verdict in before.verdicts[""].items():
        assert str(after.verdicts[""][metric]) == str(verdict)
