"""Causes of declines from rows whose labels come late: covariate shift, concept drift.

The credit-default world with labels of both classes 2 to 6 weeks late, those of
defaults first: young chunks have labels of one class only. A cause is judged when two
thirds of the affected weeks have all their labels, and at the end. What is true is
said by the true probabilities: how much of the change of a metric the other applicants
make up, and how much their other behaviour. A change of which a cause makes up between
a tenth and three tenths has a cause that is a matter of opinion: it is not judged.
"""

import argparse
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import expit, logit
from sklearn.metrics import roc_auc_score

from benchmarks.reporting import Targets, make_parser, print_table
from estimator import Monitor, PerformanceEstimator
from estimator.simulation import CreditDefaultWorld, simulate_credit_default

Floats = NDArray[np.float64]

SCENARIOS = ("sudden", "gradual", "recovered")
CAUSES = ("covariate_shift", "concept_drift", "both")
METRICS = ("roc_auc", "accuracy")
N_WEEKS = 40
WEEK = pd.Timedelta(weeks=1)
# The world's labels are 30 to about 180 days late; here that is 2 to 6 weeks.
EARLIEST, LATEST = pd.Timedelta(days=30), pd.Timedelta(days=180)
# The concept drifts as the world's own does, and defaults become more frequent, too:
# the one moves ROC AUC, the other accuracy.
LOOSENED, RAISED = 0.45, 0.8
# Shares of a change: what makes up less is no cause, what makes up more is one.
NO_CAUSE, CAUSE = 0.1, 0.3


@dataclass(frozen=True, kw_only=True)
class Judged:
    """One verdict: what was true ("" if a matter of opinion), and what was said."""

    world: str
    metric: str
    truth: str
    kind: str
    said: str


@dataclass(frozen=True, kw_only=True)
class Truth:
    """What is true of each production row, in the order of time.

    Attributes
    ----------
    before, after : ndarray of shape (n_rows,)
        Probability of default if behaviour had stayed, and as it is.
    """

    before: Floats
    after: Floats


def main() -> int:
    args = _arguments()
    targets = Targets(source="causes from rows with late labels")
    with ProcessPoolExecutor(2) as pool:
        work = partial(judge_worlds, rows=args.rows)
        seeds = range(args.seed, args.seed + args.seeds)
        judged = [one for batch in pool.map(work, seeds) for one in batch]
    _report(judged, targets)
    return targets.finish(check=args.check)


def _arguments() -> argparse.Namespace:
    parser = make_parser(__doc__)
    parser.add_argument("--seeds", type=int, default=4, help="worlds of each kind")
    parser.add_argument("--rows", type=int, default=2000, help="applications a week")
    return parser.parse_args()


def judge_worlds(seed: int, rows: int) -> list[Judged]:
    """Return the causes named in a world of each scenario and each cause."""
    judged = []
    for scenario in SCENARIOS:
        for cause in CAUSES:
            world, truth = draw_world(scenario, cause, seed, rows)
            estimator = PerformanceEstimator(
                METRICS, chunk="W", timestamp="timestamp", labeled_at="labeled_at"
            ).fit(world.reference)
            for now in moments(world):
                judged += _judge(estimator, world, truth, now, f"{scenario}, {cause}")
    return judged


def draw_world(
    scenario: str, cause: str, seed: int, rows: int
) -> tuple[CreditDefaultWorld, Truth]:
    """Return a world of a cause, its labels 2 to 6 weeks late, and its truth."""
    drift = "concept_drift" if cause == "concept_drift" else "covariate_shift"
    world = simulate_credit_default(
        scenario,
        n_weeks=N_WEEKS,
        applications_per_week=rows,
        drift=drift,
        random_state=seed,
    )
    strength = world.truth["strength"].to_numpy()
    before = world.truth["probability"].to_numpy()
    if cause == "concept_drift":  # as it was without the world's own
        pull = 1.0 - LOOSENED * strength
        mean = logit(before).mean()
        before = expit(mean + (logit(before) - mean) / pull)
    after = before
    if cause != "covariate_shift":
        log_odds = logit(before)
        log_odds -= LOOSENED * strength * (log_odds - log_odds.mean())
        after = expit(log_odds + RAISED * strength)
    rng = np.random.default_rng([seed, 1])
    label = (rng.random(after.size) < after).astype(np.int64)
    labeled_at = world.production["timestamp"] + _delays(rng, label, world.reference)
    labels = pd.DataFrame(
        {"id": world.production["id"], "y_true": label, "labeled_at": labeled_at}
    )
    reference = world.reference.assign(
        labeled_at=world.reference["timestamp"] + _sooner(world.reference)
    )
    world = replace(world, reference=reference, labels=labels)
    return world, Truth(before=before, after=after)


