"""The log of the nightly job's commands, and how errors end them."""

import json
import logging
import math
import numbers
import sys
import traceback
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
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


class JsonLines(logging.Formatter):
    """One JSON object a line: time, level, message and what ``extra`` adds.

    The time is UTC in ISO 8601. A traceback is the field ``exception``. What JSON does
    not know becomes text; NaN and infinity become null. Extra fields that are called
    like one of ours get an underscore behind their name.

    Examples
    --------
    >>> record = logging.makeLogRecord(
    ...     {"msg": "%d rows", "args": (3,), "levelname": "INFO", "created": 0.0,
    ...      "model": "credit", "value": float("nan")}
    ... )
    >>> print(JsonLines().format(record))
    {"time": "1970-01-01T00:00:00.000+00:00", "level": "INFO", "message": "3 rows", \
"model": "credit", "value": null}
    """

    def format(self, record: logging.LogRecord) -> str:
        """Return the record as one line."""
        time = datetime.fromtimestamp(record.created, UTC)
        entry: dict[str, object] = {
            "time": time.isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "message": record.getMessage(),
        }
        if record.exc_info:
            entry["exception"] = self.formatException(record.exc_info)
        if record.stack_info:
            entry["stack"] = self.formatStack(record.stack_info)
        for name, value in vars(record).items():
            if name not in _RECORD_FIELDS:
                entry[f"{name}_" if name in entry else name] = _jsonable(value)
        # ASCII: neither a locale nor U+2028 can break the line.
        return json.dumps(entry, allow_nan=False)


_RECORD_FIELDS = {*vars(logging.makeLogRecord({})), "message", "asctime", "taskName"}
_DEEPEST = 8  # levels; deeper there is text, and what contains itself ends


def _jsonable(value: object, depth: int = 0) -> object:
    """Return what JSON can hold; numbers of NumPy are numbers."""
    if value is None or isinstance(value, bool | str):
        return value
    if isinstance(value, numbers.Integral):
        return int(value)
    if isinstance(value, numbers.Real):
        return float(value) if math.isfinite(value) else None
    if depth < _DEEPEST and isinstance(value, Mapping):
        return {str(key): _jsonable(x, depth + 1) for key, x in value.items()}
    if depth < _DEEPEST and isinstance(value, list | tuple | set | frozenset):
        return [_jsonable(x, depth + 1) for x in value]
    return str(value)
