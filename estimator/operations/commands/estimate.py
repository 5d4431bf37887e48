"""``deadreckon estimate``: two files in, a table of estimated performance out."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from estimator.operations.commands.estimation import (
    N_STAGES,
    EstimationJob,
    run_estimation,
)
from estimator.operations.commands.option_values import (
    parse_chunk,
    parse_costs,
    parse_thresholds,
    split,
)
from estimator.operations.commands.terminal_errors import message, reported_errors
from estimator.operations.terminal import format_performance, format_verdicts
from estimator.progress import Progress

if TYPE_CHECKING:
    from estimator.results.performance import Performance


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


@click.command(epilog=EXAMPLE)
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
def estimate(  # noqa: PLR0913 - an argument for each option
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
    **options: object,
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
    run_estimate_command(
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


def run_estimate_command(job: EstimationJob, *, as_csv: bool = False) -> None:
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
