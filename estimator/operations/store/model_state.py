"""What earlier runs have left of a model: files, estimators, chunks, announcements."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields

import sqlalchemy as sa

from estimator.delayed_labels.overdue import OverdueLabels
from estimator.operations.store import schema
from estimator.operations.store.connection import Store, store_errors
from estimator.operations.store.statements import rows_of_model

_OVERDUE = fields(OverdueLabels)


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelState:
    """What earlier runs have left of a model.

    Attributes
    ----------
    as_of, until : int or None
        Latest time that results know of; ``--as-of`` of the last run. Microseconds.
    files : dict of dict of str
        Version of each file that was read, by source, by path.
    estimators : dict of (str, bytes)
        By first chunk, the fingerprint and the file of the estimator.
    chunks : dict of StoredChunk
        By chunk.
    announced : dict
        By segment and metric, announcements as JSON text.
    overdue : OverdueLabels or None
        Labels that are missing since they have stopped.
    """

    as_of: int | None = None
    until: int | None = None
    files: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    estimators: Mapping[str, tuple[str, bytes]] = field(default_factory=dict)
    chunks: "Mapping[str, StoredChunk]" = field(default_factory=dict)
    announced: Mapping[tuple[str, str], str] = field(default_factory=dict)
    overdue: OverdueLabels | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredChunk:
    """A chunk that has been counted: its size, and for which estimator."""

    n_rows: int
    n_labels: int
    fingerprint: str


def load_state(store: Store, model: str) -> ModelState:
    """Return what earlier runs have left of a model; of a new one, nothing."""
    with store_errors(store.where), store.engine.connect() as connection:
        row_of_model = connection.execute(
            sa.select(schema.model).where(schema.model.c.model == model)
        ).one_or_none()
        if row_of_model is None:
            return ModelState()
        files: dict[str, dict[str, str]] = {}
        for row in rows_of_model(connection, schema.piece, model):
            files.setdefault(row.feed, {})[row.path] = row.version
        but_counts = [c for c in schema.chunk.c if c.name not in ("model", "counts")]
        chunks = sa.select(*but_counts).where(schema.chunk.c.model == model)
        return ModelState(
            as_of=row_of_model.as_of,
            until=row_of_model.until,
            files=files,
            estimators={
                row.from_chunk: (row.fingerprint, row.data)
                for row in rows_of_model(connection, schema.estimator, model)
            },
            chunks={
                row.chunk: StoredChunk(
                    n_rows=row.n_rows,
                    n_labels=row.n_labels,
                    fingerprint=row.fingerprint,
                )
                for row in connection.execute(chunks)
            },
            announced={
                (row.segment, row.metric): row.state
                for row in rows_of_model(connection, schema.announced, model)
            },
            overdue=next(
                (
                    OverdueLabels(**{f.name: getattr(row, f.name) for f in _OVERDUE})
                    for row in rows_of_model(connection, schema.label_feed, model)
                ),
                None,
            ),
        )


def load_counts(store: Store, model: str) -> dict[str, bytes]:
    """Return the counts of all chunks of a model."""
    table = schema.chunk.c
    query = sa.select(table.chunk, table.counts).where(table.model == model)
    with store_errors(store.where), store.engine.connect() as connection:
        return {row.chunk: row.counts for row in connection.execute(query)}
