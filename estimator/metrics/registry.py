"""The registry of metrics: to add one, add a line to ``METRICS``.

A metric is a name, its bounds, its direction and how :mod:`estimator.metrics.moments`
reads it off the sums of :mod:`estimator._kernels.soft_label_sums`. The contract tests
pick it up by its being listed.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

Cells = tuple[float, float, float, float]
Ratio = tuple[Cells, Cells]
CELL_NAMES = ("tn", "fp", "fn", "tp")


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """What the rest of the package may ask about a metric.

    Attributes
    ----------
    name : str
        scikit-learn's name where it has one.
    needs : str
        What must be in a chunk for the metric to exist: ``"both classes"``,
        ``"positives"``, ``"negatives"``, ``"predicted positives"``, ``"positives or
        predicted positives"`` or ``"rows"``.
    bounds : tuple of float
        Smallest and largest possible value.
    higher_is_better : bool or None
        None for counts, which have no good direction.
    extensive : bool
        Whether the metric grows with the number of rows: its ratios, which are means
        over rows, are then taken times n.
    ratios : tuple of (numerator, denominator)
        Of a metric of the confusion matrix: the metric is their mean.
    column, channel : int
        Else: the first of the kernel's sums for it, and its calibration channel.
    is_loss : bool
        Whether these sums are of a mean over rows.
    order_columns : tuple of int
        Of a metric that needs the order of the rows: which of the kernel's sums say how
        far below and above its value may be where the order within cells is not known.
    """

    name: str
    needs: str
    bounds: tuple[float, float] = (0.0, 1.0)
    higher_is_better: bool | None = True
    extensive: bool = False
    ratios: tuple[Ratio, ...] = ()
    column: int = -1
    channel: int = -1
    is_loss: bool = False
    order_columns: tuple[int, int] | None = None


_ALL: Cells = (1, 1, 1, 1)
_RECALL: Ratio = ((0, 0, 0, 1), (0, 0, 1, 1))
_SPECIFICITY: Ratio = ((1, 0, 0, 0), (1, 1, 0, 0))
_PRECISION: Ratio = ((0, 0, 0, 1), (0, 1, 0, 1))
_F1: Ratio = ((0, 0, 0, 2), (0, 1, 1, 2))
_ACCURACY: Ratio = ((1, 0, 0, 1), _ALL)


def sum_over_rows(
    name: str,
    cells: Cells,
    bounds: tuple[float, float],
    *,
    higher_is_better: bool | None,
) -> Metric:
    """Make a sum over rows."""
    return Metric(
        name=name,
        needs="rows",
        bounds=bounds,
        higher_is_better=higher_is_better,
        extensive=True,
        ratios=((cells, _ALL),),
    )


def _count(name: str, cells: Cells) -> Metric:
    return sum_over_rows(name, cells, (0.0, np.inf), higher_is_better=None)


_LISTED = (
    Metric(
        name="roc_auc",
        needs="both classes",
        column=6,
        channel=2,
        order_columns=(23, 23),
    ),
    Metric(
        name="average_precision",
        needs="positives",
        column=10,
        channel=3,
        order_columns=(24, 25),
    ),
    Metric(name="accuracy", needs="rows", ratios=(_ACCURACY,)),
    Metric(name="f1", needs="positives or predicted positives", ratios=(_F1,)),
    Metric(name="precision", needs="predicted positives", ratios=(_PRECISION,)),
    Metric(name="recall", needs="positives", ratios=(_RECALL,)),
    Metric(name="specificity", needs="negatives", ratios=(_SPECIFICITY,)),
    Metric(
        name="balanced_accuracy",
        needs="both classes",
        ratios=(_RECALL, _SPECIFICITY),
    ),
    Metric(
        name="brier_score",
        needs="rows",
        higher_is_better=False,
        column=14,
        channel=4,
        is_loss=True,
    ),
    Metric(
        name="log_loss",
        needs="rows",
        bounds=(0.0, np.inf),
        higher_is_better=False,
        column=17,
        channel=5,
        is_loss=True,
    ),
    _count("tn", (1, 0, 0, 0)),
    _count("fp", (0, 1, 0, 0)),
    _count("fn", (0, 0, 1, 0)),
    _count("tp", (0, 0, 0, 1)),
)
METRICS: Mapping[str, Metric] = MappingProxyType({m.name: m for m in _LISTED})
BUSINESS_VALUE = "business_value"
METRIC_NAMES = (*METRICS, BUSINESS_VALUE)
