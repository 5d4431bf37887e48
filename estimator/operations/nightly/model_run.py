"""One model's run: what has come, which chunks it changes, what is to be said now.

Chunks that new rows or labels fall into are read again as a whole, and counted.
Everything else follows from the counts of all chunks, by the same functions as in a
`Monitor`: so what is said depends on what the sources hold, and not on the runs before.
"""

import json
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

import pandas as pd

from calibration._kernels.threads import for_each
from estimator.delayed_labels.counts.count_table import CountTable
from estimator.delayed_labels.counts.count_table_bytes import table_from_bytes
from estimator.delayed_labels.counts.weighted_rows import add_up_hours
from estimator.delayed_labels.overdue import LabelCalendar
from estimator.delayed_labels.reference_delays import model_of_reference
from estimator.estimation.common_mistakes import CommonMistakeWarning
from estimator.frames.datetimes import TimeZone
from estimator.monitoring.deployments import Deployment, deployment_of
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
from estimator.operations.nightly.changed_chunks import count_changed, find_spans
from estimator.operations.nightly.estimators import (
    REFERENCE,
    fit_deployments,
    numeric_features,
)
from estimator.operations.nightly.evaluation import evaluate, judge
from estimator.operations.notifications.announcing import announce
from estimator.operations.notifications.messages import (
    message_to_json,
    notices_on_labels,
    overdue_sentence,
)
from estimator.operations.sources.files.file_versions import versions_as_before
from estimator.operations.sources.model_sources import ModelSources, open_model_sources
from estimator.operations.sources.new_rows import changed_hours, check_row_ids
from estimator.operations.sources.row_source import AT, open_engine
from estimator.operations.store.connection import Store
from estimator.operations.store.model_state import (
    ModelState,
    StoredChunk,
    load_counts,
    load_state,
)
from estimator.operations.store.result_rows import restate, result_rows
from estimator.operations.store.run_record import RunRecord
from estimator.operations.store.stored_results import load_results, load_verdicts
from estimator.operations.store.verdict_rows import verdict_rows
from estimator.progress import Progress
from estimator.results.assembly import concatenate_periods

N_STAGES = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelRun:
    """What a run has found out about a model.

    Attributes
    ----------
    record : RunRecord
        What to store.
    n_changed : int
        Chunks that are new, or have new rows or labels; 0: nothing is new.
    n_restated : int
        Results that differ from those stored.
    is_refitted : bool
        Whether another configuration, or reference, than before was at work.
    remarks : tuple of str
        What was odd, for the log.
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
    """Find out what a model's sources have to tell; store nothing.

    Parameters
    ----------
    store : Store or None
        What earlier runs left; None: nothing.
    job, settings, notify : JobSettings, ModelSettings, NotifySettings
    until : Timestamp, optional
        Count only rows and labels up to this time, on the data's clock.

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
            with _mistakes_as_remarks() as mistakes:
                deployments, fitted, versions = fit_deployments(
                    engine, settings, state.estimators, state.files.get(REFERENCE)
                )
            is_refitted = _fingerprints(fitted) != _fingerprints(state.estimators)
            timezone = deployments[-1].estimator.reference_.performance.timezone
            if until is not None:
                until = on_data_clock(until, timezone)
                _check_until(until, state, timezone)
        # Chunks counted for another estimator count no more, nor do files read for it.
        known, stale = _still_holding(state, deployments, fitted)
        counts = {} if store is None else load_counts(store, settings.name)
        counts = {label: data for label, data in counts.items() if label in known}
        everything = bool(stale) or not known
        since = None if everything else _since(state, settings)
        with progress.stage("looking for what is new"):
            numeric = numeric_features(deployments)
            sources = open_model_sources(
                engine, settings, since, state, numeric_features=numeric
            )
            hours = None
            remarks: list[str] = []
            if not everything:
                hours, remarks = changed_hours(engine, sources, state, until)
        with progress.stage("reading and counting"):
            spans = find_spans(engine, sources, deployments, hours, since, until, known)
            if spans:
                check_row_ids(engine, sources, state, until, everything=everything)
            changed, lost = count_changed(
                engine, sources, deployments, spans, until, known, counts
            )
            _check_stale(stale - set(changed), settings.name)
            is_new = bool(changed) or is_refitted
            is_timed = _says_when_labels_came(sources)
    files = {**sources.files, REFERENCE: versions}
    remarks += mistakes + lost + _remarks_on_missing(sources, deployments[-1])
    record = RunRecord(
        as_of=state.as_of,
        until=None if until is None else ticks(until),
        files=files,
        estimators=fitted,
        announced=state.announced,
        overdue=state.overdue,
    )
    if not is_new:
        # Nothing is written that says nothing new.
        record = replace(record, files=versions_as_before(files, state.files))
        if not (is_timed and _wait_longer(state, until)):
            return ModelRun(record=record, n_changed=0, remarks=tuple(remarks))
    with progress.stage("estimating"):
        # Those just counted are read back as well: so every run has the same.
        stored = {**counts, **changed}
        tables: dict[str, CountTable] = {}

        def read(label: str) -> None:
            tables[label] = table_from_bytes(stored[label])

        for_each(list(stored), read)
        if not tables:
            return ModelRun(record=record, n_changed=0, remarks=tuple(remarks))
        as_of = max(
            *(table.last for table in tables.values()),
            *(table.latest_label or table.last for table in tables.values()),
        )
        as_of = max(as_of, record.until or as_of)
        calendar = None
        if is_timed:
            came = add_up_hours(list(tables.values()))
            calendar = LabelCalendar(as_of=as_of, hours=came.until(as_of))
        found = evaluate(deployments, list(tables.values()), calendar)
        if found.overdue is not None:
            remarks.append(overdue_sentence(found.overdue, timezone))
            remarks += sources.remarks  # a wrong pattern may be why
        analysis, attribution = found.analysis, found.attribution
    with progress.stage("judging"):
        reference = deployments[-1].estimator.reference_.performance
        performance = concatenate_periods(reference, analysis)
        verdicts = judge(deployments, performance, attribution)
    before = [] if store is None else load_results(store, settings.name)
    written = restate(result_rows(analysis, as_of), before, as_of)
    told = {} if store is None else load_verdicts(store, settings.name)
    announced, messages = announce(
        settings.name, state.announced, verdicts, performance, notify
    )
    if "labels_overdue" in notify.on and found.are_labels_expected:
        messages += notices_on_labels(
            settings.name, state.overdue, found.overdue, timezone
        )
    record = replace(
        record,
        as_of=as_of if is_new or written.changed or written.gone else state.as_of,
        announced=announced,
        overdue=found.overdue,
        chunks=[
            {
                "chunk": label,
                "fingerprint": fitted[_first_of(deployments, label)][0],
                "n_rows": tables[label].n_rows,
                "n_labels": tables[label].n_labels,
                "counts": data,
            }
            for label, data in changed.items()
        ],
        results=written.changed,
        history=written.history,
        gone=written.gone,
        verdicts=verdict_rows(verdicts, told, as_of),
        messages=[json.dumps(message_to_json(message)) for message in messages],
    )
    return ModelRun(
        record=record,
        n_changed=len(changed),
        n_restated=len(written.changed) + len(written.gone),
        is_refitted=is_refitted,
        remarks=tuple(remarks),
    )


