"""Row ids as they are in life: doubled, delivered again, corrected."""

import pandas as pd
import pytest
import sqlalchemy as sa

from estimator.operations.exit_codes import BAD_DATA, RAN
from tests.estimator.operations.nightly.changed_worlds import edit, files
from tests.estimator.operations.nightly.test_job import load
from trials.nightly_world import START, World


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
