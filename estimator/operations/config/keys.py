"""The layout of the nightly job's file: its tables, its keys and their types."""

import itertools
from collections.abc import Iterable
from datetime import date, datetime
from typing import Annotated, Any, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    WithJsonSchema,
    model_validator,
)
from pydantic.json_schema import GenerateJsonSchema

from calibration.registry import CALIBRATORS
from estimator.estimation.parameters import METHODS
from estimator.metrics.registry import METRIC_NAMES
from estimator.operations.config import checks as checks
from estimator.operations.notifications.messages import About

_WHERE = "path, glob or URL of Parquet or CSV files, several of them, or a database."


def _key(description: str, *examples: object, **more: Any) -> Any:
    return Field(description=description, examples=list(examples) or None, **more)


def _optional(description: str, *examples: object) -> Any:
    def drop_default(schema: dict[str, object]) -> None:
        schema.pop("default", None)  # TOML writes no null: the key is left out

    return _key(description, *examples, default=None, json_schema_extra=drop_default)


def _choice(names: Iterable[str]) -> WithJsonSchema:
    """For editors only: the estimator's own refusal knows the nearest name."""
    listed = [{"enum": [*names]}, {"pattern": r"\$\{"}]
    return WithJsonSchema({"type": "string", "anyOf": listed})


def _iso(value: object) -> object:
    return value.isoformat() if isinstance(value, date) else value


def _open_sides(rule: list[str | float]) -> tuple[str | float | None, ...]:
    return tuple(None if part == "" else part for part in rule)


Text = Annotated[str, Field(pattern=r"\S")]
LocalPath = Annotated[Text, AfterValidator(checks.check_path)]
Moment = Annotated[Text, BeforeValidator(_iso)]
Metric = Annotated[str, _choice(METRIC_NAMES)]
Columns = str | Annotated[list[str], AfterValidator(tuple)]


