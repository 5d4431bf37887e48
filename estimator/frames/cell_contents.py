"""What is known of the rows within the cells of a table of counts."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class CellContents:
    """What the score of a cell does not say of the rows that the cell stands for.

    Attributes
    ----------
    spread : ndarray of bool, shape (n_cells,)
        Whether the rows have several scores, so that their order is not known.
    brier, log_loss : ndarray of shape (2, n_cells), or None
        Mean loss of the rows if their label is 0, and if it is 1, less the loss at the
        score of the cell; None where the metric is not asked for.
    """

    spread: NDArray[np.bool_]
    brier: NDArray[np.float64] | None
    log_loss: NDArray[np.float64] | None

    def take(self, cells: NDArray[np.int64] | slice) -> "CellContents":
        """Return what is known of some of the cells."""
        return CellContents(
            spread=self.spread[cells],
            brier=None if self.brier is None else self.brier[:, cells],
            log_loss=None if self.log_loss is None else self.log_loss[:, cells],
        )
