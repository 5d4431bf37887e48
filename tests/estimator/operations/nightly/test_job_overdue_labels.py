"""Labels that stop: told once, shown everywhere, and no value moves."""

import re

import numpy as np
import pandas as pd
import pytest

from estimator.operations.exit_codes import NOTHING_NEW, RAN, WARNING
from tests.estimator.operations.nightly.notified_worlds import (
    figures,
    load_overview_of,
    texts,
)
from trials.nightly_world import START, World


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