@contextmanager
def _mistakes_as_remarks() -> Iterator[list[str]]:
    """Collect what a fit warns of as remarks for the log."""
    remarks: list[str] = []
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", CommonMistakeWarning)
        yield remarks
    for warning in caught:
        if issubclass(warning.category, CommonMistakeWarning):
            remarks.append(str(warning.message).removesuffix("."))
        else:
            warnings.warn_explicit(
                warning.message, warning.category, warning.filename, warning.lineno
            )


def _fingerprints(stored: Mapping[str, tuple[str, bytes]]) -> dict[str, str]:
    return {first: fingerprint for first, (fingerprint, _) in stored.items()}


def _first_of(deployments: Sequence[Deployment], label: str) -> str:
    """Return the key under which the estimator of a chunk is stored."""
    return str(deployments[deployment_of(deployments, label)].from_chunk or "")


def _still_holding(
    state: ModelState,
    deployments: Sequence[Deployment],
    fitted: Mapping[str, tuple[str, bytes]],
) -> tuple[dict[str, StoredChunk], set[str]]:
    """Return the chunks that were counted for their estimator, and the others."""
    known = {
        label: chunk
        for label, chunk in state.chunks.items()
        if chunk.fingerprint == fitted[_first_of(deployments, label)][0]
    }
    return known, set(state.chunks) - set(known)


def _check_stale(left: set[str], model: str) -> None:
    if left:
        msg = (
            f"The configuration or the reference of `{model}` has changed, or this "
            f"version of deadreckon counts otherwise: {len(left)} chunks ({min(left)} "
            f"to {max(left)}) must be counted anew, but their rows are no longer in "
            "the sources. Nothing was changed. Name another store to begin anew (this "
            "one keeps what was said), bring the rows back, or go back to what was "
            "configured or installed."
        )
        raise ConfigurationError(msg)


def _says_when_labels_came(sources: ModelSources) -> bool:
    """Return whether labels have a time, or are to come; else none can be overdue."""
    if sources.labels is None:
        return sources.missing is not None
    return AT in sources.labels.roles


def _remarks_on_missing(sources: ModelSources, newest: Deployment) -> list[str]:
    """Say that no file of labels is there, where nobody knows when to expect one."""
    delays = newest.estimator.reference_.delays
    return [] if model_of_reference(delays) is not None else sources.remarks


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
