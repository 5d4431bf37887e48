"""Tables from and to files: only the columns needed, whole or not at all."""

import os
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from difflib import get_close_matches
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from estimator.files.atomic import replacing
from estimator.files.optional_packages import install_hint
from estimator.operations.sources.files import csv_text
from estimator.operations.sources.files.csv_header import (
    PARQUET_MAGIC,
    check_csv_header,
    check_last_line,
    first_line,
    starts_with,
)
from estimator.operations.sources.files.file_endings import (
    CSV,
    JSON,
    PARQUET,
    check_ending,
    ending,
)

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow.parquet as pq


def read_frame(
    path: str | os.PathLike[str],
    columns: Sequence[str],
    *,
    optional: Sequence[str] = (),
    kinds: Mapping[str, str] | None = None,
    may_be_empty: bool = False,
) -> "pd.DataFrame":
    """Read the named columns of a Parquet or CSV file.

    Parameters
    ----------
    path : path-like
        Ends in ``.parquet``, ``.pq``, ``.csv`` or ``.csv.gz``.
    columns : sequence of str
        Columns that must be there; no others are read.
    optional : sequence of str, default=()
        Columns that are read where they are there.
    kinds : mapping of str to str, optional
        By column, as what the texts of a CSV file are read: "number", "text" or "time"
        (`estimator.operations.sources.files.csv_text`). A column that is not named
        holds numbers if all its cells are numbers, else texts.
    may_be_empty : bool, default=False
        Whether a file without rows is fine.

    Returns
    -------
    DataFrame
        The columns in the order asked for.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If the file is empty, truncated, not what its ending says, lacks a column or
        has a column twice.
    ModuleNotFoundError
        If pyarrow is missing and the file is Parquet.
    """
    path = Path(path)
    if not path.exists():
        msg = f"{path}: no such file{_nearest_file(path)}."
        raise FileNotFoundError(msg)
    if not path.is_file():
        msg = f"{path} is not a file. Name one Parquet or CSV file."
        raise ValueError(msg)
    check_ending(path, PARQUET + CSV)
    if path.stat().st_size == 0:
        msg = f"{path} is empty (0 bytes). Write it again."
        raise ValueError(msg)
    columns, optional = list(dict.fromkeys(columns)), list(dict.fromkeys(optional))
    if ending(path) in PARQUET:
        frame = _read_parquet(path, columns, optional)
    else:
        frame = _read_csv(path, columns, optional, kinds or {})
    if frame.empty and not may_be_empty:
        msg = f"{path} has columns but no rows. Nothing can be computed from it."
        raise ValueError(msg)
    return frame


def write_frame(frame: "pd.DataFrame", path: str | os.PathLike[str]) -> None:
    """Write a frame as Parquet, CSV or JSON (records), whole or not at all.

    Raises
    ------
    ValueError
        If the ending is not known.
    ModuleNotFoundError
        If pyarrow is missing and the file is Parquet.
    """
    path = Path(path)
    check_ending(path, PARQUET + CSV + JSON)
    if ending(path) in PARQUET:
        require_pyarrow(path)
    with replacing(path) as temporary:
        if ending(path) in PARQUET:
            frame.to_parquet(temporary, engine="pyarrow", index=False)
        elif ending(path) in CSV:
            frame.to_csv(temporary, index=False)
        else:
            frame.to_json(
                temporary, orient="records", date_format="iso", double_precision=15
            )


def require_pyarrow(path: Path) -> None:
    """Refuse a Parquet file where nothing can read or write it.

    Raises
    ------
    ModuleNotFoundError
        If pyarrow is missing; it comes with the ``job`` extra.
    """
    if find_spec("pyarrow") is None:
        msg = f"{path}: Parquet needs pyarrow. {install_hint('job')} Or use CSV."
        raise ModuleNotFoundError(msg)


