"""Losses of rows whose scores differ within a cell, kept as sums of whole numbers."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from estimator.delayed_labels.counts.count_table import LOSS_UNIT, Cells
from estimator.delayed_labels.counts.score_cells import ScoreCells
from estimator.metrics.soft_label_sums import LOG_LOSS_CLIP

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


def sum_losses(
    names: Sequence[str],
    score: Floats,
    scores: ScoreCells,
    outcome: Integers,
    cell: Integers,
    n_cells: int,
) -> Cells:
    """Sum what rows lose, less what they would at the score of their cell."""
    sums: Cells = {}
    rows = np.flatnonzero(scores.spread[scores.cell])
    for label in (0, 1):
        asked = rows[outcome[rows] != 1 - label]
        score_cell = scores.cell[asked]
        for name in names:
            of_rows = _losses(name, score[asked], label)
            of_cells = _losses(name, scores.score, label)
            whole = np.rint((of_rows - of_cells[score_cell]) / LOSS_UNIT)
            # Sums of whole numbers below 2^53: exact, so their order does not matter.
            total = np.bincount(cell[asked], whole, n_cells)
            sums[f"{name}/{label}"] = total.astype(np.int64)
    return sums


def _losses(name: str, score: Floats, label: int) -> Floats:
    """Return Brier score or log loss, as scikit-learn has them, of each score."""
    if name == "brier_score":
        squared: Floats = (score - label) ** 2
        return squared
    clipped = np.clip(score, LOG_LOSS_CLIP, 1.0 - LOG_LOSS_CLIP)
    log: Floats = np.log(clipped) if label else np.log1p(-clipped)
    return -log
