"""After the run: one message when a verdict changes, not one a night; figures."""

import sqlite3
import threading
import time

import numpy as np
import pandas as pd
import pytest
from prometheus_client.parser import text_string_to_metric_families

from estimator.operations import store
from estimator.operations.job import BAD_DATA, CRASHED, LOCKED, NOTHING_NEW
from tests.estimator.operations.nightly import START, World


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
    told = []
    for day in range(world.n_days):
        world.arrive(day)
        world.run()
        told.append(len(hook.received))
        assert world.run() == NOTHING_NEW
        assert len(hook.received) == told[-1]
    assert told[7] == 0
    assert 1 <= told[-1] <= 4  # two metrics, each announced once or corrected once
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


def figures(world):
    text = (world.folder / "deadreckon.prom").read_text(encoding="utf-8")
    return {
        (one.name, one.labels.get("metric"), one.labels.get("kind")): one.value
        for family in text_string_to_metric_families(text)
        for one in family.samples
    }


def test_figures_for_prometheus(world):
    world.arrive_all()
    world.run()
    found = figures(world)
    assert found["deadreckon_alert", "roc_auc", None] == 1
    assert found["deadreckon_value", "roc_auc", None] < 0.62
    assert found["deadreckon_verdict", "roc_auc", "sudden"] == 1
    newest = START + pd.Timedelta(days=world.n_days - 1)
    begun = found["deadreckon_chunk_start_timestamp_seconds", "roc_auc", None]
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
    monkeypatch.setattr(store, "POSTING_SECONDS", 0.2)
    lock = hold_lock(waiting, "posting.lock")
    assert waiting.run() == CRASHED
    lock.close()
    assert "has been posting messages" in caplog.text
    assert not hook.received
    assert waiting.run() == NOTHING_NEW
    assert len(hook.received) == 1
