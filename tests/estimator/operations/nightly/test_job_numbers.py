"""The job's realized metrics are scikit-learn's, wherever the scores lie."""

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit
from sklearn import metrics as sklearn_metrics

from estimator.delayed_labels.counts import count_table_bytes as count_table_file
from estimator.operations.exit_codes import MISUSED, NOTHING_NEW, RAN
from estimator.operations.nightly import estimators
from tests.estimator.operations.nightly.test_job import load
from trials.nightly_world import CONFIG, World

TRUTH = {
    "roc_auc": sklearn_metrics.roc_auc_score,
    "average_precision": sklearn_metrics.average_precision_score,
    "accuracy": lambda y, s: sklearn_metrics.accuracy_score(y, s >= 0.5),
    "log_loss": sklearn_metrics.log_loss,
    "brier_score": sklearn_metrics.brier_score_loss,
}
# Scores and the log odds of their labels, from a standard normal z.
KINDS = {
    "overconfident": lambda z: (expit(10.0 * z), 1.5 * z),
    "crowded at 1": lambda z: (expit(8.0 * z + 14.0), z),
    "crowded at 0": lambda z: (expit(2.0 * z - 14.0), 1.5 * z - 3.0),
    "a narrow band": lambda z: (1e-7 + 8e-7 * expit(z), np.zeros_like(z)),
}


def world_of(tmp_path, draw, per_day):
    config = CONFIG.replace('"roc_auc", "accuracy"', ", ".join(f'"{m}"' for m in TRUTH))
    world = World(tmp_path / "world", n_days=2, per_day=per_day, config=config)
    rng = np.random.default_rng(5)
    score, log_odds = draw(rng.normal(size=len(world.rows)))
    label = (rng.random(score.size) < expit(log_odds)).astype(int)
    came = world.rows["time"] + pd.Timedelta(minutes=1)
    world.rows = world.rows.assign(y_pred_proba=score, y_true=label, labeled_at=came)
    world.arrive_all()
    return world


@pytest.mark.parametrize("kind", KINDS)
def test_a_labelled_day_is_exact(tmp_path, kind):
    world = world_of(tmp_path, KINDS[kind], per_day=2_000)
    assert world.run() == RAN
    rows = world.rows[world.rows["time"] < world.moment(1)]
    assert rows["labeled_at"].max() < world.moment(2)
    results = (
        load(world).query("chunk == '2026-01-05'").set_index(["segment", "metric"])
    )
    for segment in ("", "region=north", "region=south"):
        in_segment = rows[rows["region"] == segment[7:]] if segment else rows
        for name, truth in TRUTH.items():
            row = results.loc[(segment, name)]
            assert row["n_labels"] == row["n_rows"] == len(in_segment)
            for column in ("value", "realized", "lower", "upper"):
                expected = truth(in_segment["y_true"], in_segment["y_pred_proba"])
                assert row[column] == pytest.approx(expected, abs=1e-9), (name, column)


def test_a_large_day_is_within_its_interval(tmp_path):
    world = world_of(tmp_path, KINDS["overconfident"], per_day=60_000)
    assert world.run() == RAN
    rows = world.rows[world.rows["time"] < world.moment(1)]
    results = load(world).query("chunk == '2026-01-05' and segment == ''")
    results = results.set_index("metric")
    for name, bar in (("roc_auc", 2e-5), ("average_precision", 1e-4)):
        truth = TRUTH[name](rows["y_true"], rows["y_pred_proba"])
        assert results.loc[name, "value"] == pytest.approx(truth, abs=bar)
        assert results.loc[name, "lower"] <= truth <= results.loc[name, "upper"]
        assert 0 < results.loc[name, "upper"] - results.loc[name, "lower"] < 0.01
    for name in ("accuracy", "log_loss", "brier_score"):
        truth = TRUTH[name](rows["y_true"], rows["y_pred_proba"])
        assert results.loc[name, "value"] == pytest.approx(truth, abs=1e-9)


def test_tables_of_an_earlier_version_are_counted_anew(tmp_path, monkeypatch, caplog):
    world = World(tmp_path / "world", n_days=3)
    world.arrive_all()
    with monkeypatch.context() as earlier:
        earlier.setattr(count_table_file, "VERSION", 1)
        earlier.setattr(estimators, "TABLE_VERSION", 1)
        assert world.run() == RAN
    old = world.dump("deadreckon_chunk")
    file = world.folder / "predictions" / "000.parquet"
    content = file.read_bytes()
    file.unlink()
    assert world.run() == MISUSED
    assert "this version of deadreckon counts otherwise" in caplog.text
    assert "bring the rows back" in caplog.text
    assert world.dump("deadreckon_chunk") == old
    file.write_bytes(content)
    assert world.run() == RAN
    assert world.run() == NOTHING_NEW
    again = World(tmp_path / "fresh", n_days=3)
    again.arrive_all()
    assert again.run() == RAN
    assert world.final() == again.final()
