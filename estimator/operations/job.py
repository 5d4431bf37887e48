"""The nightly job: every model's night, stored; then pages, messages and figures."""

import logging
from collections.abc import Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

import pandas as pd

from estimator.files import remove_leftovers, replacing
from estimator.operations import store as storing
from estimator.operations.config import ModelSettings, NightlyConfig
from estimator.operations.estimation import ConfigurationError, DataError
from estimator.operations.exposition import write_textfile
from estimator.operations.night import N_STAGES, Findings, run_night
from estimator.operations.notify import VerdictChange, slack_message
from estimator.operations.overview import (
    ModelOverview,
    gauges_of,
    load_overview,
    report_of,
    severity_of,
)
from estimator.operations.store import Store, lease, log_run, open_store, save_night
from estimator.operations.webhook import NotificationError, post_webhook
from estimator.presentation.report import index_html, report_html
from estimator.progress import Progress

RAN, WARNING, ALERT = 0, 10, 20
CRASHED, MISUSED, BAD_DATA, LOCKED, NOTHING_NEW = 1, 2, 65, 75, 99
# Of several models the gravest counts.
_GRAVITY = (CRASHED, MISUSED, BAD_DATA, ALERT, WARNING, RAN, NOTHING_NEW)

FailOn = Literal["warning", "alert"]
log = logging.getLogger("deadreckon")


def run_job(
    config: NightlyConfig,
    *,
    until: pd.Timestamp | None = None,
    dry_run: bool = False,
    fail_on: FailOn | None = None,
    progress: Progress | None = None,
) -> int:
    """Run every model's night; return the exit code.

    A model that cannot be done keeps its old results, and does not stop the others.

    Parameters
    ----------
    config : NightlyConfig
    until : Timestamp, optional
        Count only rows and labels up to this time.
    dry_run : bool, default=False
        Say what would change, and change nothing.
    fail_on : {"warning", "alert"}, optional
        From which gravity on the exit code says so.
    progress : Progress, optional
        Of `n_stages(config)` stages.

    Raises
    ------
    StoreLocked
        If another run works on the store.
    StoreUnavailable
        If the store cannot be reached or written.
    """
    progress = progress or Progress(n_stages(config), None)
    with ExitStack() as stack:
        store: Store | None = None
        if not dry_run:
            store = stack.enter_context(open_store(config.job.store))
            stack.enter_context(lease(store))
        elif storing.exists(config.job.store):
            store = stack.enter_context(open_store(config.job.store, create=False))
        codes = [
            _run_model(config, store, settings, until, progress, dry_run=dry_run)
            for settings in config.models.values()
        ]
        if dry_run or store is None:
            return _gravest(codes)
        overviews = [load_overview(store, config, name) for name in config.models]
        known = [overview for overview in overviews if overview is not None]
        with progress.stage("drawing"):
            write_pages(config, known)
            codes += _tell(config, store, known)
    graveness = {severity_of(overview) for overview in known}
    if fail_on is not None and "alert" in graveness:
        codes.append(ALERT)
    if fail_on == "warning" and "warning" in graveness:
        codes.append(WARNING)
    return _gravest(codes)


def n_stages(config: NightlyConfig) -> int:
    """Return how many stages a run's progress has."""
    return N_STAGES * len(config.models) + 1


def write_pages(
    config: NightlyConfig,
    overviews: Sequence[ModelOverview],
    folder: Path | None = None,
) -> list[Path]:
    """Write a page per model and an index; pages that say the same stay as they are."""
    folder = config.job.report if folder is None else folder
    if folder is None or not overviews:
        return []
    folder.mkdir(parents=True, exist_ok=True)
    remove_leftovers(folder)
    entries, written = [], []
    for overview in overviews:
        name = f"{overview.name}.html"
        report = report_of(overview)
        entries.append((report, name))
        written.append(folder / name)
        _write_text(folder / name, report_html(report))
    written.append(folder / "index.html")
    _write_text(folder / "index.html", index_html(entries))
    return written


def _write_text(path: Path, text: str) -> None:
    if path.is_file() and path.read_bytes() == text.encode():
        return
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def _run_model(
    config: NightlyConfig,
    store: Store | None,
    settings: ModelSettings,
    until: pd.Timestamp | None,
    progress: Progress,
    *,
    dry_run: bool,
) -> int:
    started = datetime.now(UTC)
    try:
        findings = run_night(
            store, config.job, settings, until=until, progress=progress
        )
        code, summary = _outcome(findings, dry_run=dry_run)
        if store is not None and not dry_run:
            save_night(store, settings.name, findings.night)
        for remark in findings.remarks:
            log.warning("%s: %s.", settings.name, config.redact(remark))
    except DataError as error:
        code, summary = BAD_DATA, config.redact(str(error))
    except ConfigurationError as error:
        code, summary = MISUSED, config.redact(str(error))
    except storing.StoreUnavailable:
        raise
    except OSError as error:
        code, summary = CRASHED, config.redact(str(error))
    level = logging.INFO if code in (RAN, NOTHING_NEW) else logging.ERROR
    log.log(level, "%s: %s", settings.name, summary, extra={"exit_code": code})
    if store is not None and not dry_run:
        log_run(
            store,
            settings.name,
            started=started.isoformat(),
            ended=datetime.now(UTC).isoformat(),
            exit_code=code,
            summary=summary,
        )
    return code


def _outcome(findings: Findings, *, dry_run: bool) -> tuple[int, str]:
    if not findings.n_touched and not findings.night.afresh:
        return NOTHING_NEW, "nothing new"
    would = "would touch" if dry_run else "touched"
    chunks = "1 chunk" if findings.n_touched == 1 else f"{findings.n_touched:,} chunks"
    said = f"{would} {chunks}, {findings.n_restated:,} results restated"
    return RAN, said


def _tell(
    config: NightlyConfig, store: Store, overviews: Sequence[ModelOverview]
) -> list[int]:
    """Post what has not been told yet, and write the figures; return exit codes."""
    codes: list[int] = []
    if config.notify.prometheus is not None:
        gauges = [
            gauges_of(overview, _last_success(store, overview.name))
            for overview in overviews
        ]
        write_textfile(config.notify.prometheus, gauges)
    waiting = storing.unsent_messages(store)
    if not waiting:
        return codes
    numbers = [number for number, _ in waiting]
    if config.notify.webhook is None:
        storing.mark_sent(store, numbers)  # nobody wants to be told later either
        return codes
    changes = [VerdictChange(**content) for _, content in waiting]
    page = None if config.job.report is None else config.job.report / "index.html"
    try:
        message = slack_message(changes, report=None if page is None else page.as_uri())
        post_webhook(config.notify.webhook, message)
    except NotificationError as error:
        log.error("%s The message is tried again after the next run.", error)  # noqa: TRY400
        return [CRASHED]
    storing.mark_sent(store, numbers)
    return codes


def _last_success(store: Store, model: str) -> float:
    found = storing.last_success(store, model)
    return float("nan") if found is None else datetime.fromisoformat(found).timestamp()


def _gravest(codes: Sequence[int]) -> int:
    return min(codes, key=_GRAVITY.index)
