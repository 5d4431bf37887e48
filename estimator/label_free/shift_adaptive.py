"""Estimates that adapt to covariate shift: feature-aware, PAPE, and what `auto` does.

All three give each row another soft label than the map of the score does; from there on
the kernels are the same. ``feature_aware`` reads it off trees on score and features,
``pape`` off a map fitted per chunk to the reference rows that look like it, and
``auto`` goes as far from the map of the score towards the middle of the two as the
reference has earned it: adapting helps where the mix of rows changes, and harms where
what features say of the label changes, too.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from calibration import PlattCalibrator, SplineCalibrator
from calibration.base import Calibrator
from calibration.cross_fitting import blocked_folds
from calibration.features.density_ratio import (
    DensityRatio,
    estimate_density_ratio,
    evenly_spaced,
)
from calibration.features.feature_aware import (
    CLIP,
    REFERENCE_SCORE_QUANTILES,
    FeatureAwareCalibrator,
)
from calibration.maps.logistic import clipped_logit
from estimator.chunking.groups import Groups
from estimator.chunking.row_order import hash_rows
from estimator.frames.adapted_soft_labels import AdaptedSoftLabels
from estimator.frames.columns import not_none
from estimator.frames.features import FeatureTable
from estimator.metrics.calibration_shift import ShiftFrame
from estimator.metrics.error_cells import ErrorCells
from estimator.metrics.intervals import ShiftError
from estimator.metrics.measurement import Measurement, measure
from estimator.metrics.metric_names import resolve_metrics
from estimator.metrics.registry import Metric
from estimator.metrics.soft_labels import ShiftedSoftLabel, SoftLabel
from estimator.progress import Advance

Floats = NDArray[np.float64]
Rows = NDArray[np.int64] | slice

FAR = "far outside the reference"
ADAPTIVE = ("feature_aware", "pape", "auto")
MAX_REFERENCE = 50_000
N_BLOCKS = 10  # of the reference, each in turn the chunk that is adapted to

# A ratio of densities wants this many rows in the chunk, and then this many of the
# reference that count, before a map is fitted to it.
MIN_CHUNK = 200
MIN_EFFECTIVE = 100.0
# At this effective sample size half of the density ratio's part goes to the spline.
HALF_TRUSTED = 2_000.0
# The weight of what is adapted lies between this, where drift that features do not
# explain moves the reference, and 1, where none does. What its chunks then say of the
# weight itself counts against a standard deviation of the prior.
LEAST_WEIGHT, PRIOR_DEVIATION = 0.25, 0.1
# How far the best weight of single tasks lies from what is so learned, where features
# explain the reference, and where they do not.
WEIGHT_DEVIATION = 0.15, 0.35
# Blocks of the reference from which the weight is learned.
EVIDENCE_ROWS, EVIDENCE_BLOCKS, LEAST_BLOCKS = 1_000, (10, 40), 5
UNKNOWN_WEIGHT = 0.5

# Standard deviation of log odds, and of their slope, where the reference has no row:
# so much calibration commonly differs between populations.
UNKNOWN_SHIFT = 0.5, 0.25

# Shares of rows outside the reference from which a chunk is noted. Features are named
# that count at least so much of what the first one does.
FAR_OUTSIDE, N_NAMED, LEAST_NAMED = (0.25, 0.5, 0.75, 0.9), 3, 0.3


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ReferenceSample:
    """Rows of the reference from which density ratios are estimated."""

    features: Floats
    score: Floats
    label: Floats


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ShiftAdapter:
    """What the reference taught of features.

    Attributes
    ----------
    method : {"feature_aware", "pape", "auto"}
    table : FeatureTable
        How columns are read.
    feature_aware : FeatureAwareCalibrator or None
        None for ``pape``.
    sample : ReferenceSample or None
        None for ``feature_aware``, which keeps no row.
    n_reference : int
        Rows with score and label.
    score_range : ndarray of shape (2,)
        Scores that the reference vouches for.
    outer_slope : float
        Of the log odds in those of the score beyond that range.
    weight : float
        How far soft labels go from the map of the score towards what is adapted.
    relative_error : float
        Standard error of an adapted metric's way from the map's, as a share of it.
    random_state : int
    """

    method: str
    table: FeatureTable
    feature_aware: FeatureAwareCalibrator | None
    sample: ReferenceSample | None
    n_reference: int
    score_range: Floats
    outer_slope: float
    weight: float
    relative_error: float
    random_state: int


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


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Weighted:
    """A map fitted to the reference rows that look like a chunk; what it is worth."""

    calibrated: Floats
    effective_sample_size: float
    outside: float
    remark: str = ""


def adapt_rows(
    adapter: ShiftAdapter,
    calibrator: Calibrator,
    score: NDArray[np.floating],
    features: Floats,
    chunks: Sequence[Rows],
    *,
    advance: Advance | None = None,
) -> AdaptedRows:
    """Give rows the soft labels that their score and features make likely.

    Parameters
    ----------
    adapter : ShiftAdapter
    calibrator : Calibrator
        The map of the score.
    score : ndarray of shape (n_rows,)
        NaN in unusable rows.
    features : ndarray of shape (n_rows, n_features)
        Read by the adapter's table.
    chunks : sequence of rows
        Which rows are adapted to together.
    advance : callable, optional
        Told the number of rows whenever some are done.
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
    outside, remarks = np.zeros(score.size), [""] * len(chunks)
    for c, chunk in enumerate(chunks if adapter.sample is not None else ()):
        rows = np.arange(score.size)[chunk]
        rows = rows[usable[rows]]
        found = _weigh(
            not_none(adapter.sample),
            features[rows],
            clipped[rows],
            base[rows],
            adapter.table,
            adapter.random_state,
        )
        calibrated[rows], inflation[rows] = _blend(
            adapter.method,
            adapter.weight,
            base[rows],
            aware[rows],
            found,
            adapter.n_reference,
        )
        outside[rows], remarks[c] = found.outside, found.remark
        if advance is not None:
            advance(rows.size)
    _extend(calibrated, score, clipped, adapter.outer_slope)
    return AdaptedRows(
        soft_labels=AdaptedSoftLabels(
            calibrated=calibrated, inflation=inflation, outside=outside
        ),
        remarks=tuple(remarks),
    )


