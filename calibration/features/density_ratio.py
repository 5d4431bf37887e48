"""How much likelier each reference row is in another population: a density ratio."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from calibration._kernels.threads import for_each
from calibration.features.feature_matrix import check_features, dataset_options

Floats = NDArray[np.float64]

# Small and regularized: the ratio is applied to rows it has not seen, and an error of
# it costs more than a difference it misses.
PARAMETERS = {
    "objective": "binary",
    "learning_rate": 0.07,
    "num_leaves": 15,
    "min_data_in_leaf": 50,
    "verbosity": -1,
    "deterministic": True,
    "force_row_wise": True,
    "num_threads": 1,  # each half has a thread of its own
}
N_TREES = 60
# A reference row hardly to be told from the chunk's would weigh without bound.
CLIP = 0.05
# What is so many times rarer in the reference, it cannot speak for.
OUTSIDE_RATIO = 100.0


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class DensityRatio:
    """Weights under which the reference looks like another population.

    Attributes
    ----------
    rows : ndarray of shape (n_used,)
        Reference rows that were used, in order; all, or as many as the cap allows.
    weight : ndarray of shape (n_used,)
        Ratio of densities at these rows, with the mean 1; from trees that did not see
        the row.
    effective_sample_size : float
        Number of rows of equal weight that would tell as much: (Σw)² / Σw² times
        1 - ``outside``.
    outside : float
        Share of the other population's rows that are of a kind a hundred times rarer in
        the reference.
    separability : float
        ROC AUC with which unseen rows of both populations can be told apart.
    importance : ndarray of shape (n_features,)
        Share of each feature in telling them apart; sums to 1, or is 0.
    """

    rows: NDArray[np.int64]
    weight: Floats
    effective_sample_size: float
    outside: float
    separability: float
    importance: Floats

    def __repr__(self) -> str:
        return (
            f"<DensityRatio of {self.rows.size} rows worth "
            f"{self.effective_sample_size:.0f}, separable by {self.separability:.2f}>"
        )


def estimate_density_ratio(
    reference: ArrayLike,
    other: ArrayLike,
    *,
    categorical: Sequence[int] = (),
    max_reference: int = 50_000,
    random_state: int = 0,
) -> DensityRatio:
    r"""Weigh reference rows so that they look like those of another population.

    LightGBM learns to tell the reference (0) from the others (1). At the probability
    :math:`q` of being one of the others the ratio of densities is
    :math:`(n_\mathrm{ref} / n_\mathrm{other}) \, q / \max(c, 1 - q)` with
    :math:`c = 0.05` [1]_. Unlike there, each half of the rows gets its :math:`q` from
    trees grown on the other half: in-sample every row looks the more like its own
    population the longer one learns.

    Parameters
    ----------
    reference, other : array-like of shape (n_rows, n_features)
        Features of both populations as numbers, NaN where missing.
    categorical : sequence of int, default=()
        Columns that hold category codes >= 0.
    max_reference : int, default=50_000
        Number of reference rows at most: of a longer reference evenly spaced rows are
        taken, and of the others at most as many, so that the cost is bounded.
    random_state : int, default=0
        Seed that decides which rows go to which half.

    Returns
    -------
    DensityRatio
        Weights of reference rows; the same whatever the number of threads.

    Raises
    ------
    TypeError, ValueError
        If an argument breaks its rule, or a population has fewer than two rows.

    References
    ----------
    .. [1] Białek, Kivimäki, Kuberski & Perrakis (2024), "Estimating Model Performance
       Under Covariate Shift Without Labels", arXiv:2401.08348.

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> reference = rng.normal(size=(4_000, 1))
    >>> ratio = estimate_density_ratio(reference, rng.normal(1.0, size=(2_000, 1)))
    >>> bool(np.corrcoef(ratio.weight, reference[:, 0])[0, 1] > 0.6)
    True
    """
    import lightgbm as lgb  # calibration stays light without it

    ours, theirs = _check_populations(reference, other, max_reference)
    rows = evenly_spaced(len(ours), max_reference)
    ours = ours[rows]
    theirs = theirs[evenly_spaced(len(theirs), len(ours))]
    n_ours, n_theirs = len(ours), len(theirs)
    features = np.concatenate([ours, theirs])
    is_other = np.repeat([0.0, 1.0], [n_ours, n_theirs])
    rng = np.random.default_rng(random_state)
    half = np.concatenate(
        [rng.permutation(np.arange(n) % 2) for n in (n_ours, n_theirs)]
    )
    chance = np.empty(is_other.size)
    gains = np.zeros((2, features.shape[1]))

    def tell_apart(side: int) -> None:
        learn, apply = half != side, half == side
        data = lgb.Dataset(
            features[learn],
            is_other[learn],
            params={"verbosity": -1, "num_threads": 1},
            **dataset_options(features.shape[1], categorical),
        )
        trees = lgb.train({**PARAMETERS, "seed": random_state}, data, N_TREES)
        chance[apply] = np.asarray(trees.predict(features[apply], num_threads=1))
        gains[side] = trees.feature_importance("gain")

    for_each((0, 1), tell_apart)
    gain = gains.sum(axis=0)
    q = chance[:n_ours]
    # method.md, equation 29
    weight = n_ours / n_theirs * q / np.maximum(CLIP, 1.0 - q)
    weight /= weight.mean()
    # q / (1 - q) = OUTSIDE_RATIO * n_other / n_ref, without dividing by what may be 0.
    far = OUTSIDE_RATIO * n_theirs / (n_ours + OUTSIDE_RATIO * n_theirs)
    outside = float(np.mean(chance[n_ours:] > far))
    total = float(gain.sum())
    return DensityRatio(
        rows=rows,
        weight=weight,
        effective_sample_size=float(
            (1.0 - outside) * weight.sum() ** 2 / (weight @ weight)
        ),
        outside=outside,
        separability=_roc_auc(chance, is_other),
        importance=gain / total if total > 0.0 else gain,
    )


def _check_populations(
    reference: ArrayLike, other: ArrayLike, max_reference: int
) -> tuple[Floats, Floats]:
    ours = check_features(reference, "reference")
    theirs = check_features(other, "other")
    if ours.shape[1] != theirs.shape[1]:
        msg = (
            "`reference` and `other` must have the same features, got "
            f"{ours.shape[1]} and {theirs.shape[1]} columns."
        )
        raise ValueError(msg)
    for values, name in ((ours, "reference"), (theirs, "other")):
        if len(values) < 2:
            msg = f"`{name}` must have at least two rows, got {len(values)}."
            raise ValueError(msg)
    if max_reference < 2:
        msg = f"`max_reference` must be at least 2, got {max_reference}."
        raise ValueError(msg)
    return ours, theirs


def evenly_spaced(n_rows: int, most: int) -> NDArray[np.int64]:
    """Return all of ``n_rows`` positions, or ``most`` of them from first to last."""
    if n_rows <= most:
        return np.arange(n_rows)
    return np.linspace(0, n_rows - 1, most).astype(np.int64)


def _roc_auc(score: Floats, label: Floats) -> float:
    from sklearn.metrics import roc_auc_score

    return float(roc_auc_score(label, score))
