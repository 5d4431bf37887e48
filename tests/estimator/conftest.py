import numpy as np
import pandas as pd
import pytest


def simulate(n_rows, seed, *, slope=1.3, mean=0.2):
    """Draw uncalibrated scores, with labels from a known P(y = 1 | score)."""
    rng = np.random.default_rng(seed)
    z = rng.normal(mean, 1.1, n_rows)
    label = rng.random(n_rows) < 1 / (1 + np.exp(1 - slope * z))
    return pd.DataFrame(
        {
            "id": np.arange(n_rows),
            "timestamp": pd.Timestamp("2026-01-05")
            + pd.to_timedelta(np.arange(n_rows) * 12, unit="min"),
            "y_pred_proba": (1 / (1 + np.exp(-z))).round(3),
            "region": rng.choice(["north", "south"], n_rows),
            "y_true": label.astype(int),
        }
    )


@pytest.fixture(scope="session")
def reference_frame():
    return simulate(6_000, 0)


@pytest.fixture(scope="session")
def production_frame():
    frame = simulate(5_500, 1)
    return frame.assign(timestamp=frame["timestamp"] + pd.Timedelta(days=56))
