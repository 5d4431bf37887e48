"""A chart is computed once: page, notebook and plot show the same values."""

import re
import xml.etree.ElementTree as ET
from dataclasses import replace

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from estimator.charts.inline_svg import series_svg
from estimator.charts.panel import panel_of
from estimator.charts.plots import plot_series
from estimator.charts.scale import axis_range
from estimator.charts.svg_paths import PlotArea
from estimator.metric_series import Overlay
from estimator.report.page_charts import chart_svg
from tests.estimator.report.pages import monitored

mpl.use("Agg")

HEIGHT = 200
ROLES = {
    "realized": "realized",
    "before": "estimated",
    "estimated": "estimated",
    "reconciled": "reconciled",
    "fitted": "fitted shape",
}


@pytest.fixture(scope="module")
def by_segment():
    """Complete, partial and no labels; a segment that lacks chunks."""
    performance = monitored(metrics=("roc_auc",), segments="region").performance()
    lacking = performance.segment == "region=north"
    lacking &= np.arange(len(performance)) % 7 == 0
    columns = {name: column[~lacking] for name, column in performance._arrays().items()}
    return replace(performance, **columns).metric_series()


@pytest.fixture(scope="module")
def series(by_segment):
    return by_segment[""]["roc_auc"]


@pytest.fixture(scope="module")
def overlay(series):
    fitted = np.linspace(0.6, 0.8, len(series))
    affected = np.isin(np.arange(len(series)), [3, 4, 5, 9, 59])
    return Overlay(sentence="it fell", fitted=fitted, affected=affected)


def test_lines_and_marks_hold_each_value_once(series, overlay):
    panel = panel_of(series, overlay, axis_range([series], 0.0))
    lines = {line.role: line.values for line in panel.lines}
    assert list(lines) == ["realized", "before", "reconciled", "fitted"]
    assert_array_equal(lines["before"], series.estimated)
    assert_array_equal(lines["reconciled"][20:], series.value[20:])
    assert np.isnan(lines["reconciled"][:20]).all()
    unfinished = np.isfinite(series.realized) & ~np.isfinite(lines["realized"])
    assert_array_equal(unfinished, (series.n_labels > 0) & (series.coverage < 1.0))
    others = "alert", "doubtful", "no-trust"
    shown = [m.values for m in panel.marks if m.role not in others]
    count = np.sum([np.isfinite(values) for values in shown], axis=0)
    assert_array_equal(count, unfinished)
    (alert,) = [m.values for m in panel.marks if m.role == "alert"]
    assert_array_equal(alert[series.alert], series.value[series.alert])
    assert np.isnan(alert[~series.alert]).all()


def test_what_is_not_trusted_has_a_mark_of_its_own(series):
    trust = np.array(["good", "doubtful", "none"], dtype=object)
    trust = np.resize(trust, len(series))
    series = replace(series, trust=trust)
    marks = {m.role: m.values for m in panel_of(series, None, (0.0, 1.0)).marks}
    for role, level in (("doubtful", "doubtful"), ("no-trust", "none")):
        expected = np.where(trust == level, series.value, np.nan)
        assert_array_equal(marks[role], expected)
    n_each = len(series) // 3
    page = chart_svg(
        panel_of(series, None, (0.0, 1.0)), name="", height=99, strip=False
    )
    assert page.count('<use href="#slash" class="doubtful"') == n_each
    assert page.count('<use href="#cross" class="no-trust"') == n_each
    small = chart_svg(
        panel_of(series, None, (0.0, 1.0)), name="", height=99, strip=False, small=True
    )
    assert small.count("#cross") == n_each
    assert "#slash" not in small
    notebook = series_svg(series)
    assert notebook.count('<path class="no-trust"') == n_each
    assert notebook.count('<path class="doubtful"') == n_each
    assert notebook.count(", trust: none") == n_each
    axes = plot_series([series], {})
    labels = axes.figure.legends[0].get_texts()
    assert {"doubtful", "no trust"} <= {text.get_text() for text in labels}
    (cross,) = [line for line in axes.lines if line.get_label() == "no trust"]
    assert_array_equal(cross.get_ydata(), series.value[trust == "none"])
    good = replace(series, trust=np.full(len(series), "good", dtype=object))
    assert "trust" not in series_svg(good)
    plt.close("all")


