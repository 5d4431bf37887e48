"""Which calibrator estimates ROC AUC and accuracy best where nothing shifts?

Three client models are trained on simulated tabular data and score a large pool of rows
whose true P(y = 1 | x) is known; the scores of a fourth turn at their lower end. The
pool is the population: a replicate draws m labelled reference rows from it, fits a
calibrator, and its estimate for the whole pool is held against the pool's true metric.
What is left is the calibrator's own error, without the label noise of any chunk. All
candidates see the same replicates. This is the place to choose defaults; real data only
confirms them.
"""

import argparse
import sys
from itertools import product
from typing import NamedTuple

import numpy as np
from lightgbm import LGBMClassifier
from numpy.typing import NDArray
from scipy.special import expit
from sklearn.ensemble import RandomForestClassifier
from sklearn.naive_bayes import GaussianNB

from benchmarks.reporting import make_parser, print_table
from calibration import CALIBRATORS, Calibrator, SplineCalibrator, make_calibrator

Floats = NDArray[np.float64]

METRICS = ("ROC AUC", "accuracy")
TRAINING_ROWS, POOL_ROWS, POOL_CELLS = 20_000, 300_000, 4_096


class Pool(NamedTuple):
    """A client model's scores of the population, and the population in score cells."""

    score: Floats
    probability: Floats  # true P(y = 1 | x) of each row
    cell_score: Floats
    cell_weight: Floats
    truth: Floats  # of METRICS


def main() -> int:
    parser = make_parser(__doc__)
    parser.add_argument("--references", type=int, nargs="+", default=[1000, 10_000])
    parser.add_argument("--replicates", type=int, default=100)
    parser.add_argument(
        "--spline-grid", action="store_true", help="also compare l2 and n_knots"
    )
    parser.add_argument("--l2", type=float, nargs="+", default=[0.1, 1, 10, 30, 100])
    parser.add_argument("--knots", type=int, nargs="+", default=[4, 5, 6, 8])
    options = parser.parse_args()
    rng = np.random.default_rng(options.seed)
    pools = make_pools(rng)
    for name, pool in pools.items():
        mean = np.average(pool.score), np.average(pool.probability)
        print(
            f"{name}: ROC AUC {pool.truth[0]:.4f}, accuracy {pool.truth[1]:.4f}, "
            f"mean score {mean[0]:.3f}, positives {mean[1]:.3f}"
        )
    named: dict[str, Calibrator] = {name: make_calibrator(name) for name in CALIBRATORS}
    _compare("Calibrators", named, pools, options)
    if options.spline_grid:
        grid: dict[str, Calibrator] = {"default": SplineCalibrator()}
        for knots, l2 in product(options.knots, options.l2):
            name = f"{knots} knots, l2 {l2:g}"
            grid[name] = SplineCalibrator(n_knots=knots, l2=l2)
        _compare("Spline", grid, pools, options)
    print("Lower is better; the last column is the geometric mean over the others.")
    return 0


def make_pools(rng: np.random.Generator) -> dict[str, Pool]:
    """Train the client models and let them score the same population.

    And one whose scores turn at their lower end: of rows unlike those of the training.
    """
    features, probability = _draw(TRAINING_ROWS + POOL_ROWS, rng)
    train = slice(TRAINING_ROWS)
    label = rng.random(TRAINING_ROWS) < probability[train]
    seed = int(rng.integers(2**31))
    models = {
        "LightGBM": LGBMClassifier(verbosity=-1, random_state=seed, n_jobs=1),
        "random forest": RandomForestClassifier(100, random_state=seed, n_jobs=1),
        "naive Bayes": GaussianNB(),
    }
    pools = {}
    for name, model in models.items():
        model.fit(features[train], label)
        score = model.predict_proba(features[TRAINING_ROWS:])[:, 1]
        pools[name] = _in_cells(score, probability[TRAINING_ROWS:])
    # Rows of the lowest scores are likelier positives than the next.
    z = rng.normal(-2.2, 2.0, POOL_ROWS)
    turn = 1.6 * np.exp(-0.5 * ((z + 5.0) / 0.8) ** 2)
    pools["U-shaped"] = _in_cells(expit(z), expit(0.5 * z - 0.3 + turn))
    return pools


