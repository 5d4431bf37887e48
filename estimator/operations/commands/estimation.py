"""The main job: files in, estimated performance out, everything or nothing written."""

import logging
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from estimator.files.atomic import replacing
from estimator.files.optional_packages import install_hint
from estimator.operations.errors import ConfigurationError, DataError
from estimator.operations.sources.files.file_endings import (
    CSV,
    JSON,
    PARQUET,
    check_ending,
    ending,
)
from estimator.operations.sources.files.frame_files import (
    read_frame,
    require_pyarrow,
    write_frame,
)
from estimator.operations.sources.label_join import join_labels
from estimator.progress import Progress

if TYPE_CHECKING:
    import pandas as pd

    from estimator.degradation.verdict import Degradation
    from estimator.estimation.parameters import Parameters
    from estimator.performance_estimator import PerformanceEstimator
    from estimator.results.performance import Performance

CHARTS = (".png", ".svg")
N_STAGES = 5
DOTS_PER_INCH = 150


@dataclass(frozen=True, slots=True, kw_only=True)
class EstimationJob:
    """Which files to read, what to compute and which files to write.

    Attributes
    ----------
    reference, analysis : Path
        Labelled period, and the period to estimate.
    targets : Path or None
        Labels of analysis rows, where they lie in a file of their own.
    row_id : str or None
        Column that joins targets and analysis.
    parameters : mapping
        Arguments of `PerformanceEstimator`.
    output, chart, estimator_file : Path or None
        Files to write: the tidy frame, the figure, the fitted estimator.
    verdict : bool
        Whether to say what kind of decline each metric shows, if any.
    """

    reference: Path
    analysis: Path
    targets: Path | None = None
    row_id: str | None = None
    parameters: "Parameters" = field(default_factory=dict)
    output: Path | None = None
    chart: Path | None = None
    estimator_file: Path | None = None
    verdict: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class EstimationOutcome:
    """The result of a job, and what its reader should know.

    Attributes
    ----------
    performance : Performance
        Reference and analysis, as `PerformanceEstimator.estimate` gives it.
    remarks : tuple of str
        What did not match between analysis and targets.
    verdicts : dict
        By segment, then by metric; empty if not asked for.
    """

    performance: "Performance"
    remarks: tuple[str, ...]
    verdicts: dict[str, dict[str, "Degradation"]]


def run_estimation(job: EstimationJob, progress: Progress) -> EstimationOutcome:
    """Run ``job``: read, fit, estimate, draw, write.

    Raises
    ------
    ConfigurationError
        If an argument, a path or a missing package makes the job impossible.
    DataError
        If a file does not hold what the job needs.
    """
    from estimator import PerformanceEstimator  # heavy: not for --help

    check_job(job)
    parameters = dict(job.parameters)
    columns = _columns(parameters)
    y_true = parameters.get("y_true", "y_true")
    kinds = _kinds(parameters, job.row_id)
    remarks: tuple[str, ...] = ()
    with progress.stage("reading the reference"):
        reference = _read(job.reference, [*columns, y_true], kinds)
    kinds = _kinds_of_features(parameters, reference) | kinds
    with progress.stage("reading the analysis period"):
        if job.targets is None or job.row_id is None:
            analysis = _read(job.analysis, columns, kinds, optional=[y_true])
        else:
            analysis = _read(job.analysis, [*columns, job.row_id], kinds)
            targets = _read(job.targets, [job.row_id, y_true], kinds, may_be_empty=True)
            analysis, targets = _same_ids(job, analysis, targets, job.row_id)
            analysis, remarks = _join(job, analysis, targets, job.row_id, y_true)
    with progress.stage("fitting on the reference"):
        estimator = PerformanceEstimator(**parameters)
        try:
            estimator.fit(reference)
        except (ValueError, TypeError) as error:
            msg = f"{job.reference}: {error}"
            raise DataError(msg) from error
    with progress.stage("estimating"):
        try:
            performance = estimator.estimate(analysis)
        except (ValueError, TypeError) as error:
            labels = "" if job.targets is None else f" with labels from {job.targets}"
            msg = f"{job.analysis}{labels}: {error}"
            raise DataError(msg) from error
    verdicts = {}
    if job.verdict:
        verdicts = {
            segment: performance.degradation(segment=segment)
            for segment in performance.segments
        }
    with progress.stage("writing"):
        _write(job, estimator, performance, verdicts)
    return EstimationOutcome(
        performance=performance, remarks=remarks, verdicts=verdicts
    )


