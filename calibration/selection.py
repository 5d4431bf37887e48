"""Choosing a calibrator by what it says of rows it has not seen."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from calibration._validation import check_labels, check_sample_weight
from calibration.cross_fitting import CrossFit, cross_fit
from calibration.registry import CALIBRATORS, make_calibrator

Floats = NDArray[np.float64]

# Where scores are clipped for the logit, an outright 0 or 1 is judged by as well.
CLIP = 1e-6


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class CalibratorSelection:
    """The candidates' losses and the choice.

    Attributes
    ----------
    best : str
        Name of the chosen calibrator.
    losses : dict of str to float
        Cross-validated log loss of each candidate, in nats per row.
    cross_fit : CrossFit
        Cross-fit of the chosen one, so that nobody has to fit it again.
    """

    best: str
    losses: dict[str, float]
    cross_fit: CrossFit

    def __repr__(self) -> str:
        losses = ", ".join(f"{name} {loss:.4f}" for name, loss in self.losses.items())
        return f"<CalibratorSelection {self.best} of {losses}>"


def select_calibrator(
    score: ArrayLike,
    y: ArrayLike,
    *,
    candidates: Sequence[str] = tuple(CALIBRATORS),
    n_splits: int = 5,
    sample_weight: ArrayLike | None = None,
) -> CalibratorSelection:
    """Choose by log loss on contiguous folds: the past judged by maps of other times.

    The first candidate is the default, and a tie goes to it: the candidate with the
    least loss must beat it by more than two standard errors of the paired difference.

    Parameters
    ----------
    score, y : array-like of shape (n_rows,)
        Scores in [0, 1] and labels 0 and 1, in time order.
    candidates : sequence of str, default=all of ``CALIBRATORS``
        Names, the default first.
    n_splits : int, default=5
        Number of contiguous folds.
    sample_weight : array-like of shape (n_rows,), optional
        Weights, for the fits and for the loss. Predictions are kept within
        [1e-6, 1 - 1e-6] for the loss.

    Returns
    -------
    CalibratorSelection
        The chosen calibrator's name and cross-fit, and the loss of each candidate.

    Raises
    ------
    TypeError
        If an argument is not numeric.
    ValueError
        If an argument breaks its rule, or there is no candidate.

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> score = rng.random(5000)
    >>> y = rng.random(5000) < 0.05 + 0.9 * score**3
    >>> select_calibrator(score, y, candidates=("spline", "platt", "identity")).best
    'spline'
    """
    if isinstance(candidates, str) or not candidates:
        msg = (
            f"`candidates` must be a sequence of names, got {candidates!r}. "
            f"Choose from {', '.join(CALIBRATORS)}."
        )
        raise ValueError(msg)
    fits, losses = {}, {}
    for name in candidates:
        make_calibrator(name)  # an unknown name fails before the first fit
    for name in candidates:
        fits[name] = cross_fit(
            name, score, y, n_splits=n_splits, sample_weight=sample_weight
        )
        losses[name] = _row_losses(fits[name].probabilities, check_labels(y, "y"))
    n_rows = fits[candidates[0]].probabilities.size
    weight = check_sample_weight(sample_weight, n_rows)
    means = {
        name: float(np.average(row, weights=weight)) for name, row in losses.items()
    }
    default, best = candidates[0], min(means, key=means.__getitem__)
    gain = losses[default] - losses[best]
    excess = weight * (gain - np.average(gain, weights=weight))
    standard_error = np.sqrt((excess**2).sum()) / weight.sum()
    if means[default] - means[best] <= 2.0 * standard_error:
        best = default
    return CalibratorSelection(best=best, losses=means, cross_fit=fits[best])


def _row_losses(p: Floats, y: Floats) -> Floats:
    likelihood = np.where(y == 1.0, p, 1.0 - p)
    losses: Floats = -np.log(np.clip(likelihood, CLIP, 1.0 - CLIP))
    return losses
