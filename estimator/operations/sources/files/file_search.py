"""The files that match a pattern, each with its version."""

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from estimator.operations.errors import DataError
from estimator.operations.sources.files.file_endings import CSV_OF_JOB, PARQUET
from estimator.operations.sources.files.file_rows import source_errors
from estimator.operations.sources.files.file_versions import marks_of, version_of

if TYPE_CHECKING:
    import duckdb

    from estimator.operations.config.settings import FileLocation


def find_files(
    engine: "duckdb.DuckDBPyConnection",
    location: "FileLocation",
    name: str,
    before: Mapping[str, str] | None = None,
    *,
    by_content: bool = True,
) -> dict[str, str]:
    """Return the files that match, each with what tells its versions apart.

    Parameters
    ----------
    engine : duckdb.DuckDBPyConnection
        Connection that reads the rows.
    location : FileLocation
        Paths, globs or URLs.
    name : str
        What the rows are, for messages.
    before : dict of str to str, optional
        Versions that were seen before: files that are as they were are not read.
    by_content : bool, default=True
        Whether versions are compared with others; else no file is read for them.

    Raises
    ------
    DataError
        If a file is neither Parquet nor CSV, or cannot be read, or a pattern names a
        folder.
    """
    before = before or {}
    versions: dict[str, str] = {}
    for pattern in location.patterns:
        with source_errors(name, pattern):
            if "://" in pattern:
                # As a number: Python needs pytz for DuckDB's zoned times, and a text
                # has a blank, after which `is_same_content` does not look.
                rows = engine.execute(
                    "SELECT filename, size, epoch_us(last_modified) FROM read_blob(?)",
                    [pattern],
                ).fetchall()
                versions |= {file: f"{size}:{changed}" for file, size, changed in rows}
                continue
            if Path(pattern).is_dir():
                raise DataError(_folder(name, Path(pattern)))
            # A name that is there is no pattern, whatever letters it has.
            matching = [pattern]
            if not Path(pattern).is_file():
                rows = engine.execute("SELECT file FROM glob(?)", [pattern]).fetchall()
                matching = [file for (file,) in rows]
        for file in matching:
            _check_ending(file, name)
            try:
                versions[file] = (
                    version_of(Path(file), before.get(file))
                    if by_content
                    else marks_of(Path(file))
                )
            except OSError as error:
                msg = (
                    f"{name}: {file} cannot be read ({error.strerror}). Nothing was "
                    "stored. Let the job's user read it, or take it away."
                )
                raise DataError(msg) from error
    for file in versions:
        _check_ending(file, name)
    return dict(sorted(versions.items()))


def _check_ending(file: str, name: str) -> None:
    if not file.lower().endswith(PARQUET + CSV_OF_JOB):
        msg = (
            f"{name}: files must end in {', '.join(PARQUET + CSV_OF_JOB)}, got {file}. "
            "Name the ending in the pattern, as in folder/*.parquet."
        )
        raise DataError(msg)


def _folder(name: str, folder: Path) -> str:
    """Say that a folder is no pattern, and which pattern its files suggest."""
    endings: Counter[str] = Counter()
    hive = deep = False
    for file in folder.rglob("*"):
        ending = next(
            (x for x in PARQUET + CSV_OF_JOB if file.name.lower().endswith(x)), None
        )
        if ending is not None and file.is_file():
            endings[ending] += 1
            inner = file.parent.relative_to(folder).parts
            deep |= bool(inner)
            hive |= any("=" in part for part in inner)
    ending = endings.most_common(1)[0][0] if endings else ".parquet"
    pattern = folder / ("**" if deep else "") / f"*{ending}"
    remedy = f'Name its files: "{pattern}".'
    if hive:
        remedy += (
            " If folders such as region=eu are columns, add `hive_partitioning = true` "
            "to the model."
        )
    return f"{name}: {folder} is a folder, and files are read. {remedy}"
