"""The rows that one estimator has scored, and until when their labels came as usual."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from estimator.chunking.chunks import Chunks
from estimator.delayed_labels.evidence import Evidence
from estimator.delayed_labels.overdue import (
    LabelCalendar,
    WaitingRows,
    has_stopped,
    is_unusual,
    usual_deliveries,
)
from estimator.delayed_labels.reconciliation import Reconciliation, reconcile
from estimator.estimation.estimates import score_map, soft_labels_of
from estimator.estimation.reference import Reference
from estimator.frames.columns import Columns, not_none
from estimator.metrics.calibration_shift import shift_frame
from estimator.performance_estimator import PerformanceEstimator


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ScoredRows:
    """The chunks that one estimator has scored.

    Attributes
    ----------
    estimator : PerformanceEstimator
        Fitted estimator; the chunks are all of those that it scored.
    columns, chunks : Columns, Chunks
        Rows in the order of their chunks, with the labels known.
    others : Evidence or None
        Evidence of chunks that are not among these.
    """

    estimator: PerformanceEstimator
    columns: Columns
    chunks: Chunks
    others: Evidence | None = None

    @property
    def has_labels(self) -> bool:
        """Whether any label has come."""
        label = not_none(self.columns.label)
        return self.others is not None or not bool(np.isnan(label).all())

    def reconcile(self, now: np.datetime64 | None) -> Reconciliation:
        """Give every row its soft label, given all labels that have come by ``now``."""
        fitted: Reference = self.estimator.reference_
        plain = score_map(fitted, self.columns.segments)
        return reconcile(
            self.columns,
            self.chunks,
            now=now,
            soft_labels=soft_labels_of(fitted, self.columns, plain),
            score_map=plain.soft,
            frame=shift_frame(plain.error_cells),
            learned=fitted.delays,
            others=self.others,
        )


def end_of_usual_labels(
    scored: Sequence[ScoredRows],
    now: np.datetime64 | None,
    calendar: LabelCalendar | None,
) -> tuple[np.datetime64 | None, list[Reconciliation | None]]:
    """Return until when the rows without a label are known to have waited.

    If hardly any label has come since some time, though many were due, the feed has
    stopped: what is known of waiting rows ends then, and not ``now``.

    Parameters
    ----------
    scored : sequence of ScoredRows
        Rows of all estimators: their labels come by the same feed.
    now : datetime64[us] or None
        Moment until which labels have been looked for; None where nothing has a time.
    calendar : LabelCalendar or None
        All labels by the hour; without, nobody can say whether they have stopped.

    Returns
    -------
    moment : datetime64[us] or None
        Moment until which labels are known to have come as usual, or ``now``.
    reconciled : list of Reconciliation or None
        Reconciliation of each of ``scored`` at that moment; None where it was not
        needed.
    """
    nothing: list[Reconciliation | None] = [None] * len(scored)
    if now is None or calendar is None:
        return now, nothing
    learned = [rows.estimator.reference_.delays for rows in scored if rows.has_labels]
    for usual in usual_deliveries(calendar):
        then = np.datetime64(usual, "us")
        if then >= now or not is_unusual(calendar, usual, learned):
            continue
        reconciled = [
            rows.reconcile(then) if rows.has_labels else None for rows in scored
        ]
        waiting = [
            WaitingRows(
                columns=rows.columns,
                soft=made.soft,
                delays=made.delays,
                learned=rows.estimator.reference_.delays,
            )
            for rows, made in zip(scored, reconciled, strict=True)
            if made is not None and made.delays.is_timed
        ]
        if has_stopped(waiting, calendar, usual):
            return then, reconciled
    return now, nothing