def work_of(adapter: ShiftAdapter, n_rows: int) -> int:
    """Return how many rows `adapt_rows` will report."""
    return n_rows * ((adapter.feature_aware is not None) + (adapter.sample is not None))


def learn_adapter(
    method: str,
    table: FeatureTable,
    features: Floats,
    score: Floats,
    label: Floats,
    out_of_fold: Floats,
    *,
    ranked: Floats | None = None,
    decision: NDArray[np.bool_] | float,
    error_cells: ErrorCells,
    random_state: int,
    advance: Advance,
) -> tuple[ShiftAdapter, AdaptedRows]:
    """Learn from the reference how to adapt, and how far to trust it.

    The weight of what is adapted is learned from blocks of time that neither the trees
    nor the weighted maps have seen. If what is left of the residuals there is no more
    than noise, adapting explains all, and the weight is near 1; if drift remains that
    features do not explain, what they say of the label moves, and the weight falls
    towards ``LEAST_WEIGHT``. From there it goes to where the residuals of the map of
    the score follow the adaptation best.

    Parameters
    ----------
    method : {"feature_aware", "pape", "auto"}
    table, features
        How the features were read, and the matrix.
    score, label : ndarray of shape (n_rows,)
        The reference in time order.
    out_of_fold : ndarray of shape (n_rows,)
        Of maps of the score that have not seen the row.
    ranked : ndarray of shape (n_rows,), optional
        Scores that metrics rank by, where ``score`` is what a map has made of them.
    decision : ndarray of shape (n_rows,), or float
    error_cells : ErrorCells
        Error of the map of the score.
    random_state : int
    advance : callable
        Told 1 after each of `learning_steps`.

    Returns
    -------
    adapter : ShiftAdapter
    rows : AdaptedRows
        Of the reference, cross-fitted; one remark per block.
    """
    score_range = np.quantile(score, REFERENCE_SCORE_QUANTILES)
    clipped = np.clip(score, *score_range)
    trees, aware = None, out_of_fold
    if method != "pape":
        trees = FeatureAwareCalibrator(random_state=random_state).fit(
            score, label, features, categorical=table.categorical, advance=advance
        )
        aware = trees.out_of_fold_
    sample = None
    blocks: list[tuple[slice, _Weighted]] = []
    if method != "feature_aware":
        kept = evenly_spaced(label.size, MAX_REFERENCE)
        sample = ReferenceSample(
            features=features[kept], score=clipped[kept], label=label[kept]
        )
        for start, stop in blocked_folds(label.size, N_BLOCKS):
            own = slice(start, stop)
            others = np.delete(np.arange(label.size), own)
            others = others[evenly_spaced(others.size, MAX_REFERENCE)]
            rest = ReferenceSample(
                features=features[others], score=clipped[others], label=label[others]
            )
            found = _weigh(
                rest,
                features[own],
                clipped[own],
                out_of_fold[own],
                table,
                random_state,
            )
            blocks.append((own, found))
            advance(1)

    def at_weight(weight: float) -> AdaptedRows:
        calibrated, inflation = aware.copy(), np.ones(label.size)
        outside = np.zeros(label.size)
        for own, found in blocks:
            calibrated[own], inflation[own] = _blend(
                method, weight, out_of_fold[own], aware[own], found, label.size
            )
            outside[own] = found.outside
        return AdaptedRows(
            soft_labels=AdaptedSoftLabels(
                calibrated=calibrated, inflation=inflation, outside=outside
            ),
            remarks=tuple(found.remark for _, found in blocks),
        )

    adapted = at_weight(1.0).soft_labels.calibrated
    ranked = score if ranked is None else ranked
    best, deviation = _learn_weight(
        np.clip(ranked, *np.quantile(ranked, REFERENCE_SCORE_QUANTILES)),
        label,
        out_of_fold,
        adapted,
        decision,
        error_cells,
    )
    used = best if method == "auto" else 1.0
    miss = np.hypot(used - best, deviation)
    adapter = ShiftAdapter(
        method=method,
        table=table,
        feature_aware=trees,
        sample=sample,
        n_reference=label.size,
        score_range=score_range,
        outer_slope=max(
            0.0, float(PlattCalibrator().fit(clipped, label).coefficients_[1])
        ),
        weight=used,
        relative_error=float(miss / used) if used > 0.0 else 0.0,
        random_state=random_state,
    )
    return adapter, at_weight(used)


