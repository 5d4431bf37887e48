"""`deadreckon status`, `report` and `schema`, as users call them."""

import json
import re

import pandas as pd
import pytest

from estimator.operations.config.settings import config_schema
from tests.estimator.operations.commands.calls import call, files_in
from trials.nightly_world import START


def test_status_and_report_speak_of_the_past_when_asked(world):
    call(0, "run", world.path, "--as-of", "2026-01-07")
    first = call(0, "status", world.path).stdout
    call(0, "run", world.path)
    assert "2026-01-10" in call(0, "status", world.path).stdout
    then = call(0, "status", world.path, "--as-of", "2026-01-07").stdout
    dates = r"2026-01-\d\d +\d+"  # of chunks, and their rows
    assert re.findall(dates, then) == re.findall(dates, first) != []
    assert (
        "nothing has been said by"
        in call(0, "status", world.path, "--as-of", "2025-01-01").stderr
    )
    call(
        0,
        "report",
        world.path,
        "--as-of",
        "2026-01-07",
        "--output-dir",
        world.folder / "then",
    )
    assert "2026-01-10" not in (world.folder / "then" / "credit.html").read_text()


def test_report_draws_the_same_pages_again(world):
    call(0, "run", world.path)
    pages = files_in(world.folder / "report")
    assert [file.name for file in pages] == ["credit.html", "index.html"]
    for file in pages:
        file.unlink()
    result = call(0, "report", world.path)
    assert files_in(world.folder / "report") == pages
    assert f"open {world.folder / 'report' / 'index.html'}" in result.stderr


def test_nothing_new_draws_pages_that_are_missing(world):
    call(0, "run", world.path)
    pages = files_in(world.folder / "report")
    (world.folder / "report" / "credit.html").unlink()
    call(99, "run", world.path)
    assert files_in(world.folder / "report") == pages


def test_status_before_the_first_run(world):
    assert "There is no store" in call(2, "status", world.path).stderr
    assert (
        "There is no model 'debit'"
        in call(2, "status", world.path, "--model", "debit").stderr
    )


def test_schema(world):
    result = call(0, "run", "--schema")
    assert json.loads(result.stdout) == config_schema()


def test_status_for_programs_says_what_the_store_holds(world):
    call(0, "run", world.path)
    (status,) = json.loads(call(0, "status", world.path, "--format", "json").stdout)
    assert status["model"] == "credit"
    assert status["as_of"].startswith("2026-01-10T")
    assert (status["warnings"], status["labels_overdue"]) == ([], 0)
    assert status["newest_complete_chunk"] == "2026-01-10"
    assert status["unfinished_chunk"] is None
    assert len(status["chunks"]) == 6 * 2 * 3  # days, metrics, all rows and two regions
    assert {(v["segment"], v["metric"]) for v in status["verdicts"]} == {
        (segment, metric)
        for segment in ("", "region=north", "region=south")
        for metric in ("roc_auc", "accuracy")
    }
    day = world.rows[world.rows["time"] < START + pd.Timedelta(days=1)]
    came = day["labeled_at"] < world.end()
    right = (day["y_pred_proba"] >= 0.5) == day["y_true"]
    (first,) = [
        c
        for c in status["chunks"]
        if (c["segment"], c["chunk"], c["metric"]) == ("", "2026-01-05", "accuracy")
    ]
    assert (first["n_rows"], first["n_labels"]) == (len(day), int(came.sum()))
    assert first["realized"] == pytest.approx(right[came].mean())
    assert first["is_final"] == bool(came.all())
    assert first["labels_ratio"] == pytest.approx(came.mean())
    asked = ("--metric", "accuracy", "--segment", "region=north")
    (fewer,) = json.loads(
        call(0, "status", world.path, "--format", "json", *asked).stdout
    )
    assert len(fewer["chunks"]) == 6
    assert len(fewer["verdicts"]) == 1


def test_status_marks_realized_values_of_half_labelled_chunks(world):
    call(0, "run", world.path)
    text = call(0, "status", world.path).stdout
    days = world.rows["time"].dt.strftime("%Y-%m-%d")
    share = (world.rows["labeled_at"] < world.end()).groupby(days).mean()
    for day, labelled_share in share.items():
        (line,) = [x for x in text.splitlines() if x.startswith(day)]
        assert (f"({round(100 * labelled_share)} %)" in line) == (labelled_share < 1.0)
    assert "(43 %): so far, with 43 % of labels" in text


def test_status_of_some_metrics_and_segments(world):
    call(0, "run", world.path)
    text = call(
        0, "status", world.path, "--metric", "accuracy", "--segment", "region=north"
    ).stdout
    assert "roc_auc" not in text
    assert "region=south" not in text
    assert "region=north: accuracy" in text
    result = call(2, "status", world.path, "--metric", "acuracy")
    assert "--metric must be one of 'roc_auc', 'accuracy'" in result.stderr
