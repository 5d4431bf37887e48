"""The command line: ``deadreckon``.

Only click and small modules of our own are imported up here, so that ``--help`` answers
at once; numpy, pandas and the rest come in where a command does its work.
"""

import os
import shlex
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

import click

from estimator import __version__
from estimator.operations.commands.estimation import (
    N_STAGES,
    EstimationJob,
    run_estimation,
)
from estimator.operations.commands.nightly import report, run, status
from estimator.operations.errors import ConfigurationError, DataError
from estimator.operations.exit_codes import BAD_DATA, BROKEN_PIPE, CRASHED, RAN
from estimator.operations.signals import obeyed_signals
from estimator.operations.terminal import format_performance, format_verdicts, printable
from estimator.progress import Progress

if TYPE_CHECKING:
    from estimator.results.performance import Performance

SCENARIOS = (
    "stable",
    "sudden",
    "gradual",
    "cyclical",
    "training_serving_skew",
    "recovered",
)
FILE = click.Path(path_type=Path)
STANDARD_OUTPUT = Path("-")
EXAMPLE = (
    "\b\n"
    + r"""
Example:
  deadreckon estimate --reference 2024.parquet --analysis 2025.parquet \
    --timestamp time --metrics roc_auc,accuracy --chart performance.png
""".lstrip()
)


class BadData(click.ClickException):
    """A file does not hold what the job needs."""

    exit_code = BAD_DATA


class Program(click.Group):
    """The commands; called, the whole work of a process."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run the command that the arguments name, and end the process.

        Signals are obeyed without arguments here, as the console script calls it: a
        notebook or test that gives them goes on afterwards.
        """
        if args or kwargs:
            return self.main(*args, **kwargs)
        with obeyed_signals():
            return self.main()

    def invoke(self, ctx: click.Context) -> Any:
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


for command in (run, status, report):
    main.add_command(command)


