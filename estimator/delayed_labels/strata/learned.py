"""Strata of the delay that features show, learned from the reference by themselves.

Trees predict where in its class (and score band) a row's delay ranks; never from the
row's own fold. Of the two predictions, for either class, cells are merged into a few
strata as far as the delays of rows that were left out differ between them. Where they
do not there are none.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from calibration._kernels.threads import for_each
from calibration.cross_fitting import blocked_folds
from calibration.features.feature_matrix import dataset_options
from calibration.features.trees import (
    LIGHTGBM_PARAMETERS,
    Growth,
    grow_mean_trees,
    predict_raw,
)
from estimator.delayed_labels.strata.delay_cells import N_AGES, N_BANDS
from estimator.delayed_labels.strata.partition import (
    N_DELAYS,
    delay_groups,
    merge_cells,
)
from estimator.frames.features import FeatureTable

if TYPE_CHECKING:
    import lightgbm as lgb

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Strata = NDArray[np.int8]
Trees = tuple["lgb.Booster | None", ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class StrataSettings:
    """How trees of the delay grow, and how their predictions are merged.

    The evidence for a cut is cross-fitted, so that none of these decides whether there
    are strata. Judgements; on the reference of the hotel's bookings the cross-fitted
    log loss of the rows that waited at 0.5 to 90 days differed by at most 1 % between
    4 and 31 leaves, 50 and 200 trees, 24 and 64 cells, 8 and 24 strata. Leaves, bins
    and rows were kept after a look at `benchmarks.delayed_labels` as well: its figures
    by features at 90 and 180 days are no clean test of them.

    Attributes
    ----------
    n_folds : int
        Blocks of time, each left out by trees of its own; as many as for all else.
    max_trees, patience : int
        Most trees of a fold and class, and how many may gain nothing on the rows left
        out before no more are grown.
    learning_rate : float
        Share of each tree that counts.
    n_leaves, least_leaf, n_bins : int
        Leaves of a tree, fewest rows of a leaf, and between how many bins of a feature
        it may split.
    most_rows : int
        Rows that trees grow on, evenly spaced in time where there are more: a few
        strata need no more, and a fit takes hardly longer.
    n_cells : int
        Cells of a prediction, of about equally many rows: cuts lie between them.
    most_strata : int
        Most strata: each has hazards of its own in every class and score band.
    least_labels : float
        Fewest labels on either side of a cut: ten times what its parent is worth.
    """

    n_folds: int = 5
    max_trees: int = 50
    patience: int = 10
    learning_rate: float = 0.2
    n_leaves: int = 7
    least_leaf: int = 100
    n_bins: int = 63
    most_rows: int = 20_000
    n_cells: int = 64
    most_strata: int = 12
    least_labels: float = 100.0


SETTINGS: Final = StrataSettings()
_BLOCK = 50_000  # rows predicted at a time by one thread


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FeatureRows:
    """Features of the reference's rows.

    Attributes
    ----------
    table : FeatureTable
        How they are read.
    matrix : ndarray of shape (n_rows, n_features)
        Their values, NaN where missing.
    random_state : int
        Seed of trees.
    """

    table: FeatureTable
    matrix: Floats
    random_state: int


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class DelayStrata:
    """How rows get their stratum from their features.

    Attributes
    ----------
    table : FeatureTable
        How features are read.
    trees : tuple of tuple of lightgbm.Booster or None
        By class, the trees of each fold; None where features gained nothing.
    edges : tuple of ndarray
        By class, the predictions between cells, rising.
    stratum : ndarray of int8, shape (n_cells_0, n_cells_1)
        Stratum of each pair of cells: numbers from 0 on, the shortest delays first.
    """

    table: FeatureTable
    trees: tuple[Trees, Trees]
    edges: tuple[Floats, Floats]
    stratum: Strata

    @property
    def n_strata(self) -> int:
        """Number of the strata."""
        return int(self.stratum.max()) + 1

    def assign(self, features: Floats) -> Strata:
        """Return the stratum of each row; ``features`` as ``table`` reads them."""
        stratum = np.empty(len(features), dtype=np.int8)
        blocks = [slice(a, a + _BLOCK) for a in range(0, len(features), _BLOCK)]

        def read(block: slice) -> None:
            X = features[block]
            predicted = [_mean_prediction(trees, X) for trees in self.trees]
            stratum[block] = self.stratum[_cells(predicted, self.edges)]

        for_each(blocks, read)
        return stratum


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LearnedStrata:
    """Strata, and those of the rows that they were learned from.

    Attributes
    ----------
    strata : DelayStrata
        How other rows get theirs.
    stratum : ndarray of int8, shape (n_labels,)
        Stratum of each row by trees that have not seen it.
    """

    strata: DelayStrata
    stratum: Strata


def learn_strata(
    features: FeatureRows, label: Floats, band: Integers, age: Integers
) -> LearnedStrata | None:
    """Learn strata of the delay; None where the evidence speaks for none.

    Method.md, equation 38 and what follows it.

    Parameters
    ----------
    features : FeatureRows
        Of the labels that came, in time order.
    label, band, age : ndarray of shape (n_labels,)
        Label, score band, age step at arrival.
    """
    if label.size < 2 * SETTINGS.least_labels:
        return None
    target = rank_delays(label, band, age)
    trees, predicted = _cross_fit(features, label, target)
    levels = np.arange(1, SETTINGS.n_cells) / SETTINGS.n_cells
    edges = tuple(np.unique(np.quantile(of_class, levels)) for of_class in predicted)
    cells = _cells(predicted, edges)
    group = delay_groups(np.bincount(age, minlength=N_AGES).astype(np.float64))
    shape = 2, N_BANDS, edges[0].size + 1, edges[1].size + 1, N_DELAYS
    flat = np.ravel_multi_index(
        (label.astype(np.int64), band, *cells, group[age]), shape
    )
    count = np.bincount(flat, minlength=int(np.prod(shape))).astype(np.float64)
    merged = merge_cells(
        count.reshape(shape), SETTINGS.most_strata, SETTINGS.least_labels
    )
    if not merged.any():
        return None
    stratum = _in_order(merged, merged[cells], target)
    strata = DelayStrata(
        table=features.table, trees=trees, edges=(edges[0], edges[1]), stratum=stratum
    )
    return LearnedStrata(strata=strata, stratum=stratum[cells])


def rank_delays(label: Floats, band: Integers, age: Integers) -> Floats:
    """Return where in its class and score band each delay ranks, in (-0.5, 0.5).

    If delays depend on features only by way of class and score band, the mean is 0
    whatever the features.
    """
    rank = np.zeros(label.size)
    for y in (0, 1):
        for b in range(N_BANDS):
            group = (label == y) & (band == b)
            n = np.count_nonzero(group)
            if n:
                rank[group] = (rankdata(age[group]) - 0.5) / n - 0.5
    return rank


def _cross_fit(
    features: FeatureRows, label: Floats, target: Floats
) -> tuple[tuple[Trees, Trees], tuple[Floats, Floats]]:
    """Return the trees of each class and fold, and predictions for rows left out."""
    X, n = features.matrix, label.size
    folds = blocked_folds(n, SETTINGS.n_folds)
    options = dataset_options(X.shape[1], features.table.categorical)
    parameters = {
        **LIGHTGBM_PARAMETERS,
        "learning_rate": SETTINGS.learning_rate,
        "num_leaves": SETTINGS.n_leaves,
        "min_data_in_leaf": SETTINGS.least_leaf,
        "max_bin": SETTINGS.n_bins,
        "seed": features.random_state,
    }
    growth = Growth(max_trees=SETTINGS.max_trees, patience=SETTINGS.patience)
    grown = np.unique(np.linspace(0, n - 1, SETTINGS.most_rows).astype(np.int64))
    trees: list[list[lgb.Booster | None]] = [[None] * len(folds) for _ in (0, 1)]
    predicted = np.zeros(n), np.zeros(n)

    def leave_out(item: tuple[int, int]) -> None:
        y, fold = item
        start, stop = folds[fold]
        rows = grown[label[grown] == y]
        left_out = (rows >= start) & (rows < stop)
        booster = grow_mean_trees(
            X[rows], target[rows], left_out, parameters, options, growth
        )
        trees[y][fold] = booster
        if booster is not None:
            predicted[y][start:stop] = predict_raw(booster, X[start:stop])

    for_each([(y, fold) for y in (0, 1) for fold in range(len(folds))], leave_out)
    return (tuple(trees[0]), tuple(trees[1])), predicted


def _mean_prediction(trees: Trees, X: Floats) -> Floats:
    total = np.zeros(len(X))
    for booster in trees:
        if booster is not None:
            total += predict_raw(booster, X)
    return total / len(trees)


def _cells(
    predicted: tuple[Floats, ...] | list[Floats], edges: tuple[Floats, ...]
) -> tuple[Integers, ...]:
    """Return the cell of each row's two predictions."""
    return tuple(
        np.searchsorted(between, of_class, side="right")
        for between, of_class in zip(edges, predicted, strict=True)
    )


def _in_order(stratum: Integers, of_rows: Integers, target: Floats) -> Strata:
    """Return strata numbered by how long their labels took, the shortest first."""
    mean = np.bincount(of_rows, target) / np.bincount(of_rows)
    number = np.empty(mean.size, dtype=np.int8)
    number[np.argsort(mean, kind="stable")] = np.arange(mean.size)
    return number[stratum]