class Table(BaseModel):
    """A table of the file: no other keys, and no conversions."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, strict=True, hide_input_in_errors=True
    )


class Database(Table):
    """A table or a query of a database."""

    model_config = ConfigDict(
        json_schema_extra={"oneOf": [{"required": ["table"]}, {"required": ["query"]}]}
    )
    url: Annotated[Text, AfterValidator(checks.check_source)] = _key(
        "Database URL, as SQLAlchemy reads it; within a password, @ is %40. A relative "
        "path of SQLite begins at this file's folder.",
        "postgresql+psycopg://reader:${DB_PASSWORD}@host/name",
    )
    table: Text = _optional("Table to read, or else `query`.", "outcomes")
    query: Text = _optional(
        "Query, or else `table`.", "select id, y_true from outcomes"
    )

    @model_validator(mode="after")
    def _check(self) -> Self:
        if (self.table is None) == (self.query is None):
            got = "neither" if self.table is None else "both"
            msg = (
                f"must have `table` or else `query` beside `url`, got {got}. Give one."
            )
            raise ValueError(msg)
        return self


Source = Annotated[
    Text | Annotated[list[Text], Field(min_length=1)] | Database,
    AfterValidator(checks.resolve_patterns),
]


class Job(Table):
    """What all models share."""

    store: Annotated[Text, AfterValidator(checks.check_store)] = _key(
        "What is kept from night to night: an SQLite file, or a database URL.",
        "deadreckon.db",
        "postgresql+psycopg://user:${PGPASSWORD}@host/name",
    )
    report: LocalPath = _optional("Folder of the pages; default: none.", "report")
    memory_limit: Annotated[Text, AfterValidator(checks.check_memory)] = _key(
        "Memory of the engine that reads the rows and joins the labels.", default="1GB"
    )
    threads: Annotated[int, Field(ge=1)] = _optional("Threads; default: all.", 2)


class Notify(Table):
    """Who is told after a run."""

    webhook: Annotated[Text, AfterValidator(checks.check_webhook)] = _optional(
        "URL that takes a message in JSON, as Slack's do.", "${WEBHOOK}"
    )
    on: Annotated[list[About], AfterValidator(tuple)] = _key(
        "What to send messages about: verdicts that have been announced, thresholds "
        "crossed in the newest complete chunk, failed runs, labels that have stopped.",
        default=("verdict", "labels_overdue"),
    )
    min_probability: Annotated[float, Field(ge=0.0, le=1.0)] = _key(
        "Least probability of a decline, or of its end, that becomes a message; what "
        "is less probable is on the page alone.",
        default=0.8,
    )
    metrics: Annotated[list[Metric], AfterValidator(tuple)] = _optional(
        "Metrics that messages are about; default: all.", ["roc_auc"]
    )
    segments: Annotated[list[Text], AfterValidator(tuple)] = _key(
        "Segments that messages are about, beside all rows together: a column, or one "
        "of its values as in region=north.",
        default=(),
    )
    report_url: Annotated[Text, AfterValidator(checks.check_report_url)] = _optional(
        "Address at which the pages can be read, for the link in messages; default: "
        "their path.",
        "https://example.com/models/index.html",
    )
    prometheus: LocalPath = _optional(
        "Text file with the newest figures, for Prometheus's node_exporter.",
        "/var/lib/node_exporter/deadreckon.prom",
    )


class Retrained(Table):
    """After a retraining: a new reference, from a chunk on."""

    from_chunk: Moment = _key(
        "Start of the first chunk that the new model scored.", "2026-06-01"
    )
    reference: Source = _key(
        f"The new model's labelled period: {_WHERE}", "new.parquet"
    )


def _check_retrained(tables: list[Retrained]) -> list[Retrained]:
    """Return retrainings in the order of their chunks."""
    starts = [table.from_chunk for table in tables]
    try:
        moments = list(map(datetime.fromisoformat, starts))
        rising = all(a < b for a, b in itertools.pairwise(moments))
    except (ValueError, TypeError):  # no time; with a time zone and without
        rising = False
    if not rising:
        msg = (
            "must have ISO dates or times in `from_chunk` that rise, all with a time "
            f"zone or all without, got {', '.join(map(repr, starts))}. Write them as "
            "the chunks are called, the earliest first."
        )
        raise ValueError(msg)
    return tables


class Estimator(Table):
    """How performance is estimated: arguments of PerformanceEstimator."""

    metrics: Metric | Annotated[list[Metric], AfterValidator(tuple)] = _key(
        "Metrics to estimate.", default=("roc_auc", "accuracy")
    )
    method: Annotated[str, _choice(METHODS)] = _key(
        "How soft labels are made: from the score (cbpe), or adapted to covariate "
        "shift by `features`; auto adapts as far as that has explained the reference.",
        default="auto",
    )
    chunk: str | Annotated[list[Moment], AfterValidator(tuple)] = _key(
        'A period as pandas abbreviates it, such as "D", "W" or "MS", or rising '
        "timestamps at which chunks begin. Chunks that count rows would change with "
        "each row that comes late.",
        default="W",
    )
    timestamp: str = _key("Column with the time of each prediction.", "timestamp")
    y_pred_proba: str = _key("Column with the score.", default="y_pred_proba")
    y_pred: str = _optional(
        "Column with the decision. It is read only if it is named here, whatever "
        "columns there are; without, `decision_threshold` decides."
    )
    y_true: str = _key("Column with the label, 0 or 1.", default="y_true")
    labeled_at: str = _optional("Column that says when a label arrived.")
    decision_threshold: float = _key(
        "Score from which the decision is positive.", default=0.5
    )
    features: Columns = _optional(
        "Columns by which methods but cbpe adapt to covariate shift: what the model "
        "reads, and what else may shift, but nothing that tells the time. Where "
        "`labeled_at` is named, every method learns delays of labels from them."
    )
    segments: Columns = _key(
        "Columns whose every value gets rows beside the overall ones.", default=()
    )
    calibrator: Annotated[str, _choice([*CALIBRATORS, "select"])] = _key(
        'A name, or "select" for the best by log loss.', default="spline"
    )
    thresholds: dict[str, Annotated[list[str | float], AfterValidator(_open_sides)]] = (
        _optional(
            'By metric: ["constant", low, high], ["standard_error", k] around the '
            'reference\'s mean, or ["quantile", low, high] of the reference chunks; "" '
            "leaves a side open. Default: three standard errors."
        )
    )
    business_costs: dict[str, float] = _optional(
        "For business_value: what a row is worth in each cell tn, fp, fn, tp."
    )
    level: float = _key("Coverage of the intervals.", default=0.95)
    random_state: int = _key("Seed of methods that read features.", default=0)

    def arguments(self) -> dict[str, object]:
        """Return what the file says, as PerformanceEstimator takes it."""
        names = [x for x in type(self).model_fields if x in self.model_fields_set]
        return {name: getattr(self, name) for name in names}

    @model_validator(mode="after")
    def _check(self) -> Self:
        checks.check_estimator(self.arguments())
        return self


class Model(Table):
    """One model."""

    reference: Source = _key(
        f"A labelled period in which the model did well: {_WHERE}", "reference.parquet"
    )
    predictions: Source = _key(f"The rows scored since: {_WHERE}", "scored/*.parquet")
    labels: Source = _optional(f"Labels of predictions: {_WHERE}", "labels/*.parquet")
    row_id: Text = _key("Column that joins labels and predictions.", "id")
    lookback: Annotated[Text, AfterValidator(checks.check_span)] = _optional(
        "How far before the newest row late rows and labels are looked for; default: "
        "from the beginning.",
        "180D",
    )
    hive_partitioning: bool = _key(
        "Whether folders such as region=eu in the paths of files are columns (of "
        "texts); where a file has the column, too, the folder counts.",
        default=False,
    )
    estimator: Estimator = _key(
        "How performance is estimated: arguments of PerformanceEstimator."
    )
    retrained: Annotated[list[Retrained], AfterValidator(_check_retrained)] = _key(
        "Retrainings; this model's rows go on.", default_factory=list
    )


class Nightly(Table):
    """Configuration of `deadreckon run`. In texts, ${VAR} is the environment's."""

    job: Job = _key("What all models share.")
    notify: Notify = _key("Who is told after a run.", default_factory=Notify)
    models: Annotated[dict[str, Model], AfterValidator(checks.check_names)] = _key(
        "The models by name; names become file names.",
        min_length=1,
        json_schema_extra={"propertyNames": {"pattern": f"^{checks.MODEL_NAME}$"}},
    )


def compute_schema() -> dict[str, object]:
    """Return the JSON schema of the layout, for editors."""

    class Plain(GenerateJsonSchema):
        def field_title_should_be_set(self, schema: object) -> bool:
            return False  # it would say the key once more

    schema = Nightly.model_json_schema(schema_generator=Plain)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}
