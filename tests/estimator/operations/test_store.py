"""The store: schema and its versions, one transaction a night, one run at a time."""

import sqlite3
from pathlib import Path

import pytest
import sqlalchemy as sa

from estimator.operations import schema
from estimator.operations.estimation import ConfigurationError
from estimator.operations.store import (
    ModelState,
    Night,
    StoreLocked,
    StoreUnavailable,
    lease,
    load_counts,
    load_results,
    load_state,
    load_verdicts,
    mark_sent,
    open_store,
    save_night,
    unsent_messages,
)

SCHEMAS = Path(__file__).parent / "schemas"
RESULT = {
    **dict.fromkeys(schema.NUMBERS, 0.5),
    "segment": "",
    "chunk": "2026-01-05",
    "metric": "roc_auc",
    "revision": 1,
    "as_of": 10,
    "start": 1,
    "end": 9,
    "n_rows": 100,
    "n_labels": 0,
    "alert": False,
    "note": "",
}
NIGHT = Night(
    as_of=10,
    until=None,
    pieces={"predictions": {"a.parquet": "1:2"}},
    estimators={"": ("fingerprint", b"bytes")},
    announced={("", "roc_auc"): "{}"},
    chunks=[{"chunk": "2026-01-05", "n_rows": 100, "n_labels": 0, "counts": b"counts"}],
    results=[RESULT],
    history=[RESULT],
    verdicts=[
        {
            "segment": "",
            "metric": "roc_auc",
            "revision": 1,
            "as_of": 10,
            "kind": "stable",
            "probability": 0.9,
            "sentence": "s",
            "detail": "{}",
        }
    ],
    messages=['{"kind": "sudden"}'],
)


@pytest.fixture
def url(tmp_path):
    return f"sqlite:///{tmp_path / 'store.db'}"


def tables_of(engine):
    inspector = sa.inspect(engine)
    return {
        name: {
            "columns": {
                (c["name"], str(c["type"]), c["nullable"])
                for c in inspector.get_columns(name)
            },
            "key": inspector.get_pk_constraint(name)["constrained_columns"],
        }
        for name in inspector.get_table_names()
    }


def test_there_and_back(url):
    with open_store(url) as store:
        assert load_state(store, "credit") == ModelState()
        save_night(store, "credit", NIGHT)
        state = load_state(store, "credit")
        assert (state.as_of, state.until) == (10, None)
        assert state.pieces == NIGHT.pieces
        assert state.estimators == NIGHT.estimators
        assert state.sizes == {"2026-01-05": (100, 0)}
        assert state.announced == NIGHT.announced
        assert load_counts(store, "credit") == {"2026-01-05": b"counts"}
        assert load_results(store, "credit") == [{"model": "credit", **RESULT}]
        assert load_results(store, "credit", 9) == []
        assert load_results(store, "credit", 10) == [{"model": "credit", **RESULT}]
        assert load_verdicts(store, "credit")["", "roc_auc"]["kind"] == "stable"
        assert load_state(store, "debit") == ModelState()


def test_a_night_is_stored_whole_or_not_at_all(url):
    broken = {**RESULT, "chunk": None}
    with open_store(url) as store:
        night = Night(
            **{
                name: getattr(NIGHT, name)
                for name in Night.__dataclass_fields__
                if name != "results"
            },
            results=[RESULT, broken],
        )
        with pytest.raises(StoreUnavailable, match="What it held is as it was"):
            save_night(store, "credit", night)
        assert load_state(store, "credit") == ModelState()
        assert load_counts(store, "credit") == {}


def test_messages_are_told_once(url):
    with open_store(url) as store:
        save_night(store, "credit", NIGHT)
        ((number, content),) = unsent_messages(store)
        assert content == {"kind": "sudden"}
        mark_sent(store, [number])
        assert unsent_messages(store) == []


def test_one_run_at_a_time(url):
    with open_store(url) as store:
        with (
            lease(store),
            pytest.raises(StoreLocked, match="Another run"),
            lease(store),
        ):
            pass
        with lease(store):  # given back
            pass


def test_every_earlier_version_is_brought_up_to_date(tmp_path):
    """`schemas/v<n>.sql` is what version n wrote: a dump with a night in it."""
    with open_store(f"sqlite:///{tmp_path / 'new.db'}") as store:
        newest = tables_of(store.engine)
    dumps = sorted(SCHEMAS.glob("v*.sql"))
    assert [dump.stem for dump in dumps] == [
        f"v{n}" for n in range(1, len(schema.STEPS) + 1)
    ]
    for dump in dumps:
        path = tmp_path / f"{dump.stem}.db"
        with sqlite3.connect(path) as connection:
            connection.executescript(dump.read_text())
        connection.close()
        with open_store(f"sqlite:///{path}") as store:
            assert tables_of(store.engine) == newest
            state = load_state(store, "credit")
            assert state.sizes == {"2026-01-05": (100, 0)}
            assert load_results(store, "credit")[0]["value"] == 0.5
            assert load_verdicts(store, "credit")["", "roc_auc"]["kind"] == "stable"
            save_night(store, "credit", NIGHT)


def test_version_of_the_future(url):
    with open_store(url) as store, store.engine.begin() as connection:
        connection.execute(sa.update(schema.version).values(version=99))
    with pytest.raises(ConfigurationError, match="later version of deadreckon"):
        open_store(url).__enter__()


def test_reading_makes_no_store(url, tmp_path):
    with pytest.raises(ConfigurationError, match="There is no store"):
        open_store(url, create=False).__enter__()
    assert list(tmp_path.iterdir()) == []


def test_same_tables_in_postgres(postgres, url):
    with open_store(postgres) as ours, open_store(url) as theirs:
        names = set(tables_of(theirs.engine))
        assert set(tables_of(ours.engine)) == names
        save_night(ours, "credit", NIGHT)
        save_night(ours, "credit", NIGHT)  # an upsert
        assert load_results(ours, "credit") == [{"model": "credit", **RESULT}]
