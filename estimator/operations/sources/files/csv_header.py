"""Whether a CSV file is one, and whole: its first line and its last."""

import csv
import gzip
import zlib
from pathlib import Path
from typing import IO

from estimator.operations.sources.files.file_endings import ending

PARQUET_MAGIC = b"PAR1"
GZIP_MAGIC = b"\x1f\x8b"
TAIL_BYTES = 65_536


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
    for magic, kind in ((PARQUET_MAGIC, "Parquet"), (GZIP_MAGIC, "gzip")):
        if ending(path) == ".csv" and starts_with(path, magic):
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
            f"{path} is not a readable {ending(path)} file ({first_line(error)}). "
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


def check_last_line(path: Path, n_columns: int) -> None:
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


def starts_with(path: Path, magic: bytes) -> bool:
    """Whether a file begins with some bytes."""
    with path.open("rb") as file:
        return file.read(len(magic)) == magic


def first_line(error: BaseException) -> str:
    """Return the first line of what an error says, without a period."""
    return (str(error).splitlines() or [type(error).__name__])[0].rstrip(".")
