import numpy as np

from estimator import PerformanceEstimator
from tests.estimator.conftest import simulate
from tests.estimator.report.pages import parse


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