def check_job(job: EstimationJob) -> None:
    """Refuse what can be refused before any data are read.

    Raises
    ------
    ConfigurationError
        If an argument, a path or a missing package makes the job impossible.
    """
    from estimator import PerformanceEstimator  # heavy: not for --help

    if (job.targets is None) != (job.row_id is None):
        msg = (
            "`targets` and `id` belong together: name the file with the labels and "
            "the column that joins it to the analysis rows."
        )
        raise ConfigurationError(msg)
    inputs = [job.reference, job.analysis, *([job.targets] if job.targets else [])]
    outputs = {
        "output": (job.output, PARQUET + CSV + JSON),
        "chart": (job.chart, CHARTS),
        "save_estimator": (job.estimator_file, None),
    }
    try:
        for path in inputs:
            check_ending(path, PARQUET + CSV)
            if ending(path) in PARQUET:
                require_pyarrow(path)
        for name, (target, endings) in outputs.items():
            if target is not None:
                _check_target(name, target, endings, inputs)
        if job.chart is not None and find_spec("matplotlib") is None:
            msg = f"{job.chart}: drawing needs matplotlib. {install_hint('plot')}"
            raise ConfigurationError(msg)
        PerformanceEstimator(**job.parameters).check_parameters()
    except (ValueError, TypeError, ModuleNotFoundError) as error:
        raise ConfigurationError(str(error)) from error


def _check_target(
    name: str, path: Path, endings: tuple[str, ...] | None, inputs: list[Path]
) -> None:
    if endings is not None:
        check_ending(path, endings)
    if ending(path) in PARQUET:
        require_pyarrow(path)
    if not path.parent.is_dir():
        msg = f"`{name}`: there is no folder {path.parent}. Create it first."
        raise ConfigurationError(msg)
    if path.is_dir():
        msg = f"`{name}`: {path} is a folder. Name a file in it."
        raise ConfigurationError(msg)
    if path.resolve() in [other.resolve() for other in inputs]:
        msg = f"`{name}`: {path} is an input. Name another file."
        raise ConfigurationError(msg)


def _columns(parameters: "Parameters") -> list[str]:
    """Return the columns that reference and analysis must both have."""
    named = [
        parameters.get("timestamp"),
        parameters.get("y_pred_proba", "y_pred_proba"),
        parameters.get("y_pred"),
        *parameters.get("segments", ()),
    ]
    if parameters.get("method", "auto") != "cbpe":
        named += parameters.get("features") or ()
    return [name for name in named if name is not None]


def _kinds(parameters: "Parameters", row_id: str | None) -> dict[str, str]:
    """Return, by column, as what the texts of CSV files are read."""
    kinds = dict.fromkeys(parameters.get("segments", ()), "text")
    if row_id is not None:
        kinds[row_id] = "text"
    for name, kind, default in (
        ("y_pred_proba", "number", "y_pred_proba"),
        ("y_true", "number", "y_true"),
        ("y_pred", "number", None),
        ("timestamp", "time", None),
    ):
        column = parameters.get(name, default)
        if column is not None:
            kinds[column] = kind
    return kinds


def _kinds_of_features(
    parameters: "Parameters", reference: "pd.DataFrame"
) -> dict[str, str]:
    """Return the kinds of features as the reference has them."""
    from pandas.api.types import is_numeric_dtype

    names = [x for x in parameters.get("features") or () if x in reference]
    numeric = {name: is_numeric_dtype(reference[name].dtype) for name in names}
    return {name: "number" if is_one else "text" for name, is_one in numeric.items()}


