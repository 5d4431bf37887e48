"""`Performance` as a caller takes it away: filtered, as a frame, JSON, a page."""

import json
from dataclasses import fields

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_array_equal
from pandas.io.formats.excel import ExcelFormatter
from pandas.testing import assert_frame_equal

from estimator import PerformanceEstimator
from estimator.report import page as report
from estimator.results.tables import METRIC_COLUMNS
from tests.estimator.conftest import simulate
from tests.estimator.report.pages import parse

mpl.use("Agg")

METRICS = ("roc_auc", "precision", "brier_score", "tp")


@pytest.fixture(scope="module")
def performance(reference_frame):
    """Two segments, times with a zone, the last chunk without predicted positives."""
    production = simulate(3_000, 5)
    production.loc[2_500:, "y_pred_proba"] /= 3

    def zoned(frame):
        return frame.assign(timestamp=frame["timestamp"].dt.tz_localize("Asia/Tokyo"))

    estimator = PerformanceEstimator(
        metrics=METRICS, chunk="5D", timestamp="timestamp", segments="region"
    )
    estimates = estimator.fit(zoned(reference_frame)).estimate(zoned(production))
    assert np.isnan(estimates.value).any()
    return estimates


@pytest.mark.parametrize(
    "wanted",
    [
        {"metric": "precision"},
        {"metric": ["tp", "roc_auc"], "period": "analysis"},
        {"segment": "region=north"},
        {"segment": ("region=south", "region=north"), "period": "reference"},
        {"metric": np.array(["tp"]), "segment": "", "period": ["analysis"]},
        {},
    ],
    ids=str,
)
def test_a_filter_keeps_the_rows_of_the_frame_that_it_names(performance, wanted):
    kept = performance.to_frame()
    for column, names in wanted.items():
        kept = kept[kept[column].isin([names] if isinstance(names, str) else names)]
    filtered = performance.filter(**wanted).to_frame()
    if "metric" in wanted:  # in the order asked for
        names = np.atleast_1d(wanted["metric"]).tolist()
        assert list(dict.fromkeys(filtered["metric"])) == names
    key = ["segment", "period", "chunk", "metric"]
    assert_frame_equal(
        filtered.sort_values(key, ignore_index=True),
        kept.sort_values(key, ignore_index=True),
    )


@pytest.mark.parametrize(
    ("wanted", "error", "match"),
    [
        ({"metric": "roc_acu"}, ValueError, "`metric` must be among .* mean 'roc_auc'"),
        ({"segment": "region=nrth"}, ValueError, "Did you mean 'region=north'"),
        ({"period": "analisis"}, ValueError, "Did you mean 'analysis'"),
        ({"metric": ["tp", "tp"]}, ValueError, "'tp' comes twice"),
        ({"metric": []}, ValueError, "at least one name .* got none"),
        ({"metric": 5}, TypeError, "a name or a sequence of names, got int"),
        ({"metric": [5]}, ValueError, "`metric` must be among .* got 5"),
    ],
)
def test_a_wrong_filter_is_refused(performance, wanted, error, match):
    with pytest.raises(error, match=match):
        performance.filter(**wanted)


@pytest.mark.parametrize(
    "wanted",
    [
        {"metric": "roc_auc", "period": "analysis"},
        {"segment": "region=north"},
        {"segment": ["region=north", "region=south"], "metric": ["tp", "precision"]},
        {"period": "reference"},
    ],
    ids=str,
)
def test_all_methods_work_on_what_a_filter_left(performance, wanted, tmp_path):
    filtered = performance.filter(**wanted)
    first = filtered.segments[0]
    whole = performance.degradation(filtered.metrics, segment=first)
    if "period" not in wanted:
        verdicts = filtered.degradation()
        assert {k: str(v) for k, v in verdicts.items()} == {
            k: str(v) for k, v in whole.items()
        }
    panels = np.atleast_1d(filtered.plot())
    assert [panel.get_ylabel().split("\n")[0] for panel in panels] == [
        *filtered.metrics
    ]
    assert "<svg" in filtered._repr_html_()
    assert filtered.to_dict()["metrics"] == [*filtered.metrics]
    assert filtered.filter(metric=filtered.metrics[0]).metrics == (filtered.metrics[0],)
    assert first in repr(filtered)
    filtered.to_html(tmp_path / "page.html", title="credit")
    page = parse((tmp_path / "page.html").read_text(encoding="utf-8"))
    assert page.one("h1").text == ("credit" if not first else f"credit: {first}")
    for other in filtered.segments[1:]:
        assert other in page.text


