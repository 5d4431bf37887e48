"""How the scores of the reference are spread, and how far those of a chunk are."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from estimator.metrics.error_cells import ErrorCells

Floats = NDArray[np.float64]

# Bins of the scores, at most. Fewer see less; more would take the cells of a table of
# counts, which hold up to two roots of the rows, for a shift.
_MOST_BINS: Final = 16
# Standard deviations of sampling noise that are taken off a distance.
_NOISE_DEVIATIONS: Final = 2.0


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ReferenceScores:
    """How the reference's scores are spread, and how far its chunks are from it.

    Attributes
    ----------
    bin_of_cell : ndarray of int64 of shape (n_cells,)
        Bin of each cell of the score; cells beyond the reference's range belong to the
        outer bins.
    rows : ndarray of shape (n_segments, n_bins)
        Rows of each segment by bin.
    farthest : ndarray of shape (n_segments,)
        Largest distance of a chunk of the reference from its other rows, or of one of
        the second half from the first.
    segments : tuple of str
        Names of the segments; the first is "", all rows.
    """

    bin_of_cell: NDArray[np.int64]
    rows: Floats
    farthest: Floats
    segments: tuple[str, ...]

    def counted(self, cell_rows: Floats) -> Floats:
        """Return rows by bin, of shape (n_groups, n_bins), from rows by cell."""
        return _rows_by_bin(cell_rows, self.bin_of_cell)


def bins_of_cells(cells: ErrorCells) -> NDArray[np.int64]:
    """Return the bin of each cell of the score: runs of equally many cells.

    Parameters
    ----------
    cells : ErrorCells
        Cells of the calibration map's error.
    """
    lowest, highest = cells.score_range
    first, last = np.searchsorted(cells.edges, (lowest, highest))
    inner = np.clip(np.arange(cells.edges.size + 1), first, last) - first
    per_bin = -(-int(last - first + 1) // _MOST_BINS)
    bins: NDArray[np.int64] = (inner // per_bin).astype(np.int64)
    return bins


def score_distance(rows: Floats, reference: Floats) -> Floats:
    """Return how far the scores of groups are spread from the reference's.

    The chi-squared distance between both histograms, less what sampling makes of it:
    the reference, weighted to look like the group, is worth its rows over one more than
    that. Method.md, equation 69.

    Parameters
    ----------
    rows : ndarray of shape (n_groups, n_bins)
        Rows of each group by bin of the score.
    reference : ndarray of shape (n_bins,) or (n_groups, n_bins)
        Rows of the reference by bin.

    Returns
    -------
    ndarray of shape (n_groups,)
        From 0 on; 0 for a group without rows.
    """
    n_bins = rows.shape[-1]
    n = rows.sum(axis=-1)
    m = reference.sum(axis=-1)
    expected = (reference + 0.5) / (m + 0.5 * n_bins)[..., None]
    share = rows / np.maximum(n, 1.0)[:, None]
    distance = ((share - expected) ** 2 / expected).sum(axis=1)
    per_row = 1.0 / np.maximum(n, 1.0) + 1.0 / np.maximum(m, 1.0)
    freedom = n_bins - 1.0
    noise = freedom + _NOISE_DEVIATIONS * np.sqrt(2.0 * freedom)
    # As if a row per bin had been spread like the reference's.
    certainty = (n / (n + n_bins)) ** 2
    surely: Floats = certainty * np.maximum(0.0, distance - noise * per_row)
    return surely


def learn_reference_scores(
    cells: ErrorCells,
    by_segment: Sequence[tuple[str, slice]],
    cell_rows: Floats,
    later_rows: Floats,
) -> ReferenceScores:
    """Learn how scores are spread, and how far chunks are from the others.

    Parameters
    ----------
    cells : ErrorCells
        Cells of the score.
    by_segment : sequence of (str, slice)
        Each segment with its groups.
    cell_rows : ndarray of shape (n_groups, n_cells)
        Rows of the reference's chunks by cell.
    later_rows : ndarray of shape (n_groups, n_cells)
        Those of them that lie in the second half.
    """
    bin_of_cell = bins_of_cells(cells)
    chunks, later = (
        _rows_by_bin(rows, bin_of_cell) for rows in (cell_rows, later_rows)
    )
    rows, farthest = [], []
    for _, part in by_segment:
        total = chunks[part].sum(axis=0)
        others = total - chunks[part]
        first_half = total - later[part].sum(axis=0)
        # Nothing is far from what has no rows.
        among = score_distance(chunks[part], others)[others.sum(axis=1) > 0.0]
        ahead = score_distance(later[part], first_half)
        rows.append(total)
        farthest.append(
            max(
                among.max(initial=0.0),
                ahead.max(initial=0.0) if first_half.any() else 0.0,
            )
        )
    return ReferenceScores(
        bin_of_cell=bin_of_cell,
        rows=np.stack(rows),
        farthest=np.array(farthest),
        segments=tuple(name for name, _ in by_segment),
    )


def _rows_by_bin(cell_rows: Floats, bin_of_cell: NDArray[np.int64]) -> Floats:
    begins = np.flatnonzero(np.diff(bin_of_cell, prepend=-1))
    rows: Floats = np.add.reduceat(cell_rows, begins, axis=1)
    return rows