@main.command(epilog=EXAMPLE)
@click.option(
    "--reference", type=FILE, required=True, help="File with the labelled period."
)
@click.option(
    "--analysis", type=FILE, required=True, help="File with the period to estimate."
)
@click.option(
    "--targets", type=FILE, help="File with labels of analysis rows; needs --id."
)
@click.option(
    "--id", "row_id", metavar="COL", help="Column that joins targets and analysis."
)
@click.option("--timestamp", metavar="COL", help="Column with the time of each row.")
@click.option(
    "--y-pred-proba",
    metavar="COL",
    default="y_pred_proba",
    show_default=True,
    help="Column with the score in [0, 1].",
)
@click.option("--y-pred", metavar="COL", help="Column with the decision.")
@click.option(
    "--y-true",
    metavar="COL",
    default="y_true",
    show_default=True,
    help="Column with the label.",
)
@click.option(
    "--chunk",
    metavar="SIZE",
    help="Rows (2000), a period (D, W, MS), edges (2025-01-01,2025-04-01,…) or none: "
    "all in one. [default: W with --timestamp, else 2000]",
)
@click.option(
    "--metric",
    "--metrics",
    multiple=True,
    metavar="NAME[,NAME]",
    help="Repeatable.  [default: roc_auc,accuracy]",
)
@click.option(
    "--segment",
    multiple=True,
    metavar="COL",
    help="Each of its values gets a table of its own. Repeatable.",
)
@click.option(
    "--calibrator",
    metavar="NAME",
    default="spline",
    show_default=True,
    help="isotonic, platt, beta, temperature, identity, or select: the best.",
)
@click.option(
    "--feature",
    "--features",
    multiple=True,
    metavar="COL[,COL]",
    help="Columns by which to adapt to covariate shift: what the model reads. "
    "Repeatable.",
)
@click.option(
    "--method",
    type=click.Choice(["auto", "cbpe", "feature_aware", "pape"]),
    default="auto",
    show_default=True,
    help="How to adapt, with --feature; cbpe does not, nor does auto without.",
)
@click.option(
    "--decision-threshold",
    type=click.FloatRange(0, 1),
    default=0.5,
    show_default=True,
    help="Score from which the decision is 1, without --y-pred.",
)
@click.option(
    "--threshold",
    multiple=True,
    metavar="METRIC=RULE",
    help="When to alert; RULE is constant:LOW:HIGH, standard_error:K or "
    "quantile:LOW:HIGH, and LOW or HIGH may be empty. Repeatable.",
)
@click.option(
    "--business-cost",
    multiple=True,
    metavar="CELL=VALUE[,…]",
    help="Worth of a row in tn, fp, fn, tp for the metric business_value; "
    "0 where not given.",
)
@click.option(
    "--level",
    type=click.FloatRange(0, 1, min_open=True, max_open=True),
    default=0.95,
    show_default=True,
    help="Coverage of the intervals.",
)
@click.option(
    "--verdict",
    is_flag=True,
    help="Say what kind of decline each metric shows, if any; also on the chart.",
)
@click.option("--output", type=FILE, help=".parquet, .csv, .json, or - (CSV).")
@click.option("--chart", type=FILE, help=".png or .svg")
@click.option("--save-estimator", type=FILE, help="The fitted estimator, for later.")
def estimate(
    *,
    reference: Path,
    analysis: Path,
    targets: Path | None,
    row_id: str | None,
    chunk: str | None,
    metric: tuple[str, ...],
    segment: tuple[str, ...],
    feature: tuple[str, ...],
    threshold: tuple[str, ...],
    business_cost: tuple[str, ...],
    output: Path | None,
    chart: Path | None,
    save_estimator: Path | None,
    verdict: bool,
    timestamp: str | None,
    **options: Any,
) -> None:
    """Estimate performance per chunk, before there are labels.

    Where there are some, the realized values stand beside the estimates.

    Files are Parquet or CSV. The table goes to stdout, everything else to stderr.
    Intervals are for the value that the chunk will have once it is fully labelled; "!"
    marks an alert.
    """
    parameters = {
        **options,
        "timestamp": timestamp,
        "chunk": parse_chunk(chunk, has_timestamp=timestamp is not None),
        "segments": segment,
        "features": tuple(split(feature)) or None,
        "thresholds": parse_thresholds(threshold) or None,
        "business_costs": parse_costs(business_cost),
    }
    if metric:
        parameters["metrics"] = tuple(split(metric))
    to_stdout = output == STANDARD_OUTPUT
    run_job(
        EstimationJob(
            reference=reference,
            analysis=analysis,
            targets=targets,
            row_id=row_id,
            parameters=parameters,
            output=None if to_stdout else output,
            chart=chart,
            estimator_file=save_estimator,
            verdict=verdict,
        ),
        as_csv=to_stdout,
    )


@main.command()
@click.option(
    "--scenario", type=click.Choice(SCENARIOS), default="gradual", show_default=True
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
    scenario: Any, output_dir: Path, weeks: int, applications: int, seed: int
) -> None:
    """Try it on a simulated lender's scoring model.

    Predictions and late labels arrive as files, day by day, and `deadreckon run` does
    what it would do under cron: once a week at first, in the last three weeks every
    night. Ends with the page to look at.
    """
    from estimator.operations.commands.nightly import print_status
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


def run_job(job: EstimationJob, *, as_csv: bool = False) -> None:
    """Run a job for a reader at a terminal: table, remarks, one line of summary."""
    with reported_errors(), Progress(N_STAGES, sys.stderr) as progress:
        outcome = run_estimation(job, progress)
    frame = outcome.performance.to_frame()
    if as_csv:
        click.echo(frame.to_csv(index=False), nl=False)
    else:
        click.echo(format_performance(frame))
    sentences = format_verdicts(outcome.verdicts)
    if sentences:
        click.echo(f"\n{sentences}", err=as_csv)
    for remark in outcome.remarks:
        message(f"{remark}.")
    written = {
        "chart": job.chart,
        "table": job.output,
        "estimator": job.estimator_file,
    }
    files = [f"{name} written to {path}" for name, path in written.items() if path]
    message("; ".join([summarize(outcome.performance), *files]))


