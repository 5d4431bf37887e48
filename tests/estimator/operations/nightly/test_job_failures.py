"""What goes wrong at night: exit code, clear message, the old results intact."""

import os
import shutil
import subprocess
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from estimator.operations import data_time as clock
from trials.nightly_world import START, World, command_line


@pytest.fixture
def world(tmp_path):
    """A world in which the first nights have gone well."""
    world = World(tmp_path / "world", n_days=6)
    for day in range(4):
        world.arrive(day)
    world.run()
    return world


def assert_refused(world, code, *words):
    """Run the command; it must fail in these words, and change nothing."""
    before, pages = world.dump(), contents(world)
    done = world.command()
    assert (done.returncode, done.stdout) == (code, "")
    for word in words:
        assert word in done.stderr
    assert "Traceback" not in done.stderr
    assert len(done.stderr.strip().splitlines()) <= 3
    assert world.dump() == before
    assert contents(world) == pages
    return done.stderr


def contents(world):
    files = (world.folder / "report").glob("*")
    return {file.name: file.read_bytes() for file in files}


def assert_recovers(world):
    """The next run does what the refused one could not."""
    done = world.command()
    assert done.returncode == 0, done.stderr
    whole = World(world.folder.parent / "whole", n_days=6)
    for day in range(5):
        whole.arrive(day)
    whole.run()
    assert world.final() == whole.final()


