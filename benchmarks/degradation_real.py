"""Verdicts on real series: documented behaviour, and two concepts mixed to a shape.

A LightGBM client model is trained on the first rows, evaluated on its reference and on
chunks after it. Standard errors: binomial for accuracy, DeLong's for one-vs-rest ROC
AUC (DeLong, DeLong & Clarke-Pearson 1988, Biometrics 44(3)), averaged over classes.
"""

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import lightgbm as lgb
import numpy as np
import pandas as pd
from scipy.stats import rankdata
from sklearn.metrics import confusion_matrix, f1_score

from benchmarks.reporting import Targets, make_parser, print_table
from estimator import classify_degradation
from estimator.degradation.kinds import KINDS
from trials.series import draw_shape

DOCUMENTED = (
    # name, rows to train on, of the reference, of a chunk, what it is known to be
    ("insects_laser2013_abrupt", 1000, 500, 100, "recovered"),
    ("noaa_weather", 2000, 900, 90, "stable"),  # a season that the reference shows
    ("keystroke", 250, 150, 50, "gradual"),
    ("adult", 5000, 3000, 500, "stable"),
)
SEASONAL = ("noaa_weather",)  # a year, in rows that are days
# name, label, first row of the second concept, columns to leave out
MIXED = (
    ("insects_gradual_balanced", "y", 14_028, ("t",)),
    ("bank_additional_full", "y_true", 27_690, ("duration", "row_order")),
)
METRICS = ("accuracy", "roc_auc")


@dataclass(frozen=True, kw_only=True)
class Scored:
    """Rows with a model's probabilities of all classes, and the class's number."""

    probability: np.ndarray
    label: np.ndarray


def main() -> int:
    args = _arguments()
    if not args.folder.is_dir():
        msg = f"There is no folder {args.folder}; see benchmarks/README.md."
        raise SystemExit(msg)
    targets = Targets(source="kinds of decline in real series")
    _documented(args.folder, targets)
    _mixed(args.folder, targets, args.repetitions, args.seed)
    return targets.finish(check=args.check)


def _arguments() -> argparse.Namespace:
    parser = make_parser(__doc__)
    parser.add_argument("folder", type=Path, help="folder of the Parquet files")
    parser.add_argument(
        "--repetitions", type=int, default=20, help="mixed series per kind and cell"
    )
    return parser.parse_args()


def _documented(folder: Path, targets: Targets) -> None:
    rows = []
    for name, n_train, n_reference, size, kind in DOCUMENTED:
        frame = _read(folder, name, ("t",), "y")
        scored = _score(frame, "y", slice(0, n_train))
        n_chunks = (len(frame) - n_train) // size
        chunks = [
            np.arange(n_train + k * size, n_train + (k + 1) * size)
            for k in range(n_chunks)
        ]
        for metric in METRICS:
            values, errors = _series(scored, chunks, metric)
            days = np.array([chunk.mean() for chunk in chunks])
            verdict = classify_degradation(
                values, errors, n_reference=n_reference // size, times=days
            )
            rows.append((name, metric, kind, verdict.kind, str(verdict)))
            targets.at_least(f"{name}, {metric}: {kind}", verdict.kind == kind, 1)
            if name in SEASONAL:
                period = verdict.season.period if verdict.season else np.nan
                targets.within(f"{name}, {metric}: period", period, 345, 385, " days")
    print_table(
        "Series of documented behaviour",
        ("data", "metric", "known to be", "verdict", "in words"),
        rows,
    )


def _mixed(folder: Path, targets: Targets, repetitions: int, seed: int) -> None:
    for name, y, second, left_out in MIXED:
        frame = _read(folder, name, left_out, y)
        half = second // 2
        scored = _score(frame, y, np.arange(0, second, 2)[:half])
        old, new = np.arange(1, second, 2), np.arange(second, len(frame))
        rng = np.random.default_rng(seed)
        truth, verdicts = [], []
        for n in (25, 50):
            for drop in (3.0, 5.0, 8.0):
                for kind in KINDS:
                    for _ in range(repetitions):
                        series = _mix(rng, scored, old, new, kind, n, drop)
                        if series is None:
                            continue
                        values, errors, n_reference = series
                        verdict = classify_degradation(
                            values, errors, n_reference=n_reference
                        )
                        truth.append(kind)
                        verdicts.append(verdict.kind)
        matrix = confusion_matrix(truth, verdicts, labels=KINDS)
        print_table(
            f"{name}, mixed to a shape: {len(truth)} series (rows: truth)",
            ("", *KINDS),
            ((kind, *row) for kind, row in zip(KINDS, matrix.tolist(), strict=True)),
        )
        targets.at_least(
            f"{name} mixed: macro-F1", f1_score(truth, verdicts, average="macro"), 0.93
        )


