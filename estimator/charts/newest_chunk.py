"""Which chunk is the newest: the last that is complete, the same for all who ask."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from estimator.metric_series import ChunkColumns

# Share of the usual span (or number of rows) from which a chunk counts as complete. Six
# of a week's seven days are 0.86, a February among months is 0.90: between the two.
COMPLETE: Final = 0.88
# By how much chunks of a number of rows may differ: some rows have no usable score.
_SAME_SIZE: Final = 0.02


def unfinished_chunk(performance: ChunkColumns) -> str | int | None:
    """Return the label of the last analysis chunk if its rows are still coming.

    A chunk by time has but begun if its rows span less than 88 % of what chunks usually
    span; a chunk of a number of rows, if it has less than 88 % of the rows that all
    others have. Only the last can be so: rows after a chunk say that it is over.

    Parameters
    ----------
    performance : Performance
        Its chunks of all rows together, and perhaps of segments.

    Returns
    -------
    str, int or None
        None if all chunks are complete, or there is nothing to compare with.
    """
    rows = _overall(performance)
    analysis = rows[performance.period[rows] == "analysis"]
    if not analysis.size or rows.size < 2:
        return None
    last = analysis[-1]
    others = rows[rows != last]
    label: str | int = performance.chunk[last]
    if isinstance(label, str) and performance.start.dtype.kind == "M":
        span = (performance.end - performance.start).astype("m8[us]").astype(np.float64)
        return label if span[last] < COMPLETE * np.median(span[others]) else None
    size = performance.n_rows
    usual = float(np.median(size[others]))
    if np.mean(np.abs(size[others] - usual) <= _SAME_SIZE * usual) < COMPLETE:
        return None  # chunks of any size
    return label if size[last] < COMPLETE * usual else None


def newest_chunk(performance: ChunkColumns) -> str | int | None:
    """Return the label of the newest complete analysis chunk.

    None if there is none, also where the only chunk has but begun.

    Parameters
    ----------
    performance : Performance
        Its chunks of all rows together, and perhaps of segments.

    Examples
    --------
    >>> import numpy as np
    >>> import pandas as pd
    >>> from estimator import PerformanceEstimator
    >>> rng = np.random.default_rng(0)
    >>> frame = pd.DataFrame({"y_pred_proba": rng.random(5_600)})
    >>> frame["y_true"] = rng.random(5_600) < frame["y_pred_proba"]
    >>> estimator = PerformanceEstimator(chunk=500).fit(frame[:3_000])
    >>> performance = estimator.estimate(frame[["y_pred_proba"]][3_000:])
    >>> newest_chunk(performance), unfinished_chunk(performance)
    (4, 5)
    """
    rows = _overall(performance)
    analysis = rows[performance.period[rows] == "analysis"]
    if not analysis.size:
        return None
    if unfinished_chunk(performance) is not None:
        analysis = analysis[:-1]
    label: str | int | None = performance.chunk[analysis[-1]] if analysis.size else None
    return label


def newest_rows(performance: ChunkColumns) -> NDArray[np.int64]:
    """Return where the newest complete chunk stands in a result, by segment.

    Segments that have no rows in it are left out; all rows together come first.
    """
    here = (performance.n_rows > 0) & (performance.period == "analysis")
    return np.flatnonzero(here & (performance.chunk == newest_chunk(performance)))


def _overall(performance: ChunkColumns) -> NDArray[np.int64]:
    """Return the chunks of all rows together that have any.

    Where a filter has taken them away, those of the first segment.
    """
    first = next(iter(performance.segments), "")
    return np.flatnonzero((performance.segment == first) & (performance.n_rows > 0))
