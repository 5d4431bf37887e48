"""Results and verdicts of a model, as of now or as they were believed at some time."""

import sqlalchemy as sa

from estimator.operations.store import schema
from estimator.operations.store.connection import Store, store_errors
from estimator.operations.store.statements import rows_of_model


def load_results(
    store: Store, model: str, as_of: int | None = None
) -> list[schema.Row]:
    """Return the results of a model, or what was believed at some time."""
    with store_errors(store.where), store.engine.connect() as connection:
        if as_of is None:
            return [
                row._asdict() for row in rows_of_model(connection, schema.result, model)
            ]
        history = schema.result_history
        query = (
            sa.select(history)
            .where(history.c.model == model, history.c.as_of <= as_of)
            .order_by(history.c.revision)
        )
        newest = {
            tuple(getattr(row, name) for name in schema.RESULT_KEY): row._asdict()
            for row in connection.execute(query)
        }
        return [row for row in newest.values() if not row["gone"]]


def load_verdicts(
    store: Store, model: str, as_of: int | None = None
) -> dict[tuple[str, str], schema.Row]:
    """Return the newest verdict by segment and metric, or that of some time."""
    table = schema.verdict
    query = sa.select(table).where(table.c.model == model).order_by(table.c.revision)
    if as_of is not None:
        query = query.where(table.c.as_of <= as_of)
    with store_errors(store.where), store.engine.connect() as connection:
        return {
            (row.segment, row.metric): row._asdict()
            for row in connection.execute(query)
        }
