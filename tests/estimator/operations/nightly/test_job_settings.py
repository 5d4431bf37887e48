"""Configurations that change between runs: metrics, segments, retrainings."""

import pandas as pd
import pytest

from estimator.operations.exit_codes import BAD_DATA, MISUSED, NOTHING_NEW, RAN
from tests.estimator.operations.nightly.changed_worlds import (
    declined,
    edit,
    files,
    fresh,
)
from tests.estimator.operations.nightly.test_job import load, overview_of
from trials.nightly_world import START


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
