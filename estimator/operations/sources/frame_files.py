"""Tables from and to files: only the columns needed, whole or not at all."""

import csv
import gzip
import os
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from difflib import get_close_matches
from importlib.util import find_spec
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from estimator.files.atomic import replacing
from estimator.files.optional_packages import install_hint
from estimator.operations.sources import csv_text

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow.parquet as pq

PARQUET = (".parquet", ".pq")
CSV = (".csv", ".csv.gz")
CSV_OF_JOB = (*CSV, ".csv.zst")  # DuckDB unpacks more than Python does
JSON = (".json",)
MAGIC = b"PAR1"
GZIP_MAGIC = b"\x1f\x8b"
TAIL_BYTES = 65_536


def ending(path: Path) -> str:
    """Return what the file's name says about its format, in lower case."""
    name = path.name.lower()
    return ".csv.gz" if name.endswith(".csv.gz") else path.suffix.lower()


def check_ending(path: Path, known: Sequence[str]) -> None:
    """Refuse a file name whose ending is not in ``known``.

    Raises
    ------
    ValueError
        If the ending is none of them.
    """
    if ending(path) not in known:
        msg = (
            f"{path}: the ending must be one of {', '.join(known)}, "
            f"got {ending(path) or 'none'!r}."
        )
        raise ValueError(msg)


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
        (`estimator.operations.sources.csv_text`). A column that is not named holds
        numbers if all its cells are numbers, else texts.
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


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelJoin:
    """An analysis frame with its labels, and what did not match.

    Attributes
    ----------
    frame : DataFrame
        The analysis rows in their order, with the label column (NaN: no label yet).
    n_labelled : int
        Analysis rows that found a label.
    n_unlabelled : int
        Analysis rows that found none.
    n_unknown : int
        Labels that belong to no analysis row.
    """

    frame: "pd.DataFrame"
    n_labelled: int
    n_unlabelled: int
    n_unknown: int


def join_labels(
    analysis: "pd.DataFrame", targets: "pd.DataFrame", *, row_id: str, y_true: str
) -> LabelJoin:
    """Give every analysis row its label, by row id.

    Parameters
    ----------
    analysis : DataFrame
        Predictions; ``row_id`` is unique in it.
    targets : DataFrame
        Labels. A row may be delivered twice if both times say the same.
    row_id, y_true : str
        Names of the columns with the row id and the label.

    Returns
    -------
    LabelJoin
        The joined frame and the counts.

    Raises
    ------
    ValueError
        If ids repeat in ``analysis``, have two labels in ``targets``, or are numbers
        in one and text in the other.
    """
    import numpy as np  # heavy, and the command line imports this module for --help

    known = targets.loc[targets[row_id].notna() & targets[y_true].notna()]
    _check_same_kind(analysis[row_id], known[row_id], row_id)
    repeated = analysis[row_id].duplicated() & analysis[row_id].notna()
    if repeated.any():
        first = analysis.loc[repeated, row_id].tolist()[0]
        msg = (
            f"`{row_id}` must be unique among the analysis rows, but {repeated.sum()} "
            f"of {len(analysis)} repeat an earlier one (first: {first!r}). "
            "Name a column that identifies the row, not a customer."
        )
        raise ValueError(msg)
    pairs = known[[row_id, y_true]].drop_duplicates()
    contradicted = pairs[row_id].duplicated()
    if contradicted.any():
        first = pairs.loc[contradicted, row_id].tolist()[0]
        values = pairs.loc[pairs[row_id] == first, y_true].tolist()
        msg = (
            f"`{row_id}` must have one label in the targets, but "
            f"{contradicted.sum()} ids have two (first: {first!r} has {values}). "
            "Keep the latest label of each row."
        )
        raise ValueError(msg)
    labels = pairs.set_index(row_id)[y_true]
    if labels.dtype == bool:
        labels = labels.astype(np.float64)  # room for NaN, where no label is known
    found = labels.reindex(analysis[row_id].to_numpy())
    joined = analysis.assign(**{y_true: found.to_numpy()})
    n_labelled = int(found.notna().sum())
    return LabelJoin(
        frame=joined,
        n_labelled=n_labelled,
        n_unlabelled=len(analysis) - n_labelled,
        n_unknown=len(labels) - n_labelled,
    )


