"""The report page, read back with a parser: its numbers, its drawings, its escapes."""

import re
from base64 import b64encode
from collections import Counter
from dataclasses import fields, replace
from hashlib import sha256

import numpy as np
import pytest

from estimator import PerformanceEstimator
from estimator.metrics.registry import METRIC_NAMES, METRICS
from estimator.report.figures import multiples_html
from estimator.report.headline import compose_headline, severity
from estimator.report.page import Report, index_html, report_html
from estimator.report.table import cells, read_numbers
from tests.estimator.conftest import simulate
from tests.estimator.report.pages import monitored, number, parse, renamed, report_of

HOSTILE = (
    "</script><script>alert(1)</script>",
    '"><img src=x onerror="alert(1)">',
    "' onmouseover='alert(1)",
    "</style><svg onload=alert(1)>",
    "&lt;script&gt; 2026-01-01 <!-- ]]>",
)


@pytest.fixture(scope="module")
def report():
    return report_of(monitored())


@pytest.fixture(scope="module")
def page(report):
    return parse(report_html(report))


@pytest.fixture(scope="module")
def segmented():
    return report_of(monitored(metrics=("roc_auc", "accuracy"), segments="region"))


def read_table(page):
    """Return head and rows of the table; a row begins with chunk and metric."""
    table = page.by_id("numbers")
    head = [th.text for th in table.one("thead").all("th")]
    rows = []
    for body in table.all("tbody"):
        chunk, *_ = body.all("th")
        label = next(child for child in chunk.children if isinstance(child, str))
        for tr in body.all("tr"):
            cells = [th.text for th in tr.all("th") if th is not chunk]
            rows.append([label, *cells, *(td.text for td in tr.all("td"))])
    return head, rows