def summarize(performance: "Performance") -> str:
    """Return how many chunks there are and which metrics alert in how many."""
    frame = performance.to_frame()
    analysis = frame[(frame["period"] == "analysis") & (frame["segment"] == "")]
    n_chunks = analysis["chunk"].nunique()
    alerts = analysis.groupby("metric", sort=False)["alert"].sum()
    parts = [f"{name} in {count}" for name, count in alerts.items() if count]
    alert = f"alerts: {', '.join(parts)}" if parts else "no alerts"
    chunks = f"{n_chunks} chunk{'' if n_chunks == 1 else 's'}"
    return f"{chunks}, {alert}"


@contextmanager
def reported_errors() -> Iterator[None]:
    """Turn what a user can mend into one line on stderr and an exit code."""
    with warnings.catch_warnings():
        warnings.showwarning = _show_warning
        try:
            yield
        except DataError as error:
            raise BadData(printable(str(error))) from error
        except (ConfigurationError, ModuleNotFoundError) as error:
            raise click.UsageError(printable(str(error), but="\n")) from error
        except BrokenPipeError:
            raise
        except OSError as error:
            raise click.ClickException(printable(str(error))) from error


def message(text: str) -> None:
    """Say something to the user; stdout is for data."""
    click.echo(printable(text), err=True)


def _show_warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    click.echo(printable(f"Warning: {message}"), err=True)


def split(values: tuple[str, ...]) -> list[str]:
    """Split comma-separated values of a repeatable option."""
    return [part.strip() for value in values for part in value.split(",") if part]


def parse_chunk(text: str | None, *, has_timestamp: bool) -> Any:
    """Read ``--chunk``: a row count, an offset alias, edges, or ``none``.

    Examples
    --------
    >>> parse_chunk("2000", has_timestamp=False), parse_chunk("W", has_timestamp=True)
    (2000, 'W')
    >>> parse_chunk(None, has_timestamp=False)
    2000
    """
    if text is None:
        return "W" if has_timestamp else 2_000
    if text.lower() == "none":
        return None
    if "," in text:
        return split((text,))
    try:
        return int(text.replace("_", ""))
    except ValueError:
        return text


def parse_thresholds(texts: tuple[str, ...]) -> dict[str, tuple[Any, ...]]:
    """Read ``--threshold``.

    Examples
    --------
    >>> parse_thresholds(("roc_auc=constant:0.7:", "f1=standard_error:2"))
    {'roc_auc': ('constant', 0.7, None), 'f1': ('standard_error', 2.0)}
    """

    def rule(text: str) -> tuple[Any, ...]:
        kind, *numbers = text.split(":")
        return (kind, *(float(x) if x.strip() else None for x in numbers))

    return _pairs("--threshold", texts, rule, "roc_auc=constant:0.7:")


def parse_costs(texts: tuple[str, ...]) -> dict[str, float] | None:
    """Read ``--business-cost``; cells that are not named cost nothing.

    Examples
    --------
    >>> parse_costs(("fp=-5,fn=-100",))
    {'tn': 0.0, 'fp': -5.0, 'fn': -100.0, 'tp': 0.0}
    """
    costs = _pairs("--business-cost", tuple(split(texts)), float, "fp=-5,fn=-100")
    return {**dict.fromkeys(("tn", "fp", "fn", "tp"), 0.0), **costs} if costs else None


def _pairs(
    option: str, texts: tuple[str, ...], read: Callable[[str], Any], example: str
) -> dict[str, Any]:
    pairs: dict[str, Any] = {}
    for text in texts:
        name, _, value = text.partition("=")
        try:
            pairs[name.strip()] = read(value)  # nothing after "=" is no number either
        except ValueError as error:
            msg = f"{option} must be like {example}, got {text!r}."
            raise click.UsageError(msg) from error
    return pairs