def _mix(
    rng: np.random.Generator,
    scored: Scored,
    old: np.ndarray,
    new: np.ndarray,
    kind: str,
    n: int,
    drop: float,
    size: int = 400,
) -> tuple[np.ndarray, np.ndarray, int] | None:
    """Return accuracies of chunks whose share of new rows follows a shape."""
    right = scored.probability.argmax(axis=1) == scored.label
    before, after = right[old].mean(), right[new].mean()
    error = np.sqrt(before * (1.0 - before) / size)
    most = drop * error / (before - after)
    if not 0.0 < most <= 1.0:
        return None
    n_reference = int(rng.integers(8, 21))
    times = np.arange(n_reference + n, dtype=np.float64)
    shape, _ = draw_shape(rng, kind, times, n_reference)
    chunks = []
    for share in (most * shape).tolist():
        n_new = rng.binomial(size, share)
        chunks.append(
            np.concatenate([rng.choice(old, size - n_new), rng.choice(new, n_new)])
        )
    return (*_series(scored, chunks, "accuracy"), n_reference)


def _read(folder: Path, name: str, left_out: tuple[str, ...], y: str) -> pd.DataFrame:
    frame = pd.read_parquet(folder / f"{name}.parquet")
    frame = frame.drop(columns=[c for c in left_out if c in frame])
    return frame.assign(**{y: frame[y].astype("category").cat.codes})


def _score(frame: pd.DataFrame, y: str, train: slice | np.ndarray) -> Scored:
    features, label = frame.drop(columns=y), frame[y].to_numpy()
    model = lgb.LGBMClassifier(n_estimators=100, verbosity=-1, n_jobs=2, seed=0)
    model.fit(features.iloc[train], label[train])
    probability = np.zeros((len(frame), int(label.max()) + 1))
    probability[:, model.classes_] = model.predict_proba(features)
    return Scored(probability=probability, label=label)


def _series(
    scored: Scored, chunks: list[np.ndarray], metric: str
) -> tuple[np.ndarray, np.ndarray]:
    measured = [
        (_accuracy if metric == "accuracy" else _one_vs_rest)(
            scored.probability[chunk], scored.label[chunk]
        )
        for chunk in chunks
    ]
    values, errors = np.array(measured).T
    return values, errors


def _accuracy(probability: np.ndarray, label: np.ndarray) -> tuple[float, float]:
    share = float(np.mean(probability.argmax(axis=1) == label))
    smoothed = (share * label.size + 1.0) / (label.size + 2.0)
    return share, float(np.sqrt(smoothed * (1.0 - smoothed) / label.size))


def _one_vs_rest(probability: np.ndarray, label: np.ndarray) -> tuple[float, float]:
    """Return the mean ROC AUC over classes, with influences added up over rows."""
    values, influence = [], np.zeros(label.size)
    classes = list(_splits(label, probability.shape[1]))
    if len(classes) == probability.shape[1] == 2:
        classes = classes[1:]
    for c, positive in classes:
        score = probability[:, c]
        ranks = rankdata(score)
        n_1, n_0 = positive.sum(), (~positive).sum()
        placement = np.empty(label.size)
        placement[positive] = (ranks[positive] - rankdata(score[positive])) / n_0
        placement[~positive] = (
            1.0 - (ranks[~positive] - rankdata(score[~positive])) / n_1
        )
        auc = placement[positive].mean()
        influence += (placement - auc) / np.where(positive, n_1 - 1.0, n_0 - 1.0)
        values.append(auc)
    if not values:
        return np.nan, np.nan
    deviation = float(np.sqrt(np.sum((influence / len(values)) ** 2)))
    return float(np.mean(values)), deviation


def _splits(label: np.ndarray, n_classes: int) -> Iterator[tuple[int, np.ndarray]]:
    """Yield each class with at least two rows inside and outside."""
    for c in range(n_classes):
        positive = label == c
        if min(positive.sum(), (~positive).sum()) >= 2:
            yield c, positive


if __name__ == "__main__":
    raise SystemExit(main())
