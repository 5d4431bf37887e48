"""The report page, read back with a parser: its numbers, its drawings, its escapes."""

import re
from base64 import b64encode
from dataclasses import replace
from hashlib import sha256

import numpy as np
import pytest

from estimator import PerformanceEstimator
from estimator.metrics.registry import METRIC_NAMES
from estimator.report.page import Report, index_html, report_html
from tests.estimator.conftest import simulate
from tests.estimator.report.page_parts import check_page, read_table
from tests.estimator.report.pages import number, parse, renamed

HOSTILE = (
    "</script><script>alert(1)</script>",
    '"><img src=x onerror="alert(1)">',
    "' onmouseover='alert(1)",
    "</style><svg onload=alert(1)>",
    "&lt;script&gt; 2026-01-01 <!-- ]]>",
)


def test_sixty_chunks_of_six_metrics_make_a_small_page(report):
    performance = report.performance
    assert len(performance) == 60
    assert len(performance.metrics) == 6
    assert len(report_html(report).encode()) < 150_000


def hostile_report(segmented, text):
    return Report(
        title=text,
        performance=renamed(
            segmented.performance, segment=f"region={text}", chunk=text, note=text
        ),
        verdicts={},
        as_of=text,
        remarks=(text, text),
    )


@pytest.mark.parametrize("text", HOSTILE)
def test_what_comes_from_data_is_text_and_nothing_else(segmented, text):
    harmless = parse(report_html(hostile_report(segmented, "2026-01-01 harmless")))
    hostile = parse(report_html(hostile_report(segmented, text)))

    def skeleton(page):
        return [
            (element.tag, sorted(element.attributes))
            for element in page
            if element.tag != "time"
        ]

    assert skeleton(hostile) == skeleton(harmless)
    assert hostile.one("h1").text == text
    assert hostile.one("title").text.startswith(text)
    assert [li.text for li in hostile.one("ul", "remarks").all("li")] == [text, text]
    assert hostile.by_id("note-1").children[0] == f"{text} "
    assert hostile.all("div", "multiples")[0].one("b").text == f"region={text}"
    assert read_table(hostile)[1][-1][0] == text
    index = parse(index_html([(hostile_report(segmented, text), "a.html")]))
    plain = parse(index_html([(hostile_report(segmented, "harmless"), "a.html")]))
    assert skeleton(index) == skeleton(plain)
    assert index.one("a").text == text


def test_a_page_may_load_nothing_and_run_only_its_own_script(page):
    (rules,) = [
        meta.attributes["content"]
        for meta in page.all("meta")
        if meta.attributes.get("http-equiv") == "Content-Security-Policy"
    ]
    rules = dict(rule.strip().split(" ", 1) for rule in rules.split(";"))
    assert rules["default-src"] == "'none'"
    for rule, tag in (("style-src", "style"), ("script-src", "script")):
        digest = b64encode(sha256(page.one(tag).text.encode()).digest()).decode()
        assert rules[rule] == f"'sha256-{digest}'"
    for element in page:
        for name in ("src", "href", "style", "xlink:href"):
            link = element.attributes.get(name, "#")
            assert link.startswith("#") or link == "data:,"
        assert not [name for name in element.attributes if name.startswith("on")]


def select(performance, keep):
    columns = {
        name: getattr(performance, name)[keep]
        for name in performance.__slots__
        if isinstance(getattr(performance, name), np.ndarray)
    }
    return replace(performance, **columns)


def test_before_the_first_analysis_chunk(calm):
    early = select(calm, (calm.period == "reference") & (calm.segment == ""))
    page = check_page(Report(title="m", performance=early, verdicts={}, as_of=None))
    what = page.one("div", "headline").one("p", "what").text
    assert what == "No chunk to judge yet, after 12 of the reference"


@pytest.mark.parametrize("period", ["reference", "analysis"])
def test_one_chunk(calm, period):
    keep = np.flatnonzero((calm.period == period) & (calm.segment == ""))[:1]
    page = check_page(
        Report(title="m", performance=select(calm, keep), verdicts={}, as_of=None)
    )
    assert page.by_id("caption").text.startswith("1 ")


