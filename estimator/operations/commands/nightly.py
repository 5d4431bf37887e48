"""The commands of the nightly job: ``run``, ``status`` and ``report``."""

import json
import logging
import sys
import traceback
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

import click

from estimator.operations import exit_codes
from estimator.operations.errors import ConfigurationError, DataError, StoreLocked
from estimator.operations.exit_codes import (
    ALERT,
    BAD_DATA,
    CRASHED,
    LOCKED,
    WARNING,
    WENT_WELL,
)
from estimator.operations.terminal import (
    TextLines,
    format_performance,
    format_verdicts,
    printable,
)
from estimator.progress import Progress

if TYPE_CHECKING:
    import pandas as pd

    from estimator.operations.config.settings import NightlyConfig

JSON = "json"
SHOWN_CHUNKS = 10
CONFIG = click.argument(
    "config", type=click.Path(path_type=Path), metavar="CONFIG.toml"
)
AS_OF = click.option(
    "--as-of", metavar="TIME", help="Look back: what was believed then."
)
log = logging.getLogger("deadreckon")


class LoggedCommand(click.Command):
    """A command that logs errors in its arguments, too, where JSON is asked for."""

    def make_context(
        self, info_name: str | None, args: list[str], *rest: Any, **extra: Any
    ) -> click.Context:
        """Read the arguments."""
        asked = " ".join(args).replace("=", " ")
        with _spoken(as_json=f"--log-format {JSON}" in asked, informed=False):
            return super().make_context(info_name, args, *rest, **extra)


@click.command(cls=LoggedCommand, epilog=exit_codes.HELP)
@CONFIG
@click.option("--check", is_flag=True, help="Look at the configuration, touch nothing.")
@click.option("--dry-run", is_flag=True, help="Say what would change, change nothing.")
@click.option(
    "--as-of",
    metavar="TIME",
    help="Count only rows and labels up to this time, as for a backfill: an ISO date "
    "or time on the data's clock; a date is its end.",
)
@click.option(
    "--fail-on",
    type=click.Choice(["warning", "alert"]),
    help="Exit with 10 or 20 from this gravity on.",
)
@click.option(
    "--log-format",
    type=click.Choice(["text", JSON]),
    default="text",
    show_default=True,
    help="json: one object a line, also where nothing is wrong.",
)
@click.option(
    "--schema",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=lambda context, _, asked: _print_schema(context, asked=asked),
    help="Print the configuration's JSON schema, for editors.",
)
@click.option("--verbose", "-v", is_flag=True, help="Say what was done, also to a log.")
def run(
    *,
    config: Path,
    check: bool,
    dry_run: bool,
    as_of: str | None,
    fail_on: Any,
    log_format: str,
    verbose: bool,
) -> None:
    """Run the nightly job that a configuration file describes.

    Reads new predictions and late labels, estimates, reconciles, judges, stores, draws
    the pages, notifies, and leaves. Safe to run again at any time: what is stored
    depends on the data alone.
    """
    shown = verbose or dry_run or sys.stderr.isatty()
    as_json = log_format == JSON
    with _spoken(as_json=as_json, informed=shown or check or as_json):
        settings = _load(config)
        if check:
            with _guarded(settings):
                from estimator.operations.nightly.inspection import inspect_job

                for remark in inspect_job(settings):
                    log.warning("%s.", settings.redact(remark))
            log.info("%s is sound: %s.", config, _models(settings))
            _say_end(0, as_json=as_json)
            return
        with _guarded(settings):
            from estimator.operations.nightly.job import n_stages, run_job

            bar = None if as_json else sys.stderr
            with Progress(n_stages(settings), bar) as progress:
                code = run_job(
                    settings,
                    until=_moment(as_of),
                    dry_run=dry_run,
                    fail_on=fail_on,
                    progress=progress,
                )
        report = settings.job.report
        if report is not None and not dry_run and code in (*WENT_WELL, WARNING, ALERT):
            log.info("Pages: %s", report / "index.html")
        _say_end(code, as_json=as_json)
    sys.exit(code)


