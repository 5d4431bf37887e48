"""SIGTERM and SIGINT end every command: soon, with a message, whatever it is doing."""

import os
import signal
import sqlite3
import time
from pathlib import Path

import pytest

from estimator.files.atomic import replacing, temporary_folder
from estimator.operations import signals
from estimator.operations.commands import estimate
from estimator.operations.errors import DataError
from estimator.operations.exit_codes import NOTHING_NEW, RAN
from estimator.operations.nightly import job, overview
from estimator.operations.store import locks
from trials.nightly_world import World
from trials.processes import (
    send,
    start_command,
    temporary_files_in,
    wait_for_end,
)


def swallow_everything(*_, **__):
    """Never end, and never let an exception out."""
    while True:
        try:
            time.sleep(0.01)
        except BaseException:  # noqa: S112 - as libraries do
            continue


def wait_in_the_system(*_, **__):
    """Never end, within a call during which Python runs no handler."""
    import ctypes

    while True:  # a signal wakes it
        ctypes.CDLL(None).sleep(1_000)


@pytest.fixture
def world(tmp_path):
    world = World(tmp_path / "world", n_days=1)
    world.arrive_all()
    return world


@pytest.fixture
def stop(tmp_path):
    """Start a command, send it a signal when ``path`` is there; its code and words."""
    stderr = tmp_path / "stderr.txt"

    def stop(number, *arguments, path):
        process = start_command(*arguments, stderr=stderr)
        while process.is_alive() and not path.exists():
            time.sleep(0.01)
        time.sleep(0.2)
        begun = time.monotonic()
        assert send(process, number)
        code = wait_for_end(process)
        assert time.monotonic() - begun < 10.0
        return code, stderr.read_text()

    return stop


def reaching(path, then):
    """Return a function that notes that it was called, and goes on with another."""

    def reach(*arguments, **options):
        path.touch()
        then(*arguments, **options)

    return reach


@pytest.mark.parametrize(
    ("name", "number", "code", "then"),
    [
        ("SIGTERM", signal.SIGTERM, 143, swallow_everything),
        ("SIGINT", signal.SIGINT, 130, wait_in_the_system),
    ],
)
@pytest.mark.parametrize("stage", ["run_model", "save_run", "_write_text"])
def test_a_run_ends_wherever_it_is(
    world, stop, tmp_path, monkeypatch, stage, name, number, code, then
):
    path = tmp_path / "reached"
    with monkeypatch.context() as patched:
        patched.setattr(job, stage, reaching(path, then))
        ended, text = stop(number, "run", world.path, path=path)
    assert ended == code
    assert text.startswith(f"Stopped by {name}. ")
    assert len(text.splitlines()) == 1
    assert world.run() in (RAN, NOTHING_NEW)  # nobody has the lock


def test_it_ends_while_it_waits_for_the_lock(world, stop, tmp_path, monkeypatch):
    monkeypatch.setattr(locks, "LOCK_SECONDS", 1_000.0)
    world.run()
    path = world.folder / "deadreckon.db.lock"
    lock = sqlite3.connect(path, isolation_level=None)
    lock.execute("BEGIN EXCLUSIVE")
    assert stop(signal.SIGTERM, "run", world.path, path=path)[0] == 143
    lock.close()


def test_what_fails_for_want_of_temporary_files_is_no_failure_of_a_model(
    world, stop, tmp_path, monkeypatch
):
    """Between their removal and the end of the process, the main thread goes on."""
    path = tmp_path / "reached"
    remove = signals.remove_temporaries

    def work(*_, **__):
        with temporary_folder() as folder:
            path.touch()
            while folder.exists():
                time.sleep(0.01)
            msg = "predictions cannot be read: a spilled block is not there."
            raise DataError(msg)

    def remove_and_linger():
        remove()
        time.sleep(1.0)

    monkeypatch.setattr(job, "run_model", work)
    monkeypatch.setattr(signals, "remove_temporaries", remove_and_linger)
    with temporary_files_in(tmp_path / "temporary"):
        code, text = stop(signal.SIGTERM, "run", world.path, path=path)
    assert code == 143
    assert len(text.splitlines()) == 1
    tables = world.dump("deadreckon_run", "deadreckon_message")
    assert tables == {"deadreckon_run": [], "deadreckon_message": []}


