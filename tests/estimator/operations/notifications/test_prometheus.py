import math
import re
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from estimator.degradation.kinds import KINDS
from estimator.operations.notifications.prometheus import (
    MetricGauges,
    ModelGauges,
    write_textfile,
)

ROC_AUC = MetricGauges(
    segment="",
    metric="roc_auc",
    value=0.8125,
    lower=0.75,
    upper=0.875,
    alert=True,
    chunk_start_timestamp=1_774_828_800.0,
    labels_ratio=0.25,
    kind="gradual",
    probability=0.94,
)
CREDIT = ModelGauges(
    model="credit",
    last_success_timestamp=1_774_920_123.456,
    data_as_of_timestamp=1_774_915_200.0,
    labels_overdue=412,
    metrics=(ROC_AUC,),
)


def with_metrics(*metrics, model="credit"):
    return ModelGauges(
        model=model,
        last_success_timestamp=1.0,
        data_as_of_timestamp=math.nan,
        metrics=metrics,
    )


def metric_like(**changes):
    fields = {name: getattr(ROC_AUC, name) for name in MetricGauges.__slots__}
    return MetricGauges(**{**fields, **changes})


def read(path):
    """Read the file as Prometheus does: {(name, labels): value}, each one once."""
    series = {}
    for family in text_string_to_metric_families(path.read_bytes().decode("utf-8")):
        assert family.type == "gauge"
        assert family.documentation.endswith(".")
        for sample in family.samples:
            key = (sample.name, *sorted(sample.labels.items()))
            assert key not in series
            series[key] = sample.value
    return series


def test_every_gauge_is_read_back(tmp_path):
    path = tmp_path / "deadreckon.prom"
    write_textfile(path, [CREDIT])
    of_model = (("model", "credit"),)
    of_metric = (("metric", "roc_auc"), ("model", "credit"), ("segment", ""))
    expected = {
        ("deadreckon_last_success_timestamp_seconds", *of_model): 1_774_920_123.456,
        ("deadreckon_data_as_of_timestamp_seconds", *of_model): 1_774_915_200.0,
        ("deadreckon_value", *of_metric): 0.8125,
        ("deadreckon_value_lower", *of_metric): 0.75,
        ("deadreckon_value_upper", *of_metric): 0.875,
        ("deadreckon_alert", *of_metric): 1.0,
        ("deadreckon_chunk_start_timestamp_seconds", *of_metric): 1_774_828_800.0,
        ("deadreckon_labels_ratio", *of_metric): 0.25,
        ("deadreckon_labels_overdue", ("model", "credit")): 412.0,
        ("deadreckon_verdict_probability", *of_metric): 0.94,
    }
    for kind in KINDS:
        key = ("deadreckon_verdict", ("kind", kind), *of_metric)
        expected[key] = float(kind == "gradual")
    assert read(path) == expected


def test_lines_of_a_metric_stand_together(tmp_path):
    """The format asks for it; the parser forgives, other readers do not."""
    path = tmp_path / "a.prom"
    two = with_metrics(ROC_AUC, metric_like(metric="f1"), model="b")
    write_textfile(path, [CREDIT, two])
    lines = path.read_text().splitlines()
    names = [re.match(r"\w+", x)[0] for x in lines if not x.startswith("#")]
    runs = [name for i, name in enumerate(names) if i == 0 or names[i - 1] != name]
    assert len(runs) == len(set(runs)) == sum(x.startswith("# TYPE") for x in lines)


def test_undefined_is_nan_and_no_verdict_is_no_kind(tmp_path):
    path = tmp_path / "a.prom"
    unknown = metric_like(
        value=math.nan, alert=False, kind=None, probability=math.nan, upper=math.inf
    )
    write_textfile(path, [with_metrics(unknown)])
    series = {name: value for (name, *_), value in read(path).items()}
    assert math.isnan(series["deadreckon_value"])
    assert math.isnan(series["deadreckon_data_as_of_timestamp_seconds"])
    assert math.isnan(series["deadreckon_verdict_probability"])
    assert series["deadreckon_value_upper"] == math.inf
    assert series["deadreckon_alert"] == 0.0
    verdicts = [x for (name, *_), x in read(path).items() if name.endswith("_verdict")]
    assert verdicts == [0.0] * 6


hostile = st.text(
    st.sampled_from('"\\\n{},=# ab\r\u2028é') | st.characters(exclude_categories="C"),
    max_size=20,
)


@given(model=hostile, segments=st.lists(hostile, min_size=1, max_size=3, unique=True))
def test_any_label_is_read_back(tmp_path_factory, model, segments):
    path = tmp_path_factory.mktemp("labels") / "a.prom"
    metrics = (metric_like(segment=segment) for segment in segments)
    write_textfile(path, [with_metrics(*metrics, model=model)])
    read_back = [
        dict(labels) for name, *labels in read(path) if name == "deadreckon_value"
    ]
    assert [labels["segment"] for labels in read_back] == segments
    assert {labels["model"] for labels in read_back} == {model}


def test_models_that_are_gone_are_gone(tmp_path):
    path = tmp_path / "a.prom"
    write_textfile(path, [CREDIT, with_metrics(model="other")])
    write_textfile(path, [with_metrics(model="other")])
    assert "credit" not in path.read_text()
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.prom"]


def test_a_failed_write_leaves_the_old_file_and_none_to_be_read(tmp_path):
    path = tmp_path / "a.prom"
    write_textfile(path, [CREDIT])
    before = path.read_bytes()
    with pytest.raises((TypeError, ValueError), match="float"):
        write_textfile(path, [with_metrics(metric_like(value="not a number"))])
    assert path.read_bytes() == before
    assert [entry.name for entry in tmp_path.glob("*.prom")] == ["a.prom"]


def test_the_file_never_ends_in_prom_before_it_is_whole(tmp_path, monkeypatch):
    seen = []

    class Watched(float):
        def __float__(self):
            seen.extend(entry.name for entry in tmp_path.iterdir())
            return 0.5

    write_textfile(tmp_path / "a.prom", [with_metrics(metric_like(value=Watched()))])
    assert seen
    assert not any(name.endswith(".prom") for name in seen)


@pytest.mark.parametrize(
    ("models", "match"),
    [
        ([CREDIT, CREDIT], "each series once, got twice: {'model': 'credit'}"),
        ([with_metrics(ROC_AUC, ROC_AUC)], "'segment': '', 'metric': 'roc_auc'"),
        (
            [with_metrics(metric_like(kind="slow"))],
            "`kind` must be one of stable, .* or None, got 'slow'",
        ),
    ],
)
def test_what_prometheus_would_refuse(tmp_path, models, match):
    with pytest.raises(ValueError, match=match):
        write_textfile(tmp_path / "a.prom", models)
    assert list(tmp_path.iterdir()) == []


def test_paths_that_nobody_would_read(tmp_path):
    with pytest.raises(ValueError, match=r"the ending must be \.prom, got '.txt'"):
        write_textfile(tmp_path / "a.txt", [CREDIT])
    with pytest.raises(FileNotFoundError, match=r"no folder .*absent\. Make it"):
        write_textfile(tmp_path / "absent" / "a.prom", [CREDIT])


def test_without_the_client_it_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "prometheus_client", None)
    with pytest.raises(ModuleNotFoundError, match=r'pip install "\.\[job\]"'):
        write_textfile(tmp_path / "a.prom", [CREDIT])