def test_the_table_says_all_numbers_the_newest_chunk_first(report, page):
    head, rows = read_table(page)
    assert (
        head
        == [
            *("chunk", "metric", "value", "95 % interval", "estimated", "realized"),
            *("thresholds", "breach probability", "note"),
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


def test_sixty_chunks_of_six_metrics_make_a_small_page(report):
    performance = report.performance
    assert len(performance) == 60
    assert len(performance.metrics) == 6
    assert len(report_html(report).encode()) < 150_000


def axis_of(figure):
    """Return a map from pixels to values, from where the ticks of values stand."""
    marks = [
        (float(text.attributes["y"]) - 4 - 14, number(text.text))  # centred; top margin
        for text in figure.one("svg", "chart").all("text")
        if text.attributes["x"] == "-6" and text.text != "labels"
    ]
    (a, low), *_, (b, high) = marks
    return lambda y: low + (y - a) * (high - low) / (b - a)


def points_of(path):
    """Return chunk and pixel of each dot."""
    coordinates = re.findall(r"M(\d+) ([\d.-]+)h0", path.attributes["d"])
    return {(int(x) - 5) // 10: float(y) for x, y in coordinates}


def test_charts_draw_the_data(report, page):
    performance = report.performance
    n_reference = int((performance.period == "reference").sum())
    for k, metric in enumerate(performance.metrics):
        figure = page.by_id(f"metric-{k}")
        assert figure.one("h3").text == metric
        value_at = axis_of(figure)
        pixel = abs(value_at(1.0) - value_at(0.0))
        (dots,) = [p for p in figure.all("path", "reconciled") if "dots" in p.classes]
        drawn = points_of(dots)
        assert sorted(drawn) == list(range(n_reference, 60))
        for i, y in drawn.items():
            assert value_at(y) == pytest.approx(performance.value[i, k], abs=pixel)
        alerts = figure.all("use", "alert")
        assert len(alerts) == performance.alert[:, k].sum()


def test_band_and_strip_of_labels_draw_the_data(report, page):
    performance = report.performance
    analysis = np.flatnonzero(performance.period == "analysis")
    figure = page.by_id("metric-0")
    value_at = axis_of(figure)
    band = re.findall(
        r"M(\d+) ([\d.-]+)h10v([\d.-]+)h-10z",
        figure.one("path", "band").attributes["d"],
    )
    pixel = abs(value_at(1.0) - value_at(0.0))
    assert [int(x) // 10 for x, _, _ in band] == analysis.tolist()
    for i, (_, top, height) in zip(analysis, band, strict=True):
        upper, lower = value_at(float(top)), value_at(float(top) + float(height))
        assert upper == pytest.approx(performance.upper[i, 0], abs=pixel)
        assert lower == pytest.approx(performance.lower[i, 0], abs=pixel)
    bars = re.findall(
        r"M(\d+) 7h10v-([\d.]+)", figure.one("path", "labels").attributes["d"]
    )
    shares = performance.n_labels / performance.n_rows
    assert [int(x) // 10 for x, _ in bars] == np.flatnonzero(shares).tolist()
    drawn = [float(height) / 7 for _, height in bars]
    np.testing.assert_allclose(drawn, shares[shares > 0], atol=0.05 / 7 + 1e-9)


def test_the_verdict_is_drawn_where_it_says(report, page):
    figure = page.by_id("metric-0")
    verdict = report.verdicts[""]["roc_auc"]
    assert verdict.kind == "sudden"
    box = figure.one("rect", "affected")
    begin = int(box.attributes["x"]) // 10
    assert begin == int(np.argmax(verdict.affected))
    assert begin + int(box.attributes["width"]) // 10 == verdict.affected.size
    assert len(figure.all("path", "fitted")) == 1


def test_the_key_explains_what_occurs_and_nothing_else(report, page, reference_frame):
    key = page.one("div", "key")
    assert [span.text for span in key.all("span")] == [
        *("estimated, without labels", "reconciled with labels"),
        *("95 % prediction interval", "realized"),
        *("realized so far (arrow: out of sight)", "threshold", "alert"),
        *("affected", "fitted shape"),
    ]
    estimator = PerformanceEstimator(chunk=1_000)
    calm = estimator.fit(reference_frame).estimate(simulate(2_000, 1)[["y_pred_proba"]])
    none = np.full_like(calm.lower_threshold, np.nan)
    calm = replace(calm, lower_threshold=none, upper_threshold=none)
    bare = Report(title="m", performance=calm, verdicts={}, as_of=None)
    entries = parse(report_html(bare)).one("div", "key").all("span")
    assert [span.text for span in entries] == [
        *("estimated", "95 % prediction interval", "realized"),
    ]


def test_the_headline_is_the_worst_and_all_others_follow(report, page):
    verdicts = report.verdicts[""]
    worst = max(verdicts.values(), key=severity)
    box = page.one("div", "headline")
    assert box.one("p", "what").text == str(worst).partition("; ")[0]
    assert "bad" in box.classes
    listed = page.one("ul", "glance").all("li")
    assert [li.one("a").text for li in listed] == list(report.performance.metrics)
    for li, metric in zip(listed, report.performance.metrics, strict=True):
        what = str(verdicts[metric]).partition("; ")[0].removeprefix(f"{metric} ")
        assert li.one("span", "said").text.startswith(what)
        assert page.by_id(li.one("a").attributes["href"][1:]).tag == "figure"
    first = page.one("div", "charts").all("figure")[0]
    assert first.one("h3").text == worst.metric


@pytest.fixture(scope="module")
def calm(reference_frame):
    estimator = PerformanceEstimator(chunk=500, segments="region").fit(reference_frame)
    return estimator.estimate(simulate(6_000, 1))


def test_stable_metrics_are_said_in_one_sentence(calm):
    verdicts = {"": calm.degradation()}
    assert {verdict.kind for verdict in verdicts[""].values()} == {"stable"}
    quiet = replace(calm, alert=np.zeros_like(calm.alert))
    headline = compose_headline(quiet, verdicts)
    assert (headline.tone, headline.text) == ("good", "Both metrics are stable")
    least = min(verdicts[""].values(), key=lambda verdict: verdict.probability)
    assert headline.details[0].startswith(f"the least sure, {least.metric}: ")


def test_an_alert_or_a_fallen_segment_is_said_even_if_all_is_stable(calm, segmented):
    alert = np.zeros_like(calm.alert)
    newest = np.flatnonzero((calm.segment == "") & (calm.period == "analysis"))[-1]
    alert[newest, 1] = True
    stable = calm.degradation()
    headline = compose_headline(replace(calm, alert=alert), {"": stable})
    assert headline.tone == "watch"
    assert headline.details[-1] == "Alert in the newest complete chunk, 11: accuracy"
    quiet = replace(calm, alert=np.zeros_like(alert))
    fallen = segmented.verdicts["region=north"]
    headline = compose_headline(quiet, {"": stable, "region=north": fallen})
    assert headline.tone == "watch"
    assert headline.details[-1].startswith("worst segment, region=north: ")


def test_without_verdicts_alerts_are_the_headline(calm):
    alert = np.zeros_like(calm.alert)
    quiet = compose_headline(replace(calm, alert=alert), {})
    assert (quiet.tone, quiet.text) == (
        "none",
        "No alert in the newest complete chunk, 11",
    )
    alert[np.flatnonzero(calm.segment == "")[-1], 0] = True
    loud = compose_headline(replace(calm, alert=alert), {})
    assert (loud.tone, loud.text) == (
        "watch",
        "Alert in the newest complete chunk, 11: roc_auc",
    )


def test_segments_are_drawn_small_on_a_common_scale(segmented):
    page = parse(report_html(segmented))
    groups = page.all("div", "multiples")
    assert len(groups) == 2
    for k, group in enumerate(groups):
        figures = group.all("figure")
        names = [figure.one("b").text for figure in figures]
        assert names == ["region=north", "region=south"]
        scales = {
            tuple((t.text, t.attributes["y"]) for t in f.all("text")) for f in figures
        }
        assert len(scales) == 1
        for name, figure in zip(names, figures, strict=True):
            segment_rows = segmented.performance.segment == name
            texts = figure.attributes["data-values"].split("|")
            values = [number(text.split(" ")[0].rstrip(",")) for text in texts]
            truth = segmented.performance.value[segment_rows, k]
            np.testing.assert_allclose(values, truth, atol=0.0005)
            alerts = [text.endswith(", alert") for text in texts]
            assert alerts == segmented.performance.alert[segment_rows, k].tolist()


def test_a_segment_that_lacks_chunks_keeps_its_places(segmented):
    performance = segmented.performance
    segment_rows = np.flatnonzero(performance.segment == "region=south")
    keep = np.setdiff1d(np.arange(len(performance)), segment_rows[[3, 30, 59]])
    columns = {
        name: getattr(performance, name)[keep]
        for name in performance.__slots__
        if isinstance(getattr(performance, name), np.ndarray)
    }
    thinned = Report(
        title="m", performance=replace(performance, **columns), verdicts={}, as_of=None
    )
    south = parse(report_html(thinned)).all("div", "multiples")[0].all("figure")[1]
    texts = south.attributes["data-values"].split("|")
    assert [i for i, text in enumerate(texts) if not text] == [3, 30, 59]


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


def check_page(report):
    """Check what holds for any page, and return it."""
    page = parse(report_html(report))
    for element in page:
        for name in ("d", "x", "y", "width", "height", "viewbox"):
            assert not re.search("nan|inf", element.attributes.get(name, ""))
    n = int((report.performance.segment == "").sum())
    assert len(page.by_id("numbers").all("tbody")) == n
    assert len(page.one("div", "charts").all("figure")) == len(
        report.performance.metrics
    )
    ids = [e.attributes["id"] for e in page if "id" in e.attributes]
    assert len(ids) == len(set(ids))
    parse(index_html([(report, "a.html")]))
    return page


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


def test_undefined_values_leave_gaps_and_lone_ones_a_dot(calm):
    value = calm.value.copy()
    value[calm.segment == ""] = np.nan
    value[15, 0] = 0.7
    nothing = np.full_like(value, np.nan)
    holes = replace(
        calm,
        value=value,
        estimated=value,
        realized=nothing,
        lower=np.where(np.isnan(value), np.nan, -np.inf),
        upper=np.where(np.isnan(value), np.nan, np.inf),
        lower_threshold=nothing,
        upper_threshold=nothing,
        breach_probability=nothing,
        standard_error=nothing,
        alert=np.zeros_like(calm.alert),
    )
    page = check_page(Report(title="m", performance=holes, verdicts={}, as_of=None))
    line, dots = page.by_id("metric-0").all("path", "estimated")
    assert line.attributes["d"].startswith("M155 ")
    assert "h0" in line.attributes["d"]
    assert list(points_of(dots)) == [15]
    assert not page.by_id("metric-1").all("path", "estimated")
    assert read_table(page)[1][0][2:4] == ["–", "–"]


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


def test_four_hundred_chunks_are_drawn_thin(reference_frame):
    estimator = PerformanceEstimator(chunk=20, metrics=["accuracy"])
    performance = estimator.fit(reference_frame).estimate(simulate(2_000, 1))
    page = check_page(
        Report(title="m", performance=performance, verdicts={}, as_of=None)
    )
    assert len(page.by_id("numbers").all("tbody")) == 400
    assert not [p for p in page.by_id("metric-0").all("path") if "dots" in p.classes]


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
    column = numbers.columns.index("breach probability")
    last = len(numbers.series["roc_auc"]) - 1
    for metric in performance.metrics:
        text, _ = cells(numbers, metric, last)[column]
        better = METRICS[metric].higher_is_better
        assert text == ("0.00, better" if better else "0.00")


def test_segments_that_scatter_get_a_scale_of_their_own():
    """Of three segments one swings widely: the lines of the others are not flat."""
    monitor = monitored(metrics=("accuracy",), segments="region")
    performance = monitor.performance()
    value = np.array(performance.value)
    north = performance.segment == "region=north"
    value[north] = np.linspace(0.0, 5.0, north.sum())[:, None]
    shown = replace(performance, value=value, estimated=value, realized=value)
    names = ("region=north", "region=south")
    third = shown.segment == "region=south"
    rows = np.concatenate([np.arange(len(shown)), np.flatnonzero(third)])
    copied = {
        field.name: getattr(shown, field.name)[rows]
        for field in fields(shown)
        if isinstance(getattr(shown, field.name), np.ndarray)
    }
    segment = copied["segment"].copy()
    segment[len(shown) :] = "region=west"
    three = replace(shown, **{**copied, "segment": segment})
    html = multiples_html(read_numbers(three), {}, "accuracy", (*names, "region=west"))
    figures = parse(html).all("figure")
    remarks = ["scale of its own" in figure.text for figure in figures]
    assert remarks == [True, False, False]
