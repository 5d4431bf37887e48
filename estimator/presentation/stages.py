"""At which stage of knowledge a result is: estimated, reconciled, realized."""

import numpy as np
from numpy.typing import NDArray

from estimator.results import Performance


def is_reconciled(performance: Performance) -> bool:
    """Whether labels have moved the value of any chunk away from its estimate."""
    waiting = performance.period == "analysis"
    waiting &= performance.n_labels > 0
    moved = (performance.value != performance.estimated) & np.isfinite(
        performance.value
    )
    return bool(moved[waiting].any())


def is_final(performance: Performance) -> NDArray[np.bool_]:
    """Return, by row of the result, whether all labels are in."""
    final: NDArray[np.bool_] = performance.n_labels == performance.n_rows
    return final & (performance.n_rows > 0)


def coverage(performance: Performance) -> NDArray[np.float64]:
    """Return the share of rows that have a label, by row of the result."""
    share: NDArray[np.float64] = performance.n_labels / np.maximum(
        performance.n_rows, 1
    )
    return share


def has_partial_labels(performance: Performance) -> bool:
    """Whether there is a chunk of which some labels are in and some are not."""
    return bool(((performance.n_labels > 0) & ~is_final(performance)).any())
