"""The store: schema and its versions, one transaction a night, one run at a time."""

import random
import sqlite3
import string
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path

import pytest
import sqlalchemy as sa

from estimator.operations.errors import (
    ConfigurationError,
    DataError,
    StoreLocked,
    StoreUnavailable,
)
from estimator.operations.store import connection as connecting
from estimator.operations.store import locks, schema
from estimator.operations.store.connection import is_there, open_store, prepare
from estimator.operations.store.locks import lease, posting_lease
from estimator.operations.store.model_state import (
    ModelState,
    StoredChunk,
    load_counts,
    load_state,
)
from estimator.operations.store.run_log import log_run, mark_sent, unsent_messages
from estimator.operations.store.run_record import RunRecord, save_run
from estimator.operations.store.stored_results import load_results, load_verdicts

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
    "trust": "doubtful",
    "note": "",
}
COUNTED = StoredChunk(n_rows=100, n_labels=0, fingerprint="fingerprint")
RECORD = RunRecord(
    as_of=10,
    until=None,
    files={"predictions": {"a.parquet": "1:2"}},
    estimators={"": ("fingerprint", b"bytes")},
    announced={("", "roc_auc"): "{}"},
    chunks=[
        {
            "chunk": "2026-01-05",
            "fingerprint": "fingerprint",
            "n_rows": 100,
            "n_labels": 0,
            "counts": b"counts",
        }
    ],
    results=[RESULT | {f"remembered_{name}": 0.5 for name in schema.REMEMBERED}],
    history=[{**RESULT, "gone": False}],
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


@contextmanager
def ready(url):
    with open_store(url) as store:
        prepare(store)
        yield store


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
    with ready(url) as store:
        assert load_state(store, "credit") == ModelState()
        save_run(store, "credit", RECORD)
        state = load_state(store, "credit")
        assert (state.as_of, state.until) == (10, None)
        assert state.files == RECORD.files
        assert state.estimators == RECORD.estimators
        assert state.chunks == {"2026-01-05": COUNTED}
        assert state.announced == RECORD.announced
        assert load_counts(store, "credit") == {"2026-01-05": b"counts"}
        (row,) = load_results(store, "credit")
        assert RESULT.items() <= row.items()
        assert load_results(store, "credit", 9) == []
        (row,) = load_results(store, "credit", 10)
        assert RESULT.items() <= row.items()
        assert load_verdicts(store, "credit")["", "roc_auc"]["kind"] == "stable"
        assert load_state(store, "debit") == ModelState()


def test_a_night_is_stored_whole_or_not_at_all(url):
    broken = {**RESULT, "chunk": None}
    with ready(url) as store:
        record = RunRecord(
            **{
                name: getattr(RECORD, name)
                for name in RunRecord.__dataclass_fields__
                if name != "results"
            },
            results=[RESULT, broken],
        )
        with pytest.raises(DataError, match="Nothing was stored of this model"):
            save_run(store, "credit", record)
        assert load_state(store, "credit") == ModelState()
        assert load_counts(store, "credit") == {}


LONG = "".join(random.Random(0).choices(string.ascii_letters, k=3_000))  # noqa: S311


@pytest.mark.parametrize("segment", ["a\0b", LONG, "\ud800", "x"])
@pytest.mark.parametrize("database", ["sqlite", "postgres"])
def test_a_value_that_cannot_be_kept_is_bad_data_of_its_model(
    request, url, database, segment
):
    """SQLite keeps more than PostgreSQL does; neither is ever called unavailable."""
    if database == "postgres":
        url = request.getfixturevalue("postgres")
    odd = [{**row, "segment": segment} for row in RECORD.results]
    refused = {
        "sqlite": ["\ud800"],
        "postgres": ["\ud800", "a\0b", LONG],
    }[database]
    with ready(url) as store:
        if segment in refused:
            with pytest.raises(DataError, match=r"refuses a value \(.*correct it"):
                save_run(store, "credit", replace(RECORD, results=odd))
            assert load_state(store, "credit") == ModelState()
        else:
            save_run(store, "credit", replace(RECORD, results=odd))
            assert load_results(store, "credit")[0]["segment"] == segment
        save_run(store, "fraud", RECORD)
        run = {"started": "2026", "ended": "2026", "exit_code": 65}
        log_run(store, "credit", summary=f"got {segment!r} {segment}", **run)


def test_a_number_that_cannot_be_kept(url):
    with (
        ready(url) as store,
        pytest.raises(DataError, match="refuses a value"),
    ):
        save_run(store, "credit", replace(RECORD, as_of=2**70))


def test_only_a_night_blames_the_data_of_its_model(url):
    """What is refused elsewhere is no model's data: it stops the run, and says so."""
    with ready(url) as store:
        elsewhere = [
            lambda: load_state(store, "\ud800"),
            lambda: mark_sent(store, [2**70]),
            lambda: log_run(
                store, "credit", started=None, ended="2026", exit_code=0, summary=""
            ),
        ]
        for use in elsewhere:
            with pytest.raises(StoreUnavailable, match="cannot be used") as error:
                use()
            assert "of this model" not in str(error.value)


def test_a_store_that_cannot_be_written_is_as_it_was(url, monkeypatch):
    monkeypatch.setattr(connecting, "BUSY_SECONDS", 0.1)
    with ready(url) as store, open_store(url) as other:
        save_run(store, "credit", RECORD)
        before = load_state(store, "credit")
        with other.engine.connect() as connection:
            connection.execute(sa.update(schema.model).values(until=7))  # not committed
            with pytest.raises(StoreUnavailable, match=r"What it held is as it was\. "):
                save_run(store, "credit", replace(RECORD, as_of=20))
        assert load_state(store, "credit") == before


class _Failed(Exception):
    pass


@pytest.mark.parametrize("ending", [nullcontext(), pytest.raises(_Failed)])
def test_a_lock_whose_server_has_ended_the_session_hides_no_error(postgres, ending):
    end_sessions = sa.text(
        "SELECT pg_terminate_backend(l.pid) FROM pg_locks l JOIN pg_database d "
        "ON d.oid = l.database WHERE l.locktype = 'advisory' "
        "AND d.datname = current_database()"
    )
    with open_store(postgres) as store, open_store(postgres) as other:
        with ending, lease(store):
            with other.engine.connect() as connection:
                assert connection.execute(end_sessions).scalar()
            if not isinstance(ending, nullcontext):
                raise _Failed
        with lease(other), posting_lease(store):  # given back
            pass


def test_messages_are_told_once(url):
    with ready(url) as store:
        save_run(store, "credit", RECORD)
        assert unsent_messages(store, ["debit"]) == []
        ((number, content),) = unsent_messages(store, ["credit", "debit"])
        assert content == {"kind": "sudden"}
        mark_sent(store, [number])
        assert unsent_messages(store, ["credit"]) == []


def test_what_is_gone_is_gone_from_then_on(url):
    last = {**dict.fromkeys(schema.NUMBERS), **RESULT, "value": None}
    with ready(url) as store:
        save_run(store, "credit", RECORD)
        key = ("", "2026-01-05", "roc_auc")
        gone = {**last, "as_of": 20, "revision": 2, "gone": True}
        save_run(
            store,
            "credit",
            replace(RECORD, as_of=20, results=[], history=[gone], gone=[key]),
        )
        assert load_results(store, "credit") == []
        assert load_results(store, "credit", 20) == []
        assert len(load_results(store, "credit", 19)) == 1


def test_one_run_at_a_time(url):
    with ready(url) as store:
        with (
            lease(store),
            pytest.raises(StoreLocked, match="Another run"),
            lease(store),
        ):
            pass
        with lease(store):  # given back
            pass


@pytest.mark.parametrize("url_fixture", ["url", "postgres"])
def test_who_posts_messages_keeps_no_run_away(request, monkeypatch, url_fixture):
    monkeypatch.setattr(locks, "POSTING_SECONDS", 0.3)
    url = request.getfixturevalue(url_fixture)
    with open_store(url) as mine, open_store(url) as other:
        with posting_lease(mine):
            with lease(other):
                pass
            with (
                pytest.raises(StoreLocked, match="has been posting messages"),
                posting_lease(other),
            ):
                pass
        with posting_lease(other):
            pass
        with lease(mine), posting_lease(other):  # nor does a run keep others from it
            pass


def test_every_earlier_version_is_brought_up_to_date(tmp_path):
    """`schemas/v<n>.sql` is what version n wrote: a dump with a night in it."""
    with ready(f"sqlite:///{tmp_path / 'new.db'}") as store:
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
        with ready(f"sqlite:///{path}") as store:
            assert tables_of(store.engine) == newest
            state = load_state(store, "credit")
            assert state.chunks == {"2026-01-05": COUNTED}
            result = load_results(store, "credit")[0]
            assert result["value"] == 0.5
            knows_trust = "trust" in dump.read_text()
            assert result["trust"] == ("doubtful" if knows_trust else "good")
            assert load_verdicts(store, "credit")["", "roc_auc"]["kind"] == "stable"
            save_run(store, "credit", RECORD)


def test_version_of_the_future(url):
    with ready(url) as store:
        with store.engine.begin() as connection:
            connection.execute(sa.update(schema.version).values(version=99))
        with pytest.raises(ConfigurationError, match="later version of deadreckon"):
            prepare(store)
        with pytest.raises(ConfigurationError, match="is of version 99"):
            is_there(store)


def test_looking_makes_nothing(url, tmp_path):
    with open_store(url) as store:
        assert not is_there(store)
    assert list(tmp_path.iterdir()) == []


def test_looking_makes_nothing_in_postgres(postgres):
    with open_store(postgres) as store:
        assert not is_there(store)
        assert tables_of(store.engine) == {}


def test_same_tables_in_postgres(postgres, url):
    with ready(postgres) as ours, ready(url) as theirs:
        names = set(tables_of(theirs.engine))
        assert set(tables_of(ours.engine)) == names
        save_run(ours, "credit", RECORD)
        save_run(ours, "credit", RECORD)  # an upsert
        (row,) = load_results(ours, "credit")
        assert RESULT.items() <= row.items()