def learning_steps(method: str) -> int:
    """Return how often `learn_adapter` reports a step."""
    n_trees = FeatureAwareCalibrator().n_splits if method != "pape" else 0
    return n_trees + (N_BLOCKS if method != "feature_aware" else 0)


def measure_adapted(
    metrics: tuple[Metric, ...],
    groups: Groups,
    *,
    score: NDArray[np.floating],
    adapted: AdaptedSoftLabels,
    plain: SoftLabel | ShiftedSoftLabel | Floats,
    relative_error: float,
    decision: NDArray[np.bool_] | float,
    error_cells: ErrorCells,
    frame: ShiftFrame,
    advance: Advance | None = None,
) -> Measurement:
    r"""Measure adapted soft labels, with what adapting adds to their error.

    :math:`V_\mathrm{cal} = \phi^2 V_0 + \rho^2 (M - M_0)^2 + o^2 V_1`: the variance
    :math:`V_0` that the map of the score leaves in the metric, inflated by a map fitted
    to fewer rows; the error of the way from that map's metric :math:`M_0` to the
    adapted :math:`M`, which grows with the way; and what is not known where the
    reference has hardly a row: with the share :math:`o` of such rows, a shift of the
    log odds and of their slope by as much as they commonly differ from task to task
    (method.md, equation 33).

    Parameters
    ----------
    metrics, groups, score, decision, error_cells, advance
        As of :func:`measure`.
    adapted : AdaptedSoftLabels
        Soft labels by row of the frame.
    plain : callable or ndarray of shape (n_rows,)
        The map of the score, or what it says.
    relative_error : float
        :math:`\rho`.
    frame : ShiftFrame
        In which shifts of the log odds are measured.
    """
    of_rows = partial(measure, metrics, groups, score=score, decision=decision)
    found = of_rows(soft=adapted.calibrated, advance=advance)
    start = of_rows(soft=plain, error_cells=error_cells, advance=advance)
    way = np.nan_to_num(found.value - start.value)
    phi = _mean_by_group(adapted.inflation, groups)
    outside = _mean_by_group(adapted.outside, groups)
    # The map's error where the map is: a map that is certain has none, and elsewhere
    # nothing could be told of it.
    variance = np.nan_to_num(start.calibration_variance) * phi[:, None] ** 2
    variance += (relative_error * way) ** 2
    if outside.any():
        shifted = of_rows(
            soft=adapted.calibrated,
            error_cells=frame.cells,
            shift=ShiftError(
                covariance=outside[:, None, None] ** 2 * np.diag(UNKNOWN_SHIFT) ** 2,
                slope=np.ones(outside.size),
            ),
        )
        variance += np.nan_to_num(shifted.shift_variance)
    variance[np.isnan(found.value)] = np.nan
    return replace(found, calibration_variance=variance, outside=start.outside)


