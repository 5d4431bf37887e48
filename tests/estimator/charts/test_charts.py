"""What is drawn is the data: read back from the figure, the SVG and the HTML."""

import xml.etree.ElementTree as ET
from dataclasses import replace

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pytest
from numpy.testing import assert_array_equal

from estimator import PerformanceEstimator
from estimator.charts.inline_svg import series_svg
from estimator.charts.scale import value_range
from estimator.degradation.per_metric import judge_series
from estimator.degradation.verdict import overlay_of
from tests.estimator.conftest import simulate

mpl.use("Agg")


def svg_of(performance, metric, verdict=None):
    series = performance.metric_series(metric, segment="")[""][metric]
    overlay = None if verdict is None else overlay_of(verdict, series.n_rows)
    return series_svg(series, overlay)


def line(axes, label):
    return next(drawn for drawn in axes.lines if drawn.get_label() == label)


def test_each_metric_gets_a_panel_with_its_data(performance):
    axes = performance.plot()
    assert len(axes) == 2
    all_rows = performance.segment == ""
    for k, panel in enumerate(axes):
        assert panel.get_ylabel() == performance.metrics[k]
        for label in ("estimated", "realized"):
            drawn = line(panel, label).get_ydata()
            assert_array_equal(drawn, getattr(performance, label)[all_rows, k])
        alerts = performance.alert[all_rows, k]
        assert alerts.any()
        assert_array_equal(line(panel, "alert").get_xdata(), np.flatnonzero(alerts))


def test_one_metric_on_given_axes(performance):
    _, axes = plt.subplots()
    assert performance.plot("accuracy", ax=axes) is axes
    assert axes.get_legend() is not None


def test_a_segment_can_be_drawn(performance):
    axes = performance.plot("roc_auc", segment="region=north")
    is_north = performance.segment == "region=north"
    assert_array_equal(
        line(axes, "estimated").get_ydata(), performance.estimated[is_north, 0]
    )


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        ({"metrics": "acuracy"}, "Did you mean 'accuracy'"),
        ({"segment": "region=nrth"}, "Did you mean 'region=north'"),
    ],
)
def test_wrong_names_are_refused(performance, arguments, match):
    with pytest.raises(ValueError, match=match):
        performance.plot(**arguments)


def test_two_metrics_do_not_fit_one_axes(performance):
    _, axes = plt.subplots()
    with pytest.raises(ValueError, match="`ax` holds one metric"):
        performance.plot(ax=axes)


def test_svg_is_well_formed_and_says_each_chunk_on_hover(performance):
    root = ET.fromstring(svg_of(performance, "roc_auc"))  # noqa: S314
    titles = [title.text for title in root.iter("title")]
    assert len(titles) == np.sum(performance.segment == "")
    assert titles[-1].startswith("analysis 3: estimated 0.")
    alerts = [e for e in root.iter("circle") if e.get("class") == "alert"]
    assert len(alerts) == performance.alert[performance.segment == "", 0].sum()


def test_reconciled_values_and_unfinished_ones_are_told_apart(reconciled):
    panels = reconciled.plot()
    analysis = reconciled.period == "analysis"
    for k, panel in enumerate(panels):
        drawn = line(panel, "reconciled").get_ydata()
        assert_array_equal(drawn[analysis], reconciled.value[analysis, k])
        final = line(panel, "realized").get_ydata()
        assert np.isfinite(final[analysis]).tolist() == [True, True, False, False]
        so_far = line(panel, "realized so far")
        assert so_far.get_alpha() < 1
        assert so_far.get_markerfacecolor() == "none"
        assert_array_equal(so_far.get_xdata(), [np.flatnonzero(analysis)[2]])


