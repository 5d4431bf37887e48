"""Estimates that adapt to covariate shift: feature-aware, PAPE, and what `auto` does.

All three give each row another soft label than the map of the score does; from there on
the kernels are the same. ``feature_aware`` takes it from trees on score and features,
``pape`` from a map fitted per chunk to the reference rows that look like it, and
``auto`` blends the three with a weight that is learned on the reference: adapting helps
where the mix of rows changes, and harms where what features say of the label changes,
too (:mod:`estimator.label_free.adapter_learning`).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from calibration.base import Calibrator
from calibration.features.feature_aware import CLIP, FeatureAwareCalibrator
from calibration.maps.logistic import clipped_logit
from estimator.frames.adapted_soft_labels import AdaptedSoftLabels
from estimator.frames.columns import not_none
from estimator.frames.features import FeatureTable
from estimator.label_free.chunk_map import (
    BlendWeights,
    ReferenceSample,
    blend_soft_labels,
    fit_chunk_map,
)
from estimator.label_free.label_shift import LabelShift, shift_block
from estimator.progress import Advance

Floats = NDArray[np.float64]
RowSet = NDArray[np.int64] | slice


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ShiftAdapter:
    """What the reference taught of features.

    Attributes
    ----------
    method : {"feature_aware", "pape", "auto"}
        How soft labels are made.
    table : FeatureTable
        How columns are read.
    feature_aware : FeatureAwareCalibrator or None
        Trees on score and features; None for ``pape``.
    sample : ReferenceSample or None
        Rows of the reference; None for ``feature_aware``, which keeps none.
    n_reference : int
        Number of rows of the reference with score and label.
    score_range : ndarray of shape (2,)
        Scores that the reference vouches for.
    weight : float
        Weight of what is adapted against the map of the score, in [0, 1].
    weight_beyond : float
        Share of the trees' weight that is left in rows of kinds hardly found in the
        reference, in [0, 1].
    relative_error : float
        Standard error of the difference between an adapted metric and that of the map
        of the score, as a share of that difference.
    random_state : int
        Seed of density ratios.
    label_shift : LabelShift or None
        What a changed mean soft label says of a chunk's calibration; None: nothing.
    """

    method: str
    table: FeatureTable
    feature_aware: FeatureAwareCalibrator | None
    sample: ReferenceSample | None
    n_reference: int
    score_range: Floats
    weight: float
    weight_beyond: float
    relative_error: float
    random_state: int
    label_shift: LabelShift | None = None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class AdaptedRows:
    """Soft labels of rows whose features were read.

    Attributes
    ----------
    soft_labels : AdaptedSoftLabels
        Soft labels by row; NaN without a score.
    remarks : tuple of str
        Remark on each chunk; "" where there is nothing to say.
    """

    soft_labels: AdaptedSoftLabels
    remarks: tuple[str, ...]


def adapt_rows(
    adapter: ShiftAdapter,
    calibrator: Calibrator,
    score: NDArray[np.floating],
    features: Floats,
    chunks: Sequence[RowSet],
    *,
    advance: Advance | None = None,
) -> AdaptedRows:
    """Give rows the soft labels that their score and features make likely.

    Parameters
    ----------
    adapter : ShiftAdapter
        What the reference taught of features.
    calibrator : Calibrator
        The map of the score.
    score : ndarray of shape (n_rows,)
        NaN in unusable rows.
    features : ndarray of shape (n_rows, n_features)
        Read by the adapter's table.
    chunks : sequence of rows
        Which rows are adapted to together.
    advance : callable, optional
        Called with the number of rows whenever some are done.
    """
    usable = ~np.isnan(score)
    clipped = np.clip(np.asarray(score, np.float64), *adapter.score_range)
    base = np.full(score.size, np.nan)
    if usable.any():
        base[usable] = calibrator.predict(clipped[usable])
    aware = base
    if adapter.feature_aware is not None:
        aware = _read_trees(adapter.feature_aware, clipped, features, usable, advance)
    calibrated, inflation = aware.copy(), np.ones(score.size)
    unknown, remarks = np.zeros(score.size), [""] * len(chunks)
    weights = BlendWeights(adapted=adapter.weight, beyond=adapter.weight_beyond)
    every = np.arange(score.size)
    usable_rows = [every[chunk][usable[chunk]] for chunk in chunks]
    for c, rows in enumerate(usable_rows if adapter.sample is not None else ()):
        chunk_map = fit_chunk_map(
            not_none(adapter.sample),
            features[rows],
            clipped[rows],
            base[rows],
            adapter.table,
            adapter.random_state,
        )
        calibrated[rows], inflation[rows] = blend_soft_labels(
            adapter.method,
            weights,
            base[rows],
            aware[rows],
            chunk_map,
            adapter.n_reference,
        )
        unknown[rows], remarks[c] = chunk_map.outside, chunk_map.remark
        if advance is not None:
            advance(rows.size)
    _extrapolate_tails(calibrated, score, clipped, calibrator)
    if adapter.label_shift is not None:
        for rows in usable_rows:
            shift_block(adapter.label_shift, calibrated, unknown, rows)
    return AdaptedRows(
        soft_labels=AdaptedSoftLabels(
            calibrated=calibrated, inflation=inflation, unknown_shift=unknown
        ),
        remarks=tuple(remarks),
    )


def work_of(adapter: ShiftAdapter, n_rows: int) -> int:
    """Return how many rows `adapt_rows` will report."""
    return n_rows * ((adapter.feature_aware is not None) + (adapter.sample is not None))


def _extrapolate_tails(
    calibrated: Floats,
    score: NDArray[np.floating],
    clipped: Floats,
    calibrator: Calibrator,
) -> None:
    """Extrapolate soft labels beyond the reference's range of scores, in place.

    As the map of the score goes on there: what trees or a chunk's map say of the
    nearest score that the reference vouches for, moved as the map moves from there.
    """
    beyond = score != clipped
    beyond &= ~np.isnan(calibrated)
    if beyond.any():
        log_odds = clipped_logit(calibrated[beyond], CLIP)
        log_odds += clipped_logit(calibrator.predict(score[beyond]), CLIP)
        log_odds -= clipped_logit(calibrator.predict(clipped[beyond]), CLIP)
        calibrated[beyond] = expit(log_odds)


def _read_trees(
    trees: FeatureAwareCalibrator,
    score: Floats,
    features: Floats,
    usable: NDArray[np.bool_],
    advance: Advance | None,
) -> Floats:
    if usable.all():
        return trees.predict(score, features, advance=advance)
    soft = np.full(score.size, np.nan)
    if usable.any():
        soft[usable] = trees.predict(score[usable], features[usable], advance=advance)
    return soft
