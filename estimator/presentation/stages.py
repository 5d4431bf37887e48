"""What charts draw besides columns of a result: its stage of knowledge, its verdict."""

import numpy as np
from numpy.typing import NDArray

from estimator.degradation.verdict import Degradation
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


def fitted_values(
    performance: Performance, of: NDArray[np.int64], verdict: Degradation
) -> NDArray[np.float64]:
    """Return the fitted shape at some rows of the result, NaN where it has none."""
    n_reference = verdict.n_reference
    fitted = _at_the_end(verdict.fitted, n_reference, of.size, np.nan)
    per_row = verdict.metric.endswith(" per row")
    return fitted * performance.n_rows[of] if per_row else fitted


def affected_runs(verdict: Degradation, n_chunks: int) -> list[tuple[int, int]]:
    """Return runs of affected chunks, as first and last place plus one."""
    affected = verdict.affected.astype(np.float64)
    flag = _at_the_end(affected, verdict.n_reference, n_chunks, 0.0)
    edges = np.flatnonzero(np.diff(flag, prepend=0.0, append=0.0))
    return [(int(a), int(b)) for a, b in zip(edges[::2], edges[1::2], strict=True)]


def _at_the_end(
    values: NDArray[np.float64], n_reference: int, n_chunks: int, missing: float
) -> NDArray[np.float64]:
    """Spread values of the reference and the last chunks over all: a rebase cuts."""
    spread = np.full(n_chunks, missing)
    spread[:n_reference] = values[:n_reference]
    n_last = values.size - n_reference
    spread[n_chunks - n_last :] = values[n_reference:]
    return spread
