"""How much work a night is: what is read, hashed and counted, and not for how long."""

import hashlib
import json
from contextlib import contextmanager

import duckdb
import numpy as np
import pytest

from estimator.delayed_labels.counts.count_table import LOSSES
from estimator.delayed_labels.counts.counting import count_rows
from estimator.monitoring import label_arrival
from estimator.operations.exit_codes import RAN
from estimator.operations.nightly import changed_chunks as changed
from estimator.operations.nightly import estimators, model_run
from estimator.operations.sources.files import file_versions
from estimator.operations.store.connection import open_store
from estimator.operations.store.model_state import load_counts
from trials.nightly_world import World

N_DAYS, PER_DAY = 40, 300
LATEST = 3  # days until the last label of a day is there
N_TOUCHED = LATEST + 1


class Counting:
    """DuckDB, which says how many rows of files its queries have looked at."""

    def __init__(self, engine, profile):
        self._engine, self._profile = engine, profile
        self._n_rows = 0
        engine.execute("PRAGMA enable_profiling = 'json'")
        engine.execute(f"PRAGMA profiling_output = '{profile}'")

    @property
    def n_rows(self):
        # A query's profile is written when its result has been fetched.
        if self._profile.exists():
            self._n_rows += rows_of_files(json.loads(self._profile.read_text()))
            self._profile.unlink()
        return self._n_rows

    def execute(self, query, *values):
        assert self.n_rows >= 0
        return self._engine.execute(query, *values)

    def sql(self, query):
        assert self.n_rows >= 0
        return self._engine.sql(query)


def rows_of_files(node):
    """Return the rows that scans of Parquet files pass on; lower nodes included."""
    below = sum(map(rows_of_files, node.get("children", node.get("operator", []))))
    details = node.get("extra_info") or {}
    if "READ_PARQUET" not in str(details and details.get("Function")):
        return below
    # The name of it depends on the version of DuckDB.
    return below + node.get("intermediate_rows", node.get("operator_cardinality"))


@pytest.fixture
def world(tmp_path, monkeypatch):
    """A model all but the last of whose days are counted."""
    # Files that have just been written need not be a moment old to be trusted.
    monkeypatch.setattr(file_versions, "_TICK_NANOSECONDS", 0)
    world = World(tmp_path / "world", n_days=N_DAYS, per_day=PER_DAY)
    took = np.random.default_rng(0).random(len(world.rows)) * LATEST
    world.rows["labeled_at"] = world.rows["time"] + (took * 86_400e9).astype("m8[ns]")
    for day in range(N_DAYS - 1):
        world.arrive(day)
    assert world.run() == RAN
    world.arrive(N_DAYS - 1)
    return world


@pytest.mark.skipif(
    int(duckdb.__version__.split(".")[0]) < 2,
    reason="DuckDB 1 reads all rows for a condition on a time that it has to convert",
)
def test_queries_look_at_rows_of_the_chunks_that_are_touched(
    world, monkeypatch, tmp_path
):
    engines = []
    open_engine = model_run.open_engine

    @contextmanager
    def counting(*arguments):
        with open_engine(*arguments) as engine:
            engines.append(Counting(engine, tmp_path / "profile.json"))
            yield engines[-1]

    monkeypatch.setattr(model_run, "open_engine", counting)
    assert world.run() == RAN
    (engine,) = engines
    inside = N_TOUCHED * PER_DAY
    # Its rows and its labels are read; new ones are counted by hour, and their ids
    # looked for, before.
    assert inside < engine.n_rows < 5 * inside < N_DAYS * PER_DAY


def test_what_is_new_is_hashed_and_what_it_touches_is_counted(world, monkeypatch):
    hashed, counted, read = [], [], []
    digest = hashlib.file_digest

    def hashing(file, name):
        hashed.append(file.name)
        return digest(file, name)

    def counting(columns, chunks, **options):
        tables = count_rows(columns, chunks, **options)
        counted.extend(table.label for table in tables)
        return tables

    def reading(data):
        read.append(data)
        return night_table(data)

    night_table = model_run.table_from_bytes
    monkeypatch.setattr(file_versions.hashlib, "file_digest", hashing)
    monkeypatch.setattr(changed, "count_rows", counting)
    monkeypatch.setattr(model_run, "table_from_bytes", reading)
    monkeypatch.setattr(estimators, "_fit", None)
    # Labels are counted by chunk only where some are overdue.
    monkeypatch.setattr(label_arrival, "_arrivals_by_chunk", None)
    assert world.run() == RAN
    new = {f"{kind}/{N_DAYS - 1:03d}.parquet" for kind in ("predictions", "labels")}
    assert {"/".join(str(name).split("/")[-2:]) for name in hashed} == new
    assert len(counted) == len(set(counted)) == N_TOUCHED
    assert len(read) == N_DAYS


def test_a_check_reads_no_file_for_its_version(world, monkeypatch):
    monkeypatch.setattr(file_versions.hashlib, "file_digest", None)
    assert world.command("run", "--check").returncode == RAN


def test_tables_hold_what_the_metrics_need(world):
    """Losses are half of a table: they are kept for the metrics that are asked for."""
    with open_store(world.config.job.store) as store:
        content = load_counts(store, "credit")
    tables = [model_run.table_from_bytes(data) for data in content.values()]
    assert len(tables) == N_DAYS - 1
    assert not any(set(LOSSES) & set(table.cells) for table in tables)


def test_a_night_leaves_what_a_single_run_leaves(world, tmp_path):
    """All of it, to the last bit, however much of it a night has not looked at."""
    assert world.run() == RAN
    again = World(tmp_path / "again", n_days=N_DAYS, per_day=PER_DAY)
    again.rows = world.rows
    again.arrive_all()
    assert again.run() == RAN
    assert world.final() == again.final()
