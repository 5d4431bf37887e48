"""``deadreckon run``: the nightly job."""

import json
import sys
from pathlib import Path
from typing import Any

import click

from estimator.operations import exit_codes
from estimator.operations.commands.command_log import (
    JSON,
    command_logging,
    log,
    logged_errors,
)
from estimator.operations.commands.option_values import (
    CONFIG,
    list_models,
    load_settings,
    moment_of,
)
from estimator.operations.exit_codes import ALERT, WARNING, WENT_WELL
from estimator.progress import Progress


class LoggedCommand(click.Command):
    """A command that logs errors in its arguments, too, where JSON is asked for."""

    def make_context(
        self,
        info_name: str | None,
        args: list[str],
        parent: click.Context | None = None,
        **extra: Any,
    ) -> click.Context:
        """Read the arguments."""
        asked = " ".join(args).replace("=", " ")
        with command_logging(as_json=f"--log-format {JSON}" in asked, informed=False):
            return super().make_context(info_name, args, parent, **extra)


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
    type=click.Choice(exit_codes.SEVERITIES),
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
    fail_on: exit_codes.Severity | None,
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
    with command_logging(as_json=as_json, informed=shown or check or as_json):
        settings = load_settings(config)
        if check:
            with logged_errors(settings):
                from estimator.operations.nightly.inspection import inspect_job

                for remark in inspect_job(settings):
                    log.warning("%s.", settings.redact(remark))
            log.info("%s is sound: %s.", config, list_models(settings))
            _say_end(0, as_json=as_json)
            return
        with logged_errors(settings):
            from estimator.operations.nightly.job import n_stages, run_job

            bar = None if as_json else sys.stderr
            with Progress(n_stages(settings), bar) as progress:
                code = run_job(
                    settings,
                    until=moment_of(as_of),
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


def _print_schema(context: click.Context, *, asked: bool) -> None:
    if not asked:
        return
    from estimator.operations.config.settings import config_schema

    click.echo(json.dumps(config_schema(), indent=2))
    context.exit()
