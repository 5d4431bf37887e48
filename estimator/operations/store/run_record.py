"""All that a run changes of a model, written in one transaction.

After a crash the store is as it was before, or as it should be after.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

import sqlalchemy as sa

from estimator.delayed_labels.overdue import OverdueLabels
from estimator.operations.store import schema
from estimator.operations.store.connection import Store, store_errors
from estimator.operations.store.statements import insert_rows, replace_rows, upsert_rows


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRecord:
    """All that a run changes of a model; rows as the schema has them, without model.

    Attributes
    ----------
    as_of, until, files, estimators, announced, overdue
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
    files: Mapping[str, Mapping[str, str]]
    estimators: Mapping[str, tuple[str, bytes]]
    announced: Mapping[tuple[str, str], str]
    overdue: OverdueLabels | None = None
    chunks: Sequence[Mapping[str, object]] = ()
    results: Sequence[Mapping[str, object]] = ()
    history: Sequence[Mapping[str, object]] = ()
    gone: Sequence[tuple[str, str, str]] = ()
    verdicts: Sequence[Mapping[str, object]] = ()
    messages: Sequence[str] = ()


def save_run(store: Store, model: str, record: RunRecord) -> None:
    """Write all that a run changes of a model, or nothing.

    Raises
    ------
    DataError
        If the database refuses a value: the data of this model are bad.
    StoreUnavailable
        If the store does not answer, or cannot be written.
    """
    with (
        store_errors(store.where, writes_a_run=True),
        store.engine.begin() as connection,
    ):
        of_model = {"model": model}
        head = {**of_model, "as_of": record.as_of, "until": record.until}
        upsert_rows(connection, schema.model, [head])
        files = [
            {"feed": source, "path": path, "version": version}
            for source, versions in record.files.items()
            for path, version in versions.items()
        ]
        estimators = [
            {"from_chunk": first, "fingerprint": fingerprint, "data": data}
            for first, (fingerprint, data) in record.estimators.items()
        ]
        replace_rows(connection, schema.piece, model, files)
        replace_rows(connection, schema.estimator, model, estimators)
        overdue = [] if record.overdue is None else [asdict(record.overdue)]
        replace_rows(connection, schema.label_feed, model, overdue)
        states = [
            {"segment": segment, "metric": metric, "state": state}
            for (segment, metric), state in record.announced.items()
        ]
        result = schema.result.c
        for key in record.gone:
            mine = sa.tuple_(result.segment, result.chunk, result.metric) == key
            connection.execute(
                sa.delete(schema.result).where(result.model == model, mine)
            )
        changed: dict[sa.Table, Sequence[Mapping[str, object]]] = {
            schema.announced: states,
            schema.chunk: record.chunks,
            schema.result: record.results,
            schema.result_history: record.history,
            schema.verdict: record.verdicts,
        }
        for table, rows in changed.items():
            upsert_rows(connection, table, [{**of_model, **row} for row in rows])
        insert_rows(
            connection,
            schema.message,
            [
                {**of_model, "as_of": record.as_of or 0, "content": text, "sent": False}
                for text in record.messages
            ],
        )
