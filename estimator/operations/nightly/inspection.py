"""What ``run --check`` looks at: all that a run reads or writes. It writes nothing."""

import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

import sqlalchemy as sa

from estimator.operations.config.settings import (
    Location,
    ModelSettings,
    NightlyConfig,
    SqlLocation,
)
from estimator.operations.errors import ConfigurationError, DataError, StoreUnavailable
from estimator.operations.sources.files.file_rows import source_errors
from estimator.operations.sources.files.file_search import find_files
from estimator.operations.sources.model_sources import (
    columns_of,
    columns_of_model,
    open_model_sources,
)
from estimator.operations.sources.opening import open_row_source
from estimator.operations.sources.row_source import (
    AT,
    LABEL,
    TIME,
    RequestedColumns,
    RowData,
    RowSource,
    open_engine,
    scan,
)
from estimator.operations.sources.sql_import import (
    ImportedRows,
    describe_location,
    import_rows,
)
from estimator.operations.store import schema
from estimator.operations.store.connection import store_errors
from estimator.operations.store.model_state import ModelState

if TYPE_CHECKING:
    import duckdb

ROWS_LOOKED_AT = 1_000  # of each source: enough to see types, quick on a database
_NUMBERS = ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT", "FLOAT", "DOUBLE")


def inspect_job(config: NightlyConfig) -> list[str]:
    """Look for what would keep a run from working.

    Parameters
    ----------
    config : NightlyConfig

    Returns
    -------
    list of str
        What is odd, but keeps nothing from working.

    Raises
    ------
    ConfigurationError
        With a line for each thing that is wrong.
    """
    problems = [*_folder_problems(config)]
    checks: dict[str, Callable[[], list[str]]] = {
        "store": partial(_inspect_store, config.job.store)
    }
    for name, settings in config.models.items():
        references = {"reference": settings.reference}
        for i, one in enumerate(settings.retrained):
            references[f"retrained[{i}].reference"] = one.reference
        for key, location in references.items():
            look = partial(_inspect_reference, config, settings, location)
            checks[f"models.{name}.{key}"] = look
        checks[f"models.{name}"] = partial(_inspect_production, config, settings)
    remarks: list[str] = []
    for key, check in checks.items():
        try:
            remarks += [f"`{key}`: {remark}" for remark in check()]
        except (DataError, ConfigurationError, OSError, ValueError) as error:
            problems.append(f"`{key}`: {error}")
    if problems:
        raise ConfigurationError("\n".join(f"{config.path}: {x}" for x in problems))
    return remarks


def _folder_problems(config: NightlyConfig) -> Iterator[str]:
    report, prometheus = config.job.report, config.notify.prometheus
    if report is not None:
        if report.exists() and not report.is_dir():
            yield f"`job.report`: {report} is a file. Name a folder."
        else:
            above = next(x for x in (report, *report.parents) if x.exists())
            if not above.is_dir() or not os.access(above, os.W_OK | os.X_OK):
                yield (
                    f"`job.report`: {report} cannot be written: {above} is not "
                    "writable. Let the job's user write there, or name another folder."
                )
    if prometheus is not None:
        folder = prometheus.parent
        if not folder.is_dir():
            yield f"`notify.prometheus`: there is no folder {folder}. Create it first."
        elif not os.access(folder, os.W_OK | os.X_OK):
            yield (
                f"`notify.prometheus`: {folder} is not writable. Let the job's user "
                "write there, or name another folder."
            )


def _inspect_store(text: str) -> list[str]:
    url = sa.make_url(text)
    if url.get_backend_name() == "sqlite":
        _inspect_sqlite(Path(str(url.database)))
    else:
        _inspect_postgres(url)
    return []


def _inspect_sqlite(path: Path) -> None:
    if not path.parent.is_dir():
        msg = f"there is no folder {path.parent}. Create it first."
        raise ConfigurationError(msg)
    # SQLite writes files beside the database, too.
    for each in (path.parent, path):
        if each.exists() and not os.access(each, os.W_OK):
            msg = f"{each} is not writable. Let the job's user write there."
            raise ConfigurationError(msg)
    if not path.exists():
        return
    # Immutable: not even SQLite's own files beside it are made.
    uri = f"file:{quote(str(path))}?mode=ro&immutable=1"
    name = schema.version.name
    try:
        with closing(sqlite3.connect(uri, uri=True)) as connection:
            query = "SELECT count(*) FROM sqlite_master WHERE name = ?"
            if not connection.execute(query, [name]).fetchone()[0]:
                return
            query = f"SELECT version FROM {name}"  # noqa: S608
            rows = connection.execute(query).fetchall()
    except sqlite3.Error as error:
        msg = f"{path} cannot be read as a store ({error}). Name another file."
        raise ConfigurationError(msg) from error
    _check_version(rows[0][0] if rows else 0)