def test_a_strip_shows_how_many_labels_there_are(reconciled):
    panels = reconciled.plot()
    figure = panels[0].figure
    assert len(figure.axes) == 3
    bars = figure.axes[-1].containers[1]
    heights = [bar.get_height() for bar in bars]
    assert heights == [1.0] * 6 + [1.0, 1.0, 0.5, 0.0]
    _, axes = plt.subplots()
    reconciled.plot("accuracy", ax=axes)
    (strip,) = axes.child_axes
    assert [bar.get_height() for bar in strip.containers[1]] == heights


def test_an_estimate_alone_needs_no_strip(performance):
    panels = performance.plot()
    assert len(panels[0].figure.axes) == 2
    assert "reconciled" not in [drawn.get_label() for drawn in panels[0].lines]


def test_an_unfinished_value_far_off_does_not_stretch_the_scale(reconciled):
    far = np.array(reconciled.realized)
    far[-2] = 0.01
    panels = replace(reconciled, realized=far).plot()
    for panel in panels:
        assert panel.get_ylim()[0] > 0.1
        arrow = line(panel, "realized so far")
        assert arrow.get_ydata()[0] == panel.get_ylim()[0]


def test_svg_and_html_show_what_labels_changed(reconciled):
    root = ET.fromstring(svg_of(reconciled, "roc_auc"))  # noqa: S314
    classes = [element.get("class") for element in root.iter()]
    assert "reconciled" in classes
    assert classes.count("so-far") == 1
    assert classes.count("labels") == 9
    titles = [title.text for title in root.iter("title")]
    assert "reconciled 0." in titles[-2]
    assert titles[-2].endswith("500 of 1000 labels")
    html = reconciled._repr_html_()
    assert "<th>labels</th>" in html
    assert "<td>50%</td>" in html


def test_a_chart_shows_the_verdict_if_asked(fallen):
    axes = fallen.plot(verdict=True)
    verdicts = fallen.degradation()
    n_reference = int(((fallen.segment == "") & (fallen.period == "reference")).sum())
    for panel, name in zip(axes, fallen.metrics, strict=True):
        verdict = verdicts[name]
        assert panel.get_title(loc="left").replace("\n", " ") == str(verdict)
        drawn = line(panel, "fitted shape")
        assert_array_equal(drawn.get_ydata(), verdict.fitted)
        (shaded,) = [p for p in panel.patches if p.get_label() == "affected"]
        assert shaded.get_x() == n_reference + verdict.onset - 0.5
    assert not fallen.plot()[0].get_title(loc="left")


def test_a_chart_shows_the_verdicts_it_is_given(fallen):
    verdicts = fallen.degradation("roc_auc", segment="region=south")
    axes = fallen.plot("roc_auc", segment="region=south", verdict=verdicts)
    assert "roc_auc" in axes.get_title(loc="left")
    assert not fallen.plot("accuracy", verdict=verdicts).get_title(loc="left")


def test_a_verdict_draws_itself(fallen):
    verdict = fallen.degradation()["accuracy"]
    axes = verdict.plot()
    assert_array_equal(line(axes, "fitted shape").get_ydata(), verdict.fitted)
    (errorbar,) = axes.containers
    assert_array_equal(errorbar.lines[0].get_ydata(), verdict.values)
    assert axes.get_ylabel() == "accuracy"
    _, given_axes = plt.subplots(figsize=(3, 2))
    assert verdict.plot(ax=given_axes) is given_axes
    assert len(given_axes.get_xticks()) <= 3


def test_a_stable_verdict_draws_no_shape(performance):
    verdict = performance.degradation()["accuracy"]
    calm = replace(verdict, kind="stable", affected=np.zeros_like(verdict.affected))
    axes = calm.plot()
    assert "fitted shape" not in [drawn.get_label() for drawn in axes.lines]
    assert not [patch for patch in axes.patches if patch.get_label() == "affected"]