def _delays(
    rng: np.random.Generator, label: NDArray[np.int64], reference: pd.DataFrame
) -> NDArray[np.timedelta64]:
    """Draw delays of labels from those of the reference, by class."""
    delay = _sooner(reference).to_numpy()
    drawn = np.empty(label.size, dtype=delay.dtype)
    for y in (0, 1):
        of_class = delay[reference["y_true"] == y]
        drawn[label == y] = rng.choice(of_class, int((label == y).sum()))
    return drawn


def _sooner(reference: pd.DataFrame) -> pd.Series:
    """Return delays of 2 to 6 weeks in place of the world's."""
    delay = reference["labeled_at"] - reference["timestamp"]
    return 2 * WEEK + (delay - EARLIEST) / (LATEST - EARLIEST) * 4 * WEEK


def moments(world: CreditDefaultWorld) -> Iterator[pd.Timestamp]:
    """Yield when two thirds of the affected weeks have their labels, and the end."""
    scored = world.production["timestamp"]
    start = scored.iloc[0].normalize()
    week = ((scored - start) // WEEK).to_numpy()
    labeled = world.labels["labeled_at"].to_numpy()
    affected = np.unique(week[world.truth["strength"].to_numpy() > 0.0])
    complete = pd.DatetimeIndex([labeled[week == one].max() for one in affected])
    for past in range(1, N_WEEKS):
        now = start + past * WEEK
        begun = affected < past
        if begun.any() and np.mean(complete[begun] <= now) >= 2.0 / 3.0:
            yield now
            break
    yield start + N_WEEKS * WEEK


def _judge(
    estimator: PerformanceEstimator,
    world: CreditDefaultWorld,
    truth: Truth,
    now: pd.Timestamp,
    name: str,
) -> list[Judged]:
    monitor = Monitor(estimator, row_id="id")
    is_scored = world.production["timestamp"] < now
    monitor.add_predictions(world.production[is_scored])
    monitor.add_labels(world.labels[world.labels["labeled_at"] < now])
    is_affected = is_scored & (world.truth["strength"].to_numpy() > 0.0)
    judged = []
    for metric, verdict in monitor.degradation().items():
        judged.append(
            Judged(
                world=name,
                metric=metric,
                truth=_true_cause(metric, world, truth, is_affected.to_numpy()),
                kind=verdict.kind,
                said=verdict.cause,
            )
        )
    return judged


def _true_cause(
    metric: str,
    world: CreditDefaultWorld,
    truth: Truth,
    is_affected: NDArray[np.bool_],
) -> str:
    """Return what makes up the fall of a metric, "" if that is a matter of opinion."""
    score = world.production["y_pred_proba"].to_numpy()[is_affected]
    reference = _expected(
        metric,
        world.reference["y_pred_proba"].to_numpy(),
        world.reference["y_true"].to_numpy(dtype=np.float64),
    )
    before = _expected(metric, score, truth.before[is_affected])
    after = _expected(metric, score, truth.after[is_affected])
    falls = np.maximum([reference - before, before - after], 0.0)
    if falls.sum() == 0.0:
        return ""
    covariate, concept = falls / falls.sum()
    if NO_CAUSE < min(covariate, concept) < CAUSE:
        return ""
    if min(covariate, concept) >= CAUSE:
        return "both"
    return "covariate_shift" if covariate > concept else "concept_drift"


def _expected(metric: str, score: Floats, probability: Floats) -> float:
    """Return a metric of rows whose label is 1 with a probability."""
    if metric == "accuracy":
        return float(np.where(score >= 0.5, probability, 1.0 - probability).mean())
    label = np.repeat([1, 0], score.size)
    weight = np.concatenate([probability, 1.0 - probability])
    return float(roc_auc_score(label, np.tile(score, 2), sample_weight=weight))


def _report(judged: list[Judged], targets: Targets) -> None:
    rows = []
    for world in dict.fromkeys(one.world for one in judged):
        for metric in METRICS:
            cell = [x for x in judged if (x.world, x.metric) == (world, metric)]
            for truth in sorted({one.truth for one in cell}):
                fell = [x for x in cell if x.truth == truth and x.kind != "stable"]
                said = [one.said for one in fell]
                counts = (said.count(name) for name in (*CAUSES, "unknown"))
                rows.append((world, metric, truth or "either", len(fell), *counts))
    print_table(
        "Causes named where a decline is",
        ("world", "metric", "truth", "declines", *CAUSES, "unknown"),
        rows,
    )
    for metric in METRICS:
        fell = [
            x for x in judged if x.metric == metric and x.kind != "stable" and x.truth
        ]
        right = 100.0 * float(np.mean([x.said == x.truth for x in fell]))
        targets.at_least(f"cause right, {metric}", right, 95.0, " %")


if __name__ == "__main__":
    raise SystemExit(main())
