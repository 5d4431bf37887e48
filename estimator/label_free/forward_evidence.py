"""What the second half of the reference says of trees grown on the first half.

Folds lie on both sides of what they judge, production lies ahead. Only what a method
foretold of later rows tells how it fares on rows of a kind that it has not seen.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from calibration import FeatureAwareCalibrator
from calibration.cross_fitting import blocked_folds
from calibration.features.density_ratio import (
    estimate_density_ratio,
    evenly_spaced,
)
from estimator.label_free.adapting_settings import SETTINGS

Floats = NDArray[np.float64]

_N_WEIGHTS = 51
_LEAST_CHANCE = 1e-6  # a label thought impossible must not decide alone


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ForwardHalf:
    """The second half of the reference, as maps of the first half see it.

    Attributes
    ----------
    start : int
        First row of the second half, in time order.
    base, aware : ndarray of shape (n_rows - start,)
        P(y = 1) of its rows by the map of the score, and by trees.
    outside : float
        Share of these rows that are of a kind hardly found in the first half.
    """

    start: int
    base: Floats
    aware: Floats
    outside: float


def predict_half_by_trees(
    score: Floats,
    label: Floats,
    features: Floats,
    categorical: Sequence[int],
    random_state: int,
) -> ForwardHalf | None:
    """Fit trees to the first half of the reference, and apply them to the second.

    Parameters
    ----------
    score, label : ndarray of shape (n_rows,)
        Score and label of each row, in time order.
    features : ndarray of shape (n_rows, n_features)
        Features of each row.
    categorical : sequence of int
        Columns of the features that hold codes.
    random_state : int
        Seed of the trees.

    Returns
    -------
    ForwardHalf or None
        None if the first half is too small for its folds to have both classes.
    """
    start = label.size // 2
    first = label[:start]
    trees = FeatureAwareCalibrator(random_state=random_state)
    if start < trees.n_splits:
        return None
    for a, b in blocked_folds(start, trees.n_splits):
        others = np.delete(first, np.s_[a:b])
        if others.min() == others.max():
            return None
    trees.fit(score[:start], first, features[:start], categorical=categorical)
    later = np.clip(score[start:], *trees.score_range_)
    some = evenly_spaced(label.size - start, SETTINGS.forward_chunk)
    ratio = estimate_density_ratio(
        features[:start],
        features[start:][some],
        categorical=categorical,
        max_reference=SETTINGS.max_reference,
        random_state=random_state,
    )
    return ForwardHalf(
        start=start,
        base=trees.spline_.predict(later),
        aware=trees.predict(later, features[start:]),
        outside=ratio.outside,
    )


def weight_beyond_reference(forward: ForwardHalf, label: Floats) -> float:
    """Return how much of the trees' correction to believe in rows of unseen kinds.

    The mean of the weight's posterior, flat over [0, 1] before the labels of the second
    half: stacking of the two probabilities by their log loss [1]_. It counts as far as
    the second half has rows of unseen kinds: others say nothing of these. Method.md,
    equation 35.

    Parameters
    ----------
    forward : ForwardHalf
        Probabilities of the second half of the reference.
    label : ndarray of shape (n_rows - start,)
        Its labels, 0.0 or 1.0.

    References
    ----------
    .. [1] Yao, Vehtari, Simpson & Gelman (2018), "Using Stacking to Average Bayesian
       Predictive Distributions", Bayesian Analysis 13(3), 917-1007.
    """
    right_base = np.where(label == 1.0, forward.base, 1.0 - forward.base)
    right_aware = np.where(label == 1.0, forward.aware, 1.0 - forward.aware)
    weights = np.linspace(0.0, 1.0, _N_WEIGHTS)
    log_likelihood = np.array(
        [
            np.log(
                np.maximum(right_base + w * (right_aware - right_base), _LEAST_CHANCE)
            ).sum()
            for w in weights
        ]
    )
    posterior = np.exp(log_likelihood - log_likelihood.max())
    evidence_share = forward.outside / (
        forward.outside + SETTINGS.outside_at_half_weight
    )
    return float(evidence_share * (posterior @ weights) / posterior.sum())