def test_the_page_shows_shape_and_sentence(fallen):
    page = fallen._repr_html_()
    for verdict in fallen.degradation().values():
        assert f'<p class="verdict">{verdict}</p>' in page
    root = ET.fromstring(  # noqa: S314
        svg_of(fallen, "roc_auc", verdict=fallen.degradation()["roc_auc"])
    )
    classes = [element.get("class") for element in root.iter()]
    assert classes.count("affected") == 1
    assert classes.count("fitted") == 1
    plain = ET.fromstring(svg_of(fallen, "roc_auc"))  # noqa: S314
    assert "affected" not in [element.get("class") for element in plain.iter()]


def test_a_verdict_since_a_rebase_stands_over_the_last_chunks(fallen):
    verdicts = judge_series(fallen.metric_series(segment="")[""], since=10)
    panel = fallen.plot("roc_auc", verdict=verdicts)
    drawn = line(panel, "fitted shape").get_ydata()
    n_reference = verdicts["roc_auc"].n_reference
    assert np.isnan(drawn[n_reference : n_reference + 10]).all()
    assert_array_equal(
        drawn[n_reference + 10 :], verdicts["roc_auc"].fitted[n_reference:]
    )


def test_names_are_not_read_as_formulas(many):
    segment = "region=$$x_{"
    for drawn in (
        many.plot("roc_auc", segment=segment, verdict=True),
        many.filter(segment=segment).plot()[0],
        many.degradation("roc_auc", segment=segment)["roc_auc"].plot(),
        replace(many, chunk=np.full(len(many), segment, dtype=object)).plot("f1"),
    ):
        drawn.figure.canvas.draw()
    verdict = replace(many.degradation()["f1"], metric=segment)
    verdict.plot().figure.canvas.draw()


def test_reference_and_analysis_do_not_read_as_one(performance):
    axes = performance.plot("roc_auc")
    axes.figure.canvas.draw()
    texts = {text.get_text().strip("◂▸ "): text for text in axes.texts}
    left, right = (
        texts[name].get_window_extent() for name in ("reference", "analysis")
    )
    (boundary,) = [
        axes.transData.transform((line.get_xdata()[0], 0))[0]
        for line in axes.lines
        if len(set(line.get_xdata())) == 1 and len(line.get_xdata()) == 2
    ]
    assert left.x1 < boundary < right.x0
    assert right.x0 - left.x1 > 8  # pixels


def test_a_chunk_of_few_rows_does_not_make_the_others_flat(reference_frame):
    """Its interval goes from 0 to 1; values of the others differ by some hundredths."""
    production = simulate(3_008, 6).drop(columns="y_true")
    estimator = PerformanceEstimator(chunk=1_000).fit(reference_frame)
    estimates = estimator.estimate(production)
    wide = np.array(estimates.lower)
    wide[-1], top = 0.0, np.array(estimates.upper)
    top[-1] = 1.0
    thresholds = np.array(estimates.lower_threshold)
    thresholds[-1] = 0.01
    tiny = replace(estimates, lower=wide, upper=top, lower_threshold=thresholds)
    for metric in tiny.metrics:
        k = tiny.metrics.index(metric)
        low, high = value_range(tiny.metric_series(metric, segment="")[""].values())
        realized = tiny.realized[tiny.period == "reference", k]
        values = np.concatenate([tiny.estimated[:, k], realized])
        assert low <= values.min()
        assert high >= values.max()
        analysis = np.flatnonzero(tiny.period == "analysis")[:-1]
        usual = np.median(tiny.upper[analysis, k] - tiny.lower[analysis, k])
        assert high - low <= 3.5 * max(np.ptp(values), usual)
        axes = tiny.plot(metric)
        assert axes.get_ylim()[0] > 0.1
        shown = [
            drawn.get_ydata() for drawn in axes.lines if drawn.get_color() == "#D55E00"
        ]
        assert np.nanmin(np.concatenate(shown)) > 0.1
    svg = svg_of(tiny, "roc_auc")
    assert all(
        float(rect.get("y")) >= 0 and float(rect.get("height")) <= 150
        for rect in ET.fromstring(svg).iter("rect")  # noqa: S314
    )
