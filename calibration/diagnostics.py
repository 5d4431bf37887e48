"""How well probabilities hold: reliability, calibration error, Brier decomposition."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import beta
from sklearn.isotonic import IsotonicRegression

from calibration._validation import (
    check_labels,
    check_probabilities,
    check_same_length,
)

Floats = NDArray[np.float64]
Strategy = Literal["quantile", "uniform"]
Norm = Literal["l1", "l2", "max"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class ReliabilityCurve:
    """Observed frequency against predicted probability, bin by bin.

    Attributes
    ----------
    predicted : ndarray of shape (n_bins,)
        Mean probability of each bin, rising.
    observed, lower, upper : ndarray of shape (n_bins,)
        Share of positives of each bin, with its interval.
    n_rows : ndarray of shape (n_bins,)
        Rows in each bin; empty bins are left out.
    level : float
        Coverage the interval claims, in (0, 1).
    """

    predicted: Floats
    observed: Floats
    lower: Floats
    upper: Floats
    n_rows: NDArray[np.int64]
    level: float

    def __post_init__(self) -> None:
        for name in ("predicted", "observed", "lower", "upper", "n_rows"):
            column = np.array(getattr(self, name))  # own copy, then locked
            column.flags.writeable = False
            object.__setattr__(self, name, column)

    def __len__(self) -> int:
        return self.predicted.size

    def __repr__(self) -> str:
        covered = int(
            ((self.lower <= self.predicted) & (self.predicted <= self.upper)).sum()
        )
        return (
            f"<ReliabilityCurve {len(self)} bins, {self.n_rows.sum()} rows: "
            f"{covered} within their {self.level:.0%} interval>"
        )


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class BrierDecomposition:
    """The Brier score as miscalibration - discrimination + uncertainty.

    Attributes
    ----------
    brier_score : float
        Mean squared difference of probability and label.
    miscalibration : float
        What the best rising recalibration would take away, >= 0.
    discrimination : float
        What the recalibrated scores gain over the base rate, >= 0.
    uncertainty : float
        Score of the base rate, the variance of the labels.
    """

    brier_score: float
    miscalibration: float
    discrimination: float
    uncertainty: float

    def __repr__(self) -> str:
        return (
            f"<BrierDecomposition {self.brier_score:.4f} = {self.miscalibration:.4f} "
            f"miscalibration - {self.discrimination:.4f} discrimination "
            f"+ {self.uncertainty:.4f} uncertainty>"
        )


def compute_reliability_curve(
    p: ArrayLike,
    y: ArrayLike,
    *,
    n_bins: int = 10,
    strategy: Strategy = "quantile",
    level: float = 0.95,
) -> ReliabilityCurve:
    """Compare probability and frequency in bins, with Jeffreys intervals.

    The equal-tailed Jeffreys interval of a binomial share covers close to nominal on
    average; it starts at 0 without positives and ends at 1 without negatives [1]_.

    Parameters
    ----------
    p, y : array-like of shape (n_rows,)
        Probabilities in [0, 1] and labels 0 and 1.
    n_bins : int, default=10
        Bins asked for; equal probabilities are never parted, so ties give fewer.
    strategy : {"quantile", "uniform"}, default="quantile"
        Bins with equally many rows, or of equal width.
    level : float, default=0.95
        Coverage of the intervals, in (0, 1).

    Returns
    -------
    ReliabilityCurve
        Mean probability and share of positives of each bin that holds a row.

    Raises
    ------
    TypeError
        If ``p`` or ``y`` is not numeric.
    ValueError
        If an argument breaks its rule.

    References
    ----------
    .. [1] Brown, Cai, DasGupta (2001), "Interval Estimation for a Binomial Proportion",
       Statistical Science 16(2), section 4.1.

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> p = rng.random(10_000)
    >>> compute_reliability_curve(p, rng.random(10_000) < p**2)
    <ReliabilityCurve 10 bins, 10000 rows: 0 within their 95% interval>
    """
    if not 0.0 < level < 1.0:
        msg = f"`level` must lie in (0, 1), got {level}. Pass 0.95 for 95 %."
        raise ValueError(msg)
    probabilities, labels = _check_rows(p, y)
    n_rows, predicted, observed = _bin_means(probabilities, labels, n_bins, strategy)
    positives = np.rint(observed * n_rows)
    negatives = n_rows - positives
    tail = (1.0 - level) / 2.0
    lower = beta.ppf(tail, positives + 0.5, negatives + 0.5)
    upper = beta.ppf(1.0 - tail, positives + 0.5, negatives + 0.5)
    return ReliabilityCurve(
        predicted=predicted,
        observed=observed,
        lower=np.where(positives == 0, 0.0, lower),
        upper=np.where(negatives == 0, 1.0, upper),
        n_rows=n_rows,
        level=level,
    )


def compute_calibration_error(
    p: ArrayLike,
    y: ArrayLike,
    *,
    norm: Norm = "l1",
    n_bins: int = 15,
    strategy: Strategy = "quantile",
    debias: bool = True,
) -> float:
    r"""Summarize the distance of probability and frequency over bins.

    ``"l1"`` is the expected calibration error :math:`\sum_b (n_b/n)\,|\bar y_b - \bar
    p_b|`, ``"max"`` its largest term, ``"l2"`` the root mean square. Binned errors are
    above 0 even for perfect probabilities, the more the smaller the bins; the debiased
    ``"l2"`` subtracts from each square the variance :math:`\bar y_b (1 - \bar y_b) /
    (n_b - 1)` that chance alone gives it [1]_.

    Parameters
    ----------
    p, y : array-like of shape (n_rows,)
        Probabilities in [0, 1] and labels 0 and 1.
    norm : {"l1", "l2", "max"}, default="l1"
        How the bins are put together.
    n_bins : int, default=15
        Bins asked for; equal probabilities are never parted, so ties give fewer.
    strategy : {"quantile", "uniform"}, default="quantile"
        Bins with equally many rows, or of equal width.
    debias : bool, default=True
        For ``"l2"`` only.

    Returns
    -------
    float
        In units of probability; 0 where the debiased square is negative.

    Raises
    ------
    TypeError
        If ``p`` or ``y`` is not numeric.
    ValueError
        If an argument breaks its rule.

    References
    ----------
    .. [1] Kumar, Liang, Ma (2019), "Verified Uncertainty Calibration", NeurIPS,
       section 5.

    Examples
    --------
    >>> compute_calibration_error([0.25] * 4, [1, 1, 0, 0])
    0.25
    """
    if norm not in ("l1", "l2", "max"):
        msg = f"`norm` must be 'l1', 'l2' or 'max', got {norm!r}."
        raise ValueError(msg)
    probabilities, labels = _check_rows(p, y)
    n_rows, predicted, observed = _bin_means(probabilities, labels, n_bins, strategy)
    gap = np.abs(observed - predicted)
    if norm == "max":
        return float(gap.max())
    if norm == "l1":
        return float(np.average(gap, weights=n_rows))
    square = gap**2
    if debias:  # a bin of one row has no variance to subtract
        square -= observed * (1.0 - observed) / np.maximum(n_rows - 1, 1)
    return float(np.sqrt(max(0.0, np.average(square, weights=n_rows))))


def compute_brier_decomposition(p: ArrayLike, y: ArrayLike) -> BrierDecomposition:
    """Split the Brier score by isotonic recalibration (CORP), without bins.

    With S, C and R the Brier scores of ``p``, of ``p`` recalibrated by isotonic
    regression on the same rows and of the base rate: miscalibration S - C,
    discrimination R - C, uncertainty R. The sum is exact and every part is >= 0 [1]_.

    Parameters
    ----------
    p, y : array-like of shape (n_rows,)
        Probabilities in [0, 1] and labels 0 and 1.

    Returns
    -------
    BrierDecomposition
        The Brier score and its three parts.

    Raises
    ------
    TypeError
        If ``p`` or ``y`` is not numeric.
    ValueError
        If an argument breaks its rule.

    References
    ----------
    .. [1] Dimitriadis, Gneiting, Jordan (2021), "Stable reliability diagrams for
       probabilistic classifiers", PNAS 118(8), equations 3 to 5.

    Examples
    --------
    >>> compute_brier_decomposition([0.1, 0.1, 0.6, 0.6], [0, 0, 0, 1])
    <BrierDecomposition 0.1350 = 0.0100 miscalibration - 0.0625 discrimination \
