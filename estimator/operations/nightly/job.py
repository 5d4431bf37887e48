"""The nightly job: every model's night, stored; then pages and figures; then messages.

Messages come last, when the store is free again: whoever takes them may take his time.
"""

import json
import logging
import traceback
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import pandas as pd

from estimator.files.atomic import remove_leftovers, replacing
from estimator.operations.config.settings import ModelSettings, NightlyConfig
from estimator.operations.errors import (
    ConfigurationError,
    DataError,
    StoreLocked,
    StoreUnavailable,
)
from estimator.operations.exit_codes import (
    BAD_DATA,
    CODE_OF_SEVERITY,
    CRASHED,
    GRAVITY,
    MISUSED,
    NOTHING_NEW,
    RAN,
    WENT_WELL,
    Severity,
)
from estimator.operations.nightly.model_run import N_STAGES, ModelRun, run_model
from estimator.operations.nightly.overview import (
    ModelOverview,
    concerns_of,
    gauges_of,
    load_overview,
    report_of,
)
from estimator.operations.notifications.messages import (
    Notice,
    message_from_json,
    message_to_json,
    slack_message,
)
from estimator.operations.notifications.prometheus import write_textfile
from estimator.operations.notifications.webhook import NotificationError, post_webhook
from estimator.operations.signals import wait_if_ending
from estimator.operations.store.connection import Store, is_there, open_store, prepare
from estimator.operations.store.locks import lease, posting_lease
from estimator.operations.store.run_log import (
    add_message,
    last_exit_code,
    last_success,
    log_run,
    mark_sent,
    unsent_messages,
)
from estimator.operations.store.run_record import save_run
from estimator.progress import Progress
from estimator.report.headline import compose_headline
from estimator.report.page import index_html, report_html

log = logging.getLogger("deadreckon")


