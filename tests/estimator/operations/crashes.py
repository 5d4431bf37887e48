"""Kill the job at some moment, run it again, and look whether all is well."""

import itertools
import multiprocessing
import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import sqlalchemy as sa

from estimator.operations import schema
from tests.estimator.operations.nightly import World

# Forked from a process that has imported everything: the job dies at work, not while
# Python starts.
PROCESS = multiprocessing.get_context("fork")


@dataclass(frozen=True, kw_only=True)
class Trial:
    """What became of one night that was killed.

    Attributes
    ----------
    killed : bool
        False if it had ended before.
    stored : bool
        Whether it had stored its results by then.
    sound : bool
        Whether the run after it ended as an undisturbed one does.
    """

    killed: bool
    stored: bool
    sound: bool


def run_trials(folder, n_kills, *, store="deadreckon.db", n_days=6, seed=0):
    """Kill runs of one night after the other; yield what became of each.

    Until so many have been killed: some end before they can be.
    """
    rng = np.random.default_rng(seed)
    undisturbed = World(Path(folder) / "undisturbed", n_days)
    wanted = []
    for day in range(n_days):
        undisturbed.arrive(day)
        undisturbed.run()
        wanted.append((undisturbed.final(), pages(undisturbed)))
    seconds = _seconds_of_a_run(Path(folder), store, n_days)
    killed_so_far = 0
    for trial in itertools.count():
        if killed_so_far == n_kills:
            return
        day = trial % n_days
        if day == 0:
            world = World(Path(folder) / f"killed-{trial}", n_days, store=store)
            empty(world)
        world.arrive(day)
        killed = kill(world, rng.uniform(0.0, seconds))
        killed_so_far += killed
        stored = is_stored(world, day)
        world.run()
        sound = (world.final(), pages(world)) == wanted[day]
        yield Trial(killed=killed, stored=stored, sound=sound)


def kill(world, after):
    """Start a run, and kill it after some seconds, if it has not ended."""
    process = PROCESS.Process(target=world.run)
    process.start()
    process.join(after)
    running = process.is_alive()
    if running:
        os.kill(process.pid, signal.SIGKILL)
    process.join()
    return running


def _seconds_of_a_run(folder, store, n_days):
    world = World(folder / "timed", n_days, store=store)
    empty(world)
    world.arrive_all()
    process = PROCESS.Process(target=world.run)
    begun = time.perf_counter()
    process.start()
    process.join()
    return time.perf_counter() - begun


def empty(world):
    """Drop the tables of a store that others have used; PostgreSQL's stays there."""
    engine = sa.create_engine(world.config.job.store)
    if engine.dialect.name != "sqlite":
        schema.metadata.drop_all(engine)
    engine.dispose()


def is_stored(world, day):
    """Whether the results of a night are in the store."""
    engine = sa.create_engine(world.config.job.store)
    try:
        if not sa.inspect(engine).has_table(schema.chunk.name):
            return False
        with engine.connect() as connection:
            query = sa.select(sa.func.count()).select_from(schema.chunk)
            return connection.execute(query).scalar() > day
    finally:
        engine.dispose()


def pages(world):
    """Return every file in the folder of the pages, and what is in it."""
    found = (world.folder / "report").glob("*")
    return {file.name: file.read_bytes() for file in found}
