"""What is learned from the labelled reference period."""

from dataclasses import dataclass

from calibration import Calibrator
from estimator.delayed_labels.reference_delays import ReferenceDelays
from estimator.estimation.common_mistakes import RowPrint
from estimator.frames.features import FeatureTable
from estimator.label_free.segment_calibration import (
    SegmentCalibration,
)
from estimator.label_free.shift_adaptive import ShiftAdapter
from estimator.metrics.error_cells import ErrorCells
from estimator.metrics.registry import Metric
from estimator.results.performance import Performance
from estimator.results.score_spread import ReferenceScores
from estimator.results.thresholds import Thresholds
from estimator.results.unseen_drift import Drift, ReferencePeriod


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Reference:
    """What is learned from the reference period, and all that `estimate` needs.

    Attributes
    ----------
    metrics : tuple of Metric
    calibrator : Calibrator
        Fitted on the whole reference.
    calibrator_name : str
        Its registered name; "" for the caller's own object.
    error_cells : ErrorCells
        How wrong it may be.
    segments : SegmentCalibration or None
        How far the calibration of each segment is from it; None: not at all.
    thresholds, drift : dict by segment
        Rules; tau² of each metric, and how it grows.
    period : ReferencePeriod
        When its rows were.
    performance : Performance
        The reference chunks.
    delays : ReferenceDelays
        How long labels took.
    rows : RowPrint
        What tells its rows from others.
    adapter : ShiftAdapter or None
        How soft labels are adapted to features; None where none are read.
    scores : ReferenceScores or None
        How its scores are spread; None in files of before that was kept.
    """

    metrics: tuple[Metric, ...]
    calibrator: Calibrator
    calibrator_name: str
    error_cells: ErrorCells
    segments: SegmentCalibration | None
    thresholds: dict[str, Thresholds]
    drift: dict[str, Drift]
    period: ReferencePeriod
    performance: Performance
    delays: ReferenceDelays
    rows: RowPrint
    adapter: ShiftAdapter | None = None
    scores: ReferenceScores | None = None

    @property
    def features_on_arrival(self) -> FeatureTable | None:
        """Features to read when rows come; None where none are.

        They give rows their soft labels, and the strata of their delays.
        """
        if self.adapter is not None:
            return self.adapter.table
        return None if self.delays.strata is None else self.delays.strata.table