def test_nothing_left_is_said(performance, tmp_path):
    estimates = performance.filter(period="reference").filter(period="analysis")
    assert len(estimates) == 0
    assert estimates.to_frame().empty
    assert estimates.to_dict()["chunks"] == []
    assert "No chunks" in estimates._repr_html_()
    with pytest.raises(ValueError, match="at least one chunk"):
        estimates.to_html(tmp_path / "page.html")
    assert not list(tmp_path.iterdir())


def test_a_dict_survives_json_and_says_what_the_frame_says(performance):
    content = json.loads(json.dumps(performance.to_dict(), allow_nan=False))
    assert content["metrics"] == [*METRICS]
    assert content["level"] == performance.level
    assert content["timezone"] == "Asia/Tokyo"
    rows = [
        {
            **{k: v for k, v in chunk.items() if k != "metrics"},
            "metric": metric,
            **numbers,
        }
        for chunk in content["chunks"]
        for metric, numbers in chunk["metrics"].items()
    ]
    frame = performance.to_frame()
    again = pd.DataFrame(rows, columns=frame.columns)
    for name in METRIC_COLUMNS:
        if name in ("alert", "trust", "note"):
            assert again[name].tolist() == frame[name].tolist()
        else:
            assert_array_equal(again[name].astype(float), frame[name])
    for name in ("start", "end"):
        times = pd.to_datetime(again[name], format="ISO8601")
        assert (times.dt.tz_convert("UTC") == frame[name].dt.tz_convert("UTC")).all()
    for name in ("segment", "period", "chunk", "n_rows", "n_labels", "metric"):
        assert again[name].tolist() == frame[name].tolist()


def test_a_dict_of_row_chunks_counts_positions(reference_frame):
    estimates = PerformanceEstimator(chunk=1_000).fit(reference_frame)
    content = estimates.estimate(simulate(3_000, 5)).to_dict()
    json.dumps(content, allow_nan=False)
    assert [chunk["start"] for chunk in content["chunks"][:3]] == [0, 1_000, 2_000]
    assert content["chunks"][1]["chunk"] == 1


def excel_cells(frame):
    return list(ExcelFormatter(frame).get_formatted_cells())


def test_times_without_a_zone_go_into_excel(performance):
    with pytest.raises(ValueError, match="timezones"):
        excel_cells(performance.to_frame())
    frame = performance.to_frame(timezone=None)
    assert excel_cells(frame)
    zoned = performance.to_frame()
    for name in ("start", "end"):
        assert_array_equal(frame[name], zoned[name].dt.tz_localize(None))
    utc = performance.to_frame(timezone="UTC")
    assert str(utc["start"].dt.tz) == "UTC"
    assert (utc["start"] == zoned["start"]).all()


def test_a_zone_cannot_be_made_up(reference_frame):
    estimator = PerformanceEstimator(chunk="5D", timestamp="timestamp")
    estimates = estimator.fit(reference_frame).estimate(simulate(3_000, 5))
    assert_frame_equal(estimates.to_frame(timezone=None), estimates.to_frame())
    with pytest.raises(ValueError, match="`timezone` must be left out"):
        estimates.to_frame(timezone="UTC")


def test_a_page_is_written_whole_or_not_at_all(performance, tmp_path, monkeypatch):
    path = tmp_path / "page.html"
    performance.to_html(path, title="a <b> $$x_{")
    before = path.read_text(encoding="utf-8")
    page = parse(before)
    assert page.one("h1").text == "a <b> $$x_{"
    assert len(page.all("figure")) == len(METRICS) * (1 + 2)

    def fail(*_):
        message = "no page"
        raise RuntimeError(message)

    monkeypatch.setattr(report, "report_html", fail)
    with pytest.raises(RuntimeError, match="no page"):
        performance.to_html(path)
    assert path.read_text(encoding="utf-8") == before
    assert [file.name for file in tmp_path.iterdir()] == ["page.html"]


def test_a_filter_changes_no_array(performance):
    before = {
        f.name: np.array(getattr(performance, f.name), copy=True)
        for f in fields(performance)
    }
    performance.filter(metric="tp", period="analysis")
    for name, array in before.items():
        assert_array_equal(getattr(performance, name), array)
