"""What is drawn is the data: read back from the figure, the SVG and the HTML."""

import xml.etree.ElementTree as ET

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pytest
from numpy.testing import assert_array_equal

from estimator import PerformanceEstimator
from estimator.presentation.svg import performance_svg
from tests.estimator.conftest import simulate

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


def line(axes, label):
    return next(drawn for drawn in axes.lines if drawn.get_label() == label)


def test_each_metric_gets_a_panel_with_its_data(performance):
    axes = performance.plot()
    assert len(axes) == 2
    of = performance.segment == ""
    for k, panel in enumerate(axes):
        assert panel.get_ylabel() == performance.metrics[k]
        for label in ("estimated", "realized"):
            drawn = line(panel, label).get_ydata()
            assert_array_equal(drawn, getattr(performance, label)[of, k])
        alerts = performance.alert[of, k]
        assert alerts.any()
        assert_array_equal(line(panel, "alert").get_xdata(), np.flatnonzero(alerts))


def test_one_metric_on_given_axes(performance):
    _, axes = plt.subplots()
    assert performance.plot("accuracy", ax=axes) is axes
    assert axes.get_legend() is not None


def test_a_segment_can_be_drawn(performance):
    axes = performance.plot("roc_auc", segment="region=north")
    of = performance.segment == "region=north"
    assert_array_equal(
        line(axes, "estimated").get_ydata(), performance.estimated[of, 0]
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
    root = ET.fromstring(performance_svg(performance, "roc_auc"))  # noqa: S314
    titles = [title.text for title in root.iter("title")]
    assert len(titles) == np.sum(performance.segment == "")
    assert titles[-1].startswith("analysis 3: estimated 0.")
    alerts = [e for e in root.iter("circle") if e.get("class") == "alert"]
    assert len(alerts) == performance.alert[performance.segment == "", 0].sum()


def test_html_escapes_what_comes_from_data(reference_frame):
    evil = reference_frame.assign(region="<script>alert(1)</script>")
    estimator = PerformanceEstimator(chunk=1_000, segments="region").fit(evil)
    html = estimator.estimate(evil)._repr_html_()
    assert "<script>" not in html
    assert "segments" in html


def test_html_of_an_undefined_metric_has_no_nan_coordinates(reference_frame):
    low = simulate(2_000, 4)
    low["y_pred_proba"] /= 3
    estimator = PerformanceEstimator(chunk=1_000, metrics=["precision"])
    html = estimator.fit(reference_frame).estimate(low)._repr_html_()
    assert 'cy="nan"' not in html
    assert 'y="nan"' not in html