def check_columns(
    where: Path | str,
    names: Sequence[str],
    columns: Sequence[str],
    optional: Sequence[str],
) -> list[str]:
    """Return what to read: ``columns``, and those of ``optional`` that are there.

    Parameters
    ----------
    where : Path or str
        Where the columns are, for messages.
    names : sequence of str
        Names of the columns that there are.
    columns, optional : sequence of str
        Columns that must be there, and that may be.

    Raises
    ------
    ValueError
        If a column is missing, or there twice.
    """
    missing = [name for name in columns if name not in names]
    if missing:
        nearest = {
            name: get_close_matches(name, names, n=3, cutoff=0.5) for name in missing
        }
        hints = [
            f"`{name}` (nearest: {', '.join(near)})" if near else f"`{name}`"
            for name, near in nearest.items()
        ]
        shown = ", ".join(names[:20]) + (", …" if len(names) > 20 else "")
        msg = (
            f"{where} has no column {' and no '.join(hints)}. "
            f"Name one that it has: {shown}."
        )
        raise ValueError(msg)
    wanted = list(dict.fromkeys([*columns, *(c for c in optional if c in names)]))
    twice = [name for name in wanted if names.count(name) > 1]
    if twice:
        msg = (
            f"{where}: column names must be unique, but `{twice[0]}` is there "
            f"{names.count(twice[0])} times. Rename or drop one."
        )
        raise ValueError(msg)
    return wanted


@contextmanager
def _parquet_file(path: Path) -> Iterator["pq.ParquetFile"]:
    """Open a Parquet file; whatever is wrong with it becomes one clear error."""
    require_pyarrow(path)
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as file:
            yield file
    except (pa.ArrowException, OSError) as error:
        if starts_with(path, PARQUET_MAGIC):
            msg = (
                f"{path} is truncated or damaged: it begins as a Parquet file, but "
                f"cannot be read to its end ({first_line(error)}). Write it again."
            )
        else:
            msg = (
                f"{path} is not a Parquet file, whatever its ending says "
                f"({first_line(error)}). Rename it to what it is, or write it again."
            )
        raise ValueError(msg) from error


def _read_parquet(
    path: Path, columns: list[str], optional: list[str]
) -> "pd.DataFrame":
    with _parquet_file(path) as file:
        names = list(file.schema_arrow.names)
        wanted = check_columns(path, names, columns, optional)
        # A pandas index in the metadata would come along though nobody named it.
        table = file.read(columns=wanted)
        frame: pd.DataFrame = table.to_pandas(ignore_metadata=True)
    return frame[wanted]


def _read_csv(
    path: Path, columns: list[str], optional: list[str], kinds: Mapping[str, str]
) -> "pd.DataFrame":
    import pandas as pd

    names = check_csv_header(path)
    wanted = check_columns(path, names, columns, optional)
    if ending(path) == ".csv":
        check_last_line(path, len(names))
    try:
        texts = pd.read_csv(
            path, usecols=wanted, dtype=str, keep_default_na=False, encoding="utf-8-sig"
        )
    except (ValueError, EOFError, OSError, zlib.error) as error:
        # ParserError and UnicodeDecodeError are ValueErrors
        msg = (
            f"{path} cannot be read as CSV: it is truncated, damaged or not CSV "
            f"({first_line(error)}). Write it again."
        )
        raise ValueError(msg) from error
    try:
        return pd.DataFrame(
            {name: _read_as(texts[name], kinds.get(name)) for name in wanted}
        )
    except ValueError as error:
        msg = f"{path}: {error}"
        raise ValueError(msg) from error


def _read_as(texts: "pd.Series", kind: str | None) -> "pd.Series":
    """Return a column of a CSV file as what it is used for."""
    if kind == "time":
        return csv_text.read_times(texts)
    if kind == "text":
        return csv_text.read_texts(texts)
    try:
        return csv_text.read_numbers(texts)
    except ValueError:
        if kind == "number":
            raise
        return csv_text.read_texts(texts)


def _nearest_file(path: Path) -> str:
    if not path.parent.is_dir():
        return f" (there is no folder {path.parent} either)"
    names = [entry.name for entry in path.parent.iterdir()]
    near = get_close_matches(path.name, names, n=3)
    return f" (nearest: {', '.join(near)})" if near else ""
