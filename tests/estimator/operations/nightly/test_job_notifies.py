"""After the run: one message when a verdict changes, not one a night; figures."""

import json
import re
import sqlite3
import threading
import time

import numpy as np
import pandas as pd
import pytest

from estimator.operations.exit_codes import (
    BAD_DATA,
    CRASHED,
    LOCKED,
    NOTHING_NEW,
)
from estimator.operations.store import locks
from tests.estimator.operations.nightly.notified_worlds import figures, texts
from trials.nightly_world import START, World


@pytest.fixture
def world(tmp_path, hook, monkeypatch):
    """A model that turns into a coin toss, and a channel to tell of it."""
    monkeypatch.setenv("HOOK", f"http://127.0.0.1:{hook.server_port}/T0SECRET")
    world = World(tmp_path / "world", n_days=20)
    late = world.rows["time"] > START + pd.Timedelta(days=8)
    coin = np.random.default_rng(0).random(len(world.rows)) < 0.5
    world.rows["y_true"] = np.where(late, coin, world.rows["y_true"]).astype(int)
    world.rows["labeled_at"] = world.rows["time"] + pd.Timedelta(minutes=1)
    text = world.path.read_text().replace('segments = ["region"]\n', "")
    world.path.write_text(
        f'[notify]\nwebhook = "${{HOOK}}"\nprometheus = "deadreckon.prom"\n{text}'
    )
    return world


def test_one_message_when_a_verdict_changes(world, hook):
    posted_days = []
    for day in range(world.n_days):
        world.arrive(day)
        world.run()
        posted_days.append(len(hook.received))
        assert world.run() == NOTHING_NEW
        assert len(hook.received) == posted_days[-1]
    assert posted_days[7] == 0
    assert (
        1 <= posted_days[-1] <= 4
    )  # two metrics, each announced once or corrected once
    text = " ".join(message["text"] for message in hook.received)
    assert "credit" in text
    assert "suddenly" in text


def test_a_message_that_was_not_delivered_is_told_after_the_next_run(
    world, hook, caplog
):
    hook.status = 400
    codes = []
    for day in range(world.n_days):
        world.arrive(day)
        codes.append(world.run())
    assert CRASHED in codes
    assert "tried again after the next run" in caplog.text
    assert "T0SECRET" not in caplog.text
    refused = hook.received.copy()
    hook.received.clear()
    hook.status = 200
    assert world.run() == NOTHING_NEW
    (message,) = hook.received
    assert message == refused[-1]
    assert world.run() == NOTHING_NEW
    assert len(hook.received) == 1


def test_figures_for_prometheus(world):
    world.arrive_all()
    world.run()
    gauges = figures(world)
    assert gauges["deadreckon_alert", "roc_auc", None] == 1
    assert gauges["deadreckon_value", "roc_auc", None] < 0.62
    assert gauges["deadreckon_verdict", "roc_auc", "sudden"] == 1
    newest = START + pd.Timedelta(days=world.n_days - 1)
    begun = gauges["deadreckon_chunk_start_timestamp_seconds", "roc_auc", None]
    assert 0 <= begun - newest.timestamp() < 3_600


def test_a_run_that_failed_is_no_success(world):
    success = ("deadreckon_last_success_timestamp_seconds", None, None)
    world.arrive_all()
    world.run()
    last = figures(world)[success]
    file = world.folder / "predictions" / "003.parquet"
    content = file.read_bytes()
    file.write_bytes(b"PAR1")
    assert world.run() == BAD_DATA
    assert figures(world)[success] == last
    file.write_bytes(content)
    world.run()
    assert figures(world)[success] > last


def hold_lock(world, kind):
    """Take a lock of the store at once, or fail."""
    lock = sqlite3.connect(
        world.folder / f"deadreckon.db.{kind}", isolation_level=None, timeout=0.0
    )
    lock.execute("BEGIN EXCLUSIVE")
    return lock


def test_messages_are_posted_when_the_store_is_free_again(waiting, hook):
    """Pages, figures and the lock wait for nobody who takes messages slowly."""
    seen = []
    written = [
        waiting.folder / name
        for name in ("report/credit.html", "report/index.html", "deadreckon.prom")
    ]
    for path in written:
        path.unlink()

    def look():
        hold_lock(waiting, "lock").close()
        seen.append([path.is_file() for path in written])

    hook.meanwhile = look
    assert waiting.run() == NOTHING_NEW
    assert seen == [[True, True, True]]


def test_two_runs_that_post_at_once_post_once(waiting, hook):
    hook.meanwhile = lambda: time.sleep(1.0)
    codes = []
    runs = [
        threading.Thread(target=lambda: codes.append(waiting.run())) for _ in range(2)
    ]
    for run in runs:
        run.start()
        time.sleep(0.5)
    for run in runs:
        run.join()
    assert set(codes) <= {NOTHING_NEW, LOCKED}
    assert len(hook.received) == 1


def test_a_run_that_posts_too_long_is_not_waited_for(
    waiting, hook, monkeypatch, caplog
):
    monkeypatch.setattr(locks, "POSTING_SECONDS", 0.2)
    lock = hold_lock(waiting, "posting.lock")
    assert waiting.run() == CRASHED
    lock.close()
    assert "has been posting messages" in caplog.text
    assert not hook.received
    assert waiting.run() == NOTHING_NEW
    assert len(hook.received) == 1


def notify(world, **settings):
    """Set keys of [notify]."""
    lines = "\n".join(f"{key} = {json.dumps(value)}" for key, value in settings.items())
    text = world.path.read_text()
    world.path.write_text(text.replace("[notify]\n", f"[notify]\n{lines}\n"))


def test_alerts_failures_and_the_address_of_the_pages(world, hook):
    notify(
        world,
        on=["alert", "failure"],
        metrics=["roc_auc"],
        report_url="https://example.com/pages/",
    )
    for day in range(12):
        world.arrive(day)
        world.run()
    posted = texts(hook)
    assert len(posted) == 1  # when it began, not each day
    assert re.search(
        r"credit · roc_auc: 0\.\d+ \(.*\) in chunk .* below the", posted[0]
    )
    assert "Report: https://example.com/pages/" in posted[0]
    assert "accuracy" not in posted[0]
    file = world.folder / "predictions" / "011.parquet"
    content = file.read_bytes()
    for _ in range(2):
        file.write_bytes(b"PAR1")
        assert world.run() == BAD_DATA
    file.write_bytes(content)
    world.run()
    failed, again = texts(hook)[1:]
    assert "1 failed run" in failed
    assert "credit: the run failed with exit code 65: predictions" in failed
    assert "credit: works again" in again


def test_messages_are_about_what_was_asked(world, hook):
    text = world.path.read_text()
    world.path.write_text(
        text.replace('metrics = ["roc', 'segments = ["region"]\nmetrics = ["roc')
    )
    notify(world, metrics=["accuracy"], segments=["region=north"])
    for day in range(world.n_days):
        world.arrive(day)
        world.run()
    subjects = set(re.findall(r"credit · [^:]*", " ".join(texts(hook))))
    assert subjects <= {"credit · accuracy", "credit · accuracy · region=north"}
    assert "credit · accuracy" in subjects
