"""Settings of methods that adapt to covariate shift."""

from dataclasses import dataclass
from typing import Final

ADAPTIVE: Final = ("feature_aware", "pape", "auto")
# How remarks on chunks begin that lie where the reference has hardly a row.
OUTSIDE_REFERENCE: Final = "far outside the reference"


@dataclass(frozen=True, slots=True, kw_only=True)
class AdaptingSettings:
    """How much evidence adapting needs, and how far it goes before any.

    Attributes
    ----------
    max_reference : int
        Rows of the reference, at most, from which density ratios are estimated: it
        bounds their time, and the size of saved files, which keep these rows.
    n_blocks : int
        Blocks of time of the reference, each in turn the chunk that is adapted to.
    min_chunk : int
        Rows of a chunk from which its density ratio is estimated and its labels are
        shifted; below, `auto` goes by the map of the score and trees, and `pape` by
        the map of the score.
    min_effective : float
        Effective rows of the reference from which a map is fitted with the ratio as
        weight; below, as with ``min_chunk``.
    ess_at_half_weight : float
        Effective sample size, in rows, at which half of the density ratio's part goes
        to the map of the score. Larger: `auto` leans less on small references.
    drift_at_half_weight : float
        Variance of the drift that features do not explain in the reference, in units of
        the noise of labels and map, at which the weight of what is adapted is one half
        before its own evidence; it is 1 where there is no such drift. Larger: `auto`
        adapts more where the world changes much. Chosen on the runs of
        `benchmarks.label_free`, none left out.
    prior_deviation : float
        Standard deviation of that weight, against which the evidence of the reference's
        chunks counts. Larger: the evidence counts for more.
    weight_deviation : tuple of float
        Standard deviation of a task's best weight around the learned one: where
        features explain the reference, and where they do not.
    weight_rows, shift_rows : int
        Rows per block of the reference from which the weight is learned, and the label
        shift: its drift is followed the more closely, the shorter the blocks are.
    evidence_blocks : tuple of int
        Fewest and most of these blocks.
    least_blocks : int
        Blocks that must have both metrics; with fewer the weight is not learned.
    unlearned_weight : float
        Weight in its place: the middle between not adapting and adapting in full.
    forward_chunk : int
        Rows of the second half of the reference, as many as a chunk may have, of which
        is estimated how many are of a kind that the first half does not have.
    outside_at_half_weight : float
        Share of such rows at which half of what the second half says of trees counts;
        without any, nothing is known of rows of unseen kinds, and they are left to the
        map of the score.
    unknown_shift : tuple of float
        Standard deviation of log odds, and of their slope, where the reference has no
        row: so much calibration commonly differs between populations.
    coefficient_deviation : float
        Standard deviation of the coefficient of a label shift before any evidence, in
        log odds per log odds: 0 is a change of rows, 1 doubles the mean soft label's
        change.
    largest_block_deviation : float
        Largest standard deviation that the calibration of blocks of the reference may
        have beyond noise, in log odds.
    outside_steps : tuple of float
        Shares of rows outside the reference that remarks name; below the first a chunk
        has none. Steps, because chunks alike should be noted alike.
    n_named : int
        Features that a remark names at most.
    least_named : float
        Importance of a named feature, at least, as a share of the first one's.
    """

    max_reference: int = 50_000
    n_blocks: int = 10
    min_chunk: int = 200
    min_effective: float = 100.0
    ess_at_half_weight: float = 2_000.0
    drift_at_half_weight: float = 8.0
    prior_deviation: float = 0.15
    weight_deviation: tuple[float, float] = (0.15, 0.35)
    weight_rows: int = 4_000
    shift_rows: int = 1_000
    evidence_blocks: tuple[int, int] = (10, 40)
    least_blocks: int = 5
    unlearned_weight: float = 0.5
    forward_chunk: int = 2_000
    outside_at_half_weight: float = 0.1
    unknown_shift: tuple[float, float] = (0.5, 0.25)
    coefficient_deviation: float = 1.0
    largest_block_deviation: float = 1.0
    outside_steps: tuple[float, ...] = (0.25, 0.5, 0.75, 0.9)
    n_named: int = 3
    least_named: float = 0.3


SETTINGS: Final = AdaptingSettings()
