"""Stop the job at some moment, run it again, and look whether all is well."""

import itertools
import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import sqlalchemy as sa

from estimator.operations.store import schema
from trials.nightly_world import CONFIG, World
from trials.processes import (
    PROCESS,
    SIGNALS,
    is_obeyed,
    send,
    start_command,
    temporary_files_in,
    wait_for_end,
)

WITH_FIGURES = f'{CONFIG}\n[notify]\nprometheus = "figures/deadreckon.prom"\n'


@dataclass(frozen=True, kw_only=True)
class Trial:
    """What became of one night that was stopped.

    Attributes
    ----------
    stopped : bool
        False if it had ended before.
    obeyed : bool
        Whether it ended in time, by the signal, and said no more than that.
    stored : bool
        Whether it had stored its results by then.
    sound : bool
        Whether the run after it ended as an undisturbed one does, with the same
        results, pages and files, and nothing else in any folder.
    """

    stopped: bool
    obeyed: bool
    stored: bool
    sound: bool


def run_trials(
    folder, n_stops, *, signals=False, store="deadreckon.db", n_days=6, seed=0
):
    """Stop runs of one night after the other; yield what became of each.

    Until so many have been stopped: some end before they can be. Runs are killed, or,
    with ``signals``, sent SIGTERM and SIGINT by turns.
    """
    with temporary_files_in(Path(folder) / "temporary"):
        yield from _run_trials(Path(folder), n_stops, signals, store, n_days, seed)


def _run_trials(folder, n_stops, signals, store, n_days, seed):
    rng = np.random.default_rng(seed)
    undisturbed = make_world(folder / "undisturbed", n_days, store="deadreckon.db")
    wanted = []
    for day in range(n_days):
        undisturbed.arrive(day)
        undisturbed.run()
        wanted.append((undisturbed.final(), pages(undisturbed), files(undisturbed)))
    start = start_by_command if signals else start_job
    seconds = _seconds_of_a_run(folder, start, store, n_days)
    n_stopped = 0
    for trial in itertools.count():
        if n_stopped == n_stops:
            return
        day = trial % n_days
        if day == 0:
            world = make_world(folder / f"stopped-{trial}", n_days, store=store)
            empty(world)
        world.arrive(day)
        number = SIGNALS[n_stopped % 2] if signals else signal.SIGKILL
        process = start(world)
        stopped = send(process, number, rng.uniform(0.0, seconds))
        code = wait_for_end(process)
        n_stopped += stopped
        stored = is_stored(world, day)
        obeyed = not stopped or is_obeyed(code, number)
        if signals and stopped:
            obeyed = obeyed and is_calm(world)
        world.run()
        final, drawn, names = wanted[day]
        if store != "deadreckon.db":  # the database is no file of ours
            names = {name for name in names if not name.startswith("deadreckon.db")}
        end = (world.final(), pages(world), files(world))
        yield Trial(
            stopped=stopped,
            obeyed=obeyed,
            stored=stored,
            sound=end == (final, drawn, names),
        )


def make_world(folder, n_days, *, store):
    world = World(folder, n_days, store=store, config=WITH_FIGURES)
    (world.folder / "figures").mkdir()
    return world


def start_job(world):
    process = PROCESS.Process(target=world.run)
    process.start()
    return process


def start_by_command(world):
    return start_command("run", world.path, stderr=log_of(world))


def log_of(world):
    """Return the file with what the command said, outside the world's folder."""
    return world.folder.with_name(f"{world.folder.name}.log")


def is_calm(world):
    """Whether a command that was sent a signal said that it ends, and nothing else."""
    lines = log_of(world).read_text().splitlines()
    return len(lines) <= 1 and all(x.startswith("Stopped by SIG") for x in lines)


def _seconds_of_a_run(folder, start, store, n_days):
    world = make_world(folder / "timed", n_days, store=store)
    empty(world)
    world.arrive_all()
    begun = time.perf_counter()
    start(world).join()
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
    contents = (world.folder / "report").glob("*")
    return {file.name: file.read_bytes() for file in contents}


def files(world):
    """Return the names of all files and folders of a world, and temporary ones."""
    temporary = world.folder.parent / "temporary"
    return {
        os.fspath(path.relative_to(folder))
        for folder in (world.folder, temporary)
        for path in folder.rglob("*")
    }
