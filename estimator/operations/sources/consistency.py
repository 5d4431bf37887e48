"""Whether files, and predictions and labels, are of one kind."""

from collections import Counter
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING

from estimator.operations.errors import DataError
from estimator.operations.sources.files.csv_header import check_csv_header
from estimator.operations.sources.files.file_endings import CSV
from estimator.operations.sources.files.file_versions import is_same_content
from estimator.operations.sources.opening import open_row_source
from estimator.operations.sources.row_source import (
    AT,
    ID,
    TEXTS,
    RequestedColumns,
    RowData,
    RowSource,
)
from estimator.operations.store.model_state import ModelState

if TYPE_CHECKING:
    import duckdb


_SHOWN = 3  # files in an error message


def check_files(
    engine: "duckdb.DuckDBPyConnection", source: RowSource, files: Collection[str]
) -> None:
    """Refuse files that lack a column which others have, or have another kind of it.

    Raises
    ------
    DataError
        Naming the file: of two kinds, the one that fewer files have.
    """
    others = [file for file in source.files or () if file not in files]
    # Those that were read before are of one kind: one of them speaks for all.
    looked_at = dict.fromkeys(files, 1) | {x: len(others) for x in others[:1]}
    opened = {file: _open_file(engine, source, file) for file in files}
    for file in others[:1]:
        opened[file] = _open_file(engine, source, file, was_read=True)
    for what, kind_of in (
        ("a time zone", lambda one: one.is_zoned),
        ("texts as row ids", _is_text),
    ):
        votes: Counter[bool] = Counter()
        for file, n_files in looked_at.items():
            votes[kind_of(opened[file])] += n_files
        if len(votes) < 2:
            continue
        fewer = min(votes, key=lambda kind: votes[kind])
        odd = [file for file in looked_at if kind_of(opened[file]) == fewer]
        has, lacks = ("it has", "others have not")
        if not fewer:
            has, lacks = ("others have", "it has not")
        shown = ", ".join(odd[:_SHOWN]) + (", …" if len(odd) > _SHOWN else "")
        msg = (
            f"{source.name}: {shown} is of another kind than the other files: {has} "
            f"{what}, {lacks}. Nothing was stored. Write it again as the others."
        )
        raise DataError(msg)


def _open_file(
    engine: "duckdb.DuckDBPyConnection",
    source: RowSource,
    file: str,
    *,
    was_read: bool = False,
) -> RowSource:
    """Look at one file; one that was read before may lack what came later."""
    if "://" not in file and file.lower().endswith(CSV):
        try:
            check_csv_header(Path(file))
        except ValueError as error:
            msg = f"{source.name}: {error}"
            raise DataError(msg) from error
    numbers = [c for c, kind in source.csv_kinds.items() if kind == "number"]
    return open_row_source(
        engine,
        RowData(name=source.name, where=file, files={file: ""}, hive=source.hive),
        RequestedColumns(
            roles={ID: source.roles[ID]} if was_read else source.roles,
            optional=source.roles,
            others=() if was_read else source.others,
            numbers=numbers,
        ),
        csv_ids="text" if _is_text(source) else "whole",
        csv_zoned=source.is_zoned,
    )


def _is_text(source: RowSource) -> bool:
    return source.types[source.roles[ID]] in TEXTS


def check_join(predictions: RowSource, labels: RowSource) -> None:
    """Refuse labels whose ids or times are of another kind than the predictions'."""
    ours, theirs = (source.types[source.roles[ID]] for source in (predictions, labels))
    if (ours in TEXTS) != (theirs in TEXTS):
        msg = (
            f"`{predictions.roles[ID]}` must be of one type, but it is {ours} in the "
            f"predictions ({predictions.where}) and {theirs} in the labels "
            f"({labels.where}). Write both as numbers or both as text."
        )
        raise DataError(msg)
    if AT in labels.roles and labels.is_zoned != predictions.is_zoned:
        has, lacks = "predictions", "labels"
        if labels.is_zoned:
            has, lacks = lacks, has
        msg = (
            f"Times must have a time zone everywhere or nowhere, but those of the "
            f"{has} have one and those of the {lacks} have none. Write both in UTC."
        )
        raise DataError(msg)


def new_files(source: RowSource, state: ModelState) -> list[str]:
    """Return the files that are not as the last run has read them."""
    before = state.files.get(source.name, {})
    files = source.files or {}
    return [
        path
        for path, version in files.items()
        if not is_same_content(version, before.get(path))
    ]
