"""A result as a tidy frame and as plain types for JSON."""

from collections.abc import Mapping
from types import EllipsisType
from typing import TypedDict

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from estimator.frames.datetimes import iso_format

Floats = NDArray[np.float64]
Columns = Mapping[str, np.ndarray]

KEY_COLUMNS = ("segment", "period", "chunk", "start", "end")
METRIC_COLUMNS = (
    "value",
    "lower",
    "upper",
    "expected_lower",
    "expected_upper",
    "standard_error",
    "estimated",
    "realized",
    "lower_threshold",
    "upper_threshold",
    "breach_probability",
    "alert",
    "trust",
    "note",
)


class ChunkDict(TypedDict):
    """One segment, period and chunk of a result in plain types.

    Times are ISO 8601 texts, row positions, or None where they are not known. Each
    metric has an entry per name in ``METRIC_COLUMNS``.
    """

    segment: str
    period: str
    chunk: str | int
    start: str | int | None
    end: str | int | None
    n_rows: int
    n_labels: int
    metrics: dict[str, dict[str, float | bool | str | None]]


class ResultDict(TypedDict):
    """A result in plain types, as `Performance.to_dict` returns it."""

    metrics: list[str]
    level: float
    timezone: str | None
    chunks: list[ChunkDict]


def tidy_frame(
    columns: Columns,
    metrics: tuple[str, ...],
    data_zone: str | None,
    timezone: str | EllipsisType | None,
) -> pd.DataFrame:
    """Return one row per chunk and metric: see `Performance.to_frame`.

    Parameters
    ----------
    columns : mapping of str to ndarray
        Columns of a `Performance`, by name.
    metrics : tuple of str
        Names of the columns of two-dimensional arrays.
    data_zone : str or None
        Time zone of the data.
    timezone : str, None or ...
        Time zone to show; ``...``: that of the data.

    Raises
    ------
    ValueError
        If ``timezone`` is a name and the data's times have no zone.
    """
    if isinstance(timezone, str) and data_zone is None:
        msg = (
            "`timezone` must be left out or None where the data's times have no "
            f"zone, got {timezone!r}. Give the timestamps a zone before `fit`."
        )
        raise ValueError(msg)
    k = len(metrics)
    repeated = {name: _repeat(columns[name], k) for name in KEY_COLUMNS}
    tidy: dict[str, object] = {**repeated}
    if data_zone is not None:
        zone = timezone if isinstance(timezone, str) else data_zone
        for name in ("start", "end"):
            utc = pd.DatetimeIndex(repeated[name]).tz_localize("UTC")
            times = utc.tz_convert(zone)
            tidy[name] = times.tz_localize(None) if timezone is None else times
    tidy["metric"] = list(metrics) * columns["chunk"].size
    tidy["n_rows"] = np.repeat(columns["n_rows"], k)
    tidy["n_labels"] = np.repeat(columns["n_labels"], k)
    for name in METRIC_COLUMNS:
        tidy[name] = columns[name].ravel()
    return pd.DataFrame(tidy)


def plain_chunks(
    columns: Columns, metrics: tuple[str, ...], data_zone: str | None
) -> list[ChunkDict]:
    """Return one dict of plain types per chunk: see `Performance.to_dict`.

    Parameters
    ----------
    columns, metrics, data_zone
        As of `tidy_frame`.
    """
    start = _plain_times(columns["start"], data_zone)
    end = _plain_times(columns["end"], data_zone)
    numbers = {
        name: _finite_or_none(columns[name])
        if columns[name].dtype.kind == "f"
        else columns[name].tolist()
        for name in METRIC_COLUMNS
    }
    return [
        {
            "segment": columns["segment"][i],
            "period": columns["period"][i],
            "chunk": label,
            "start": start[i],
            "end": end[i],
            "n_rows": int(columns["n_rows"][i]),
            "n_labels": int(columns["n_labels"][i]),
            "metrics": {
                metric: {name: column[i][k] for name, column in numbers.items()}
                for k, metric in enumerate(metrics)
            },
        }
        for i, label in enumerate(_repeat(columns["chunk"], 1).tolist())
    ]


def _plain_times(times: np.ndarray, data_zone: str | None) -> list[str | int | None]:
    if times.dtype.kind != "M":
        return list(times.tolist())
    texts = iso_format(times, data_zone, "us")
    missing = np.isnat(times).tolist()
    return [None if m else t for t, m in zip(texts, missing, strict=True)]


def _finite_or_none(values: Floats) -> list[list[float | None]]:
    """Return rows of floats; what is not finite becomes None, for JSON has no word."""
    plain = values.astype(object)
    plain[~np.isfinite(values)] = None
    rows: list[list[float | None]] = plain.tolist()
    return rows


def _repeat(column: np.ndarray, k: int) -> np.ndarray:
    """Repeat each element ``k`` times; chunk numbers come out as integers."""
    repeated = np.repeat(column, k)
    if column.dtype == object and set(map(type, column.tolist())) == {int}:
        return repeated.astype(np.int64)
    return repeated
