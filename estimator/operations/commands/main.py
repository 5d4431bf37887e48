"""The command line: ``deadreckon``.

Only click and small modules of our own are imported up here, so that ``--help`` answers
at once; numpy, pandas and the rest come in where a command does its work.
"""

import os
import shlex
import sys
from pathlib import Path
from typing import Any

import click

from estimator import __version__
from estimator.degradation.kinds import KINDS, Kind
from estimator.operations.commands.estimate import FILE, estimate
from estimator.operations.commands.run import run
from estimator.operations.commands.status import report, status
from estimator.operations.commands.terminal_errors import message, reported_errors
from estimator.operations.exit_codes import BROKEN_PIPE, CRASHED, RAN
from estimator.operations.signals import obeyed_signals
from estimator.progress import Progress


class Program(click.Group):
    """The commands; called, the whole work of a process."""

    def __call__(self, *args: Any, **kwargs: Any) -> object:
        """Run the command that the arguments name, and end the process.

        Signals are obeyed without arguments here, as the console script calls it: a
        notebook or test that gives them goes on afterwards.
        """
        if args or kwargs:
            return self.main(*args, **kwargs)
        with obeyed_signals():
            return self.main()

    def invoke(self, ctx: click.Context) -> object:
        """Run a command; end quietly, as others do, where nobody reads its output."""
        try:
            return super().invoke(ctx)
        except BrokenPipeError:
            # What is still in the buffer must go somewhere when Python ends.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            sys.exit(BROKEN_PIPE)


@click.group(cls=Program, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, message="%(prog)s %(version)s")
def main() -> None:
    """Tell how good a classifier is in production before the labels arrive."""


for command in (estimate, run, status, report):
    main.add_command(command)


@main.command()
@click.option(
    "--scenario", type=click.Choice(KINDS), default="gradual", show_default=True
)
@click.option("--output-dir", type=FILE, default="demo", show_default=True)
@click.option("--weeks", type=click.IntRange(min=1), default=40, show_default=True)
@click.option(
    "--applications",
    type=click.IntRange(min=1),
    default=2_000,
    show_default=True,
    help="Loan applications per week.",
)
@click.option("--seed", type=int, default=0, show_default=True)
def demo(
    scenario: Kind, output_dir: Path, weeks: int, applications: int, seed: int
) -> None:
    """Try it on a simulated lender's scoring model.

    Predictions and late labels arrive as files, day by day, and `deadreckon run` does
    what it would do under cron: once a week at first, in the last three weeks every
    night. Ends with the page to look at.
    """
    from estimator.operations.commands.status import print_status
    from estimator.operations.sources.files.frame_files import require_pyarrow
    from estimator.simulation import simulate_credit_default

    with reported_errors():
        require_pyarrow(output_dir / "reference.parquet")
        from estimator.operations.commands.demo import (
            live_through,
            nights,
            write_beginning,
        )

        world = simulate_credit_default(
            scenario,
            n_weeks=weeks,
            applications_per_week=applications,
            random_state=seed,
        )
        config = write_beginning(world, output_dir)
    days = nights(world)
    message(
        f"A simulated lender, {scenario}: {len(world.reference):,} labelled loans as "
        f"the reference, {len(world.production):,} applications from "
        f"{world.production['timestamp'].min():%Y-%m-%d} on, labels weeks late. "
        f"The job runs {len(days)} times: weekly, in the last three weeks every night."
    )
    if world.onset is not None:
        message(f"Its performance declines from {world.onset:%Y-%m-%d} on.")
    with reported_errors(), Progress(len(days), sys.stderr) as progress:
        for day, code in live_through(world, config, progress):
            if code != RAN:
                message(f"The night of {day:%Y-%m-%d} ended with exit code {code}.")
                sys.exit(code)
    print_status(config)
    message(f"Again: deadreckon run {shlex.quote(str(output_dir / 'nightly.toml'))}")
    message(f"Look at {output_dir / 'report' / 'index.html'}")


@main.command()
def doctor() -> None:
    """Say what is installed, and what is in its way."""
    from estimator.operations.commands.doctor import examine

    wrong = 0
    for finding in examine():
        wrong += not finding.ok
        mark = " " if finding.ok else "!"
        click.echo(f"{mark} {finding.name:<20}{finding.text}")
    if wrong:
        message(f"{wrong} to mend, marked with !")
        sys.exit(CRASHED)
    message("Nothing is wrong.")


@main.command("warm-up")
def warm_up() -> None:
    """Compile the kernels, before the first job must wait."""
    import time

    import numpy as np
    import pandas as pd

    from estimator import Monitor, PerformanceEstimator

    begun = time.perf_counter()
    rng = np.random.default_rng(0)
    score = rng.random(2_000)
    rows = pd.DataFrame({"y_pred_proba": score, "y_true": rng.random(2_000) < score})
    rows["id"] = np.arange(2_000)
    rows["time"] = pd.Timestamp("2026-01-05") + pd.to_timedelta(rows["id"], unit="h")
    rows["known"] = rows["time"] + pd.Timedelta(days=10)
    estimator = PerformanceEstimator(chunk=500, timestamp="time", labeled_at="known")
    estimator.fit(rows).estimate(rows[["time", "y_pred_proba"]][1:])
    monitor = Monitor(estimator, row_id="id")
    monitor.add_predictions(rows[["id", "time", "y_pred_proba"]])
    monitor.add_labels(rows[["id", "y_true", "known"]][::2])
    monitor.degradation()
    message(f"Kernels are compiled ({time.perf_counter() - begun:.1f} s).")
