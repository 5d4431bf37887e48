"""A map fitted to the reference rows that look like a chunk (PAPE), and its blend."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from calibration import SplineCalibrator
from calibration.features.density_ratio import DensityRatio, estimate_density_ratio
from estimator.chunking.row_order import hash_rows
from estimator.frames.features import FeatureTable
from estimator.label_free.adapting_settings import OUTSIDE_REFERENCE, SETTINGS

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ReferenceSample:
    """Rows of the reference from which density ratios are estimated.

    Attributes
    ----------
    features : ndarray of shape (n_rows, n_features)
        Features of each row, as its table reads them.
    score : ndarray of shape (n_rows,)
        Score of each row, within the reference's range.
    label : ndarray of shape (n_rows,)
        Label of each row, 0.0 or 1.0.
    """

    features: Floats
    score: Floats
    label: Floats


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ChunkMap:
    """What a map says that was fitted to the reference rows that look like a chunk.

    Attributes
    ----------
    calibrated : ndarray of shape (n_rows,)
        P(y = 1) of each row of the chunk; by the map of the score where none was
        fitted.
    effective_sample_size : float
        Number of equally weighted rows that the map is worth; 0 where none was fitted.
    outside : float
        Share of the chunk, in [0, 1], where the reference has hardly a row.
    remark : str
        Remark on the chunk; "" where there is nothing to say.
    """

    calibrated: Floats
    effective_sample_size: float
    outside: float
    remark: str = ""


def fit_chunk_map(
    sample: ReferenceSample,
    features: Floats,
    score: Floats,
    base: Floats,
    table: FeatureTable,
    random_state: int,
) -> ChunkMap:
    """Fit a map to the reference as this chunk would have it.

    Parameters
    ----------
    sample : ReferenceSample
        Rows of the reference.
    features : ndarray of shape (n_rows, n_features)
        Features of the chunk's rows.
    score, base : ndarray of shape (n_rows,)
        Score of the chunk's rows, and their P(y = 1) by the map of the score.
    table : FeatureTable
        How columns are read.
    random_state : int
        Seed of the density ratio.
    """
    n_rows, fewest = len(features), SETTINGS.min_chunk
    if n_rows < fewest:
        remark = f"no density ratio: fewer than {fewest} rows" if n_rows else ""
        return ChunkMap(
            calibrated=base, effective_sample_size=0.0, outside=0.0, remark=remark
        )
    # Trees depend on the order of their rows, a chunk's estimate must not.
    in_order = features[np.argsort(hash_rows(list(features.T)), kind="stable")]
    ratio = estimate_density_ratio(
        sample.features,
        in_order,
        categorical=table.categorical,
        max_reference=SETTINGS.max_reference,
        random_state=random_state,
    )
    remark = _outside_remark(ratio, table)
    effective_sample_size = ratio.effective_sample_size
    calibrated = base
    if effective_sample_size < SETTINGS.min_effective:
        effective_sample_size = 0.0
        remark = remark or "no density ratio: the reference has too few rows like these"
    else:
        fitted = SplineCalibrator().fit(
            sample.score[ratio.rows], sample.label[ratio.rows], ratio.weight
        )
        calibrated = fitted.predict(score)
    return ChunkMap(
        calibrated=calibrated,
        effective_sample_size=effective_sample_size,
        outside=ratio.outside,
        remark=remark,
    )


def _outside_remark(ratio: DensityRatio, table: FeatureTable) -> str:
    """Say so if a chunk lies where the reference has hardly a row, and why."""
    if ratio.outside < SETTINGS.outside_steps[0]:
        return ""
    # Chunks alike should be noted alike: steps of the share, features in their order.
    share = max(step for step in SETTINGS.outside_steps if step <= ratio.outside)
    order = np.argsort(-ratio.importance, kind="stable")[: SETTINGS.n_named]
    least = SETTINGS.least_named * ratio.importance[order[0]]
    names = [
        str(table.features[i].name)
        for i in sorted(order.tolist())
        if ratio.importance[i] >= least
    ]
    return (
        f"{OUTSIDE_REFERENCE}: at least {share:.0%} of the rows are of a kind hardly "
        f"found there, by {', '.join(names)}"
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class BlendWeights:
    """How much of what is adapted `auto` believes.

    Attributes
    ----------
    adapted : float
        Weight of what is adapted against the map of the score, in [0, 1].
    beyond : float
        Share of the trees' weight, in [0, 1], that is left in rows of kinds hardly
        found in the reference.
    """

    adapted: float
    beyond: float


def blend_soft_labels(
    method: str,
    weights: BlendWeights,
    base: Floats,
    aware: Floats,
    chunk_map: ChunkMap,
    n_reference: int,
) -> tuple[Floats, Floats]:
    """Return soft labels and their inflation; a blend of probabilities is one.

    Method.md, equations 30 and 34.

    Parameters
    ----------
    method : {"pape", "auto"}
        How soft labels are made.
    weights : BlendWeights
        How much of what is adapted is believed.
    base, aware : ndarray of shape (n_rows,)
        P(y = 1) of each row by the map of the score, and by trees.
    chunk_map : ChunkMap
        What the map fitted to rows like the chunk's says.
    n_reference : int
        Rows of the reference.
    """
    n_effective = chunk_map.effective_sample_size
    spread = np.sqrt(n_reference / n_effective) if n_effective > 0.0 else 1.0
    if method == "pape":
        return chunk_map.calibrated, np.full(base.size, spread)
    outside, weight = chunk_map.outside, weights.adapted
    trusted = 0.5 * weight * (1.0 - outside)
    trusted *= n_effective / (n_effective + SETTINGS.ess_at_half_weight)
    # What the density ratio is not trusted with goes to the trees.
    of_trees = (weight - trusted) * (1.0 - outside * (1.0 - weights.beyond))
    blend = base + of_trees * (aware - base) + trusted * (chunk_map.calibrated - base)
    return blend, np.full(base.size, 1.0 + trusted * (spread - 1.0))