def _same_ids(
    job: EstimationJob,
    analysis: "pd.DataFrame",
    targets: "pd.DataFrame",
    row_id: str,
) -> tuple["pd.DataFrame", "pd.DataFrame"]:
    """Read the ids of a CSV file as whole numbers where the other file has numbers."""
    from pandas.api.types import is_integer_dtype

    frames = [analysis, targets]
    paths = [job.analysis, job.targets]
    for i, path in enumerate(paths):
        other = frames[1 - i][row_id]
        if path is None or ending(path) in PARQUET or not is_integer_dtype(other.dtype):
            continue
        try:
            numbers = frames[i][row_id].astype("Int64")
        except (ValueError, TypeError, OverflowError) as error:
            msg = (
                f"{path}: `{row_id}` must hold whole numbers, as in {paths[1 - i]}, "
                f"but does not ({error}). Write both as numbers or both as text."
            )
            raise DataError(msg) from error
        frames[i] = frames[i].assign(**{row_id: numbers})
    return frames[0], frames[1]


def _read(
    path: Path,
    columns: list[str],
    kinds: Mapping[str, str],
    *,
    optional: list[str] | None = None,
    may_be_empty: bool = False,
) -> "pd.DataFrame":
    try:
        return read_frame(
            path,
            columns,
            optional=optional or [],
            kinds=kinds,
            may_be_empty=may_be_empty,
        )
    except FileNotFoundError as error:
        raise ConfigurationError(str(error)) from error
    except ValueError as error:
        raise DataError(str(error)) from error


def _join(
    job: EstimationJob,
    analysis: "pd.DataFrame",
    targets: "pd.DataFrame",
    row_id: str,
    y_true: str,
) -> tuple["pd.DataFrame", tuple[str, ...]]:
    """Return the analysis rows with labels, and what did not match."""
    try:
        join = join_labels(analysis, targets, row_id=row_id, y_true=y_true)
    except ValueError as error:
        msg = f"{job.analysis} and {job.targets}: {error}"
        raise DataError(msg) from error
    if join.n_labelled == 0 and len(targets):
        msg = (
            f"{job.targets}: none of its {len(targets):,} labels belongs to a row of "
            f"{job.analysis}. Is `{row_id}` the right column in both?"
        )
        raise DataError(msg)
    remarks = []
    if join.n_unlabelled:
        remarks.append(f"{join.n_unlabelled:,} of {len(analysis):,} rows have no label")
    if join.n_unknown:
        remarks.append(f"{join.n_unknown:,} labels belong to no row of {job.analysis}")
    return join.frame, tuple(remarks)


def _write(
    job: EstimationJob,
    estimator: "PerformanceEstimator",
    performance: "Performance",
    verdicts: Mapping[str, Mapping[str, "Degradation"]],
) -> None:
    """Write all files that were asked for; after an error, none of them is there."""
    with ExitStack() as stack:
        if job.output is not None:
            output = stack.enter_context(replacing(job.output))
            write_frame(performance.to_frame(), output)
        if job.chart is not None:
            chart = stack.enter_context(replacing(job.chart))
            draw_chart(performance, chart, verdicts.get(""))
        if job.estimator_file is not None:
            saved = stack.enter_context(replacing(job.estimator_file))
            estimator.save(saved)


def draw_chart(
    performance: "Performance",
    path: Path,
    verdicts: Mapping[str, "Degradation"] | None = None,
) -> None:
    """Write the figure of all metrics to a PNG or SVG file."""
    # Where it keeps its caches, and how long that takes, is nothing to tell our user.
    logging.getLogger("matplotlib").setLevel(logging.ERROR)
    import matplotlib as mpl
    import numpy as np

    mpl.use("agg")  # no window, no display needed
    axes = performance.plot(verdict=verdicts or False)
    panel: Any = axes[0] if isinstance(axes, np.ndarray) else axes
    panel.figure.savefig(path, format=path.suffix[1:], dpi=DOTS_PER_INCH)
