"""Real tasks whose rows change over time, scored by client models of three kinds."""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from lightgbm import LGBMClassifier
from numpy.typing import NDArray
from sklearn.compose import make_column_selector, make_column_transformer
from sklearn.ensemble import RandomForestClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from benchmarks.delayed_labels import FEATURES as HOTEL
from benchmarks.worlds import read_employment

Floats = NDArray[np.float64]

SETS = {
    "hotel": "hotel_bookings.parquet",
    "weather": "weather_aus.parquet",
    "bank": "bank_additional_full.parquet",
    "citibike": "citibike.parquet",
    "noshow": "noshow.parquet",
    "police": "police.parquet",
}
FIRST_SETS = "hotel", "weather", "bank"
# What tells the time or the outcome, or came later.
NOT_FEATURES = {
    "weather": ["Date", "y_true"],
    "bank": ["duration", "y_true", "row_order"],
    "citibike": ["y_true", "part", "when"],
    "noshow": ["y_true", "part", "when"],
    "police": ["y_true", "part"],
}
MODELS = ("LightGBM", "logistic regression", "random forest")
TRAINING, REFERENCE = 0.3, 0.3  # shares of the rows, in the order of time


@dataclass(frozen=True, kw_only=True)
class Task:
    """A model's reference and what came after, in whole chunks, with labels."""

    name: str
    reference: pd.DataFrame
    production: pd.DataFrame
    features: list[str]


def read_tasks(
    folder: Path,
    parser: argparse.ArgumentParser,
    chunk: int,
    seed: int,
    models: Sequence[str] = MODELS,
    *,
    sets: Sequence[str] = FIRST_SETS,
) -> dict[str, list[Task]]:
    """Return the tasks of each of some data sets, one per client model."""
    tasks = {}
    for name in sets:
        path = folder / SETS[name]
        if not path.is_file():
            parser.error(
                f"the data folder lacks {SETS[name]}: see benchmarks/README.md."
            )
        raw = pd.read_parquet(path)
        label = raw["y_true"].to_numpy()
        features = (
            raw[HOTEL] if name == "hotel" else raw.drop(columns=NOT_FEATURES[name])
        )
        if name == "hotel":  # an agent's number is a name
            agent = features["agent"].fillna(-1).astype(int).astype(str)
            features = features.assign(agent=agent.astype("category"))
        tasks[name] = [
            _score(name, model, features, label, chunk, seed) for model in models
        ]
    return tasks


def read_census(folder: Path, parser: argparse.ArgumentParser, chunk: int) -> Task:
    """Return the census task, which comes with scores of its own."""
    reference, analysis = read_employment(folder, parser, with_features=True)
    not_features = ("y_pred_proba", "y_pred", "y_true")
    n_rows = len(analysis) // chunk * chunk
    return Task(
        name="employment",
        reference=reference,
        production=analysis[:n_rows],
        features=[name for name in reference if name not in not_features],
    )


def mix_up(
    task: Task, chunk: int, n_chunks: int, rng: np.random.Generator, *, tilt: float
) -> Task:
    """Return a task without drift: all rows shuffled, chunks drawn from the others.

    The first ``n_chunks`` are drawn at random. As many more weigh rows by ``exp(t z)``,
    z the standardized log odds of the score and t uniform within ± ``tilt``: a pure
    reweighting that keeps scores calibrated.
    """
    rows = pd.concat([task.reference, task.production], ignore_index=True)
    rows = rows.sample(frac=1.0, random_state=int(rng.integers(2**31)))
    rows = rows.reset_index(drop=True)
    n = len(task.reference)
    pool = rows[n:]
    score = pool["y_pred_proba"].clip(1e-4, 1.0 - 1e-4)
    z = np.log(score / (1.0 - score))
    z = ((z - z.mean()) / z.std()).to_numpy()
    chunks = []
    for most in np.repeat([0.0, tilt], n_chunks):
        weight = np.exp(rng.uniform(-most, most) * z)
        drawn = rng.choice(len(pool), chunk, replace=False, p=weight / weight.sum())
        chunks.append(pool.iloc[drawn])
    return Task(
        name=task.name,
        reference=rows[:n],
        production=pd.concat(chunks, ignore_index=True),
        features=task.features,
    )


def _score(
    name: str,
    model: str,
    features: pd.DataFrame,
    label: np.ndarray,
    chunk: int,
    seed: int,
) -> Task:
    n = len(features)
    n_train, n_reference = int(TRAINING * n), int(REFERENCE * n)
    client = _client(model, seed).fit(features[:n_train], label[:n_train])
    score = client.predict_proba(features[n_train:])[:, 1]
    frame = features[n_train:].assign(
        y_pred_proba=score, y_pred=(score >= 0.5).astype(int), y_true=label[n_train:]
    )
    n_rows = (len(frame) - n_reference) // chunk * chunk
    return Task(
        name=f"{name}, {model}",
        reference=frame[:n_reference].reset_index(drop=True),
        production=frame[n_reference : n_reference + n_rows].reset_index(drop=True),
        features=list(features),
    )


def _client(model: str, seed: int) -> LGBMClassifier | Pipeline:
    if model == "LightGBM":
        return LGBMClassifier(
            n_estimators=150, learning_rate=0.05, verbosity=-1, random_state=seed
        )
    numbers = make_pipeline(SimpleImputer(strategy="median"), StandardScaler())
    texts = OneHotEncoder(handle_unknown="infrequent_if_exist", min_frequency=20)
    prepared = make_column_transformer(
        (numbers, make_column_selector(dtype_include="number")),
        (texts, make_column_selector(dtype_exclude="number")),
    )
    if model == "logistic regression":
        return make_pipeline(prepared, LogisticRegression(max_iter=1_000))
    forest = RandomForestClassifier(
        300, min_samples_leaf=5, n_jobs=-1, random_state=seed
    )
    return make_pipeline(prepared, forest)


def chunks_of(task: Task, chunk: int) -> Sequence[slice]:
    """Return the rows of each production chunk."""
    return [slice(a, a + chunk) for a in range(0, len(task.production), chunk)]
