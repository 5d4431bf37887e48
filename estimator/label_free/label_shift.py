"""Label shift: what a changed mean soft label says of the calibration of a chunk.

If the share of positives changes at equal features, scores change, and so does their
mean soft label, but by less than the labels: the calibration is then off by a constant
in log odds. If rows change instead, the mean soft label is right as it stands. Nobody
can tell which of the two a single chunk shows. The reference can: its blocks show how
the constant that each lacks goes with the change of its mean soft label. What it shows
is applied in production, as far as it is evident.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logsumexp

from calibration.features.feature_aware import CLIP
from calibration.maps.logistic import clipped_logit
from estimator.label_free.adapting_settings import SETTINGS

Floats = NDArray[np.float64]

_NEWTON_STEPS = 25
_N_DEVIATIONS = 40  # at which an integral is evaluated
_LONGEST_STEP = 1.0  # log odds; Newton's step from far away can overshoot


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LabelShift:
    """How the calibration of a chunk goes with the change of its mean soft label.

    Attributes
    ----------
    coefficient : float
        Log odds by which a chunk's labels shift for each log odds that its mean soft
        label changes; 0 where the reference shows no such thing.
    variance : float
        Variance of the coefficient.
    centre : float
        Mean soft label of the reference, in log odds.
    spread : float
        Variance of the mean soft label between blocks of the reference, in log odds
        squared, without what sampling rows adds.
    largest_change : float
        Largest change that counts, in log odds: twice the largest in the reference,
        without what sampling rows adds.
    """

    coefficient: float
    variance: float
    centre: float
    spread: float
    largest_change: float

    def shift(self, soft: Floats) -> tuple[float, float]:
        """Return the shift of a chunk in log odds, and its variance.

        Parameters
        ----------
        soft : ndarray of shape (n_rows,)
            Soft labels of the chunk.
        """
        # A few rows, as streams deliver them, tell nothing of the chunk they are of.
        if soft.size < SETTINGS.min_chunk or not self.spread > 0.0:
            return 0.0, 0.0
        change, noise = _mean_log_odds(soft)
        change = (change - self.centre) * self.spread / (self.spread + noise)
        change = float(np.clip(change, -self.largest_change, self.largest_change))
        return self.coefficient * change, self.variance * change**2


def shift_block(
    label_shift: LabelShift,
    soft: Floats,
    unknown_shift: Floats,
    rows: NDArray[np.int64] | slice,
) -> None:
    """Shift the soft labels of a chunk, in place.

    Parameters
    ----------
    label_shift : LabelShift
        What the reference taught.
    soft, unknown_shift : ndarray of shape (n_rows,)
        As of `AdaptedSoftLabels`; changed in ``rows``.
    rows : ndarray of int64 or slice
        Rows of the chunk; all have a soft label.
    """
    shift, variance = label_shift.shift(soft[rows])
    if shift != 0.0:
        soft[rows] = expit(clipped_logit(soft[rows], CLIP) + shift)
    unit = SETTINGS.unknown_shift[0]
    unknown_shift[rows] = np.hypot(unknown_shift[rows], np.sqrt(variance) / unit)


def learn_label_shift(
    soft: Floats, label: Floats, blocks: Sequence[tuple[int, int]]
) -> tuple[LabelShift, list[LabelShift]]:
    r"""Learn from blocks of the reference how calibration goes with mean soft labels.

    In block :math:`b` with mean soft label :math:`m_b` in log odds the soft labels lack
    a constant :math:`a_b = \beta (m_b - m) + \epsilon_b`. The coefficient is 0 with
    probability one half, else normal; its mean and variance are those of the mixture.
    The variance that blocks have beyond sampling is integrated out. Method.md,
    equation 36.

    Parameters
    ----------
    soft, label : ndarray of shape (n_rows,)
        Soft label of each row of the reference in time order, by maps that have not
        seen the row, and its label, 0.0 or 1.0.
    blocks : sequence of (start, stop)
        Blocks of these rows.

    Returns
    -------
    of_all : LabelShift
        What all blocks say.
    of_others : list of LabelShift
        What all blocks but one say, for each in turn.
    """
    centre = float(clipped_logit(np.array([soft.mean()]), CLIP)[0])
    moments = np.array(
        [
            (*_missing_constant(soft[a:b], label[a:b]), *_mean_log_odds(soft[a:b]))
            for a, b in blocks
        ]
    )
    every = np.arange(len(blocks))
    of_others = [_learn_from(moments[every != b], centre) for b in every.tolist()]
    return _learn_from(moments, centre), of_others


def _learn_from(moments: Floats, centre: float) -> LabelShift:
    """Learn from some blocks.

    Parameters
    ----------
    moments : ndarray of shape (n_blocks, 4)
        Constant that each block lacks, and its variance; mean soft label, and its
        variance; all in log odds.
    centre : float
        Mean soft label of the reference, in log odds.
    """
    constant, constant_noise, mean, mean_noise = moments.T
    change = mean - centre
    spread = max(0.0, float(np.mean(change**2) - mean_noise.mean()))
    # A change that is partly the noise of sampling tells the less.
    regressor = (
        change * spread / (spread + mean_noise) if spread > 0.0 else 0.0 * change
    )
    coefficient = variance = 0.0
    if spread > 0.0:
        coefficient, variance = _regress(regressor, constant, constant_noise)
    return LabelShift(
        coefficient=coefficient,
        variance=variance,
        centre=centre,
        spread=spread,
        largest_change=2.0 * float(np.abs(regressor).max()),
    )


def _regress(x: Floats, y: Floats, noise: Floats) -> tuple[float, float]:
    """Return mean and variance of a coefficient that may be 0.

    Parameters
    ----------
    x, y : ndarray of shape (n_blocks,)
        Regressor and response, both with the mean 0 but for noise.
    noise : ndarray of shape (n_blocks,)
        Sampling variance of the response.
    """
    middles = (np.arange(_N_DEVIATIONS) + 0.5) / _N_DEVIATIONS
    deviation = SETTINGS.largest_block_deviation * middles[:, None]
    variance = noise + deviation**2
    none = -0.5 * (np.log(variance) + y**2 / variance).sum(axis=1)
    precision = SETTINGS.coefficient_deviation**-2 + (x**2 / variance).sum(axis=1)
    vector = (x * y / variance).sum(axis=1)
    some = none + 0.5 * (vector**2 / precision)
    some -= 0.5 * np.log(precision * SETTINGS.coefficient_deviation**2)
    evidence_none, evidence_some = logsumexp(none), logsumexp(some)
    chance = float(expit(evidence_some - evidence_none))
    weight = np.exp(some - evidence_some)
    mean = vector / precision
    slab = float(weight @ mean)
    square = float(weight @ (1.0 / precision + mean**2))
    return chance * slab, chance * square - (chance * slab) ** 2


def _missing_constant(soft: Floats, label: Floats) -> tuple[float, float]:
    """Return the constant that soft labels lack in log odds, and its variance.

    Half a case of either kind is added, as soft labels have it: a block of one class
    has a finite constant.
    """
    log_odds, share = clipped_logit(soft, CLIP), float(soft.mean())
    positives = label.sum() + share
    share_log_odds = clipped_logit(np.array([share]), CLIP)[0]
    constant = 0.0
    for _ in range(_NEWTON_STEPS):
        p = expit(log_odds + constant)
        prior = expit(share_log_odds + constant)
        information = float((p * (1.0 - p)).sum() + prior * (1.0 - prior))
        step = float(positives - p.sum() - prior) / information
        constant += float(np.clip(step, -_LONGEST_STEP, _LONGEST_STEP))
    return constant, 1.0 / information


def _mean_log_odds(soft: Floats) -> tuple[float, float]:
    """Return the log odds of the mean soft label, and their sampling variance."""
    mean = float(np.clip(soft.mean(), CLIP, 1.0 - CLIP))
    noise = float(soft.var()) / (soft.size * (mean * (1.0 - mean)) ** 2)
    return float(np.log(mean) - np.log1p(-mean)), noise
