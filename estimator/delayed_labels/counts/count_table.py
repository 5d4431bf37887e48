"""A chunk as a table of counts: what is kept of its rows once they have been read.

Rows of about the same score, and of the same decision, label, segments and (roughly)
time, are one cell: a row that stands for many. All that is said of a chunk follows from
its cells, by the same kernels as from rows. A cell has one score whatever the label
(:mod:`estimator.delayed_labels.counts.score_cells`), so that its positives and
negatives are tied, and never ranked. Cells hold whole numbers and means of fixed-point
sums, so a table does not depend on the order in which its rows were read.
"""

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, replace

import numpy as np

Cells = dict[str, np.ndarray]

UNLABELED = 2
# Losses are kept in units of 2^-30: the mean of rounded ones is off by 5e-10 at most.
LOSS_UNIT = 2.0**-30
SUMMED = ("brier_score", "log_loss")  # the metrics that are sums of losses
LOSSES = tuple(f"{name}/{label}" for name in SUMMED for label in (0, 1))
_MEANS = ("seconds", "calibrated", "inflation", "outside")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class CountTable:
    """The rows of one chunk, counted.

    Attributes
    ----------
    label : str
        Of the chunk: ISO start of its period.
    first, last : int
        Earliest and latest time of its rows, in microseconds since 1970.
    latest_label : int or None
        Latest arrival of a label.
    values : dict of tuple of str
        By segment column and, last, ``LEARNED`` if rows have a stratum of the delay:
        what the codes of ``cells`` mean.
    scores : dict of ndarray of shape (n_scores,)
        Cells of the score: ``score``, rising, the last NaN for missing ones;
        ``spread``, whether rows of the cell have several scores.
    cells : dict of ndarray of shape (n_cells,)
        ``count`` of rows; ``score``, place among ``scores``; ``decision``; ``label``,
        2 for none; ``seconds`` from ``first``, mean; ``begins``, whether more than time
        tells the cell from the one before; ``code/<i>`` of entry ``i`` of ``values``;
        with features ``calibrated``, ``inflation``, ``outside``, means.
        ``brier_score/<y>`` and ``log_loss/<y>``, if asked for: sum over the rows of the
        loss if their label is ``y``, less the loss at the score of their cell, in units
        of LOSS_UNIT; 0 of rows whose label is another.
    arrivals : dict of ndarray
        How long labels took: ``place/<i>`` of the cells of `Arrivals.count` that are
        not 0, and ``count/<i>``; 0 is over all rows, ``i + 1`` by entry ``i`` of
        ``values``. ``hour`` and ``came``: `LabelHours` of all that have a time, also of
        rows without a usable score.
    remark : str
        What there is to say of its features.
    """

    label: str
    first: int
    last: int
    latest_label: int | None
    values: Mapping[Hashable, tuple[str, ...]]
    scores: Mapping[str, np.ndarray]
    cells: Mapping[str, np.ndarray]
    arrivals: Mapping[str, np.ndarray]
    remark: str = ""

    @property
    def n_rows(self) -> int:
        """Rows delivered, usable or not."""
        return int(self.cells["count"].sum())

    @property
    def n_labels(self) -> int:
        """Rows that have a label."""
        labeled = self.cells["label"] != UNLABELED
        return int(self.cells["count"][labeled].sum())

    @property
    def n_missing(self) -> int:
        """Rows without a usable score."""
        missing = np.isnan(self.scores["score"])[self.cells["score"]]
        return int(self.cells["count"][missing].sum())


def without_slots(table: CountTable) -> CountTable:
    """Return a table whose cells no longer tell when their rows were predicted."""
    cells = table.cells
    starts = np.flatnonzero(cells["begins"])
    weight = cells["count"].astype(np.float64)
    count = np.add.reduceat(weight, starts)
    merged: Cells = {"count": count.astype(np.int64)}
    for name, values in cells.items():
        if name in _MEANS:
            total = np.add.reduceat(values * weight, starts)
            merged[name] = (total / count).astype(values.dtype)
        elif name in LOSSES:
            merged[name] = np.add.reduceat(values.astype(np.int64), starts)
        elif name != "count":
            merged[name] = values[starts]
    return replace(table, cells=merged)