def _extend(
    calibrated: Floats, score: NDArray[np.floating], clipped: Floats, slope: float
) -> None:
    """Go on beyond the scores that the reference vouches for, in place.

    With the slope that all of the reference tells: the end of a spline, or of trees,
    rests on a handful of rows, and what it says grows with the distance.
    """
    beyond = score != clipped
    beyond &= ~np.isnan(calibrated)
    if beyond.any():
        far = clipped_logit(np.asarray(score[beyond], np.float64), CLIP)
        far -= clipped_logit(clipped[beyond], CLIP)
        known = clipped_logit(calibrated[beyond], CLIP)
        calibrated[beyond] = expit(known + slope * far)


def _read_trees(
    trees: FeatureAwareCalibrator,
    score: Floats,
    features: Floats,
    usable: NDArray[np.bool_],
    advance: Advance | None,
) -> Floats:
    if usable.all():
        return trees.predict(score, features, advance=advance)
    found = np.full(score.size, np.nan)
    if usable.any():
        found[usable] = trees.predict(score[usable], features[usable], advance=advance)
    return found


def _weigh(
    sample: ReferenceSample,
    features: Floats,
    score: Floats,
    base: Floats,
    table: FeatureTable,
    random_state: int,
) -> _Weighted:
    """Fit a map to the reference as this chunk would have it."""
    if len(features) < MIN_CHUNK:
        remark = (
            f"no density ratio: fewer than {MIN_CHUNK} rows" if len(features) else ""
        )
        return _Weighted(
            calibrated=base, effective_sample_size=0.0, outside=0.0, remark=remark
        )
    # Trees depend on the order of their rows, a chunk's estimate must not.
    in_order = features[np.argsort(hash_rows(list(features.T)), kind="stable")]
    ratio = estimate_density_ratio(
        sample.features,
        in_order,
        categorical=table.categorical,
        max_reference=MAX_REFERENCE,
        random_state=random_state,
    )
    remark = _far_outside(ratio, table)
    worth = ratio.effective_sample_size
    calibrated = base
    if worth < MIN_EFFECTIVE:
        worth = 0.0
        remark = remark or "no density ratio: the reference has too few rows like these"
    else:
        fitted = SplineCalibrator().fit(
            sample.score[ratio.rows], sample.label[ratio.rows], ratio.weight
        )
        calibrated = fitted.predict(score)
    return _Weighted(
        calibrated=calibrated,
        effective_sample_size=worth,
        outside=ratio.outside,
        remark=remark,
    )