def test_truncated_parquet(world):
    world.arrive(4)
    file = world.folder / "predictions" / "004.parquet"
    content = file.read_bytes()
    file.write_bytes(content[: len(content) // 2])
    assert_refused(world, 65, "004.parquet", "cannot be read", "Nothing was stored")
    file.write_bytes(content)
    assert_recovers(world)


def test_a_file_that_the_system_cannot_read(world):
    world.arrive(4)
    file = world.folder / "predictions" / "004.parquet"
    content = file.read_bytes()
    file.unlink()
    file.symlink_to("/proc/self/mem")  # nobody can read its begin, not even root
    assert_refused(world, 65, "predictions", "004.parquet cannot be read", "take it")
    file.unlink()
    file.write_bytes(content)
    assert_recovers(world)


def test_truncated_labels(world):
    world.arrive(4)
    file = world.folder / "labels" / "004.parquet"
    content = file.read_bytes()
    file.write_bytes(content[:-100])
    assert_refused(world, 65, "labels", "004.parquet")
    file.write_bytes(content)
    assert_recovers(world)


@pytest.mark.parametrize("name", ["y_pred_proba", "region", "time", "id"])
def test_changed_schema(world, name):
    world.arrive(4)
    file = world.folder / "predictions" / "004.parquet"
    frame = pd.read_parquet(file)
    frame.rename(columns={name: f"{name}_v2"}).to_parquet(file)
    assert_refused(world, 65, "predictions", name)
    frame.to_parquet(file)
    assert_recovers(world)


def test_changed_type_of_ids(world):
    world.arrive(4)
    file = world.folder / "labels" / "004.parquet"
    frame = pd.read_parquet(file)
    frame.assign(id="row-" + frame["id"].astype(str)).to_parquet(file)
    assert_refused(world, 65, "labels")


def test_score_that_is_none(world):
    world.arrive(4)
    file = world.folder / "predictions" / "004.parquet"
    frame = pd.read_parquet(file)
    frame.assign(y_pred_proba=100 * frame["y_pred_proba"]).to_parquet(file)
    assert_refused(world, 65, "y_pred_proba", "[0, 1]")
    frame.to_parquet(file)
    assert_recovers(world)


def test_nan_flood(world):
    world.arrive(4)
    file = world.folder / "predictions" / "004.parquet"
    frame = pd.read_parquet(file)
    frame.assign(y_pred_proba=np.nan).to_parquet(file)
    assert_refused(world, 65, "score", "2026-01-09", "missing")
    frame.to_parquet(file)
    assert_recovers(world)


def test_rows_without_time_or_id(world):
    world.arrive(4)
    file = world.folder / "predictions" / "004.parquet"
    frame = pd.read_parquet(file)
    frame.assign(time=frame["time"].where(frame.index > frame.index[2])).to_parquet(
        file
    )
    assert_refused(world, 65, "every row must have a time", "3 have none")
    frame["id"] = frame["id"].astype("Int64").where(frame.index > frame.index[1])
    frame.to_parquet(file)
    assert_refused(world, 65, "every row must have a id", "2 have none")


def test_row_delivered_again_with_another_score(world):
    world.arrive(4)
    file = world.folder / "predictions" / "004.parquet"
    frame = pd.read_parquet(file)
    twice = pd.concat([frame, frame[:3], frame[5:6].assign(y_pred_proba=0.123)])
    twice.to_parquet(file)
    assert_refused(world, 65, "delivered again", repr(int(frame["id"].iloc[5])))
    pd.concat([frame, frame[:3]]).to_parquet(file)  # the same twice: counts once
    assert_recovers(world)


def test_labels_that_are_no_labels(world):
    world.arrive(4)
    file = world.folder / "labels" / "004.parquet"
    frame = pd.read_parquet(file)
    frame.assign(y_true=frame["y_true"] + 1).to_parquet(file)
    assert_refused(world, 65, "y_true", "0 and 1")


def test_empty_night(world):
    before = world.dump()
    assert world.command().returncode == 99
    rows = pd.read_parquet(world.folder / "predictions" / "003.parquet")
    rows[:0].to_parquet(world.folder / "predictions" / "004.parquet")
    done = world.command()
    assert (done.returncode, done.stdout, done.stderr) == (99, "", "")
    assert world.final() == {**world.final()}
    after = world.dump()
    del before["deadreckon_piece"], after["deadreckon_piece"]
    assert after == before


def test_clock_set_back(world, monkeypatch):
    class EarlyClock(clock.datetime):
        @classmethod
        def now(cls, zone):
            return cls(2025, 12, 1, tzinfo=zone)

    world.arrive(4)
    before = world.dump()
    monkeypatch.setattr(clock, "datetime", EarlyClock)
    assert world.run() == 65
    assert world.dump() == before
    monkeypatch.undo()
    assert_recovers(world)


def test_source_that_has_lost_rows_keeps_the_old_results(world):
    before = world.final()
    file = world.folder / "predictions" / "002.parquet"
    pd.read_parquet(file)[:50].to_parquet(file)
    done = world.command()
    assert done.returncode == 99
    assert "chunk 2026-01-07 is left as it was" in done.stderr
    assert world.final() == before
    file.unlink()
    assert world.command().returncode == 99
    assert world.final() == before


def test_two_jobs_at_once(world):
    import sqlite3

    world.arrive(4)
    lock = sqlite3.connect(world.folder / "deadreckon.db.lock", isolation_level=None)
    lock.execute("BEGIN EXCLUSIVE")
    try:
        assert_refused(world, 75, "Another run works on the store")
    finally:
        lock.close()
    assert_recovers(world)


def test_two_commands_at_once_do_the_work_once(world):
    world.arrive(4)
    jobs = [
        subprocess.Popen(command_line("run", str(world.path)), stderr=subprocess.PIPE)  # noqa: S603
        for _ in range(2)
    ]
    codes = {job.wait() for job in jobs}
    for job in jobs:
        job.stderr.close()
    assert codes <= {0, 75, 99}
    assert 0 in codes
    assert world.command().returncode == 99


def test_folder_that_is_not_there(tmp_path):
    world = World(tmp_path / "world", n_days=1, store="missing/deadreckon.db")
    world.arrive_all()
    done = world.command()
    assert done.returncode == 2
    assert "there is no folder" in done.stderr


def test_database_down(tmp_path):
    world = World(
        tmp_path / "world",
        n_days=1,
        store="postgresql+psycopg://nobody:hush@127.0.0.1:9/deadreckon",
    )
    world.arrive_all()
    done = world.command()
    assert done.returncode == 1
    assert "cannot be used" in done.stderr
    assert "hush" not in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs a place like /proc")
def test_folder_that_cannot_be_written(world):
    """Where not even root may write."""
    other = World(world.folder.parent / "other", n_days=1, store="/proc/deadreckon.db")
    other.arrive_all()
    done = other.command()
    assert done.returncode == 1
    assert "/proc/deadreckon.db" in done.stderr
    assert "Traceback" not in done.stderr
    assert not contents(other)
    world.arrive(4)
    text = world.path.read_text()
    world.path.write_text(text.replace('report = "report"', 'report = "/proc/pages"'))
    done = world.command()
    assert done.returncode == 1
    assert "/proc/pages" in done.stderr
    assert "Traceback" not in done.stderr
    world.path.write_text(text)
    assert world.command().returncode == 99  # what could be done was done
    assert "2026-01-09" in (world.folder / "report" / "credit.html").read_text()


def test_file_that_is_no_store(tmp_path):
    world = World(tmp_path / "world", n_days=1)
    world.arrive_all()
    (world.folder / "deadreckon.db").write_text("something else, long enough " * 50)
    done = world.command()
    assert done.returncode == 1
    assert "file is not a database" in done.stderr
    assert "Traceback" not in done.stderr


def test_disk_full(world):
    """The store's file may not grow: what a full disk says to SQLite."""
    import sqlite3

    with sqlite3.connect(world.folder / "deadreckon.db") as connection:
        pages = connection.execute("PRAGMA page_count").fetchone()[0]
    connection.close()
    world.arrive(4)
    code = f"""
import sqlalchemy as sa
from estimator.operations.store import connection as connecting
made = connecting._engine
def limited(url):
    engine = made(url)
    sa.event.listen(
        engine, "connect", lambda c, _: c.execute("PRAGMA max_page_count = {pages}")
    )
    return engine
connecting._engine = limited
from estimator.operations.commands.main import main
main()
"""
    before, drawn = world.dump(), contents(world)
    done = subprocess.run(  # noqa: S603
        [*command_line()[:2], code, "run", str(world.path)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "database or disk is full" in done.stderr
    assert "Traceback" not in done.stderr
    assert world.dump() == before
    assert contents(world) == drawn
    assert_recovers(world)


def test_one_bad_model_does_not_stop_the_others(world):
    text = world.path.read_text()
    other = text.split("[models.credit]")[1].replace("credit", "fraud")
    world.path.write_text(f"{text}\n[models.fraud]{other}")
    shutil.copytree(world.folder / "predictions", world.folder / "fraud")
    world.path.write_text(
        world.path.read_text().replace(
            '[models.fraud]\nreference = "reference.csv"\npredictions = "predictions',
            '[models.fraud]\nreference = "reference.csv"\npredictions = "fraud',
        )
    )
    (world.folder / "fraud" / "001.parquet").write_bytes(b"PAR1 and then nothing")
    world.arrive(4)
    done = world.command()
    assert done.returncode == 65
    assert "fraud: " in done.stderr
    chunks = {row[1] for row in world.dump("deadreckon_chunk")["deadreckon_chunk"]}
    assert "2026-01-09" in chunks


def test_terminated_run_leaves_no_folder_behind(world, tmp_path):
    world.arrive(4)
    spill = tmp_path / "spill"
    spill.mkdir()
    job = subprocess.Popen(  # noqa: S603
        command_line("run", str(world.path)),
        env={**os.environ, "TMPDIR": str(spill)},
        stderr=subprocess.DEVNULL,
    )
    while job.poll() is None and not list(spill.iterdir()):
        time.sleep(0.005)
    job.terminate()
    assert job.wait() in (143, 0)
    assert not list(spill.iterdir())
    assert world.command().returncode in (0, 99)


def test_labels_of_something_else_are_noted(world):
    stray = world.rows[:40].assign(id=lambda rows: rows["id"] + 10_000_000)
    stray["labeled_at"] = START + pd.Timedelta(days=3)
    stray[["id", "y_true", "labeled_at"]].to_parquet(
        world.folder / "labels" / "stray.parquet"
    )
    done = world.command()
    assert done.returncode == 99
    assert "none of 40 labels belongs to a prediction" in done.stderr
