"""Probabilities for labelled rows from calibrators that did not see their labels."""

from dataclasses import dataclass
from itertools import pairwise
from numbers import Integral

import numpy as np
from numpy.typing import ArrayLike, NDArray

from calibration._validation import (
    check_labels,
    check_probabilities,
    check_same_length,
    check_sample_weight,
)
from calibration.base import Calibrator
from calibration.registry import make_calibrator

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class CrossFit:
    """Out-of-fold probabilities and the calibrators behind them.

    Attributes
    ----------
    probabilities : ndarray of shape (n_rows,)
        Probability of each row, from the calibrator fitted on the other folds.
    folds : tuple of (start, stop)
        Rows of each fold, in order; together all rows.
    calibrators : tuple of Calibrator
        ``calibrators[k]`` was fitted on all rows but those of ``folds[k]``.
    """

    probabilities: Floats
    folds: tuple[tuple[int, int], ...]
    calibrators: tuple[Calibrator, ...]

    def __post_init__(self) -> None:
        self.probabilities.flags.writeable = False

    def __repr__(self) -> str:
        name = type(self.calibrators[0]).__name__
        n_rows = self.probabilities.size
        return f"<CrossFit {name}: {n_rows} rows, {len(self.folds)} folds>"


def blocked_folds(n_rows: int, n_splits: int = 5) -> list[tuple[int, int]]:
    """Cut rows into contiguous blocks whose sizes differ by at most one.

    Rows in time order stay together with their neighbours: shuffled folds would let a
    calibrator learn from the same week it is judged on.

    Parameters
    ----------
    n_rows : int
        Number of rows.
    n_splits : int, default=5
        Number of folds, at least 2.

    Returns
    -------
    list of (int, int)
        Start and stop of each fold, in order.

    Raises
    ------
    TypeError
        If the number of folds is no whole number.
    ValueError
        If there are fewer than two folds, or fewer rows than folds.

    Examples
    --------
    >>> blocked_folds(10, n_splits=3)
    [(0, 3), (3, 6), (6, 10)]
    """
    if not isinstance(n_splits, Integral) or isinstance(n_splits, bool):
        msg = f"`n_splits` must be a whole number >= 2, got {n_splits!r}."
        raise TypeError(msg)
    if n_splits < 2:
        msg = f"`n_splits` must be >= 2, got {n_splits}."
        raise ValueError(msg)
    if n_rows < n_splits:
        msg = (
            f"`n_splits` must be <= the number of rows, got {n_splits} folds for "
            f"{n_rows} rows. Use fewer folds or a longer reference period."
        )
        raise ValueError(msg)
    bounds = [n_rows * k // n_splits for k in range(n_splits + 1)]
    return list(pairwise(bounds))


def cross_fit(
    calibrator: str | Calibrator,
    score: ArrayLike,
    y: ArrayLike,
    *,
    n_splits: int = 5,
    sample_weight: ArrayLike | None = None,
) -> CrossFit:
    """Calibrate each block of rows by a map learned on the other blocks.

    What is said about the reference period itself must come from here: a flexible map
    judged on the rows it learned from is optimistic by construction.

    Parameters
    ----------
    calibrator : str or Calibrator
        A name in ``CALIBRATORS`` or an object to be cloned.
    score, y : array-like of shape (n_rows,)
        Scores in [0, 1] and labels 0 and 1, in time order.
    n_splits : int, default=5
        Number of contiguous folds.
    sample_weight : array-like of shape (n_rows,), optional
        Weights for the fits.

    Returns
    -------
    CrossFit
        Probability of each row, and the fold and calibrator that it comes from.

    Raises
    ------
    TypeError
        If an argument is not numeric, or ``calibrator`` is none.
    ValueError
        If an argument breaks its rule, or the rows outside some fold are of one class.

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> score = rng.random(1000)
    >>> cross_fit("platt", score, rng.random(1000) < score)
    <CrossFit PlattCalibrator: 1000 rows, 5 folds>
    """
    scores = check_probabilities(score, "score")
    labels = check_labels(y, "y")
    check_same_length(labels, "y", scores, "score")
    weight = None
    if sample_weight is not None:
        weight = check_sample_weight(sample_weight, scores.size)
    probabilities = np.empty(scores.size)
    folds = blocked_folds(scores.size, n_splits)
    calibrators = []
    for start, stop in folds:
        train = np.r_[0:start, stop : scores.size]
        used = None if weight is None else weight[train]
        _check_fold(labels[train], used, start, stop)
        fresh = make_calibrator(calibrator)
        if used is None:  # a caller's own calibrator may not take weights
            fresh.fit(scores[train], labels[train])
        else:
            fresh.fit(scores[train], labels[train], sample_weight=used)
        probabilities[start:stop] = fresh.predict(scores[start:stop])
        calibrators.append(fresh)
    return CrossFit(
        probabilities=probabilities, folds=tuple(folds), calibrators=tuple(calibrators)
    )


def _check_fold(labels: Floats, weight: Floats | None, start: int, stop: int) -> None:
    used = labels if weight is None else labels[weight > 0.0]
    if used.size == 0 or used.min() == used.max():
        labels_there = f"only label {used[0]:g}" if used.size else "no row with weight"
        msg = (
            f"`y` must hold both classes outside each fold, but the {labels.size} rows "
            f"outside rows {start} to {stop - 1} hold {labels_there}. Use more folds, "
            "or a longer reference period in which both classes occur throughout."
        )
        raise ValueError(msg)