def _far_outside(ratio: DensityRatio, table: FeatureTable) -> str:
    """Say so if a chunk lies where the reference has hardly a row, and why."""
    if ratio.outside < FAR_OUTSIDE[0]:
        return ""
    # Chunks alike should be noted alike: steps of the share, features in their order.
    share = max(step for step in FAR_OUTSIDE if step <= ratio.outside)
    order = np.argsort(-ratio.importance, kind="stable")[:N_NAMED]
    least = LEAST_NAMED * ratio.importance[order[0]]
    names = [
        str(table.features[i].name)
        for i in sorted(order.tolist())
        if ratio.importance[i] >= least
    ]
    return (
        f"{FAR}: at least {share:.0%} of the rows are of a kind hardly found there, by "
        f"{', '.join(names)}"
    )


def _blend(
    method: str,
    weight: float,
    base: Floats,
    aware: Floats,
    found: _Weighted,
    n_reference: int,
) -> tuple[Floats, Floats]:
    """Return soft labels and their inflation; a blend of probabilities is one.

    Method.md, equations 30 and 34.
    """
    worth = found.effective_sample_size
    spread = np.sqrt(n_reference / worth) if worth > 0.0 else 1.0
    if method == "pape":
        return found.calibrated, np.full(base.size, spread)
    half = 0.5 * weight * (1.0 - found.outside)
    trusted = half * worth / (worth + HALF_TRUSTED)
    blend = base + half * (aware - base) + trusted * (found.calibrated - base)
    return blend, np.full(base.size, 1.0 + trusted * (spread - 1.0))


def _learn_weight(
    score: Floats,
    label: Floats,
    base: Floats,
    adapted: Floats,
    decision: NDArray[np.bool_] | float,
    error_cells: ErrorCells,
) -> tuple[float, float]:
    """Learn from blocks of time how much of the adaptation to believe; how surely.

    Method.md, equations 31 to 33.
    """
    n_blocks = int(np.clip(label.size // EVIDENCE_ROWS, *EVIDENCE_BLOCKS))
    ends = np.array([0, *(stop for _, stop in blocked_folds(label.size, n_blocks))])
    groups = Groups(
        parts=((None, ends),),
        segment=np.full(n_blocks, "", dtype=object),
        chunk=np.arange(n_blocks),
    )
    metrics = resolve_metrics(("roc_auc", "accuracy"), None)
    of_rows = partial(measure, metrics, groups, score=score, decision=decision)
    start = of_rows(soft=base, error_cells=error_cells)
    residual = of_rows(soft=label).value - start.value
    way = of_rows(soft=adapted).value - start.value
    variance = start.label_variance + start.calibration_variance
    known = np.isfinite(residual) & np.isfinite(way) & (variance > 0.0)
    if known.sum(axis=0).min() < LEAST_BLOCKS:
        return UNKNOWN_WEIGHT, WEIGHT_DEVIATION[1]
    for values in (residual, way):
        values[~known] = 0.0
    variance[~known] = np.inf
    n_known = known.sum(axis=0)
    left = ((residual - way) ** 2 / variance).sum(axis=0) / n_known
    reliability = 1.0 / max(1.0, float(left.mean()))
    prior = LEAST_WEIGHT + (1.0 - LEAST_WEIGHT) * reliability  # equation 31
    # Drift that neither sees is noise to the weight; metrics tell much the same twice.
    moved = np.where(known, residual**2 - variance, 0.0).sum(axis=0) / n_known
    worth = 1.0 / (variance + np.maximum(moved, 0.0)) / len(metrics)
    of_prior = PRIOR_DEVIATION**-2
    precision = of_prior + float((worth * way**2).sum())
    best = (of_prior * prior + float((worth * way * residual).sum())) / precision
    surest, least_sure = WEIGHT_DEVIATION
    deviation = reliability * surest + (1.0 - reliability) * least_sure
    return float(np.clip(best, 0.0, 1.0)), deviation


def _mean_by_group(values: Floats, groups: Groups) -> Floats:
    weighted = values if groups.weight is None else values * groups.weight
    mean: Floats = groups.total(weighted) / np.maximum(groups.n_rows, 1)
    return mean
