"""The log of the nightly job's commands, and how errors end them."""

import logging
import sys
import traceback
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, TextIO

import click

from estimator.operations.errors import ConfigurationError, DataError, StoreLocked
from estimator.operations.exit_codes import BAD_DATA, CRASHED, LOCKED
from estimator.operations.terminal import TextLines, printable

if TYPE_CHECKING:
    from estimator.operations.config.settings import NightlyConfig


JSON = "json"
log = logging.getLogger("deadreckon")


@contextmanager
def logged_errors(settings: "NightlyConfig") -> Iterator[None]:
    """Turn errors into one line and an exit code; no secret is in either."""
    try:
        yield
    except click.ClickException:
        raise
    except StoreLocked as error:
        exit_with(settings.redact(str(error)), LOCKED)
    except DataError as error:
        exit_with(settings.redact(str(error)), BAD_DATA)
    except (ConfigurationError, ModuleNotFoundError) as error:
        text = printable(settings.redact(str(error)), but="\n")
        raise click.UsageError(text) from error
    except BrokenPipeError:  # nobody reads the output any more
        raise
    except OSError as error:
        exit_with(settings.redact(str(error)), CRASHED)
    except Exception:  # a bug is told as it is, but for secrets
        exit_with(settings.redact(traceback.format_exc()), CRASHED)


def exit_with(text: str, code: int) -> None:
    """Log an error, and end the process with an exit code."""
    log.error(text, extra={"process_exit_code": code})
    sys.exit(code)


@contextmanager
def command_logging(*, as_json: bool, informed: bool) -> Iterator[None]:
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
        exit_with(error.format_message(), error.exit_code)
    except Exception:  # a bug
        if not as_json:
            raise
        exit_with(traceback.format_exc(), CRASHED)
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
