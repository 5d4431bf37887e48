from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from estimator import PerformanceEstimator
from estimator.metrics.registry import METRICS
from estimator.report.page import Report, report_html
from estimator.report.table import cells, read_numbers
from tests.estimator.conftest import simulate
from tests.estimator.report.page_parts import check_page, read_table
from tests.estimator.report.pages import number, parse


def test_the_table_says_all_numbers_the_newest_chunk_first(report, page):
    head, rows = read_table(page)
    assert (
        head
        == [
            *("chunk", "metric", "value", "95 % interval", "estimated", "realized"),
            *("thresholds", "breach probability", "trust", "note"),
        ][: len(head)]
    )
    assert len(head) >= 8
    frame = report.performance.to_frame()
    frame = frame.iloc[::-1].sort_values("end", ascending=False, kind="stable")
    truth = frame.set_index(["chunk", "metric"])
    assert [row[0] for row in rows] == frame["chunk"].tolist()
    for row in rows:
        expected = truth.loc[(row[0], row[1])]
        cells = dict(zip(head, row, strict=True))
        half = 0.5000001 * 10.0 ** -len(cells["value"].partition(".")[2])
        assert number(cells["value"]) == pytest.approx(expected["value"], abs=half)
        assert number(cells["estimated"]) == pytest.approx(
            expected["estimated"], abs=half
        )
        ends = cells["95 % interval"].split(" to ")
        for text, end in ((ends[0], "lower"), (ends[-1], "upper")):
            assert number(text) == pytest.approx(expected[end], abs=half)
        if np.isnan(expected["realized"]):
            assert cells["realized"] == "–"
        else:
            realized, _, so_far = cells["realized"].partition(" ")
            assert number(realized) == pytest.approx(expected["realized"], abs=half)
            assert so_far == (
                "" if expected["n_labels"] == expected["n_rows"] else "so far"
            )
        assert ("alert" in cells["breach probability"]) == expected["alert"]


def test_the_table_can_be_reached_and_read_aloud(page):
    (region,) = page.all("div", "scroll")
    assert region.attributes["tabindex"] == "0"
    assert region.attributes["role"] == "region"
    caption = page.by_id(region.attributes["aria-labelledby"])
    assert caption.tag == "caption"
    assert caption.text == "60 chunks, the newest first"
    scopes = Counter(th.attributes["scope"] for th in page.by_id("numbers").all("th"))
    assert scopes["rowgroup"] == 60
    assert scopes["row"] == 360
    assert scopes["col"] == len(read_table(page)[0])


def test_row_chunks_say_on_which_day_they_begin(reference_frame):
    estimator = PerformanceEstimator(chunk=1_200, timestamp="timestamp")
    later = simulate(2_400, 1).drop(columns="y_true")
    performance = estimator.fit(reference_frame).estimate(later)
    page = check_page(
        Report(title="m", performance=performance, verdicts={}, as_of=None)
    )
    about = [small.text for small in page.by_id("numbers").all("small")]
    assert about[0] == "1,200 rows, from 2026-01-15"


def test_each_note_is_said_once_and_the_table_refers_to_it(segmented):
    newest_rows = np.flatnonzero(segmented.performance.segment == "")[-3:]
    notes = np.full_like(segmented.performance.note, "")
    notes[newest_rows, :] = "few rows"
    notes[newest_rows[-1], 1] = "few rows; undefined: no positives"
    performance = replace(segmented.performance, note=notes)
    page = parse(report_html(replace(segmented, performance=performance)))
    items = page.one("ol", "notes").all("li")
    chunks_by_note = {
        item.children[0].strip(): item.one("small").text for item in items
    }
    first, second, newest = performance.chunk[newest_rows]
    assert chunks_by_note == {
        "few rows; undefined: no positives": f"accuracy, {newest}",
        "few rows": f"2 chunks, {first} to {second}; roc_auc, {newest}",
    }
    head, rows = read_table(page)
    assert head[-1] == "note"
    note_numbers = {
        item.children[0].strip(): item.attributes["id"].removeprefix("note-")
        for item in items
    }
    referred = {(row[0], row[1]): row[-1] for row in rows if row[-1]}
    assert referred == {
        (performance.chunk[i], metric): note_numbers[performance.note[i, k]]
        for i in newest_rows
        for k, metric in enumerate(performance.metrics)
    }


def test_a_value_beyond_the_good_threshold_is_called_better(report):
    performance = report.performance
    top = np.array(performance.upper_threshold)
    top[-1] = performance.value[-1] - 1e-9
    probability = np.array(performance.breach_probability)
    probability[-1] = 0.0
    raised = replace(
        performance,
        upper_threshold=top,
        breach_probability=probability,
        alert=np.zeros_like(performance.alert),
    )
    numbers = read_numbers(raised)
    last = len(numbers.series["roc_auc"]) - 1
    for metric in performance.metrics:
        text, _ = cells(numbers, metric, last)["breach probability"]
        better = METRICS[metric].higher_is_better
        assert text == ("0.00, better" if better else "0.00")