def run_job(
    config: NightlyConfig,
    *,
    until: pd.Timestamp | None = None,
    dry_run: bool = False,
    fail_on: Severity | None = None,
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
    with open_store(config.job.store) as store:
        if dry_run:
            existing = store if is_there(store) else None
            return _gravest(
                _run_models(config, existing, until, progress, dry_run=True)
            )
        with lease(store):
            prepare(store)
            codes = _run_models(config, store, until, progress, dry_run=False)
            loaded = [load_overview(store, name) for name in config.models]
            overviews = [overview for overview in loaded if overview is not None]
            went_well = {
                name
                for name, code in zip(config.models, codes, strict=True)
                if code in WENT_WELL
            }
            _say_verdicts(config, [one for one in overviews if one.name in went_well])
            with progress.stage("drawing"):
                codes += [
                    _try(config, partial(_write_figures, config, store, overviews)),
                    _try(config, partial(write_pages, config, overviews)),
                ]
        with progress.stage("posting"):
            codes.append(_try(config, partial(_post, config, store)))
    codes += _codes_of_concerns(overviews, fail_on)
    return _gravest(codes)


def _run_models(
    config: NightlyConfig,
    store: Store | None,
    until: pd.Timestamp | None,
    progress: Progress,
    *,
    dry_run: bool,
) -> list[int]:
    return [
        _run_and_store(config, store, settings, until, progress, dry_run=dry_run)
        for settings in config.models.values()
    ]


def _say_verdicts(config: NightlyConfig, overviews: Sequence[ModelOverview]) -> None:
    for overview in overviews:
        headline = compose_headline(overview.performance, overview.verdicts)
        log.info(
            "%s: %s",
            overview.name,
            config.redact("; ".join((headline.text, *headline.details))),
            extra={"model": overview.name},
        )
        doubt = overview.lost_trust
        if doubt:
            log.warning("%s: %s", overview.name, doubt, extra={"model": overview.name})


def _codes_of_concerns(
    overviews: Sequence[ModelOverview], fail_on: Severity | None
) -> list[int]:
    """Return the exit codes of warnings and alerts that count; say what they are."""
    codes = []
    for overview in overviews:
        for severity, sentence in concerns_of(overview):
            if fail_on == "warning" or fail_on == severity:
                codes.append(CODE_OF_SEVERITY[severity])
                log.warning(
                    "%s: %s: %s",
                    overview.name,
                    severity,
                    sentence,
                    extra={"model": overview.name, "severity": severity},
                )
    return codes


def n_stages(config: NightlyConfig) -> int:
    """Return how many stages a run's progress has."""
    return N_STAGES * len(config.models) + 2


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


def _run_and_store(
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
        run = run_model(
            store, config.job, settings, config.notify, until=until, progress=progress
        )
        code, summary = _outcome(run, dry_run=dry_run)
        if store is not None and not dry_run:
            save_run(store, settings.name, run.record)
        for remark in run.remarks:
            log.warning(
                "%s: %s.",
                settings.name,
                config.redact(remark),
                extra={"model": settings.name},
            )
    except DataError as error:
        code, summary = BAD_DATA, config.redact(str(error))
    except ConfigurationError as error:
        code, summary = MISUSED, config.redact(str(error))
    except StoreUnavailable:
        raise
    except OSError as error:
        code, summary = CRASHED, config.redact(str(error))
    except Exception:  # a bug: the other models are still to be done
        code, summary = CRASHED, config.redact(traceback.format_exc())
    if code not in WENT_WELL:
        wait_if_ending()  # a failure for want of temporary files is none of the model's
    level = logging.INFO if code in (RAN, NOTHING_NEW) else logging.ERROR
    log.log(
        level,
        "%s: %s",
        settings.name,
        summary,
        extra={"model": settings.name, "exit_code": code},
    )
    if store is not None and not dry_run:
        _tell_of_failure(config, store, settings.name, code, summary)
        log_run(
            store,
            settings.name,
            started=started.isoformat(),
            ended=datetime.now(UTC).isoformat(),
            exit_code=code,
            summary=summary,
        )
    return code


def _tell_of_failure(
    config: NightlyConfig, store: Store, model: str, code: int, summary: str
) -> None:
    """Keep a message if a model's run has failed, or works again: once, not nightly."""
    before = last_exit_code(store, model)
    went_well = code in WENT_WELL
    was_well = before is None or before in WENT_WELL
    if "failure" not in config.notify.on or went_well == was_well:
        return
    # Of a traceback the last line says what it is.
    lines = summary.strip().splitlines() or [""]
    text = lines[-1] if lines[0].startswith("Traceback") else lines[0]
    if went_well:
        text = "works again"
    else:
        text = f"the run failed with exit code {code}: {text}"
    notice = Notice(model=model, about="failure", sentence=text, is_over=went_well)
    add_message(store, model, json.dumps(message_to_json(notice)))


def _outcome(run: ModelRun, *, dry_run: bool) -> tuple[int, str]:
    written = run.n_changed or run.n_restated or run.record.messages
    if not written and not run.is_refitted:
        return NOTHING_NEW, "nothing new"
    would = "would touch" if dry_run else "touched"
    chunks = "1 chunk" if run.n_changed == 1 else f"{run.n_changed:,} chunks"
    summary = f"{would} {chunks}, {run.n_restated:,} results written"
    return RAN, summary


def _try(config: NightlyConfig, task: Callable[[], object]) -> int:
    """Do what follows a run; what cannot be done keeps nothing else from being done.

    Returns
    -------
    int
        CRASHED, or NOTHING_NEW, which is never the gravest of several codes.
    """
    try:
        task()
    except (OSError, NotificationError, StoreLocked) as error:
        log.error(config.redact(str(error)))  # noqa: TRY400
        return CRASHED
    return NOTHING_NEW


def _post(config: NightlyConfig, store: Store) -> None:
    """Post the messages that wait; where nobody is told, they are done with.

    Only one run posts at a time, and a message counts as sent when it has been taken:
    so it is never lost, and posted twice only by a run that dies in between.
    """
    names = list(config.models)
    if not unsent_messages(store, names):
        return
    with posting_lease(store):
        # Another run may have posted them, and left others, until the lock was free.
        waiting = unsent_messages(store, names)
        if not waiting:
            return
        if config.notify.webhook is not None:
            changes = [message_from_json(content) for _, content in waiting]
            report = config.job.report
            page = config.notify.report_url
            if page is None and report is not None:
                page = str(report / "index.html")
            try:
                post_webhook(config.notify.webhook, slack_message(changes, report=page))
            except NotificationError as error:
                msg = f"{error} The message is tried again after the next run."
                raise NotificationError(msg) from None
        mark_sent(store, [number for number, _ in waiting])


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
    ended = last_success(store, model)
    return float("nan") if ended is None else datetime.fromisoformat(ended).timestamp()


def _gravest(codes: Sequence[int]) -> int:
    return min(codes, key=GRAVITY.index)