def _check_same_kind(left: "pd.Series", right: "pd.Series", row_id: str) -> None:
    from pandas.api.types import is_numeric_dtype

    if is_numeric_dtype(left.dtype) != is_numeric_dtype(right.dtype):
        msg = (
            f"`{row_id}` must be of one type, but it is {left.dtype} in the analysis "
            f"(first: {left.tolist()[0]!r}) and {right.dtype} in the targets. "
            "Write both as numbers or both as text."
        )
        raise ValueError(msg)


def check_columns(
    where: Path | str,
    names: Sequence[str],
    columns: Sequence[str],
    optional: Sequence[str],
) -> list[str]:
    """Return what to read: ``columns``, and those of ``optional`` that are there.

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
        if _starts_with(path, MAGIC):
            msg = (
                f"{path} is truncated or damaged: it begins as a Parquet file, but "
                f"cannot be read to its end ({_first_line(error)}). Write it again."
            )
        else:
            msg = (
                f"{path} is not a Parquet file, whatever its ending says "
                f"({_first_line(error)}). Rename it to what it is, or write it again."
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
        _check_last_line(path, len(names))
    try:
        texts = pd.read_csv(
            path, usecols=wanted, dtype=str, keep_default_na=False, encoding="utf-8-sig"
        )
    except (ValueError, EOFError, OSError, zlib.error) as error:
        # ParserError and UnicodeDecodeError are ValueErrors
        msg = (
            f"{path} cannot be read as CSV: it is truncated, damaged or not CSV "
            f"({_first_line(error)}). Write it again."
        )
        raise ValueError(msg) from error
    try:
        return pd.DataFrame(
            {name: _read_as(texts[name], kinds.get(name)) for name in wanted}
        )
    except ValueError as error:
        msg = f"{path}: {error}"
        raise ValueError(msg) from error


def _read_as(texts: "pd.Series[Any]", kind: str | None) -> "pd.Series[Any]":
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


def _open_text(path: Path) -> IO[str]:
    if ending(path) == ".csv.gz":
        return gzip.open(path, "rt", encoding="utf-8-sig", newline="")
    return path.open(encoding="utf-8-sig", newline="")


def check_csv_header(path: Path) -> list[str]:
    """Return the names in the first line of a CSV file.

    Raises
    ------
    ValueError
        If the file is empty or no text, or its separator is not a comma.
    """
    if path.stat().st_size == 0:
        msg = f"{path} is empty (0 bytes). Write it again."
        raise ValueError(msg)
    for magic, kind in ((MAGIC, "Parquet"), (GZIP_MAGIC, "gzip")):
        if ending(path) == ".csv" and _starts_with(path, magic):
            msg = (
                f"{path} is a {kind} file, whatever its ending says. "
                "Rename it to what it is."
            )
            raise ValueError(msg)
    try:
        with _open_text(path) as file:
            names = next(csv.reader(file), [])
    except (UnicodeDecodeError, csv.Error, EOFError, OSError, zlib.error) as error:
        msg = (
            f"{path} is not a readable {ending(path)} file ({_first_line(error)}). "
            "Rename it to what it is, or write it again as UTF-8."
        )
        raise ValueError(msg) from error
    if len(names) == 1 and any(mark in names[0] for mark in ";\t|"):
        msg = (
            f"{path} has a single column `{names[0]}`: its separator is not a comma. "
            "Write it with commas."
        )
        raise ValueError(msg)
    return names


def _check_last_line(path: Path, n_columns: int) -> None:
    """Refuse a file that ends in the middle of a row."""
    size = path.stat().st_size
    with path.open("rb") as file:
        file.seek(max(0, size - TAIL_BYTES))
        lines = file.read().decode("utf-8", errors="replace").splitlines()
    last = next((line for line in reversed(lines) if line.strip()), "")
    # An odd number of quotes: a text field with line breaks in it, not a torn row.
    if last.count('"') % 2 == 0 and len(next(csv.reader([last]))) < n_columns:
        msg = (
            f"{path} is truncated: its last line has fewer than the {n_columns} "
            f"fields of the header ({last[:60]!r}). Write it again."
        )
        raise ValueError(msg)


def _starts_with(path: Path, magic: bytes) -> bool:
    with path.open("rb") as file:
        return file.read(len(magic)) == magic


def _nearest_file(path: Path) -> str:
    if not path.parent.is_dir():
        return f" (there is no folder {path.parent} either)"
    names = [entry.name for entry in path.parent.iterdir()]
    near = get_close_matches(path.name, names, n=3)
    return f" (nearest: {', '.join(near)})" if near else ""


def _first_line(error: BaseException) -> Any:
    return (str(error).splitlines() or [type(error).__name__])[0].rstrip(".")
