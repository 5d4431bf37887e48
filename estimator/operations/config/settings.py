"""The configuration of the nightly job: a TOML file in, checked settings out.

pydantic, SQLAlchemy and the estimator are imported where they are used: without the
``job`` extra the error should say so.
"""

import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from estimator.files.optional_packages import install_hint
from estimator.operations.config.redaction import (
    RedactedRepr,
    Redaction,
    fill_in,
    find_variables,
    redaction_of,
)
from estimator.operations.errors import ConfigurationError

if TYPE_CHECKING:
    import pandas as pd

    from estimator.estimation.parameters import Parameters


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class FileLocation(RedactedRepr):
    """Rows in Parquet or CSV files: absolute paths, globs or URLs, at least one.

    With ``hive``, folders such as ``region=eu`` are columns.
    """

    patterns: tuple[str, ...]
    hive: bool = False


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class SqlLocation(RedactedRepr):
    """Rows in a database: ``url`` has the password, and one of the others is given."""

    url: str
    table: str | None = None
    query: str | None = None


Location = FileLocation | SqlLocation


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class JobSettings(RedactedRepr):
    """What all models share: URL of the store, folder of the pages, DuckDB's limits."""

    store: str
    report: Path | None = None
    memory_limit: str = "1GB"
    threads: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class NotifySettings(RedactedRepr):
    """Who is told what after a run.

    Attributes
    ----------
    webhook : str or None
        Web address that takes messages.
    on : tuple of str
        Of ``verdict``, ``alert``, ``failure``, ``labels_overdue``.
    min_probability : float
        Least probability of a decline, or of its end, that becomes a message, and of
        an alert; in [0, 1].
    metrics : tuple of str or None
        That messages are about; None: all.
    segments : tuple of str
        That messages are about beside all rows: a column, or ``"column=value"``.
    report_url : str or None
        Where people read the pages.
    prometheus : Path or None
        Text file of figures.
    """

    webhook: str | None = None
    on: tuple[str, ...] = ("verdict", "labels_overdue")
    min_probability: float = 0.8
    metrics: tuple[str, ...] | None = None
    segments: tuple[str, ...] = ()
    report_url: str | None = None
    prometheus: Path | None = None

    def is_about(self, segment: str, metric: str) -> bool:
        """Return whether messages are about a metric of a segment ("": all rows)."""
        column = segment.partition("=")[0]
        wanted = not segment or bool({segment, column} & set(self.segments))
        return wanted and (self.metrics is None or metric in self.metrics)


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Retrained(RedactedRepr):
    """A retraining: ISO start of the new model's first chunk, its labelled period."""

    from_chunk: str
    reference: Location


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class ModelSettings(RedactedRepr):
    """One model: where its rows are and how its performance is estimated.

    Attributes
    ----------
    name : str
        Fit to be a file name.
    reference, predictions, labels : FileLocation or SqlLocation
        The labelled period, the rows scored since, and their labels (or None).
    row_id : str
        Column that joins labels and predictions.
    lookback : Timedelta or None
        How far before the newest row late rows and labels are looked for; None: from
        the beginning.
    parameters : dict of str
        Arguments of ``PerformanceEstimator``, checked.
    retrained : tuple of Retrained
        In the order of their chunks.
    """

    name: str
    reference: Location
    predictions: Location
    labels: Location | None = None
    row_id: str
    lookback: "pd.Timedelta | None" = None
    parameters: "Parameters"
    retrained: tuple[Retrained, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class NightlyConfig(RedactedRepr):
    """All that a file says: its absolute path, and at least one model by its name."""

    path: Path
    job: JobSettings
    notify: NotifySettings
    models: dict[str, ModelSettings]

    def redact(self, text: str) -> str:
        """Return ``text`` without the secrets of this file.

        What came from a variable is replaced by its name, ``${VAR}``, whether it stands
        there as it is, quoted for a URL or escaped by `repr`; passwords that are
        written in URLs, and a webhook, by ``***``.
        """
        return self.redaction.redact(text)


def load_config(
    path: str | os.PathLike[str], environ: Mapping[str, str] = os.environ
) -> NightlyConfig:
    """Read and check the configuration of the nightly job.

    Parameters
    ----------
    path : path-like
        A TOML file. Relative paths in it are relative to its folder.
    environ : mapping of str to str, optional
        Where ``${VAR}`` in a text comes from; ``$${`` writes a literal ``${``. By
        default the environment of this process.

    Returns
    -------
    NightlyConfig
        Paths are absolute, and a file for the store is a URL.

    Raises
    ------
    ConfigurationError
        If anything in the file is wrong. The message has a line for each error, and no
        secret: neither it nor its causes hold the value of a variable.
    ModuleNotFoundError
        If the ``job`` extra is not installed.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> text = '''
    ... [job]
    ... store = "postgresql+psycopg://deadreckon:${PGPASSWORD}@db/monitoring"
    ... [models.credit]
    ... reference = "https://example.com/reference.parquet"
    ... predictions = "https://example.com/predictions.parquet"
    ... row_id = "id"
    ... [models.credit.estimator]
    ... chunk = "D"
    ... timestamp = "timestamp"
    ... '''
    >>> with TemporaryDirectory() as folder:
    ...     path = Path(folder) / "nightly.toml"
    ...     _ = path.write_text(text)
    ...     config = load_config(path, {"PGPASSWORD": "hunter2"})
    >>> config.job.store
    'postgresql+psycopg://deadreckon:hunter2@db/monitoring'
    >>> config.job
    JobSettings(store='postgresql+psycopg://deadreckon:${PGPASSWORD}@db/monitoring', \
report=None, memory_limit='1GB', threads=None)
    >>> config.models["credit"].parameters
    {'chunk': 'D', 'timestamp': 'timestamp'}
    """
    _require("pydantic", "sqlalchemy", "duckdb")
    from estimator.operations.config.key_errors import read_layout

    path = Path(path)
    written = _read_toml(path)
    variables, problems = find_variables(written, environ)
    filled = {key: fill_in(value, variables) for key, value in written.items()}
    redaction = redaction_of(written, filled, variables)
    layout = None
    if not problems:
        layout, problems = read_layout(filled, path.absolute().parent)
    if layout is None:
        lines = "\n".join(f"{path}: {problem}" for problem in problems)
        raise ConfigurationError(redaction.redact(lines))
    return NightlyConfig(
        path=path.absolute(),
        job=JobSettings(**dict(layout.job), redaction=redaction),
        notify=NotifySettings(**dict(layout.notify), redaction=redaction),
        models={
            name: _model_settings(name, model, redaction)
            for name, model in layout.models.items()
        },
        redaction=redaction,
    )


def config_schema() -> dict[str, object]:
    """Return the JSON schema of the TOML layout, for editors that complete and check.

    It describes the file as it is written: where a value may be a variable's, the
    schema takes any text.

    Raises
    ------
    ModuleNotFoundError
        If pydantic is not installed.

    Examples
    --------
    >>> sorted(config_schema()["properties"])
    ['job', 'models', 'notify']
    """
    _require("pydantic")
    from estimator.operations.config.keys import compute_schema

    return compute_schema()


def _require(*packages: str) -> None:
    missing = [name for name in packages if find_spec(name) is None]
    if missing:
        hint = install_hint("job")
        msg = f"The nightly job needs {' and '.join(missing)}. {hint}"
        raise ModuleNotFoundError(msg)


def _read_toml(path: Path) -> dict[str, object]:
    try:
        return tomllib.loads(path.read_text("utf-8-sig"))
    except OSError as error:
        msg = (
            f"{path} cannot be read ({error.strerror}). Name the TOML file of the "
            "nightly job."
        )
        raise ConfigurationError(msg) from error
    except UnicodeDecodeError as error:
        msg = f"{path} is not UTF-8 text (byte {error.start}). Save it as UTF-8."
        raise ConfigurationError(msg) from error
    except tomllib.TOMLDecodeError as error:
        msg = f"{path} is not valid TOML: {error}. Mend it there, or just before."
        raise ConfigurationError(msg) from error


def _model_settings(name: str, model: Any, redaction: Redaction) -> ModelSettings:
    def location(source: Any) -> Location:
        if isinstance(source, tuple):
            return FileLocation(
                patterns=source, hive=model.hive_partitioning, redaction=redaction
            )
        return SqlLocation(**dict(source), redaction=redaction)

    return ModelSettings(
        name=name,
        reference=location(model.reference),
        predictions=location(model.predictions),
        labels=None if model.labels is None else location(model.labels),
        row_id=model.row_id,
        lookback=model.lookback,
        parameters=model.estimator.arguments(),
        retrained=tuple(
            Retrained(
                from_chunk=one.from_chunk,
                reference=location(one.reference),
                redaction=redaction,
            )
            for one in model.retrained
        ),
        redaction=redaction,
    )
