"""The nightly job: every model's night, stored; then pages, messages and figures."""

import logging
import traceback
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from functools import partial
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
from estimator.operations.store import (
    Store,
    is_there,
    lease,
    log_run,
    open_store,
    prepare,
    save_night,
)
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
        store = stack.enter_context(open_store(config.job.store))
        if not dry_run:
            stack.enter_context(lease(store))
            prepare(store)
        known = store if not dry_run or is_there(store) else None
        codes = [
            _run_model(config, known, settings, until, progress, dry_run=dry_run)
            for settings in config.models.values()
        ]
        if dry_run:
            return _gravest(codes)
        found = [load_overview(store, name) for name in config.models]
        overviews = [overview for overview in found if overview is not None]
        with progress.stage("drawing"):
            failed = [
                _try(config, task)
                for task in (
                    partial(_post, config, store),
                    partial(_write_figures, config, store, overviews),
                    partial(write_pages, config, overviews),
                )
            ]
            codes += [code for code in failed if code != RAN]
    graveness = {severity_of(overview) for overview in overviews}
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
    except Exception:  # a bug: the other models are still to be done
        code, summary = CRASHED, config.redact(traceback.format_exc())
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
    if not findings.n_touched and not findings.anew:
        return NOTHING_NEW, "nothing new"
    would = "would touch" if dry_run else "touched"
    chunks = "1 chunk" if findings.n_touched == 1 else f"{findings.n_touched:,} chunks"
    said = f"{would} {chunks}, {findings.n_restated:,} results restated"
    return RAN, said


def _try(config: NightlyConfig, task: Callable[[], object]) -> int:
    """Do what follows a run; what cannot be done keeps nothing else from being done."""
    try:
        task()
    except (OSError, NotificationError) as error:
        log.error(config.redact(str(error)))  # noqa: TRY400
        return CRASHED
    return RAN


def _post(config: NightlyConfig, store: Store) -> None:
    """Post what has not been told yet; where nobody is told, it is done with."""
    waiting = storing.unsent_messages(store, list(config.models))
    if not waiting:
        return
    if config.notify.webhook is not None:
        changes = [VerdictChange(**content) for _, content in waiting]
        report = config.job.report
        page = None if report is None else (report / "index.html").as_uri()
        try:
            post_webhook(config.notify.webhook, slack_message(changes, report=page))
        except NotificationError as error:
            msg = f"{error} The message is tried again after the next run."
            raise NotificationError(msg) from None
    storing.mark_sent(store, [number for number, _ in waiting])


def _write_figures(
    config: NightlyConfig, store: Store, overviews: Sequence[ModelOverview]
) -> None:
    if config.notify.prometheus is None:
        return
    gauges = [
        gauges_of(overview, _last_success(store, overview.name))
        for overview in overviews
    ]
    write_textfile(config.notify.prometheus, gauges)


def _last_success(store: Store, model: str) -> float:
    found = storing.last_success(store, model)
    return float("nan") if found is None else datetime.fromisoformat(found).timestamp()


def _gravest(codes: Sequence[int]) -> int:
    return min(codes, key=_GRAVITY.index)
