"""Errors and remarks at a terminal: one line on stderr, and an exit code."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

import click

from estimator.operations.errors import ConfigurationError, DataError
from estimator.operations.exit_codes import BAD_DATA
from estimator.operations.terminal import printable


class BadData(click.ClickException):
    """A file does not hold what the job needs."""

    exit_code = BAD_DATA


@contextmanager
def reported_errors() -> Iterator[None]:
    """Turn what a user can mend into one line on stderr and an exit code."""
    with warnings.catch_warnings():
        warnings.showwarning = _show_warning
        try:
            yield
        except DataError as error:
            raise BadData(printable(str(error))) from error
        except (ConfigurationError, ModuleNotFoundError) as error:
            raise click.UsageError(printable(str(error), but="\n")) from error
        except BrokenPipeError:
            raise
        except OSError as error:
            raise click.ClickException(printable(str(error))) from error


def message(text: str) -> None:
    """Say something to the user; stdout is for data."""
    click.echo(printable(text), err=True)


def _show_warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    click.echo(printable(f"Warning: {message}"), err=True)
