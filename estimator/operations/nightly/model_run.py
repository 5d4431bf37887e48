"""One model's run: what has come, which chunks it changes, what is to be said now.

Chunks that new rows or labels fall into are read again as a whole, and counted.
Everything else follows from the counts of all chunks, by the same functions as in a
`Monitor`: so what is said depends on what the sources hold, and not on the runs before.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import pandas as pd

from calibration._kernels.threads import for_each
from estimator.delayed_labels.counts.count_table import CountTable
from estimator.delayed_labels.counts.count_table_bytes import table_from_bytes
from estimator.delayed_labels.counts.weighted_rows import add_up_hours
from estimator.delayed_labels.overdue import LabelCalendar
from estimator.delayed_labels.reference_delays import model_of_reference
from estimator.frames.datetimes import TimeZone
from estimator.monitoring.deployments import Deployment
from estimator.operations.config.settings import (
    JobSettings,
    ModelSettings,
    NotifySettings,
)
from estimator.operations.data_time import (
    as_datetime,
    is_future,
    on_data_clock,
    shown,
    ticks,
)
from estimator.operations.errors import ConfigurationError
from estimator.operations.nightly.changed_chunks import (
    StoredCounts,
    count_changed,
    find_spans,
)
from estimator.operations.nightly.estimators import numeric_features
from estimator.operations.nightly.evaluation import Evaluation, evaluate, judge
from estimator.operations.nightly.fitted_model import (
    FittedModel,
    check_outdated,
    fit_model,
    valid_counts,
)
from estimator.operations.nightly.new_record import (
    Judgement,
    SourceNews,
    unchanged_record,
    with_messages,
    with_results,
)
from estimator.operations.notifications.messages import overdue_sentence
from estimator.operations.sources.files.file_versions import versions_as_before
from estimator.operations.sources.model_sources import ModelSources, open_model_sources
from estimator.operations.sources.new_rows import changed_hours, check_row_ids
from estimator.operations.sources.row_source import AT, open_engine
from estimator.operations.store.connection import Store
from estimator.operations.store.model_state import ModelState, load_counts, load_state
from estimator.operations.store.run_record import RunRecord
from estimator.progress import Progress
from estimator.results.assembly import concatenate_periods

if TYPE_CHECKING:
    import duckdb


N_STAGES = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelRun:
    """What a run has found out about a model.

    Attributes
    ----------
    record : RunRecord
        All that is to be stored.
    n_changed : int
        Number of chunks that are new, or have new rows or labels; 0: nothing is new.
    n_restated : int
        Number of results that differ from those stored.
    is_refitted : bool
        Whether another configuration, or reference, than before was at work.
    remarks : tuple of str
        Sentences without a period on what was odd, for the log.
    """

    record: RunRecord
    n_changed: int
    n_restated: int = 0
    is_refitted: bool = False
    remarks: tuple[str, ...] = ()


def run_model(
    store: Store | None,
    job: JobSettings,
    settings: ModelSettings,
    notify: NotifySettings,
    *,
    until: pd.Timestamp | None,
    progress: Progress,
) -> ModelRun:
    """Find out what the sources of a model hold that is new; store nothing.

    Parameters
    ----------
    store : Store or None
        Store with what earlier runs left; None: nothing.
    job : JobSettings
        Limits of memory and threads.
    settings : ModelSettings
        Sources of the model, and how its performance is estimated.
    notify : NotifySettings
        What messages are about.
    until : Timestamp, optional
        Time up to which rows and labels are counted, on the data's clock.
    progress : Progress
        Progress of `N_STAGES` stages.

    Returns
    -------
    ModelRun
        What is to be stored, and what to log.

    Raises
    ------
    DataError
        If a source does not hold what it should.
    ConfigurationError
        If ``until`` lies before what the store knows.
    """
    state = ModelState() if store is None else load_state(store, settings.name)
    with open_engine(job.memory_limit, job.threads) as engine:
        with progress.stage("fitting on the reference"):
            model = fit_model(engine, settings, state)
            if until is not None:
                until = on_data_clock(until, model.reference.timezone)
                _check_until(until, state, model.reference.timezone)
        counts = {} if store is None else load_counts(store, settings.name)
        stored = valid_counts(model, counts)
        news = _count_news(engine, model, stored, until, progress)
    is_new = bool(news.changed) or model.is_refitted
    is_timed = _says_when_labels_came(news.sources)
    record = unchanged_record(model, news, until)
    if not is_new:
        # Nothing is written that says nothing new.
        versions = versions_as_before(record.files, state.files)
        record = replace(record, files=versions)
    nothing = ModelRun(record=record, n_changed=0, remarks=tuple(news.remarks))
    if not is_new and not (is_timed and _wait_longer(state, until)):
        return nothing
    with progress.stage("estimating"):
        # Those just counted are read back as well: so every run has the same.
        tables = _read_tables({**stored.counts, **news.changed})
        if not tables:
            return nothing
        as_of, evaluation = _evaluate(model, tables, record.until, is_timed=is_timed)
        remarks = [*news.remarks, *_remarks_on_overdue(model, evaluation, news.sources)]
    with progress.stage("judging"):
        performance = concatenate_periods(model.reference, evaluation.analysis)
        judged = Judgement(
            as_of=as_of,
            tables=tables,
            evaluation=evaluation,
            performance=performance,
            verdicts=judge(model.deployments, performance, evaluation.attribution),
        )
    record = with_results(record, store, model, news, judged, is_new=is_new)
    record = with_messages(record, model, judged, notify)
    return ModelRun(
        record=record,
        n_changed=len(news.changed),
        n_restated=len(record.results) + len(record.gone),
        is_refitted=model.is_refitted,
        remarks=tuple(remarks),
    )


def _count_news(
    engine: "duckdb.DuckDBPyConnection",
    model: FittedModel,
    stored: StoredCounts,
    until: pd.Timestamp | None,
    progress: Progress,
) -> SourceNews:
    """Read and count the chunks that new rows or labels fall into."""
    settings, state, deployments = model.settings, model.state, model.deployments
    since = None if stored.is_void else _since(state, settings)
    hours = None
    remarks: list[str] = []
    with progress.stage("looking for what is new"):
        numeric = numeric_features(deployments)
        sources = open_model_sources(
            engine, settings, since, state, numeric_features=numeric
        )
        if not stored.is_void:
            hours, remarks = changed_hours(engine, sources, state, until)
    with progress.stage("reading and counting"):
        spans = find_spans(
            engine, sources, deployments, hours, since, until, stored.chunks
        )
        if spans:
            check_row_ids(engine, sources, state, until, everything=stored.is_void)
        changed, losses = count_changed(
            engine, sources, deployments, spans, until, stored
        )
        check_outdated(stored.outdated - changed.keys(), settings.name)
    missing = _remarks_on_missing(sources, deployments[-1])
    remarks = [*remarks, *model.mistakes, *losses, *missing]
    return SourceNews(sources=sources, changed=changed, remarks=remarks)


def _read_tables(content: Mapping[str, bytes]) -> dict[str, CountTable]:
    tables: dict[str, CountTable] = {}

    def read(label: str) -> None:
        tables[label] = table_from_bytes(content[label])

    for_each(list(content), read)
    return tables


def _evaluate(
    model: FittedModel,
    tables: Mapping[str, CountTable],
    until: int | None,
    *,
    is_timed: bool,
) -> tuple[int, Evaluation]:
    """Return the latest time that the counts know of, and what follows from them."""
    in_order = list(tables.values())
    as_of = max(
        *(table.last for table in in_order),
        *(table.latest_label or table.last for table in in_order),
    )
    as_of = max(as_of, until or as_of)
    calendar = None
    if is_timed:
        arrivals = add_up_hours(in_order)
        calendar = LabelCalendar(as_of=as_of, hours=arrivals.until(as_of))
    return as_of, evaluate(model.deployments, in_order, calendar)


def _says_when_labels_came(sources: ModelSources) -> bool:
    """Return whether labels have a time, or are to come; else none can be overdue."""
    if sources.labels is None:
        return sources.missing is not None
    return AT in sources.labels.roles


def _remarks_on_missing(sources: ModelSources, newest: Deployment) -> list[str]:
    """Say that no file of labels is there, where nobody knows when to expect one."""
    delays = newest.estimator.reference_.delays
    return [] if model_of_reference(delays) is not None else sources.remarks


def _remarks_on_overdue(
    model: FittedModel, evaluation: Evaluation, sources: ModelSources
) -> list[str]:
    """Say which labels are missing since they have stopped, if any are."""
    if evaluation.overdue is None:
        return []
    sentence = overdue_sentence(evaluation.overdue, model.reference.timezone)
    return [sentence, *sources.remarks]  # a wrong pattern may be why


def _check_until(until: pd.Timestamp, state: ModelState, timezone: TimeZone) -> None:
    if is_future(until):
        msg = (
            f"--as-of must not lie in the future, got {shown(ticks(until), timezone)}: "
            "what comes until then could not be told from what was known."
        )
        raise ConfigurationError(msg)
    if state.as_of is not None and ticks(until) < state.as_of:
        msg = (
            f"--as-of must not lie before {shown(state.as_of, timezone)}, up to which "
            f"the store knows already, got {shown(ticks(until), timezone)}. Ask what "
            "was believed then with `deadreckon status --as-of`, or fill another store."
        )
        raise ConfigurationError(msg)


def _wait_longer(state: ModelState, until: pd.Timestamp | None) -> bool:
    """Return whether labels are outstanding, for longer than the last run knew of."""
    before = [moment for moment in (state.as_of, state.until) if moment is not None]
    return (
        until is not None
        and ticks(until) > max(before, default=ticks(until))
        and any(chunk.n_labels < chunk.n_rows for chunk in state.chunks.values())
    )


def _since(state: ModelState, settings: ModelSettings) -> pd.Timestamp | None:
    if settings.lookback is None or state.as_of is None:
        return None
    return as_datetime(state.as_of) - settings.lookback