def _say_end(code: int, *, as_json: bool) -> None:
    """End a log for machines with the exit code of the process, whatever it is."""
    if as_json:
        log.info("Ended with exit code %d.", code, extra={"process_exit_code": code})


@click.command()
@CONFIG
@AS_OF
@click.option("--model", help="Only this one.")
@click.option("--metric", "metrics", multiple=True, help="Only this one; repeatable.")
@click.option(
    "--segment",
    "segments",
    multiple=True,
    help='Only this one, such as region=north, or "" for all rows; repeatable.',
)
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", JSON]),
    default="text",
    show_default=True,
    help="json: a list of models, with all chunks; fields stay what they are.",
)
def status(
    *,
    config: Path,
    as_of: str | None,
    model: str | None,
    metrics: tuple[str, ...],
    segments: tuple[str, ...],
    form: str,
) -> None:
    """Say what was last said of each model."""
    settings = _load(config)
    with _guarded(settings):
        print_status(settings, as_of, model, metrics, segments, as_json=form == JSON)


def print_status(
    settings: "NightlyConfig",
    as_of: str | None = None,
    model: str | None = None,
    metrics: tuple[str, ...] = (),
    segments: tuple[str, ...] = (),
    *,
    as_json: bool = False,
) -> None:
    """Print verdicts and the newest chunks of each model.

    Parameters
    ----------
    settings : NightlyConfig
    as_of, model : str, optional
        Time to look back to; the only model.
    metrics, segments : tuple of str, default=()
        Only these; none: all.
    as_json : bool, default=False
        Print `estimator.operations.commands.status_json` instead of text.
    """
    from estimator.charts.newest_chunk import unfinished_chunk
    from estimator.operations.commands.status_json import status_of

    found = _overviews(settings, as_of, model)
    if as_json:
        told = []
        for overview in found:
            _check_filter(overview, metrics, segments)
            told.append(status_of(overview, metrics, segments or None))
        click.echo(json.dumps(told, indent=2, allow_nan=False))
        return
    for overview in found:
        _check_filter(overview, metrics, segments)
        click.echo(f"{overview.name}, as of {overview.as_of:%Y-%m-%d %H:%M}")
        for warning in overview.warnings:
            click.echo(f"  Warning: {warning}.")
        sentences = format_verdicts(
            {
                segment: {
                    metric: verdict
                    for metric, verdict in by_metric.items()
                    if not metrics or metric in metrics
                }
                for segment, by_metric in overview.verdicts.items()
                if not segments or segment in segments
            }
        )
        if sentences:
            click.echo(sentences)
        frame = overview.performance.to_frame()
        overall = frame[frame["segment"].isin(segments or ("",))]
        if metrics:
            overall = overall[overall["metric"].isin(metrics)]
        analysis = overall[overall["period"] == "analysis"]
        newest = analysis["chunk"].unique()[-SHOWN_CHUNKS:]
        recent = (overall["period"] == "reference") | overall["chunk"].isin(newest)
        begun = unfinished_chunk(overview.performance)
        click.echo(f"\n{format_performance(overall[recent], unfinished=begun)}\n")


def _check_filter(
    overview: Any, metrics: tuple[str, ...], segments: tuple[str, ...]
) -> None:
    """Refuse metrics and segments that a model does not have."""
    performance = overview.performance
    for option, asked, there in (
        ("--metric", metrics, performance.metrics),
        ("--segment", segments, performance.segments),
    ):
        unknown = [name for name in asked if name not in there]
        if unknown:
            msg = (
                f"{option} must be one of {', '.join(map(repr, there))} for "
                f"{overview.name}, got {unknown[0]!r}."
            )
            raise click.UsageError(msg)


@click.command()
@CONFIG
@AS_OF
@click.option(
    "--output-dir",
    type=click.Path(path_type=Path),
    help="Folder of the pages.  [default: as configured]",
)
def report(*, config: Path, as_of: str | None, output_dir: Path | None) -> None:
    """Draw the pages again from what is stored."""
    settings = _load(config)
    folder = output_dir or settings.job.report
    if folder is None:
        msg = (
            f"{config} names no folder for the pages. Give --output-dir, or add "
            '`report = "report"` to [job].'
        )
        raise click.UsageError(msg)
    with _guarded(settings):
        from estimator.operations.nightly.job import write_pages

        overviews = list(_overviews(settings, as_of, None))
        written = write_pages(settings, overviews, folder)
    click.echo(f"{len(written)} pages; open {folder / 'index.html'}", err=True)


