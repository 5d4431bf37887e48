"""What a file's name says of its format; no other list of endings stands elsewhere."""

from collections.abc import Sequence
from pathlib import Path

PARQUET = (".parquet", ".pq")
CSV = (".csv", ".csv.gz")
CSV_OF_JOB = (*CSV, ".csv.zst")  # DuckDB unpacks more than Python does
JSON = (".json",)


def ending(path: Path) -> str:
    """Return what the file's name says about its format, in lower case."""
    name = path.name.lower()
    return ".csv.gz" if name.endswith(".csv.gz") else path.suffix.lower()


def check_ending(path: Path, allowed: Sequence[str]) -> None:
    """Refuse a file name whose ending is not in ``allowed``.

    Raises
    ------
    ValueError
        If the ending is none of them.
    """
    if ending(path) not in allowed:
        msg = (
            f"{path}: the ending must be one of {', '.join(allowed)}, "
            f"got {ending(path) or 'none'!r}."
        )
        raise ValueError(msg)