+ 0.1875 uncertainty>
    """
    probabilities, labels = _check_rows(p, y)
    recalibrated = (
        IsotonicRegression().fit(probabilities, labels).predict(probabilities)
    )
    score = _mean_square(probabilities - labels)
    recalibrated_score = _mean_square(recalibrated - labels)
    uncertainty = _mean_square(labels.mean() - labels)
    return BrierDecomposition(
        brier_score=score,
        miscalibration=score - recalibrated_score,
        discrimination=uncertainty - recalibrated_score,
        uncertainty=uncertainty,
    )


def _check_rows(p: ArrayLike, y: ArrayLike) -> tuple[Floats, Floats]:
    probabilities, labels = check_probabilities(p, "p"), check_labels(y, "y")
    check_same_length(labels, "y", probabilities, "p")
    return probabilities, labels


def _bin_means(
    p: Floats, y: Floats, n_bins: int, strategy: str
) -> tuple[NDArray[np.int64], Floats, Floats]:
    """Return the rows, mean probability and share of positives of non-empty bins."""
    if n_bins < 1:
        msg = f"`n_bins` must be >= 1, got {n_bins}."
        raise ValueError(msg)
    if strategy == "quantile":
        edges = np.unique(np.quantile(p, np.linspace(0.0, 1.0, n_bins + 1)))
    elif strategy == "uniform":
        edges = np.linspace(0.0, 1.0, n_bins + 1)
    else:
        msg = f"`strategy` must be 'quantile' or 'uniform', got {strategy!r}."
        raise ValueError(msg)
    index = np.searchsorted(edges[1:-1], p, side="right")
    count = np.bincount(index)
    kept = count > 0
    n_rows = count[kept]
    predicted = np.bincount(index, p)[kept] / n_rows
    observed = np.bincount(index, y)[kept] / n_rows
    return n_rows, predicted, observed


def _mean_square(values: Floats) -> float:
    return float(np.mean(values**2))
