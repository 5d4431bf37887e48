"""What a run writes: what is new in the sources, and what is to be said now."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace

import pandas as pd

from estimator.delayed_labels.counts.count_table import CountTable
from estimator.operations.config.settings import NotifySettings
from estimator.operations.data_time import ticks
from estimator.operations.nightly.estimators import REFERENCE
from estimator.operations.nightly.evaluation import Evaluation, Verdicts
from estimator.operations.nightly.fitted_model import FittedModel
from estimator.operations.notifications.messages import (
    message_to_json,
    notices_on_labels,
)
from estimator.operations.notifications.triggers import announce
from estimator.operations.sources.model_sources import ModelSources
from estimator.operations.store.connection import Store
from estimator.operations.store.result_rows import restate, result_rows
from estimator.operations.store.run_record import RunRecord
from estimator.operations.store.stored_results import load_results, load_verdicts
from estimator.operations.store.verdict_rows import verdict_rows
from estimator.results.performance import Performance


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceNews:
    """What the sources hold that the store does not.

    Attributes
    ----------
    sources : ModelSources
        Predictions and labels, opened.
    changed : mapping of str to bytes
        Table of counts of each chunk that is not as it was, by label.
    remarks : list of str
        Sentences without a period on what is odd.
    """

    sources: ModelSources
    changed: Mapping[str, bytes]
    remarks: list[str]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Judgement:
    """What is to be said now of all chunks.

    Attributes
    ----------
    as_of : int
        Latest time that the counts know of, in microseconds since 1970.
    tables : mapping of str to CountTable
        Counts of every chunk, by label.
    evaluation : Evaluation
        What follows from the counts.
    performance : Performance
        Reference and analysis.
    verdicts : mapping of str to mapping of str to Degradation
        Verdicts by segment, by metric.
    """

    as_of: int
    tables: Mapping[str, CountTable]
    evaluation: Evaluation
    performance: Performance
    verdicts: Verdicts


def unchanged_record(
    model: FittedModel, news: SourceNews, until: pd.Timestamp | None
) -> RunRecord:
    """Return what a run writes that has nothing to say of results."""
    return RunRecord(
        as_of=model.state.as_of,
        until=None if until is None else ticks(until),
        files={**news.sources.files, REFERENCE: model.reference_versions},
        estimators=model.estimators,
        announced=model.state.announced,
        overdue=model.state.overdue,
    )


def with_results(
    record: RunRecord,
    store: Store | None,
    model: FittedModel,
    news: SourceNews,
    judged: Judgement,
    *,
    is_new: bool,
) -> RunRecord:
    """Add the chunks, results and verdicts that differ from those stored.

    Parameters
    ----------
    record : RunRecord
        What the run writes so far.
    store : Store or None
        Store with what earlier runs left; None: nothing.
    model : FittedModel
        The model with its fitted estimators.
    news : SourceNews
        Chunks that are not as they were.
    judged : Judgement
        What is to be said now of all chunks.
    is_new : bool
        Whether a chunk or an estimator is not as it was.
    """
    name, as_of, tables = model.settings.name, judged.as_of, judged.tables
    before = [] if store is None else load_results(store, name)
    verdicts_before = {} if store is None else load_verdicts(store, name)
    written = restate(result_rows(judged.evaluation.analysis, as_of), before, as_of)
    is_restated = written.changed or written.gone
    return replace(
        record,
        as_of=as_of if is_new or is_restated else record.as_of,
        overdue=judged.evaluation.overdue,
        chunks=[
            {
                "chunk": label,
                "fingerprint": model.fingerprint_of(label),
                "n_rows": tables[label].n_rows,
                "n_labels": tables[label].n_labels,
                "counts": data,
            }
            for label, data in news.changed.items()
        ],
        results=written.changed,
        history=written.history,
        gone=written.gone,
        verdicts=verdict_rows(judged.verdicts, verdicts_before, as_of),
    )


def with_messages(
    record: RunRecord, model: FittedModel, judged: Judgement, notify: NotifySettings
) -> RunRecord:
    """Add what is announced now, and the messages about it.

    Parameters
    ----------
    record : RunRecord
        What the run writes so far.
    model : FittedModel
        The model with its fitted estimators.
    judged : Judgement
        What is to be said now of all chunks.
    notify : NotifySettings
        What messages are about.
    """
    name, state, evaluation = model.settings.name, model.state, judged.evaluation
    announced, messages = announce(
        name, state.announced, judged.verdicts, judged.performance, notify
    )
    if "labels_overdue" in notify.on and evaluation.are_labels_expected:
        timezone = model.reference.timezone
        messages += notices_on_labels(name, state.overdue, evaluation.overdue, timezone)
    texts = [json.dumps(message_to_json(message)) for message in messages]
    return replace(record, announced=announced, messages=texts)
