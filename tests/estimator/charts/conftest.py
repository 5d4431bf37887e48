import matplotlib.pyplot as plt
import numpy as np
import pytest

from estimator import Monitor, PerformanceEstimator
from tests.estimator.conftest import simulate


@pytest.fixture(scope="session")
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


@pytest.fixture(scope="session")
def reconciled(reference_frame):
    """Two chunks complete, one half labelled, the last without labels."""
    production = simulate(4_000, 6, slope=0.7)
    estimator = PerformanceEstimator(chunk=1_000).fit(reference_frame)
    monitor = Monitor(estimator, row_id="id")
    monitor.add_predictions(production.drop(columns="y_true"))
    monitor.add_labels(production[["id", "y_true"]][:2_500])
    return monitor.performance()


@pytest.fixture(scope="session")
def fallen(reference_frame):
    production = simulate(12_000, 8)
    score = production["y_pred_proba"]
    production["y_pred_proba"] = score.where(
        score.index < 7_000, 0.5 + (score - 0.5) / 4
    )
    estimator = PerformanceEstimator(chunk=500, segments="region")
    return estimator.fit(reference_frame).estimate(production)


@pytest.fixture(scope="session")
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