def test_all_metrics_integer_chunks_no_labels(reference_frame):
    estimator = PerformanceEstimator(
        chunk=500,
        metrics=METRIC_NAMES,
        business_costs={"tn": 0, "fp": -5_000, "fn": -100_000, "tp": 20_000},
    ).fit(reference_frame)
    performance = estimator.estimate(simulate(4_000, 1).drop(columns="y_true"))
    assert len(performance.metrics) == 15
    verdicts = {"": performance.degradation()}
    report = Report(title="m", performance=performance, verdicts=verdicts, as_of=None)
    page = check_page(report)
    _, rows = read_table(page)
    values = {row[1]: row[2] for row in rows[:15]}
    assert re.fullmatch(r"−?\d{1,3}(,\d{3})+", values["business_value"])
    assert re.fullmatch(r"\d+(\.\d)?", values["tp"])
    chunks = [*range(12), *range(8)]
    assert [row[0] for row in rows[::15]] == [str(i) for i in reversed(chunks)]
    ticks = [
        text.text
        for text in page.by_id("metric-14").all("text")
        if text.attributes["x"] == "-6"
    ]
    assert any(text.endswith(("k", "M")) for text in ticks)


def test_time_zones_and_hours_are_said(reference_frame):
    def zoned(frame):
        return frame.assign(
            timestamp=frame["timestamp"].dt.tz_localize("Europe/Berlin")
        )

    estimator = PerformanceEstimator(chunk="6h", timestamp="timestamp")
    later = simulate(1_200, 3)
    performance = estimator.fit(zoned(reference_frame)).estimate(zoned(later))
    page = check_page(
        Report(title="m", performance=performance, verdicts={}, as_of=None)
    )
    assert "Europe/Berlin" in page.one("footer").text
    assert read_table(page)[1][-1][0] == "2026-01-05 00:00:00+01:00"


def test_a_result_without_all_rows_together_is_refused(segmented):
    performance = segmented.performance
    parts = select(performance, performance.segment != "")
    with pytest.raises(ValueError, match="`performance` must have chunks of all rows"):
        Report(title="m", performance=parts, verdicts={}, as_of=None)


def test_the_index_lists_the_worst_first(report, segmented, calm):
    quiet = replace(calm, alert=np.zeros_like(calm.alert))
    fine = Report(
        title="fine", performance=quiet, verdicts={"": calm.degradation()}, as_of=None
    )
    unknown = Report(title="new", performance=quiet, verdicts={}, as_of=None)
    worst = replace(report, title="worst")
    page = parse(
        index_html([(fine, "fine.html"), (unknown, "n/e w.html"), (worst, "w.html")])
    )
    links = page.all("a")
    assert [link.text for link in links] == ["worst", "fine", "new"]
    assert [link.attributes["href"] for link in links] == [
        *("w.html", "fine.html", "n/e w.html"),
    ]
    (summary, *_) = page.all("p", "muted")
    assert summary.text == "3 models: 1 declined, 1 stable, 1 no verdict"
    first = page.one("ul", "models").children[0]
    assert len(first.all("svg", "spark")) == 3
    newest = read_table(parse(report_html(worst)))[1][:3]
    assert [b.text for b in first.one("ul", "values").all("b")] == [
        row[2] for row in newest
    ]


@pytest.mark.parametrize(
    "link", ["https://example.org/a.html", "//example.org", "javascript:alert(1)", ""]
)
def test_the_index_links_only_to_its_neighbours(report, link):
    with pytest.raises(ValueError, match="`entries` must hold relative links"):
        index_html([(report, link)])


def test_an_index_of_nothing_says_so():
    assert parse(index_html([])).one("p", "muted").text == "No model reported yet"


def test_the_newest_complete_chunk_everywhere_and_the_other_is_marked():
    frame = simulate(9_000, 1)
    estimator = PerformanceEstimator(chunk=500).fit(frame[:6_000])
    performance = estimator.estimate(frame[6_000:8_097])
    begun = int(np.flatnonzero(performance.period == "analysis")[-1])
    alert = np.zeros_like(performance.alert)
    alert[begun - 1, 0] = True  # of the complete one, whatever the begun one shows
    performance = replace(performance, alert=alert)
    report = Report(title="m", performance=performance, verdicts={}, as_of=None)
    page = parse(report_html(report))
    assert "Alert in the newest complete chunk, 3: roc_auc" in page.text
    assert "4 has but begun, with 97 rows so far" in page.one("p", "newest").text
    values = [float(performance.value[begun - 1, k]) for k in range(2)]
    glance = [li.one("b").text for li in page.one("ul", "glance").all("li")]
    np.testing.assert_allclose([number(text) for text in glance], values, atol=5e-4)
    readout = page.by_id("metric-0").one("dl", "readout")
    assert readout.all("dd")[0].text == "3"
    assert "97 rows, 100 % labelled, unfinished" in page.by_id("numbers").text
    index = parse(index_html([(report, "m.html")]))
    shown = [b.text for b in index.one("ul", "values").all("b")]
    assert shown == glance
    assert "alert of 1 of 2 metrics in the newest complete chunk, 3" in index.text