def test_what_is_out_of_sight_becomes_an_arrow_or_nothing(series):
    values = np.array([-1.0, 0.5, 2.0])
    tiny = replace(
        series.since(None),
        **{
            name: getattr(series, name)[-3:]
            for name in series.__slots__
            if isinstance(getattr(series, name), np.ndarray)
        },
        n_reference=0,
    )
    some = replace(
        tiny,
        realized=values,
        n_labels=tiny.n_rows - 1,
        lower_threshold=values,
        upper_threshold=np.full(3, np.nan),
        alert=np.zeros(3, dtype=bool),
    )
    panel = panel_of(some, None, (0.4, 0.6))
    marks = {mark.role: mark.values for mark in panel.marks}
    assert_array_equal(marks["below"], [0.4, np.nan, np.nan])
    assert_array_equal(marks["so-far"], [np.nan, 0.5, np.nan])
    assert_array_equal(marks["above"], [np.nan, np.nan, 0.6])
    (threshold,) = panel.thresholds
    assert_array_equal(threshold, [np.nan, 0.5, np.nan])
    low, high = axis_range([some], 0.06, 3.0)
    assert values[0] < low < values[1] < high < values[2]
    drawn = ET.fromstring(series_svg(some))  # noqa: S314
    tags = [e.tag for e in drawn.iter() if e.get("class") == "so-far"]
    assert tags == ["circle", "path", "path"]


def test_regions_are_runs_of_chunks(series, overlay):
    panel = panel_of(series, overlay, (0.0, 1.0))
    assert [(r.role, r.begin, r.stop) for r in panel.regions] == [
        ("reference", 0, 20),
        ("affected", 3, 6),
        ("affected", 9, 10),
        ("affected", 59, 60),
    ]


def test_a_segment_stands_at_the_chunks_that_it_has(by_segment, series):
    north = by_segment["region=north"]["roc_auc"]
    panel = panel_of(north, None, (0.0, 1.0), series)
    assert len(north) < len(series) == len(panel.labels)
    assert [panel.labels[i] for i in panel.positions] == north.chunk.tolist()
    assert panel.n_reference == 20


def points(path, unit, left):
    """Read position and height of the points of a line."""
    coordinates = re.findall(r"[ML ]([\d.]+) ([\d.]+)(?=h0|[ML ]|$)", path)
    return {round((float(x) - left) / unit - 0.5): float(y) for x, y in coordinates}


def test_page_notebook_and_plot_draw_the_same(series, overlay):
    axes = plot_series([series], {"roc_auc": overlay})
    plotted = {line.get_label(): line.get_ydata() for line in axes.lines}
    panel = panel_of(series, overlay, axis_range([series], 0.07))
    page = ET.fromstring(chart_svg(panel, name="", height=HEIGHT, strip=True))  # noqa: S314
    notebook = ET.fromstring(series_svg(series, overlay))  # noqa: S314
    for svg, unit, left, top, height, scale in (
        (page, 10, 0, 0, HEIGHT, panel.scale),
        (notebook, 576 / 60, 56, 18, 110, axis_range([series], 0.06, 3.0)),
    ):
        drawn = {e.get("class"): e.get("d") for e in svg.iter("path")}
        low, high = scale
        for line in panel.lines:
            pixels = points(drawn[line.role], unit, left)
            expected = plotted[ROLES[line.role]]
            assert sorted(pixels) == np.flatnonzero(np.isfinite(expected)).tolist()
            values = [high - (pixels[i] - top) / height * (high - low) for i in pixels]
            assert_allclose(
                values, expected[list(pixels)], atol=0.06 * (high - low) / height
            )
    plt.close("all")


@pytest.mark.parametrize("unit", [10, 576 / 300])
def test_steps_end_where_their_chunk_does_however_many_there_are(series, unit):
    """Relative steps of a rounded width would drift away from their chunks."""
    n = 300
    panel = replace(
        panel_of(series, None, (0.0, 1.0)),
        positions=np.arange(n),
        labels=list(range(n)),
    )
    path = PlotArea(panel=panel, unit=unit, height=100).steps(np.full(n, 0.5))
    ends = [float(x) for x in re.findall(r"H([\d.]+)", path)]
    assert_allclose(ends, unit * np.arange(1, n + 1), atol=0.051)
