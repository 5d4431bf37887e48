"""The job with its store, and its sources, in a real PostgreSQL."""

import pandas as pd
import pytest
import sqlalchemy as sa

from estimator.operations.exit_codes import NOTHING_NEW, RAN
from trials.nightly_world import World

N_DAYS = 5


@pytest.fixture
def world(tmp_path, postgres):
    return World(tmp_path / "postgres", N_DAYS, store=postgres)


def test_night_by_night_on_postgres_ends_like_one_run_on_sqlite(world, tmp_path):
    whole = World(tmp_path / "sqlite", N_DAYS)
    whole.arrive_all()
    assert whole.run() == RAN
    for day in range(N_DAYS):
        world.arrive(day)
        assert world.run() == RAN
    assert world.final() == whole.final()


def test_running_twice_changes_nothing(world):
    world.arrive_all()
    assert world.run() == RAN
    before = world.dump()
    assert world.run() == NOTHING_NEW
    assert world.dump() == before


def test_two_jobs_at_once(world, postgres):
    from estimator.operations.store.connection import open_store
    from estimator.operations.store.locks import lease

    world.arrive_all()
    with open_store(postgres) as store, lease(store):
        done = world.command()
    assert done.returncode == 75
    assert "Another run works on the store" in done.stderr
    assert world.command().returncode == 0


def test_status_says_what_was_said(world):
    world.arrive_all()
    world.run()
    done = world.command("status")
    assert done.returncode == 0
    assert "credit, as of 2026-01-09" in done.stdout
    assert "roc_auc is stable" in done.stdout


@pytest.mark.parametrize("zone", [None, "UTC", "Europe/Berlin"])
@pytest.mark.parametrize("kind", ["table", "query"])
@pytest.mark.parametrize("database", ["postgres", "sqlite"])
def test_sources_in_a_database_give_what_files_give(
    tmp_path, request, database, kind, zone
):
    if database == "sqlite" and zone is not None:
        pytest.skip("SQLite has no time zones")
    url = f"sqlite:///{tmp_path / 'source.db'}"
    if database == "postgres":
        url = request.getfixturevalue("postgres")
    files = World(tmp_path / "files", N_DAYS)
    rows = World(tmp_path / "rows", N_DAYS)
    for world in (files, rows):
        if zone is not None:
            world.localize(zone)
    files.arrive_all()
    files.run()
    predictions = rows.rows.drop(columns=["y_true", "labeled_at"])
    end = files.end()
    labels = rows.rows.loc[
        rows.rows["labeled_at"] < end, ["id", "y_true", "labeled_at"]
    ]
    engine = sa.create_engine(url)
    predictions.to_sql("scored", engine, index=False)
    labels.to_sql("outcomes", engine, index=False)
    engine.dispose()
    where = {
        "table": ('table = "scored"', 'table = "outcomes"'),
        "query": (
            'query = "select * from scored where id >= 0"',
            'query = "select id, y_true, labeled_at from outcomes"',
        ),
    }[kind]
    text = rows.path.read_text()
    for glob, selection in zip(("predictions", "labels"), where, strict=True):
        text = text.replace(f'"{glob}/*.parquet"', f'{{ url = "{url}", {selection} }}')
    rows.path.write_text(text)
    assert rows.run() == RAN
    assert rows.final() == files.final()
    assert rows.run() == NOTHING_NEW


def test_lookback_reads_only_the_newest_part(tmp_path, postgres):
    world = World(tmp_path / "world", N_DAYS)
    engine = sa.create_engine(postgres)
    rows = world.rows.drop(columns=["y_true", "labeled_at"])
    early = rows["time"] < pd.Timestamp("2026-01-09")
    rows[early].to_sql("scored", engine, index=False)
    text = world.path.read_text().replace(
        '"predictions/*.parquet"', f'{{ url = "{postgres}", table = "scored" }}'
    )
    world.path.write_text(
        text.replace('row_id = "id"', 'row_id = "id"\nlookback = "2D"')
    )
    assert world.run() == RAN
    # A row of long ago and those of the last day arrive.
    late = rows[:1].assign(id=-1)
    pd.concat([late, rows[~early]]).to_sql(
        "scored", engine, index=False, if_exists="append"
    )
    engine.dispose()
    assert world.run() == RAN
    sizes = world.sizes()
    expected = rows.groupby(rows["time"].dt.strftime("%Y-%m-%d")).size().to_dict()
    assert sizes == expected


def test_missing_table_or_column(tmp_path, postgres):
    world = World(tmp_path / "world", 1)
    world.arrive_all()
    text = world.path.read_text()
    world.path.write_text(
        text.replace(
            '"labels/*.parquet"', f'{{ url = "{postgres}", table = "nowhere" }}'
        )
    )
    done = world.command()
    assert done.returncode == 65
    assert "nowhere" in done.stderr
    world.path.write_text(
        text.replace(
            '"labels/*.parquet"', f'{{ url = "{postgres}", query = "select 1 as id" }}'
        )
    )
    done = world.command()
    assert done.returncode == 65
    assert "no column `y_true`" in done.stderr


def test_dry_run_and_status_make_nothing(world):
    world.arrive_all()
    done = world.command("run", "--dry-run")
    assert done.returncode == 0
    assert "would touch 5 chunks" in done.stderr
    done = world.command("status")
    assert done.returncode == 2
    assert "There is no store" in done.stderr
    engine = sa.create_engine(world.config.job.store)
    assert sa.inspect(engine).get_table_names() == []
    engine.dispose()
