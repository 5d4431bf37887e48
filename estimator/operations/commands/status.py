"""``deadreckon status`` and ``deadreckon report``: what was last said of each model."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from estimator.operations.commands.command_log import JSON, logged_errors
from estimator.operations.commands.option_values import (
    CONFIG,
    list_models,
    load_settings,
    moment_of,
)
from estimator.operations.terminal import format_performance, format_verdicts

if TYPE_CHECKING:
    from estimator.operations.config.settings import NightlyConfig
    from estimator.operations.nightly.overview import ModelOverview


SHOWN_CHUNKS = 10
AS_OF = click.option(
    "--as-of", metavar="TIME", help="Look back: what was believed then."
)


@click.command()
@CONFIG
@AS_OF
@click.option("--model", help="Only this one.")
@click.option("--metric", "metrics", multiple=True, help="Only this one; repeatable.")
@click.option(
    "--segment",
    "segments",
    multiple=True,
    help='Only this one, such as region=north, or "" for all rows; repeatable.',
)
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", JSON]),
    default="text",
    show_default=True,
    help="json: a list of models, with all chunks; fields stay what they are.",
)
def status(
    *,
    config: Path,
    as_of: str | None,
    model: str | None,
    metrics: tuple[str, ...],
    segments: tuple[str, ...],
    form: str,
) -> None:
    """Say what was last said of each model."""
    settings = load_settings(config)
    with logged_errors(settings):
        print_status(settings, as_of, model, metrics, segments, as_json=form == JSON)


def print_status(
    settings: "NightlyConfig",
    as_of: str | None = None,
    model: str | None = None,
    metrics: tuple[str, ...] = (),
    segments: tuple[str, ...] = (),
    *,
    as_json: bool = False,
) -> None:
    """Print verdicts and the newest chunks of each model.

    Parameters
    ----------
    settings : NightlyConfig
    as_of, model : str, optional
        Time to look back to; the only model.
    metrics, segments : tuple of str, default=()
        Only these; none: all.
    as_json : bool, default=False
        Print `estimator.operations.commands.status_json` instead of text.
    """
    from estimator.charts.newest_chunk import unfinished_chunk
    from estimator.operations.commands.status_json import status_of

    overviews = _overviews(settings, as_of, model)
    if as_json:
        models = []
        for overview in overviews:
            _check_filter(overview, metrics, segments)
            models.append(status_of(overview, metrics, segments or None))
        click.echo(json.dumps(models, indent=2, allow_nan=False))
        return
    for overview in overviews:
        _check_filter(overview, metrics, segments)
        click.echo(f"{overview.name}, as of {overview.as_of:%Y-%m-%d %H:%M}")
        for warning in overview.warnings:
            click.echo(f"  Warning: {warning}.")
        sentences = format_verdicts(
            {
                segment: {
                    metric: verdict
                    for metric, verdict in by_metric.items()
                    if not metrics or metric in metrics
                }
                for segment, by_metric in overview.verdicts.items()
                if not segments or segment in segments
            }
        )
        if sentences:
            click.echo(sentences)
        frame = overview.performance.to_frame()
        overall = frame[frame["segment"].isin(segments or ("",))]
        if metrics:
            overall = overall[overall["metric"].isin(metrics)]
        analysis = overall[overall["period"] == "analysis"]
        newest = analysis["chunk"].unique()[-SHOWN_CHUNKS:]
        recent = (overall["period"] == "reference") | overall["chunk"].isin(newest)
        begun = unfinished_chunk(overview.performance)
        click.echo(f"\n{format_performance(overall[recent], unfinished=begun)}\n")


def _check_filter(
    overview: "ModelOverview", metrics: tuple[str, ...], segments: tuple[str, ...]
) -> None:
    """Refuse metrics and segments that a model does not have."""
    performance = overview.performance
    for option, asked, there in (
        ("--metric", metrics, performance.metrics),
        ("--segment", segments, performance.segments),
    ):
        unknown = [name for name in asked if name not in there]
        if unknown:
            msg = (
                f"{option} must be one of {', '.join(map(repr, there))} for "
                f"{overview.name}, got {unknown[0]!r}."
            )
            raise click.UsageError(msg)


@click.command()
@CONFIG
@AS_OF
@click.option(
    "--output-dir",
    type=click.Path(path_type=Path),
    help="Folder of the pages.  [default: as configured]",
)
def report(*, config: Path, as_of: str | None, output_dir: Path | None) -> None:
    """Draw the pages again from what is stored."""
    settings = load_settings(config)
    folder = output_dir or settings.job.report
    if folder is None:
        msg = (
            f"{config} names no folder for the pages. Give --output-dir, or add "
            '`report = "report"` to [job].'
        )
        raise click.UsageError(msg)
    with logged_errors(settings):
        from estimator.operations.nightly.job import write_pages

        overviews = list(_overviews(settings, as_of, None))
        written = write_pages(settings, overviews, folder)
    click.echo(f"{len(written)} pages; open {folder / 'index.html'}", err=True)


def _overviews(
    settings: "NightlyConfig", as_of: str | None, model: str | None
) -> Iterator["ModelOverview"]:
    from estimator.operations.nightly.overview import load_overview
    from estimator.operations.store.connection import is_there, open_store

    moment = moment_of(as_of)
    if model is not None and model not in settings.models:
        msg = (
            f"There is no model {model!r} in {settings.path}; {list_models(settings)}."
        )
        raise click.UsageError(msg)
    with open_store(settings.job.store) as store:
        if not is_there(store):
            msg = f"There is no store {store.where} yet. `deadreckon run` makes it."
            raise click.UsageError(msg)
        for name in [model] if model else settings.models:
            overview = load_overview(store, name, moment)
            if overview is None:
                when = "" if as_of is None else f" by {as_of}"
                click.echo(f"{name}: nothing has been said{when}.", err=True)
            else:
                yield overview
