"""Log lines that machines read."""

import json
import logging
import math
import numbers
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any


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
        entry: dict[str, Any] = {
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


def _jsonable(value: Any, depth: int = 0) -> Any:
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