def _draw(n: int, rng: np.random.Generator) -> tuple[Floats, Floats]:
    """Draw correlated features, and a probability that bends and interacts in them."""
    common = rng.normal(size=(n, 1))
    x = 0.6 * common + 0.8 * rng.normal(size=(n, 10))
    logit = (
        -1.1
        + 0.8 * x[:, 0]
        - 0.6 * x[:, 1]
        + 0.7 * x[:, 2] * x[:, 3]
        + 0.6 * np.sin(2.0 * x[:, 4])
        + 0.8 * (x[:, 5] > 0.8)
        - 0.4 * np.abs(x[:, 6])
        + 0.3 * x[:, 7]
    )
    return x, expit(logit)


def _in_cells(score: Floats, probability: Floats) -> Pool:
    """Cut the population into quantile cells of the score, ties together."""
    edges = np.quantile(score, np.arange(1, POOL_CELLS) / POOL_CELLS, method="lower")
    edges = np.unique(edges)
    cell = np.searchsorted(edges, score)
    count = np.bincount(cell, minlength=edges.size + 1)
    used = count > 0
    count = count[used]
    centre = np.bincount(cell, score)[used] / count
    positive = np.bincount(cell, probability)[used] / count
    weight = count / count.sum()
    return Pool(score, probability, centre, weight, evaluate(centre, weight, positive))


def evaluate(score: Floats, weight: Floats, positive: Floats) -> Floats:
    """Return ROC AUC and accuracy of a population in rising, tied cells of the score.

    A population has no pairs of a row with itself to take out.
    """
    p, q = weight * positive, weight * (1.0 - positive)
    concordant = p @ (np.cumsum(q) - 0.5 * q)
    right = np.where(score >= 0.5, p, q).sum()
    return np.array([concordant / (p.sum() * q.sum()), right])


def _compare(
    title: str,
    candidates: dict[str, Calibrator],
    pools: dict[str, Pool],
    options: argparse.Namespace,
) -> None:
    """Print bias and RMSE of each candidate for each model and reference size."""
    keys = list(product(pools, options.references))
    error = {name: np.empty((len(keys), options.replicates, 2)) for name in candidates}
    for i, (model, m) in enumerate(keys):
        pool = pools[model]
        rng = np.random.default_rng([options.seed, i])
        for r in range(options.replicates):
            rows = rng.choice(pool.score.size, m, replace=False)
            label = (rng.random(m) < pool.probability[rows]).astype(np.float64)
            for name, calibrator in candidates.items():
                fitted = calibrator.fit(pool.score[rows], label)
                estimates = evaluate(
                    pool.cell_score, pool.cell_weight, fitted.predict(pool.cell_score)
                )
                error[name][i, r] = estimates - pool.truth
    for k, metric in enumerate(METRICS):
        rmse = {
            name: np.sqrt((each[..., k] ** 2).mean(axis=1))
            for name, each in error.items()
        }
        first = next(iter(rmse.values()))
        rows = [
            (
                name,
                *(
                    f"{1e4 * each[i, :, k].mean():+.0f} / {1e4 * rmse[name][i]:.0f}"
                    for i in range(len(keys))
                ),
                f"{np.exp(np.mean(np.log(rmse[name] / first))):.3f}",
            )
            for name, each in error.items()
        ]
        header = ("", *(f"{model} m={m:,}" for model, m in keys), "RMSE / first")
        print_table(f"{title}: {metric}, bias / RMSE, e-4", header, rows)


if __name__ == "__main__":
    sys.exit(main())
