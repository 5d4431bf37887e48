"""`run --check` looks at all that a run would read or write, and writes nothing."""

import os

import pandas as pd
import pytest
import sqlalchemy as sa

from trials.nightly_world import World
from trials.runner import invoke


@pytest.fixture
def world(tmp_path):
    world = World(tmp_path / "world", n_days=2)
    world.arrive_all()
    return world


def edit(world, old, new):
    text = world.path.read_text()
    assert old in text
    world.path.write_text(text.replace(old, new))


def files_in(folder):
    return {x: x.read_bytes() for x in sorted(folder.rglob("*")) if x.is_file()}


def check(world, code=2):
    before = files_in(world.folder)
    result = invoke("run", world.path, "--check")
    assert result.exit_code == code, result.stderr
    assert files_in(world.folder) == before
    return result.stderr


def test_before_and_after_the_first_run(world):
    assert "is sound" in check(world, 0)
    assert not (world.folder / "deadreckon.db").exists()
    world.run()
    assert "is sound" in check(world, 0)


def rewrite(path, **columns):
    frame = pd.read_parquet(path) if path.suffix == ".parquet" else pd.read_csv(path)
    frame = frame.assign(**columns)
    if path.suffix == ".parquet":
        frame.to_parquet(path)
    else:
        frame.to_csv(path, index=False)


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        (
            '"reference.csv"',
            '"refrence.csv"',
            "`models.credit.reference`: no file matches",
        ),
        ('segments = ["region"]', 'segments = ["area"]', "has no column `area`"),
        ('timestamp = "time"', 'timestamp = "tme"', "no column `tme` (nearest: time)"),
        ('row_id = "id"', 'row_id = "key"', "has no column `key`"),
        (
            "predictions/*.parquet",
            "elsewhere/*.parquet",
            "predictions: no file matches",
        ),
        ("predictions/*.parquet", "predictions", "is a folder, and files are read"),
        ('"deadreckon.db"', '"nowhere/deadreckon.db"', "there is no folder"),
        ('report = "report"', 'report = "reference.csv"', "is a file. Name a folder"),
        (
            "[models.credit]",
            '[notify]\nprometheus = "nowhere/x.prom"\n[models.credit]',
            "`notify.prometheus`: there is no folder",
        ),
        (
            '"labels/*.parquet"',
            '{ url = "sqlite:///app.db", table = "labels" }',
            "there is no database file",
        ),
        (
            '"deadreckon.db"',
            '"postgresql+psycopg://nobody:hush@127.0.0.1:9/x"',
            "`store`: The store postgresql+psycopg://nobody:***@127.0.0.1:9/x cannot",
        ),
    ],
)
def test_what_is_missing_is_named(world, old, new, words):
    edit(world, old, new)
    message = check(world)
    assert words in message
    assert "is sound" not in message


@pytest.mark.parametrize(
    ("file", "columns", "words"),
    [
        ("reference.csv", {"y_pred_proba": "abc"}, "Could not convert string 'abc'"),
        ("reference.csv", {"time": "05/01/2026"}, "column `time` must hold ISO times"),
        ("predictions/001.parquet", {"time": 7}, "`time` must hold times"),
        ("predictions/001.parquet", {"y_pred_proba": "x"}, "must hold numbers, but is"),
        ("labels/001.parquet", {"y_true": "yes"}, "`y_true` must hold numbers, but is"),
    ],
)
def test_types(world, file, columns, words):
    rewrite(world.folder / file, **columns)
    for other in (world.folder / file).parent.glob("*.parquet"):
        if other != world.folder / file:
            other.unlink()
    assert words in check(world)


def test_every_problem_has_a_line(world):
    edit(world, '"reference.csv"', '"refrence.csv"')
    edit(world, "predictions/*.parquet", "elsewhere/*.parquet")
    edit(world, '"deadreckon.db"', '"nowhere/deadreckon.db"')
    message = check(world)
    for words in (
        "`store`",
        "`models.credit.reference`",
        "`models.credit`: predictions",
    ):
        assert words in message


