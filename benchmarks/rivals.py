"""Other ways to estimate performance without labels, as published, for comparison.

Each gives a value per production chunk and metric (ROC AUC, accuracy).
"""

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score

from benchmarks.shifting_tasks import Task, chunks_of
from calibration import estimate_density_ratio
from estimator.frames.features import learn_features, read_features

Floats = NDArray[np.float64]

N_RESAMPLED = 200  # reference chunks from which DoC learns


def metrics_of(score: Floats, label: Floats, weight: Floats | None = None) -> Floats:
    """Return ROC AUC and accuracy of labelled rows."""
    right = (score >= 0.5) == (label == 1)
    return np.array(
        [
            roc_auc_score(label, score, sample_weight=weight),
            np.average(right, weights=weight),
        ]
    )


def constant(task: Task, chunk: int) -> Floats:
    """The reference's realized metric."""
    value = metrics_of(*_rows(task.reference))
    return np.tile(value, (len(chunks_of(task, chunk)), 1))


def average_thresholded_confidence(task: Task, chunk: int) -> Floats:
    """ATC (Garg et al. 2022, arXiv:2201.04234): the share of confident rows.

    The threshold makes that share the metric on the reference; for ROC AUC as for
    accuracy, as in arXiv:2401.08348.
    """
    score, label = _rows(task.reference)
    confidence = np.maximum(score, 1.0 - score)
    threshold = np.quantile(confidence, 1.0 - metrics_of(score, label))
    estimates = []
    for rows in chunks_of(task, chunk):
        score, _ = _rows(task.production[rows])
        confident = np.maximum(score, 1.0 - score)[:, None] > threshold
        estimates.append(confident.mean(axis=0))
    return np.array(estimates)


def difference_of_confidences(task: Task, chunk: int, seed: int = 0) -> Floats:
    """DoC (Guillory et al. 2021, arXiv:2107.03315): metric by mean confidence.

    The slope is learned on chunks drawn from the reference with different confidence.
    """
    rng = np.random.default_rng(seed)
    score, label = _rows(task.reference)
    confidence = np.maximum(score, 1.0 - score)
    z = (confidence - confidence.mean()) / max(confidence.std(), 1e-9)
    whole = metrics_of(score, label)
    shifts, changes = [], []
    for _ in range(N_RESAMPLED):
        weight = np.exp(rng.uniform(-1.0, 1.0) * z)
        drawn = rng.choice(score.size, chunk, p=weight / weight.sum())
        if np.ptp(label[drawn]) == 0:
            continue
        shifts.append(confidence[drawn].mean() - confidence.mean())
        changes.append(metrics_of(score[drawn], label[drawn]) - whole)
    shift = np.array(shifts)
    slope = shift @ np.array(changes) / (shift @ shift)
    estimates = []
    for rows in chunks_of(task, chunk):
        score, _ = _rows(task.production[rows])
        moved = np.maximum(score, 1.0 - score).mean() - confidence.mean()
        estimates.append(np.clip(whole + slope * moved, 0.0, 1.0))
    return np.array(estimates)


def importance_weighting(task: Task, chunk: int) -> Floats:
    """The reference's realized metric, its rows weighted by our density ratio."""
    table, features = learn_features(task.reference, task.features)
    score, label = _rows(task.reference)
    estimates = []
    for rows in chunks_of(task, chunk):
        chunk_features = read_features(table, task.production[rows], name="production")
        ratio = estimate_density_ratio(
            features, chunk_features, categorical=table.categorical
        )
        estimates.append(metrics_of(score[ratio.rows], label[ratio.rows], ratio.weight))
    return np.array(estimates)


RIVALS = {
    "constant: the reference's": constant,
    "ATC": average_thresholded_confidence,
    "DoC": difference_of_confidences,
    "importance weighting": importance_weighting,
}


def _rows(frame: object) -> tuple[Floats, Floats]:
    score, label = frame["y_pred_proba"], frame["y_true"]
    return score.to_numpy(np.float64), label.to_numpy(np.float64)