def test_it_ends_while_it_writes_to_temporary_files(world, stop, tmp_path, monkeypatch):
    path = tmp_path / "reached"
    spill = tmp_path / "temporary"

    def write(*_, **__):
        with replacing(world.folder / "report.v-2.html"), temporary_folder() as folder:
            (folder / "block").write_text("half")
            path.touch()
            wait_in_the_system()

    monkeypatch.setattr(job, "run_model", write)
    before = set(world.folder.iterdir())
    with temporary_files_in(spill):
        assert stop(signal.SIGTERM, "run", world.path, path=path)[0] == 143
    assert list(spill.iterdir()) == []
    left = {path.name for path in set(world.folder.iterdir()) - before}
    assert [name for name in left if not name.startswith("deadreckon.db")] == []


@pytest.mark.parametrize("command", ["estimate", "demo", "status", "report"])
def test_the_other_commands(world, stop, tmp_path, monkeypatch, command):
    path = tmp_path / "reached"
    halt = reaching(path, swallow_everything)
    monkeypatch.setattr(estimate, "run_estimation", halt)
    monkeypatch.setattr(overview, "load_overview", halt)
    monkeypatch.setattr("estimator.simulation.simulate_credit_default", halt)
    arguments = {
        "estimate": ["--reference", "a.csv", "--analysis", "b.csv"],
        "demo": ["--output-dir", tmp_path / "demo"],
    }
    if command in ("status", "report"):
        monkeypatch.undo()
        world.run()
        monkeypatch.setattr(overview, "load_overview", halt)
    options = arguments.get(command, [world.path])
    code, text = stop(signal.SIGINT, command, *options, path=path)
    assert code == 130
    assert text.startswith("Stopped by SIGINT. ")
    assert "Traceback" not in text


def test_as_json(world, stop, tmp_path, monkeypatch):
    import json

    path = tmp_path / "reached"
    monkeypatch.setattr(job, "run_model", reaching(path, swallow_everything))
    run = ("run", world.path, "--log-format", "json")
    code, text = stop(signal.SIGTERM, *run, path=path)
    (line,) = map(json.loads, text.splitlines())
    assert line["process_exit_code"] == code == 143
    assert line["level"] == "ERROR"


def test_a_message_that_nobody_reads_delays_it_only_for_a_while(
    world, tmp_path, monkeypatch
):
    """Stderr is a pipe that is full; a second signal ends even the wait for it."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    reached = tmp_path / "reached"
    monkeypatch.setattr(signals, "GRACE_SECONDS", 5.0)

    def fill(*_, **__):
        os.set_blocking(2, False)
        try:
            while True:
                os.write(2, b"x" * 4_096)
        except BlockingIOError:
            os.set_blocking(2, True)
        reached.touch()
        swallow_everything()

    monkeypatch.setattr(job, "run_model", fill)
    for n_signals, at_least, at_most in ((1, 4.5, 9.0), (2, 0.0, 4.0)):
        reached.unlink(missing_ok=True)
        process = start_command("run", world.path, stderr=Path(pipe))
        while not reached.exists():
            time.sleep(0.01)
        begun = time.monotonic()
        for _ in range(n_signals):
            send(process, signal.SIGTERM)
            time.sleep(0.3)
        assert wait_for_end(process) == 143
        assert at_least <= time.monotonic() - begun <= at_most
        while os.read(reader, 65_536):
            pass
    os.close(reader)


def test_a_signal_that_is_ignored_stays_so(world, tmp_path, monkeypatch):
    """As SIGINT is for jobs in a shell's background, and SIGHUP under nohup."""
    path = tmp_path / "reached"

    def wait(*_, **__):
        path.touch()
        time.sleep(1.0)

    monkeypatch.setattr(job, "_post", wait)
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        process = start_command("run", world.path, stderr=tmp_path / "stderr.txt")
    finally:
        signal.signal(signal.SIGINT, before)
    while not path.exists():
        time.sleep(0.01)
    send(process, signal.SIGINT)
    assert wait_for_end(process) == 0


def test_ended_while_it_posts_the_message_is_posted_by_the_next_run(
    tmp_path, waiting, hook, stop
):
    path = tmp_path / "reached"
    hook.meanwhile = lambda: (path.touch(), time.sleep(2.0))
    assert stop(signal.SIGTERM, "run", waiting.path, path=path)[0] == 143
    hook.meanwhile = lambda: None
    assert waiting.run() == NOTHING_NEW
    assert hook.received[0] == hook.received[1]
    assert waiting.run() == NOTHING_NEW
    assert len(hook.received) == 2
