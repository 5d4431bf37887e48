"""After the run: one message when a verdict changes, not one a night; figures."""

import json
import re
import sqlite3
import threading
import time

import numpy as np
import pandas as pd
import pytest
from prometheus_client.parser import text_string_to_metric_families

from estimator.operations.exit_codes import (
    BAD_DATA,
    CRASHED,
    LOCKED,
    NOTHING_NEW,
    RAN,
    WARNING,
)
from estimator.operations.nightly.overview import load_overview
from estimator.operations.store import locks
from estimator.operations.store.connection import open_store
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


@pytest.fixture
def calm(tmp_path, hook, monkeypatch):
    """A model that is as good as ever, and a channel."""
    monkeypatch.setenv("HOOK", f"http://127.0.0.1:{hook.server_port}/T0SECRET")
    world = World(tmp_path / "calm", n_days=16)
    text = world.path.read_text()
    world.path.write_text(
        f'[notify]\nwebhook = "${{HOOK}}"\nprometheus = "deadreckon.prom"\n{text}'
    )
    return world


def texts(hook):
    return [message["text"] for message in hook.received]


def test_labels_that_stop_are_told_once_and_shown_everywhere(calm, hook):
    died = START + pd.Timedelta(days=5)
    for day in range(calm.n_days):
        calm.arrive(day)
        file = calm.folder / "labels" / f"{day:03d}.parquet"
        if day >= 5:
            file.rename(file.with_suffix(".kept"))
        calm.run()
    (text,) = texts(hook)
    came = calm.rows["labeled_at"] < died
    due = calm.rows["labeled_at"] < calm.end()
    missing = int((due & ~came).sum())
    match = re.search(r"no labels since (\S+); ([\d,]+) of ([\d,]+) expected", text)
    assert match[1] == "2026-01-09"
    assert "label feed that stopped" in text
    status = calm.command("status").stdout
    (line,) = [x for x in status.splitlines() if x.startswith("  Warning: no labels")]
    n_expected = int(re.search(r"; ([\d,]+) of", line)[1].replace(",", ""))
    assert n_expected == pytest.approx(missing, rel=0.1)
    page = (calm.folder / "report" / "credit.html").read_text()
    index = (calm.folder / "report" / "index.html").read_text()
    assert "no labels since" in page
    assert "no labels since" in index
    gauge = figures(calm)["deadreckon_labels_overdue", None, None]
    assert gauge == n_expected
    assert calm.run(fail_on="warning") == WARNING
    assert calm.run(fail_on="alert") == NOTHING_NEW
    for file in (calm.folder / "labels").glob("*.kept"):
        file.rename(file.with_suffix(".parquet"))
    calm.run()
    assert len(hook.received) == 2
    assert "labels come again" in texts(hook)[-1]
    assert "Warning: no labels" not in calm.command("status").stdout
    assert figures(calm)["deadreckon_labels_overdue", None, None] == 0


def test_labels_of_another_model_are_no_sign_of_life(calm, hook):
    """One table of labels may serve several models: only one's feed has stopped."""
    for day in range(calm.n_days):
        calm.arrive(day)
    for file in sorted((calm.folder / "labels").glob("*.parquet"))[5:]:
        labels = pd.read_parquet(file)
        labels.assign(id=-1 - labels["id"]).to_parquet(file)
    calm.run()
    overdue = load_overview_of(calm).overdue
    assert pd.Timestamp(overdue.since, unit="us").floor("D") == pd.Timestamp(
        "2026-01-09"
    )
    assert overdue.n_since == 0


def test_labels_that_never_come_are_missed_when_they_are_due(calm, hook, caplog):
    file = calm.folder / "reference.csv"
    reference = pd.read_csv(file, parse_dates=["labeled_at"])
    reference["labeled_at"] += pd.Timedelta(days=4)
    reference.to_csv(file, index=False)
    for day in range(calm.n_days):
        calm.arrive(day)
        for file in (calm.folder / "labels").glob("*.parquet"):
            file.unlink()
        caplog.clear()
        calm.run()
        warnings = [r for r in caplog.records if r.levelname == "WARNING"]
        texts_of_day = [record.getMessage() for record in warnings]
        if day < 6:  # too few, if any, were due two days ago
            assert texts_of_day == []
            continue
        overdue, pattern = texts_of_day
        assert overdue.startswith("credit: no label has come yet; ")
        assert pattern.startswith("credit: labels: no file matches ")
    (text,) = texts(hook)
    assert "no label has come yet" in text


