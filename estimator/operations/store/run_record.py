"""All that a run changes of a model, written in one transaction.

After a crash the store is as it was before, or as it should be after.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import sqlalchemy as sa

from estimator.delayed_labels.overdue import OverdueLabels
from estimator.operations.store import schema
from estimator.operations.store.connection import Store, answering
from estimator.operations.store.statements import insert_rows, replace_rows, upsert_rows


@dataclass(frozen=True, slots=True, kw_only=True)
class Night:
    """All that a run changes of a model; rows as the schema has them, without model.

    Attributes
    ----------
    as_of, until, pieces, estimators, announced, overdue
        As in `ModelState`, in full.
    chunks : list of dict
        Chunks whose counts are new.
    results, history : list of dict
        Rows that differ from those stored, and which to keep as what was believed.
    gone : list of (segment, chunk, metric)
        Results that are no more.
    verdicts : list of dict
    messages : list of str
        To be told to whoever listens.
    """

    as_of: int | None
    until: int | None
    pieces: Mapping[str, Mapping[str, str]]
    estimators: Mapping[str, tuple[str, bytes]]
    announced: Mapping[tuple[str, str], str]
    overdue: OverdueLabels | None = None
    chunks: Sequence[dict[str, Any]] = ()
    results: Sequence[dict[str, Any]] = ()
    history: Sequence[dict[str, Any]] = ()
    gone: Sequence[tuple[str, str, str]] = ()
    verdicts: Sequence[dict[str, Any]] = ()
    messages: Sequence[str] = ()


def save_night(store: Store, model: str, night: Night) -> None:
    """Write all that a run changes of a model, or nothing.

    Raises
    ------
    DataError
        If the database refuses a value: the data of this model are bad.
    StoreUnavailable
        If the store does not answer, or cannot be written.
    """
    with (
        answering(store.where, writes_a_night=True),
        store.engine.begin() as connection,
    ):
        own = {"model": model}
        head = {**own, "as_of": night.as_of, "until": night.until}
        upsert_rows(connection, schema.model, [head])
        pieces = [
            {"feed": feed, "path": path, "version": version}
            for feed, found in night.pieces.items()
            for path, version in found.items()
        ]
        estimators = [
            {"from_chunk": first, "fingerprint": fingerprint, "data": data}
            for first, (fingerprint, data) in night.estimators.items()
        ]
        replace_rows(connection, schema.piece, model, pieces)
        replace_rows(connection, schema.estimator, model, estimators)
        overdue = [] if night.overdue is None else [asdict(night.overdue)]
        replace_rows(connection, schema.label_feed, model, overdue)
        states = [
            {"segment": segment, "metric": metric, "state": state}
            for (segment, metric), state in night.announced.items()
        ]
        result = schema.result.c
        for key in night.gone:
            mine = sa.tuple_(result.segment, result.chunk, result.metric) == key
            connection.execute(
                sa.delete(schema.result).where(result.model == model, mine)
            )
        changed: dict[sa.Table, Sequence[dict[str, Any]]] = {
            schema.announced: states,
            schema.chunk: night.chunks,
            schema.result: night.results,
            schema.result_history: night.history,
            schema.verdict: night.verdicts,
        }
        for table, rows in changed.items():
            upsert_rows(connection, table, [{**own, **row} for row in rows])
        insert_rows(
            connection,
            schema.message,
            [
                {**own, "as_of": night.as_of or 0, "content": text, "sent": False}
                for text in night.messages
            ],
        )