def _inspect_postgres(url: sa.URL) -> None:
    where = url.render_as_string(hide_password=True)
    engine = sa.create_engine(url)
    try:
        with store_errors(where), engine.connect() as connection:
            inspector = sa.inspect(connection)
            if inspector.has_table(schema.version.name):
                version = connection.execute(sa.select(schema.version.c.version))
                _check_version(version.scalar() or 0)
            tables = [x for x in schema.metadata.tables if inspector.has_table(x)]
            for table in tables:
                right = sa.func.has_table_privilege(table, "INSERT, UPDATE, DELETE")
                if not connection.execute(sa.select(right)).scalar():
                    msg = (
                        f"{where}: this user may not write {table}. Grant INSERT, "
                        "UPDATE and DELETE."
                    )
                    raise ConfigurationError(msg)
            right = sa.func.has_schema_privilege(sa.func.current_schema(), "CREATE")
            if not tables and not connection.execute(sa.select(right)).scalar():
                msg = f"{where}: this user may not make tables. Grant CREATE."
                raise ConfigurationError(msg)
    except StoreUnavailable as error:
        raise ConfigurationError(str(error)) from error
    finally:
        engine.dispose()


def _check_version(version: int) -> None:
    if version > len(schema.STEPS):
        msg = (
            f"it is of version {version}, written by a later version of deadreckon; "
            f"this one knows versions up to {len(schema.STEPS)}. Upgrade deadreckon."
        )
        raise ConfigurationError(msg)


def _inspect_reference(
    config: NightlyConfig, settings: ModelSettings, location: Location
) -> list[str]:
    parameters = settings.parameters
    y_true = parameters.get("y_true", "y_true")
    roles = {TIME: parameters["timestamp"], LABEL: y_true}
    labeled_at = parameters.get("labeled_at")
    with open_engine(config.job.memory_limit, config.job.threads) as engine:
        if isinstance(location, SqlLocation):
            table = "#reference"
            kinds = dict.fromkeys(columns_of(parameters), "other")
            kinds |= {parameters["timestamp"]: "time", y_true: "other"}
            rows = ImportedRows(name="reference", columns=kinds, limit=ROWS_LOOKED_AT)
            import_rows(engine, location, table, rows)
            where = describe_location(location)
            data = RowData(name="reference", where=where, table=table)
        else:
            where = ", ".join(location.patterns)
            files = find_files(engine, location, "reference", by_content=False)
            if not files:
                msg = f"no file matches {where}. Correct the path."
                raise ConfigurationError(msg)
            data = RowData(
                name="reference", where=where, files=files, hive=location.hive
            )
        columns = RequestedColumns(
            roles=roles,
            optional={} if labeled_at is None else {AT: labeled_at},
            others=columns_of(parameters),
            numbers=columns_of_model(parameters),
        )
        source = open_row_source(engine, data, columns)
        _look(engine, source, (*columns_of_model(parameters), y_true))
    return []


def _inspect_production(config: NightlyConfig, settings: ModelSettings) -> list[str]:
    with open_engine(config.job.memory_limit, config.job.threads) as engine:
        sources = open_model_sources(
            engine, settings, None, ModelState(), limit=ROWS_LOOKED_AT
        )
        _look(engine, sources.predictions, columns_of_model(settings.parameters))
        labels = sources.labels
        if labels is not None and labels is not sources.predictions:
            _look(engine, labels, [labels.roles[LABEL]])
    return sources.remarks


def _look(
    engine: "duckdb.DuckDBPyConnection",
    source: RowSource,
    numbers: list[str] | tuple[str, ...],
) -> None:
    """Read some rows; refuse columns of numbers that hold something else."""
    for column in numbers:
        kind = source.types[column]
        whole = kind.removeprefix("U")
        if whole in _NUMBERS or kind.startswith(("DECIMAL", "BOOLEAN", '"NULL"')):
            continue
        msg = (
            f"{source.name} ({source.where}): column `{column}` must hold numbers, but "
            f"is of type {kind}. Name another column, or convert it."
        )
        raise DataError(msg)
    with source_errors(source.name, source.where):
        engine.execute(f"FROM {scan(source)} LIMIT {ROWS_LOOKED_AT}").fetchall()
