"""The data that the benchmarks share: a simulated world, and the employment census."""

import argparse
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import expit

Floats = NDArray[np.float64]

SIX_METRICS = ("roc_auc", "f1", "precision", "recall", "specificity", "accuracy")
ALL_METRICS = (
    *SIX_METRICS,
    *("average_precision", "balanced_accuracy", "brier_score", "log_loss"),
    *("tn", "fp", "fn", "tp", "business_value"),
)
COSTS = {"tn": 0.0, "fp": -5.0, "fn": -100.0, "tp": 20.0}

EMPLOYMENT_COLUMNS = {
    "predicted_probability": "y_pred_proba",
    "prediction": "y_pred",
    "employed": "y_true",
}


def draw_scores(n: int, rng: np.random.Generator, *, shift: float = 0.0) -> Floats:
    """Draw logit-normal scores, moved by ``shift`` on the logit scale."""
    return expit(rng.normal(shift - 0.3, 1.3, n))


def true_probability(score: Floats) -> Floats:
    """Return P(y = 1 | score): the score is over-confident, too high, and bent."""
    z = np.log(score / (1.0 - score))
    return expit(1.3 * z - 1.0 + 0.3 * np.sin(2.0 * z))


def draw_frame(n: int, rng: np.random.Generator, *, shift: float = 0.0) -> pd.DataFrame:
    """Draw rows with score, decision at .5 and label."""
    score = draw_scores(n, rng, shift=shift)
    label = rng.random(n) < true_probability(score)
    return pd.DataFrame(
        {
            "y_pred_proba": score,
            "y_pred": (score >= 0.5).astype(np.int64),
            "y_true": label.astype(np.int64),
        }
    )


def read_employment(
    folder: Path, parser: argparse.ArgumentParser, *, with_features: bool = False
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return reference and analysis rows in time order, analysis with its labels.

    Features are all columns but ids and the year, which tells the time.
    """
    names = ("reference", "analysis", "analysis_target")
    paths = [folder / f"employment_MA_{name}.pq" for name in names]
    absent = [path.name for path in paths if not path.is_file()]
    if absent:
        parser.error(
            f"the data folder {str(folder)!r} lacks {', '.join(absent)}: US census "
            "employment, Massachusetts, as published with NannyML (Apache-2.0)."
        )
    reference, analysis = (pd.read_parquet(path) for path in paths[:2])
    analysis = analysis.merge(
        pd.read_parquet(paths[2]), on="id", how="left", validate="one_to_one"
    )
    wanted = list(EMPLOYMENT_COLUMNS.values())
    if with_features:
        not_features = {"id", "year", *EMPLOYMENT_COLUMNS}
        wanted += [name for name in reference if name not in not_features]
    return (
        reference.rename(columns=EMPLOYMENT_COLUMNS)[wanted],
        analysis.rename(columns=EMPLOYMENT_COLUMNS)[wanted],
    )
