"""What the store says of a model: the result, the verdicts, and how grave they are."""

import json
from dataclasses import dataclass
from math import nan

import numpy as np
import pandas as pd

from estimator.charts.newest_chunk import newest_rows
from estimator.degradation import verdict_json as verdict_file
from estimator.degradation.kinds import CALM_KINDS
from estimator.delayed_labels.overdue import OverdueLabels
from estimator.monitoring.deployments import deployment_of
from estimator.operations.data_time import on_data_clock, shown, ticks
from estimator.operations.exit_codes import Severity
from estimator.operations.nightly.estimators import load_deployments
from estimator.operations.nightly.evaluation import Verdicts, judge
from estimator.operations.notifications.messages import overdue_sentence
from estimator.operations.notifications.prometheus import MetricGauges, ModelGauges
from estimator.operations.store.connection import Store
from estimator.operations.store.model_state import load_state
from estimator.operations.store.result_rows import performance_of_rows
from estimator.operations.store.stored_results import load_results, load_verdicts
from estimator.report.page import Report
from estimator.results.performance import Performance


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelOverview:
    """What was last said of a model.

    Attributes
    ----------
    name : str
    performance : Performance
        Reference and analysis.
    verdicts : dict
        By segment, then by metric.
    as_of : Timestamp
        Up to when rows and labels were known.
    overdue : OverdueLabels or None
        Labels that are missing since they have stopped; not known of the past.
    """

    name: str
    performance: Performance
    verdicts: Verdicts
    as_of: pd.Timestamp
    overdue: OverdueLabels | None = None

    @property
    def warnings(self) -> tuple[str, ...]:
        """What is wrong beside the metrics, in sentences."""
        if self.overdue is None:
            return ()
        return (overdue_sentence(self.overdue, self.performance.timezone),)

    @property
    def lost_trust(self) -> str:
        """How many chunks of all rows have no trust, in one sentence; "" if none."""
        shown = self.performance
        rows = (shown.segment == "") & (shown.period == "analysis")
        lost = rows & (shown.trust == "none").any(axis=1)
        if not lost.any():
            return ""
        n, total = int(lost.sum()), int(rows.sum())
        return (
            f"no trust in {n} of {total} chunk{'' if total == 1 else 's'}, the newest "
            f"{shown.chunk[lost][-1]}: do not act on their estimates"
        )


def load_overview(
    store: Store, name: str, as_of: pd.Timestamp | None = None
) -> ModelOverview | None:
    """Return what was last said of a model, or what was at some time; None if nothing.

    Verdicts of an earlier time are given anew on what was believed then, and name no
    cause.
    """
    state = load_state(store, name)
    if state.as_of is None:
        return None
    deployments = load_deployments(state.estimators)
    reference = deployments[-1].estimator.reference_.performance
    moment = None
    if as_of is not None:
        moment = ticks(on_data_clock(as_of, reference.timezone))
    rows = load_results(store, name, moment)
    if not rows:
        return None
    if moment is not None:
        # A retraining that came later was no part of what was believed.
        newest = max(row["chunk"] for row in rows)
        deployments = deployments[: deployment_of(deployments, newest) + 1]
        reference = deployments[-1].estimator.reference_.performance
    performance = performance_of_rows(rows, reference)
    if moment is None:
        stored = load_verdicts(store, name)
        verdicts = {
            segment: {
                metric: verdict_file.from_json(json.loads(row["detail"]))
                for metric in performance.metrics
                if (row := stored.get((segment, metric))) is not None
            }
            for segment in performance.segments
        }
    else:
        stored_keys = {(row["segment"], row["metric"]) for row in rows}
        verdicts = {
            segment: {m: v for m, v in by_metric.items() if (segment, m) in stored_keys}
            for segment, by_metric in judge(deployments, performance, None).items()
        }
    newest_time = state.as_of if moment is None else max(row["as_of"] for row in rows)
    return ModelOverview(
        name=name,
        performance=performance,
        verdicts=verdicts,
        as_of=shown(newest_time, reference.timezone),
        overdue=state.overdue if moment is None else None,
    )


def report_of(overview: ModelOverview) -> Report:
    """Return what the model's page shows."""
    return Report(
        title=overview.name,
        performance=overview.performance,
        verdicts=overview.verdicts,
        as_of=f"{overview.as_of:%Y-%m-%d %H:%M}",
        remarks=overview.warnings,
    )


def concerns_of(
    overview: ModelOverview,
) -> list[tuple[Severity, str]]:
    """Return what is grave, each with its severity and a sentence; none: all is calm.

    ``alert``: a metric over all rows is beyond its threshold in the newest complete
    chunk. ``warning``: so it is in a segment, a verdict names a decline that is not
    over, or labels have stopped.
    """
    performance = overview.performance
    concerns: list[tuple[Severity, str]] = []
    for i in newest_rows(performance).tolist():
        segment = str(performance.segment[i])
        for k in np.flatnonzero(performance.alert[i]).tolist():
            sentence = (
                f"{performance.metrics[k]}{f' ({segment})' if segment else ''} is "
                f"beyond its threshold in chunk {performance.chunk[i]}"
            )
            concerns.append(("warning" if segment else "alert", sentence))
    for segment, by_metric in overview.verdicts.items():
        where = f"{segment}: " if segment else ""
        concerns += [
            ("warning", f"{where}{verdict}")
            for verdict in by_metric.values()
            if verdict.kind not in CALM_KINDS
        ]
    return concerns + [("warning", warning) for warning in overview.warnings]


def gauges_of(overview: ModelOverview, last_success: float) -> ModelGauges:
    """Return what the metrics endpoint shows; times in seconds of Unix time."""
    performance = overview.performance
    gauges = []
    for i in newest_rows(performance).tolist():
        segment = str(performance.segment[i])
        by_metric = overview.verdicts.get(segment, {})
        for k, metric in enumerate(performance.metrics):
            verdict = by_metric.get(metric)
            gauges.append(
                MetricGauges(
                    segment=segment,
                    metric=metric,
                    value=float(performance.value[i, k]),
                    lower=float(performance.lower[i, k]),
                    upper=float(performance.upper[i, k]),
                    alert=bool(performance.alert[i, k]),
                    chunk_start_timestamp=_seconds(performance.start[i]),
                    labels_ratio=float(
                        performance.n_labels[i] / max(performance.n_rows[i], 1)
                    ),
                    kind=None if verdict is None else verdict.kind,
                    probability=nan if verdict is None else verdict.probability,
                )
            )
    return ModelGauges(
        model=overview.name,
        last_success_timestamp=last_success,
        data_as_of_timestamp=overview.as_of.timestamp(),
        labels_overdue=0 if overview.overdue is None else overview.overdue.missing,
        metrics=tuple(gauges),
    )


def _seconds(moment: np.datetime64) -> float:
    return float(moment.astype("M8[us]").astype(np.int64)) * 1e-6
