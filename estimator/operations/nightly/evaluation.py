"""What follows from the counts of all chunks: performance, attribution, verdicts."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from calibration._kernels.threads import for_each
from estimator.degradation.per_metric import judge_series
from estimator.degradation.verdict import Degradation
from estimator.delayed_labels.counts.count_table import CountTable
from estimator.delayed_labels.counts.weighted_rows import rows_from_counts
from estimator.delayed_labels.overdue import LabelCalendar, OverdueLabels
from estimator.monitoring.deployments import Deployment, deployment_of
from estimator.monitoring.evaluation import evaluate_chunks
from estimator.monitoring.joined_results import join_analysis, join_attribution
from estimator.monitoring.label_arrival import arrivals_of
from estimator.monitoring.scored_rows import ScoredRows, end_of_usual_labels
from estimator.operations.nightly.changed_chunks import periods_of
from estimator.results.performance import Performance

Verdicts = dict[str, dict[str, Degradation]]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Evaluation:
    """What follows from the counts of all chunks.

    Attributes
    ----------
    analysis : Performance
    attribution : DataFrame
        As `Monitor.attribution` gives it.
    overdue : OverdueLabels or None
        None if no label is, or nobody can know.
    are_labels_expected : bool
        Whether it is known how many labels to expect.
    """

    analysis: Performance
    attribution: pd.DataFrame
    overdue: OverdueLabels | None
    are_labels_expected: bool


def evaluate(
    deployments: Sequence[Deployment],
    tables: Sequence[CountTable],
    calendar: LabelCalendar | None = None,
) -> Evaluation:
    """Evaluate all chunks, from their counts alone.

    Parameters
    ----------
    deployments : sequence of Deployment
    tables : sequence of CountTable
        At least one.
    calendar : LabelCalendar, optional
        When labels came; without, nobody can say whether any is overdue.
    """
    newest = deployments[-1].estimator
    arrivals = [
        table.latest_label for table in tables if table.latest_label is not None
    ]
    # Until when labels are known to have been looked for: who waits has waited so long.
    now = max(arrivals) if arrivals else None
    spec = periods_of(newest)
    timezone = newest.reference_.performance.timezone
    by_deployment = []
    for i, deployment in enumerate(deployments):
        owned = [
            table for table in tables if deployment_of(deployments, table.label) == i
        ]
        if not owned:
            continue
        laid = rows_from_counts(
            owned, spec, timezone, now, newest.reference_.performance.metrics
        )
        scored = ScoredRows(
            estimator=deployment.estimator,
            columns=laid.columns,
            chunks=laid.chunks,
            others=laid.evidence if any(table.n_labels for table in owned) else None,
        )
        by_deployment.append((deployment, scored, laid.remarks))
    seen = None if now is None else np.datetime64(now, "us")
    every = [rows for _, rows, _ in by_deployment]
    moment, reconciled = end_of_usual_labels(every, seen, calendar)
    evaluated = [
        (
            deployment,
            evaluate_chunks(
                rows, moment, remarks=remarks, calendar=calendar, reconciliation=made
            ),
        )
        for (deployment, rows, remarks), made in zip(
            by_deployment, reconciled, strict=True
        )
    ]
    arrival = arrivals_of(
        [(deployment.estimator, evaluation) for deployment, evaluation in evaluated],
        only_overdue=True,
    )
    return Evaluation(
        analysis=join_analysis(evaluated, deployments),
        attribution=join_attribution(evaluated),
        overdue=arrival.overdue,
        are_labels_expected=arrival.is_known,
    )


def judge(
    deployments: Sequence[Deployment],
    performance: Performance,
    attribution: pd.DataFrame | None,
) -> Verdicts:
    """Return the verdicts on reference and analysis, by segment and metric."""
    series = performance.metric_series()
    verdicts: Verdicts = {segment: {} for segment in series}

    def judge_segment(segment: str) -> None:
        verdicts[segment] = judge_series(
            series[segment],
            since=deployments[-1].from_chunk,
            attribution=attribution,
        )

    for_each(tuple(series), judge_segment)
    return verdicts
