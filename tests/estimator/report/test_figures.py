import re
from dataclasses import fields, replace

import numpy as np
import pytest

from estimator import PerformanceEstimator
from estimator.report.figures import multiples_html
from estimator.report.page import Report, report_html
from estimator.report.table import read_numbers
from tests.estimator.conftest import simulate
from tests.estimator.report.page_parts import axis_of, check_page, points_of, read_table
from tests.estimator.report.pages import monitored, number, parse


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
    assert verdict.kind in ("sudden", "gradual")  # both have a shape and no end
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
        *("doubtful", "affected", "fitted shape"),
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


def test_four_hundred_chunks_are_drawn_thin(reference_frame):
    estimator = PerformanceEstimator(chunk=20, metrics=["accuracy"])
    performance = estimator.fit(reference_frame).estimate(simulate(2_000, 1))
    page = check_page(
        Report(title="m", performance=performance, verdicts={}, as_of=None)
    )
    assert len(page.by_id("numbers").all("tbody")) == 400
    assert not [p for p in page.by_id("metric-0").all("path") if "dots" in p.classes]


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
