"""What metrics read of the rows of a frame: scores, soft labels, decisions."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from estimator.frames.cell_contents import CellContents
from estimator.frames.columns import Columns
from estimator.metrics.soft_labels import SoftLabels

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Decisions:
    """How rows are decided: by a column of decisions, else by the score.

    Attributes
    ----------
    threshold : float
        Score from which a row is decided positive, where there is no column.
    by_row : ndarray of bool of shape (n_rows,), or None
        Decision of each row of the frame; None: the score decides.
    """

    threshold: float = 0.5
    by_row: NDArray[np.bool_] | None = None

    def take(
        self, rows: NDArray[np.int64] | slice, score: NDArray[np.floating]
    ) -> NDArray[np.bool_]:
        """Return the decisions of some rows, whose scores are given."""
        return score >= self.threshold if self.by_row is None else self.by_row[rows]

    def reorder(self, rows: NDArray[np.int64]) -> "Decisions":
        """Return how these rows are decided, as a frame of their own."""
        by_row = None if self.by_row is None else self.by_row[rows]
        return Decisions(threshold=self.threshold, by_row=by_row)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Rows:
    """Score, soft label and decision of the rows of a frame, or of counted cells.

    Attributes
    ----------
    score : ndarray of float64 or float32 of shape (n_rows,)
        Raw scores; NaN in rows that no chunk owns.
    soft : callable, ShiftedSoftLabel or ndarray of shape (n_rows,)
        Soft label of each row, or the map that gives it from the score, or from the
        score and the segments' shifts.
    decisions : Decisions
        How each row is decided.
    weight : ndarray of float64 of shape (n_rows,), or None
        Number of equal rows that each stands for, a whole number; None: itself alone.
    contents : CellContents, or None
        What else is known of the rows that each stands for; needs ``weight``.
    """

    score: NDArray[np.floating]
    soft: SoftLabels
    decisions: Decisions
    weight: Floats | None = None
    contents: CellContents | None = None


def rows_of_columns(columns: Columns, soft: SoftLabels, decisions: Decisions) -> Rows:
    """Return the rows of a frame that was read, with their soft labels."""
    return Rows(
        score=columns.score,
        soft=soft,
        decisions=decisions,
        weight=columns.weight,
        contents=columns.contents,
    )