def test_a_dead_feed_moves_no_value_of_the_job(calm, tmp_path):
    """Three stray labels, ten days after the others, teach nothing of those waiting."""
    died = START + pd.Timedelta(days=5)
    calm.arrive_all()
    labels = calm.rows[["id", "y_true", "labeled_at"]]
    for file in (calm.folder / "labels").glob("*.parquet"):
        file.unlink()
    usual = labels[labels["labeled_at"] < died]
    usual.to_parquet(calm.folder / "labels" / "usual.parquet")
    calm.run()
    before = load_overview_of(calm).performance
    last = labels["labeled_at"].between(
        calm.end() - pd.Timedelta(hours=20), calm.end() - pd.Timedelta(hours=4)
    )
    labels[last][:3].to_parquet(calm.folder / "labels" / "stray.parquet")
    calm.run()
    after = load_overview_of(calm)
    assert after.overdue.n_since == 3
    half = 0.5 * (before.upper - before.lower)
    moved = np.abs(after.performance.value - before.value)
    assert (moved <= 0.25 * half + 1e-4).all()


def add_labels(world, chosen, name="labels"):
    labels = world.rows.loc[chosen, ["id", "y_true", "labeled_at"]]
    labels.to_parquet(world.folder / "labels" / f"{name}.parquet")


def test_labels_and_predictions_that_both_stop_are_told(calm, hook, caplog):
    """Nothing is touched then: all that moves on is the date of the run."""
    last = 6
    for day in range(last):
        calm.arrive(day)
    codes = [calm.run(until=calm.moment(day)) for day in range(last, calm.n_days + 1)]
    assert calm.run(until=calm.moment(calm.n_days)) == NOTHING_NEW
    (text,) = texts(hook)
    assert "no labels since 2026-01-10" in text
    assert codes.count(RAN) == 2  # the first, and when it was seen
    assert "no labels since 2026-01-10" in caplog.text
    due = calm.rows["labeled_at"] < calm.end()
    due &= calm.rows["time"] < calm.moment(last)
    missing = int((due & (calm.rows["labeled_at"] >= calm.moment(last))).sum())
    overview = load_overview_of(calm)
    assert overview.overdue.missing == pytest.approx(missing, rel=0.1)
    assert overview.as_of < calm.moment(last + 1)  # the results know of nothing later


def test_no_all_clear_while_nobody_can_know(calm, hook):
    died = START + pd.Timedelta(days=5)
    calm.arrive_all()
    for file in (calm.folder / "labels").glob("*.parquet"):
        file.unlink()
    add_labels(calm, calm.rows["labeled_at"] < died)
    calm.run()
    assert "no labels since" in texts(hook)[0]
    text = calm.path.read_text()
    calm.path.write_text(text.replace('labeled_at = "labeled_at"\n', ""))
    calm.run()
    assert load_overview_of(calm).overdue is None
    assert len(hook.received) == 1


def test_the_job_forgets_an_outage_and_remembers_a_dead_feed(tmp_path):
    world = World(tmp_path / "long", n_days=260, per_day=12)
    came = world.rows["labeled_at"]
    begin, end = world.moment(10), world.moment(40)
    world.rows["labeled_at"] = came.mask(came.between(begin, end), end)
    frame = world.rows.drop(columns=["y_true", "labeled_at"])
    frame.to_parquet(world.folder / "predictions" / "all.parquet")
    died = world.moment(150)
    usual = world.rows["labeled_at"] < died
    add_labels(world, usual)
    world.run(until=died + pd.Timedelta(days=1))
    assert load_overview_of(world).overdue is None
    world.run(until=died + pd.Timedelta(days=20))
    assert load_overview_of(world).overdue.missing > 100
    stray = world.rows["labeled_at"].between(world.moment(250), world.moment(251))
    add_labels(world, stray & (stray.cumsum() == 1), "stray")
    world.run()
    overdue = load_overview_of(world).overdue
    assert pd.Timestamp(overdue.since, unit="us") < died
    assert 1 <= overdue.n_since < 10  # the last usual day may not be told exactly
    assert overdue.missing == pytest.approx((~usual).sum(), rel=0.1)


def test_a_retraining_hides_no_dead_feed_from_the_job(tmp_path):
    """Stray labels of the old model's rows are few for both models together."""
    messages = []
    for retrained in ("", '[[models.credit.retrained]]\nfrom_chunk = "2026-01-24"\n'):
        world = World(tmp_path / f"world{len(messages)}", n_days=27)
        if retrained:
            text = f'{world.path.read_text()}\n{retrained}reference = "reference.csv"\n'
            world.path.write_text(text)
        world.rows.drop(columns=["y_true", "labeled_at"]).to_parquet(
            world.folder / "predictions" / "all.parquet"
        )
        came, died = world.rows["labeled_at"], world.moment(20)
        stray = came.between(died, world.end())
        stray &= world.rows["time"] < world.moment(19)
        add_labels(world, (came < died) | (stray & (stray.cumsum() % 3 > 0)))
        world.run()
        messages.append(load_overview_of(world).overdue)
    plain, both = messages
    assert plain.n_since > 50
    assert both.missing == pytest.approx(plain.missing, rel=0.1)
    assert (both.since, both.n_since) == (plain.since, plain.n_since)


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


def load_overview_of(world):
    with open_store(world.config.job.store) as store:
        return load_overview(store, "credit")