def _overviews(
    settings: "NightlyConfig", as_of: str | None, model: str | None
) -> Iterator[Any]:
    from estimator.operations.nightly.overview import load_overview
    from estimator.operations.store.connection import is_there, open_store

    moment = _moment(as_of)
    if model is not None and model not in settings.models:
        msg = f"There is no model {model!r} in {settings.path}; {_models(settings)}."
        raise click.UsageError(msg)
    with open_store(settings.job.store) as store:
        if not is_there(store):
            msg = f"There is no store {store.where} yet. `deadreckon run` makes it."
            raise click.UsageError(msg)
        for name in [model] if model else settings.models:
            overview = load_overview(store, name, moment)
            if overview is None:
                when = "" if as_of is None else f" by {as_of}"
                click.echo(f"{name}: nothing has been said{when}.", err=True)
            else:
                yield overview


def _moment(text: str | None) -> "pd.Timestamp | None":
    from estimator.operations.data_time import parse_moment

    return None if text is None else parse_moment(text)


def _load(path: Path) -> "NightlyConfig":
    from estimator.operations.config.settings import load_config

    try:
        return load_config(path)
    except (ConfigurationError, ModuleNotFoundError) as error:
        raise click.UsageError(printable(str(error), but="\n")) from error


def _models(settings: "NightlyConfig") -> str:
    n = len(settings.models)
    return f"{n} model{'' if n == 1 else 's'}: {', '.join(settings.models)}"


@contextmanager
def _guarded(settings: "NightlyConfig") -> Iterator[None]:
    """Turn errors into one line and an exit code; no secret is in either."""
    try:
        yield
    except click.ClickException:
        raise
    except StoreLocked as error:
        _leave(settings.redact(str(error)), LOCKED)
    except DataError as error:
        _leave(settings.redact(str(error)), BAD_DATA)
    except (ConfigurationError, ModuleNotFoundError) as error:
        text = printable(settings.redact(str(error)), but="\n")
        raise click.UsageError(text) from error
    except BrokenPipeError:  # nobody reads the output any more
        raise
    except OSError as error:
        _leave(settings.redact(str(error)), CRASHED)
    except Exception:  # a bug is told as it is, but for secrets
        _leave(settings.redact(traceback.format_exc()), CRASHED)


def _leave(text: str, code: int) -> None:
    log.error(text, extra={"process_exit_code": code})
    sys.exit(code)


@contextmanager
def _spoken(*, as_json: bool, informed: bool) -> Iterator[None]:
    """Send the log and warnings to stderr for the time of a command.

    As JSON, errors in usage and configuration are lines of the log, too.
    """
    handler = logging.StreamHandler(sys.stderr)
    formatter: logging.Formatter = TextLines()
    if as_json:
        from estimator.operations.notifications.json_log import JsonLines

        formatter = JsonLines()
    handler.setFormatter(formatter)
    before = log.level, log.propagate
    log.setLevel(logging.INFO if informed else logging.WARNING)
    log.propagate = False
    log.addHandler(handler)
    try:
        with warnings.catch_warnings():
            warnings.showwarning = _log_warning
            yield
    except click.ClickException as error:
        if not as_json:
            raise
        _leave(error.format_message(), error.exit_code)
    except Exception:  # a bug
        if not as_json:
            raise
        _leave(traceback.format_exc(), CRASHED)
    finally:
        log.removeHandler(handler)
        log.setLevel(before[0])
        log.propagate = before[1]


def _log_warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    log.warning("%s", message)


def _print_schema(context: click.Context, *, asked: bool) -> None:
    if not asked:
        return
    from estimator.operations.config.settings import config_schema

    click.echo(json.dumps(config_schema(), indent=2))
    context.exit()
