"""What is drawn is the data: read back from the figure, the SVG and the HTML."""

import xml.etree.ElementTree as ET
from dataclasses import replace

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pytest
from numpy.testing import assert_array_equal

from estimator import Monitor, PerformanceEstimator
from estimator.charts.inline_svg import series_svg
from estimator.charts.scale import value_range
from estimator.degradation.per_metric import judge_series
from estimator.degradation.verdict import overlay_of
from tests.estimator.conftest import simulate
from tests.estimator.report.pages import parse

mpl.use("Agg")


@pytest.fixture(scope="module")
def performance(reference_frame):
    harder = simulate(3_000, 5)
    harder.loc[1_000:, "y_pred_proba"] = (
        0.5 + (harder.loc[1_000:, "y_pred_proba"] - 0.5) / 4
    )
    production = simulate(3_500, 6)
    production.loc[:2_999, "y_pred_proba"] = harder["y_pred_proba"]
    estimator = PerformanceEstimator(chunk=1_000, segments="region")
    return estimator.fit(reference_frame).estimate(production)


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


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


def test_html_escapes_what_comes_from_data(reference_frame):
    evil = reference_frame.assign(region="<script>alert(1)</script>")
    estimator = PerformanceEstimator(chunk=1_000, segments="region").fit(evil)
    html = estimator.estimate(evil[1:])._repr_html_()
    assert "<script>" not in html
    assert "1 segment" in html


def test_html_of_an_undefined_metric_has_no_nan_coordinates(reference_frame):
    low = simulate(2_000, 4)
    low["y_pred_proba"] /= 3
    estimator = PerformanceEstimator(chunk=1_000, metrics=["precision"])
    html = estimator.fit(reference_frame).estimate(low)._repr_html_()
    assert 'cy="nan"' not in html
    assert 'y="nan"' not in html


@pytest.fixture(scope="module")
def reconciled(reference_frame):
    """Two chunks complete, one half labelled, the last without labels."""
    production = simulate(4_000, 6, slope=0.7)
    estimator = PerformanceEstimator(chunk=1_000).fit(reference_frame)
    monitor = Monitor(estimator, row_id="id")
    monitor.add_predictions(production.drop(columns="y_true"))
    monitor.add_labels(production[["id", "y_true"]][:2_500])
    return monitor.performance()


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


@pytest.fixture(scope="module")
def fallen(reference_frame):
    production = simulate(12_000, 8)
    score = production["y_pred_proba"]
    production["y_pred_proba"] = score.where(
        score.index < 7_000, 0.5 + (score - 0.5) / 4
    )
    estimator = PerformanceEstimator(chunk=500, segments="region")
    return estimator.fit(reference_frame).estimate(production)


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


@pytest.fixture(scope="module")
def many(reference_frame):
    """Six metrics; a segment with a formula for a name and few rows; an odd last chunk.

    Its scores are so low that precision has no predicted positives.
    """
    names = np.array(["region=north", "$$x_{"])

    def renamed(frame):
        rare = np.arange(len(frame)) % 50 == 0
        return frame.assign(region=names[rare.astype(int)])

    production = simulate(4_000, 6)
    production.loc[3_000:, "y_pred_proba"] /= 3
    estimator = PerformanceEstimator(
        metrics=["roc_auc", "accuracy", "f1", "recall", "precision", "brier_score"],
        chunk=1_000,
        segments="region",
    )
    fitted = estimator.fit(renamed(reference_frame))
    return fitted.estimate(renamed(production).drop(columns="y_true"))


def test_the_notebook_shows_all_metrics_and_says_which_unfold(many):
    page = parse(many._repr_html_())
    charts = [svg.attributes["aria-label"] for svg in page.all("svg")]
    assert charts == [f"{metric} over 10 chunks" for metric in many.metrics]
    unfolding, segments = page.all("details")
    assert len(unfolding.all("svg")) == 2
    assert unfolding.one("summary").text == "2 more metrics: precision, brier_score"
    table = page.all("table")[0]
    heads = [th.text for th in table.all("th")]
    assert heads == ["chunk", "rows", *many.metrics]
    assert segments.one("summary").text.startswith("2 segments, ")


def test_the_notebook_says_the_newest_value_of_each_segment(many):
    table = parse(many._repr_html_()).all("table")[1]
    assert "The newest complete chunk, 3" in table.one("caption").text
    rows = [[td.text for td in tr.all("td")] for tr in table.all("tr")[1:]]
    assert [row[0] for row in rows] == list(many.segments[1:])
    for row, segment in zip(rows, many.segments[1:], strict=True):
        newest = np.flatnonzero(many.segment == segment)[-1]
        assert row[1] == str(many.n_rows[newest])
        k = many.metrics.index("accuracy")
        assert row[2 + k].startswith(f"{many.value[newest, k]:.4f} [")


def test_the_notebook_says_why_a_value_is_missing(many):
    page = parse(many._repr_html_())
    k = many.metrics.index("precision")
    newest = np.flatnonzero(many.segment == "")[-1]
    assert np.isnan(many.value[newest, k])
    cell = page.all("table")[0].all("tr")[-1].all("td")[2 + k]
    assert cell.text == "– (1)"
    reasons = [li.text for li in page.all("ol")[0].all("li")]
    assert reasons[0] == many.note[newest, k]
    assert "no predicted positives" in reasons[0]
    assert "[–" not in page.text


def test_the_notebook_shades_what_its_key_explains(many, reconciled):
    for result, color in ((many, "#0072b238"), (reconciled, "#009e7338")):
        page = parse(result._repr_html_())
        styles = [i.attributes["style"] for i in page.all("i")]
        assert styles.count(f"background: {color}") == 1
    for svg in parse(reconciled._repr_html_()).all("svg"):
        assert "reconciles" in svg.classes


def test_the_notebook_of_a_filtered_result_says_whose_it_is(many):
    north = many.filter(segment="region=region=north", metric="f1")
    page = parse(north._repr_html_())
    assert page.all("p")[0].text.startswith("region=region=north: 4 analysis chunks")
    (svg,) = page.all("svg")
    assert svg.one("text", "name").text == "f1, region=region=north"


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
