"""Learning from the reference how to adapt to covariate shift, and with what weight."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from calibration.cross_fitting import blocked_folds
from calibration.features.density_ratio import evenly_spaced
from calibration.features.feature_aware import FeatureAwareCalibrator
from calibration.maps.spline import REFERENCE_SCORE_QUANTILES
from estimator.chunking.segments import Groups
from estimator.frames.adapted_soft_labels import AdaptedSoftLabels
from estimator.frames.features import FeatureTable
from estimator.label_free.adapting_settings import SETTINGS
from estimator.label_free.chunk_map import (
    BlendWeights,
    ChunkMap,
    ReferenceSample,
    blend_soft_labels,
    fit_chunk_map,
)
from estimator.label_free.forward_evidence import (
    ForwardHalf,
    predict_half_by_trees,
    weight_beyond_reference,
)
from estimator.label_free.label_shift import (
    LabelShift,
    learn_label_shift,
    shift_block,
)
from estimator.label_free.shift_adaptive import AdaptedRows, ShiftAdapter
from estimator.metrics.error_cells import ErrorCells
from estimator.metrics.measurement import measure
from estimator.metrics.metric_names import resolve_metrics
from estimator.metrics.rows import Rows
from estimator.progress import Advance

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Features:
    """The reference's features, and the method that adapts by them.

    Attributes
    ----------
    method : {"feature_aware", "pape", "auto"}
        How soft labels are made.
    table : FeatureTable
        How columns are read.
    matrix : ndarray of shape (n_rows, n_features)
        Features of each row.
    random_state : int
        Seed of trees and density ratios.
    """

    method: str
    table: FeatureTable
    matrix: Floats
    random_state: int

    def take(self, rows: NDArray[np.int64]) -> "Features":
        """Return the features of some rows."""
        return replace(self, matrix=self.matrix[rows])


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _CrossFitted:
    """Soft labels of the reference, by maps that have not seen the row.

    Attributes
    ----------
    base, aware : ndarray of shape (n_rows,)
        P(y = 1) by the map of the score, and by trees.
    blocks : list of (slice, ChunkMap)
        Blocks of rows, each with the map fitted to the other rows that look like it.
    """

    base: Floats
    aware: Floats
    blocks: list[tuple[slice, ChunkMap]]

    def at_weights(self, method: str, weights: BlendWeights) -> AdaptedRows:
        """Return what adapting with these weights makes of the reference."""
        calibrated, inflation = self.aware.copy(), np.ones(self.base.size)
        unknown = np.zeros(self.base.size)
        for rows, chunk_map in self.blocks:
            calibrated[rows], inflation[rows] = blend_soft_labels(
                method,
                weights,
                self.base[rows],
                self.aware[rows],
                chunk_map,
                self.base.size,
            )
            unknown[rows] = chunk_map.outside
        return AdaptedRows(
            soft_labels=AdaptedSoftLabels(
                calibrated=calibrated, inflation=inflation, unknown_shift=unknown
            ),
            remarks=tuple(chunk_map.remark for _, chunk_map in self.blocks),
        )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LearnedAdapter:
    """What the reference taught of features, and what that makes of the reference.

    Attributes
    ----------
    adapter : ShiftAdapter
        What the reference taught.
    rows : AdaptedRows
        Soft labels of the reference, cross-fitted; one remark per block.
    ahead : ndarray of shape (n_rows,)
        Soft labels of the second half of the reference by trees and the map of the
        score of its first half, with weight and label shift of the whole; NaN in the
        first half, and where nothing was foretold.
    """

    adapter: ShiftAdapter
    rows: AdaptedRows
    ahead: Floats


def learn_adapter(
    features: Features,
    rows: Rows,
    score: Floats,
    label: Floats,
    *,
    error_cells: ErrorCells,
    advance: Advance,
) -> LearnedAdapter:
    """Learn from the reference how to adapt, and how far to trust it.

    The weight of what is adapted is learned from blocks of time that neither the trees
    nor the weighted maps have seen. If what is left of the residuals there is no more
    than noise, adapting explains all, and the weight is near 1; the more drift remains
    that features do not explain, the more may move what they say of the label, and the
    lower is the weight. From there it goes to where the residuals of the map of the
    score follow the adaptation best. How much of it counts in rows of unseen kinds is
    what trees of the first half of the reference are worth on the second; what a
    changed mean soft label tells is learned last, on the blend.

    Parameters
    ----------
    features : Features
        Method, and the features of the reference's rows in time order.
    rows : Rows
        These rows, with scores that metrics rank by, and the soft labels of maps of
        the score that have not seen the row.
    score : ndarray of shape (n_rows,)
        What adapting starts from: the score of each row, or what a map has made of it.
    label : ndarray of shape (n_rows,)
        Label of each row, 0.0 or 1.0.
    error_cells : ErrorCells
        Error of the map of the score.
    advance : callable
        Called with 1 after each of `learning_steps`.
    """
    method, base = features.method, np.asarray(rows.soft)
    matrix, categorical = features.matrix, features.table.categorical
    seed = features.random_state
    score_range = np.quantile(score, REFERENCE_SCORE_QUANTILES)
    clipped = np.clip(score, *score_range)
    trees, aware = None, base
    if method != "pape":
        trees = FeatureAwareCalibrator(random_state=seed).fit(
            score, label, matrix, categorical=categorical, advance=advance
        )
        aware = trees.out_of_fold_
    sample = None
    blocks: list[tuple[slice, ChunkMap]] = []
    if method != "feature_aware":
        sample = _draw_sample(features, clipped, label, np.arange(label.size))
        blocks = _fit_blocks(features, clipped, label, base, advance)
    cross_fitted = _CrossFitted(base=base, aware=aware, blocks=blocks)
    inner_score = np.clip(
        rows.score, *np.quantile(rows.score, REFERENCE_SCORE_QUANTILES)
    )
    beyond, forward = 0.0, None
    if method != "pape":
        forward = predict_half_by_trees(score, label, matrix, categorical, seed)
        if forward is not None:
            beyond = weight_beyond_reference(forward, label[forward.start :])
        advance(1)
    in_full = cross_fitted.at_weights(method, BlendWeights(adapted=1.0, beyond=beyond))
    best, deviation = _learn_weight(
        replace(rows, score=inner_score),
        label,
        in_full.soft_labels.calibrated,
        error_cells,
    )
    weight = best if method == "auto" else 1.0
    error = np.hypot(weight - best, deviation)
    weights = BlendWeights(adapted=weight, beyond=beyond)
    adapted = cross_fitted.at_weights(method, weights)
    label_shift, ahead = None, np.full(label.size, np.nan)
    if method == "auto":
        label_shift = _learn_label_shift(adapted.soft_labels, label)
    if forward is not None:
        ahead[forward.start :] = _adapt_ahead(forward, weight, label_shift)
    adapter = ShiftAdapter(
        method=method,
        table=features.table,
        feature_aware=trees,
        sample=sample,
        n_reference=label.size,
        score_range=score_range,
        weight=weight,
        weight_beyond=beyond,
        relative_error=float(error / weight) if weight > 0.0 else 0.0,
        random_state=seed,
        label_shift=label_shift,
    )
    return LearnedAdapter(adapter=adapter, rows=adapted, ahead=ahead)


def learning_steps(method: str) -> int:
    """Return how often `learn_adapter` reports a step."""
    n_trees = FeatureAwareCalibrator().n_splits + 1 if method != "pape" else 0
    return n_trees + (SETTINGS.n_blocks if method != "feature_aware" else 0)


def _adapt_ahead(
    forward: ForwardHalf, weight: float, label_shift: LabelShift | None
) -> Floats:
    """Return the soft labels of the second half, as the method would have them."""
    soft = forward.base + weight * (forward.aware - forward.base)
    if label_shift is not None:
        unused = np.zeros(soft.size)
        for start, stop in _evidence_blocks(soft.size, SETTINGS.shift_rows):
            shift_block(label_shift, soft, unused, slice(start, stop))
    return soft


def _learn_label_shift(soft_labels: AdaptedSoftLabels, label: Floats) -> LabelShift:
    """Learn what a changed mean soft label tells; shift the reference's, in place.

    Each block is shifted by what the others say.
    """
    blocks = _evidence_blocks(label.size, SETTINGS.shift_rows)
    of_all, of_others = learn_label_shift(soft_labels.calibrated, label, blocks)
    for (start, stop), label_shift in zip(blocks, of_others, strict=True):
        shift_block(
            label_shift,
            soft_labels.calibrated,
            soft_labels.unknown_shift,
            slice(start, stop),
        )
    return of_all


def _evidence_blocks(n_rows: int, rows_per_block: int) -> list[tuple[int, int]]:
    """Return the blocks of time from which weight and label shift are learned."""
    n_blocks = int(np.clip(n_rows // rows_per_block, *SETTINGS.evidence_blocks))
    return blocked_folds(n_rows, n_blocks)


def _draw_sample(
    features: Features, score: Floats, label: Floats, rows: NDArray[np.int64]
) -> ReferenceSample:
    """Return some rows of the reference, evenly spaced in time if they are too many.

    Parameters
    ----------
    features : Features
        Features of the reference.
    score, label : ndarray of shape (n_reference,)
        Score and label of each of its rows.
    rows : ndarray of int64
        Rows to draw from.
    """
    kept = rows[evenly_spaced(rows.size, SETTINGS.max_reference)]
    return ReferenceSample(
        features=features.matrix[kept], score=score[kept], label=label[kept]
    )


def _fit_blocks(
    features: Features, score: Floats, label: Floats, base: Floats, advance: Advance
) -> list[tuple[slice, ChunkMap]]:
    """Adapt to each block of the reference from the others.

    Parameters
    ----------
    features : Features
        Features of the reference.
    score, label : ndarray of shape (n_rows,)
        Score and label of each of its rows.
    base : ndarray of shape (n_rows,)
        P(y = 1) by the map of the score.
    advance : callable
        Called with 1 after each block.
    """
    blocks = []
    for start, stop in blocked_folds(label.size, SETTINGS.n_blocks):
        block = slice(start, stop)
        others = np.delete(np.arange(label.size), block)
        chunk_map = fit_chunk_map(
            _draw_sample(features, score, label, others),
            features.matrix[block],
            score[block],
            base[block],
            features.table,
            features.random_state,
        )
        blocks.append((block, chunk_map))
        advance(1)
    return blocks


def _learn_weight(
    rows: Rows, label: Floats, adapted: Floats, error_cells: ErrorCells
) -> tuple[float, float]:
    """Learn from blocks of time how much of the adaptation to believe; how surely.

    Method.md, equations 31 to 33.

    Parameters
    ----------
    rows : Rows
        Rows of the reference in time order, with the map's soft labels.
    label, adapted : ndarray of shape (n_rows,)
        Label of each row, and its soft label adapted with weight 1.
    error_cells : ErrorCells
        Error of the map of the score.

    Returns
    -------
    weight : float
        Best weight, in [0, 1].
    deviation : float
        Its standard error.
    """
    blocks = _evidence_blocks(label.size, SETTINGS.weight_rows)
    ends = np.array([0, *(stop for _, stop in blocks)])
    n_blocks = ends.size - 1
    groups = Groups(
        parts=((None, ends),),
        segment=np.full(n_blocks, "", dtype=object),
        chunk=np.arange(n_blocks),
    )
    metrics = resolve_metrics(("roc_auc", "accuracy"), None)
    start = measure(metrics, groups, rows, error_cells=error_cells)
    residual = measure(metrics, groups, replace(rows, soft=label)).value - start.value
    adjusted = measure(metrics, groups, replace(rows, soft=adapted))
    adjustment = adjusted.value - start.value
    variance = start.label_variance + start.calibration_variance
    defined = np.isfinite(residual) & np.isfinite(adjustment) & (variance > 0.0)
    n_defined = defined.sum(axis=0)
    if n_defined.min() < SETTINGS.least_blocks:
        return SETTINGS.unlearned_weight, SETTINGS.weight_deviation[1]
    for values in (residual, adjustment):
        values[~defined] = 0.0
    variance[~defined] = np.inf
    left = ((residual - adjustment) ** 2 / variance).sum(axis=0) / n_defined
    reliability = 1.0 / max(1.0, float(left.mean()))
    half = SETTINGS.drift_at_half_weight
    prior = half / (half + max(0.0, float(left.mean()) - 1.0))  # equation 31
    # Drift that neither sees is noise to the weight; metrics tell much the same twice.
    moved = np.where(defined, residual**2 - variance, 0.0).sum(axis=0) / n_defined
    kappa = 1.0 / (variance + np.maximum(moved, 0.0)) / len(metrics)  # equation 32
    prior_precision = SETTINGS.prior_deviation**-2
    precision = prior_precision + float((kappa * adjustment**2).sum())
    evidence = float((kappa * adjustment * residual).sum())
    best = (prior_precision * prior + evidence) / precision
    surest, least_sure = SETTINGS.weight_deviation
    deviation = reliability * surest + (1.0 - reliability) * least_sure  # equation 33
    return float(np.clip(best, 0.0, 1.0)), deviation