def test_labels_that_have_not_come_are_no_error(world):
    for file in world.folder.glob("labels/*"):
        file.unlink()
    message = check(world, 0)
    assert "labels: no file matches" in message
    assert "is sound" in message


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_folders_that_cannot_be_written(world):
    world.folder.chmod(0o500)
    try:
        assert "is not writable" in check(world)
    finally:
        world.folder.chmod(0o700)


def test_permissions_are_asked_for(world, monkeypatch):
    """As root, too, who may write anywhere."""
    monkeypatch.setattr(os, "access", lambda path, mode: not mode & os.W_OK)
    message = check(world)
    assert "`job.report`" in message
    assert "`store`" in message
    assert message.count("is not writable") == 2


def test_a_file_that_is_no_store(world):
    (world.folder / "deadreckon.db").write_text("something else, long enough " * 50)
    assert "cannot be read as a store" in check(world)


def test_a_store_of_the_future(world):
    world.run()
    engine = sa.create_engine(f"sqlite:///{world.folder / 'deadreckon.db'}")
    with engine.begin() as connection:
        connection.execute(sa.text("UPDATE deadreckon_schema SET version = 99"))
        connection.execute(sa.text("PRAGMA journal_mode = DELETE"))
    engine.dispose()
    assert "Upgrade deadreckon" in check(world)


def test_postgres(tmp_path, postgres):
    world = World(tmp_path / "world", n_days=1, store=postgres)
    world.arrive_all()
    check(world, 0)
    engine = sa.create_engine(postgres)
    assert sa.inspect(engine).get_table_names() == []
    world.run()
    check(world, 0)
    reader = f"reader_{tmp_path.name[-8:]}".replace("-", "_").lower()
    with engine.begin() as connection:
        connection.execute(sa.text(f"CREATE ROLE {reader} LOGIN"))
        connection.execute(
            sa.text(f"GRANT SELECT ON ALL TABLES IN SCHEMA public TO {reader}")
        )
    url = sa.make_url(postgres).set(username=reader).render_as_string()
    edit(world, postgres, url)
    assert "may not write" in check(world)
    with engine.begin() as connection:
        connection.execute(sa.text(f"DROP OWNED BY {reader}"))
        connection.execute(sa.text(f"DROP ROLE {reader}"))
    engine.dispose()


def test_a_source_of_sqlite_begins_at_the_configuration_and_is_not_made(
    world, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    edit(world, '"labels/*.parquet"', '{ url = "sqlite:///app.db", table = "labels" }')
    for command in ((), ("--check",)):
        result = invoke("run", world.path, *command)
        assert result.exit_code in (2, 65)
        assert f"there is no database file {world.folder / 'app.db'}" in result.stderr
    assert not list(tmp_path.rglob("app.db"))
    engine = sa.create_engine(f"sqlite:///{world.folder / 'app.db'}")
    labels = world.rows[["id", "y_true", "labeled_at"]]
    labels.to_sql("labels", engine, index=False)
    engine.dispose()
    (world.folder / "app.db").chmod(0o400)
    assert invoke("run", world.path, "--check").exit_code == 0
    assert invoke("run", world.path).exit_code == 0


def test_text_of_a_source_that_is_none(world):
    """Bytes that are no UTF-8: bad data, and not a database that does not answer."""
    engine = sa.create_engine(f"sqlite:///{world.folder / 'app.db'}")
    with engine.begin() as connection:
        connection.execute(
            sa.text("CREATE TABLE labels (id INT, y_true INT, labeled_at)")
        )
        connection.execute(
            sa.text("INSERT INTO labels VALUES (1, 1, CAST(x'ff' AS TEXT))")
        )
    engine.dispose()
    edit(world, '"labels/*.parquet"', '{ url = "sqlite:///app.db", table = "labels" }')
    result = invoke("run", world.path)
    assert result.exit_code == 65, result.stderr
    assert "Could not decode" in result.stderr
