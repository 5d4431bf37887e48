"""What Prometheus reads after a run: a textfile for the node exporter."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from estimator.degradation.kinds import KINDS
from estimator.files.atomic import remove_leftovers, replacing
from estimator.files.optional_packages import install_hint

if TYPE_CHECKING:
    from prometheus_client.metrics_core import GaugeMetricFamily

# Units in the names: https://prometheus.io/docs/practices/naming/
OF_A_METRIC = {
    "value": "Best current answer for the newest complete chunk.",
    "value_lower": "Lower end of the prediction interval of deadreckon_value.",
    "value_upper": "Upper end of the prediction interval of deadreckon_value.",
    "alert": "1 if the newest complete chunk lies beyond its threshold, else 0.",
    "chunk_start_timestamp_seconds": "Start of the newest complete chunk, Unix time.",
    "labels_ratio": "Share of that chunk's rows whose label is known, 0 to 1.",
    "verdict_probability": "Probability of the verdict, 0 to 1.",
}
OF_A_MODEL = {
    "last_success_timestamp_seconds": "End of the last run that succeeded, Unix time.",
    "data_as_of_timestamp_seconds": "Newest row or label that is known, Unix time.",
    "labels_overdue": "Labels that are missing since labels have stopped, else 0.",
}
VERDICT = "1 for the kind of decline that the metric shows, 0 for the others."


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricGauges:
    """What is told of one metric of a model; NaN where there is nothing to tell.

    Attributes
    ----------
    segment : str
        "" for all rows together, else ``"column=value"``.
    metric : str
    value, lower, upper : float
        Of the newest complete chunk, with its prediction interval.
    alert : bool
    chunk_start_timestamp : float
        Start of that chunk, in seconds of Unix time.
    labels_ratio : float
        Share of its rows whose label is known, in [0, 1].
    kind : str, optional
        The verdict; None if there is none yet.
    probability : float, default=NaN
        Of the verdict, in [0, 1].
    """

    segment: str
    metric: str
    value: float
    lower: float
    upper: float
    alert: bool
    chunk_start_timestamp: float
    labels_ratio: float
    kind: str | None = None
    probability: float = math.nan


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelGauges:
    """What is told of one model.

    Attributes
    ----------
    model : str
    last_success_timestamp : float
        When its last run ended well, in seconds of Unix time.
    data_as_of_timestamp : float
        Newest row or label that is known, in seconds of Unix time.
    labels_overdue : int, default=0
        Labels that are missing since labels have stopped.
    metrics : tuple of MetricGauges
        Empty before the first complete chunk.
    """

    model: str
    last_success_timestamp: float
    data_as_of_timestamp: float
    labels_overdue: int = 0
    metrics: tuple[MetricGauges, ...] = ()


def write_textfile(path: Path, models: Sequence[ModelGauges]) -> None:
    """Write all models' gauges where the node exporter finds them, whole or not at all.

    The file is for its textfile collector (``--collector.textfile.directory``), which
    reads names that end in ``.prom``. What is not among ``models`` any more is gone.

    Parameters
    ----------
    path : Path
        Ends in ``.prom``.
    models : sequence of ModelGauges

    Raises
    ------
    ValueError
        If the name does not end in ``.prom``, a kind is none of the six, or two series
        have the same labels.
    FileNotFoundError
        If there is no such folder.
    ModuleNotFoundError
        If prometheus-client is missing; it comes with the ``job`` extra.

    Examples
    --------
    >>> import tempfile
    >>> credit = ModelGauges(
    ...     model="credit", last_success_timestamp=2e9, data_as_of_timestamp=2e9
    ... )
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_textfile(Path(folder) / "deadreckon.prom", [credit])
    ...     lines = (Path(folder) / "deadreckon.prom").read_text().splitlines()
    >>> [line for line in lines if line.startswith("deadreckon_last")]
    ['deadreckon_last_success_timestamp_seconds{model="credit"} 2e+09']
    """
    try:
        from prometheus_client import CollectorRegistry, generate_latest
        from prometheus_client.registry import Collector
    except ModuleNotFoundError as error:
        msg = f"{path}: Prometheus needs prometheus-client. {install_hint('job')}"
        raise ModuleNotFoundError(msg, name=error.name) from error

    class Snapshot(Collector):
        """Families made once: no state, no clock, nothing shared by processes."""

        def collect(self) -> Iterator["GaugeMetricFamily"]:
            yield from families

    if path.suffix != ".prom":
        msg = f"{path}: the ending must be .prom, got {path.suffix or 'none'!r}."
        raise ValueError(msg)
    if not path.parent.is_dir():
        msg = f"{path}: no folder {path.parent}. Make it, or name another."
        raise FileNotFoundError(msg)
    families = list(_families(models))
    registry = CollectorRegistry(auto_describe=False)
    registry.register(Snapshot())
    remove_leftovers(path.parent)
    # The node exporter would read a temporary file that ends in .prom.
    with replacing(path, ending=".tmp") as temporary:
        temporary.write_bytes(generate_latest(registry))


def _families(models: Sequence[ModelGauges]) -> Iterator["GaugeMetricFamily"]:
    from prometheus_client.metrics_core import GaugeMetricFamily

    _check(models)
    for name, text in OF_A_MODEL.items():
        family = GaugeMetricFamily(f"deadreckon_{name}", text, labels=["model"])
        for model in models:
            family.add_metric([model.model], _of_model(model)[name])
        yield family
    labels = ["model", "segment", "metric"]
    for name, text in OF_A_METRIC.items():
        family = GaugeMetricFamily(f"deadreckon_{name}", text, labels=labels)
        for key, gauges in _series(models):
            family.add_metric(key, _of_metric(gauges)[name])
        yield family
    family = GaugeMetricFamily("deadreckon_verdict", VERDICT, labels=[*labels, "kind"])
    for key, gauges in _series(models):
        for kind in KINDS:
            family.add_metric([*key, kind], float(kind == gauges.kind))
    yield family


def _series(models: Sequence[ModelGauges]) -> Iterator[tuple[list[str], MetricGauges]]:
    for model in models:
        for gauges in model.metrics:
            yield [model.model, gauges.segment, gauges.metric], gauges


def _of_model(model: ModelGauges) -> dict[str, float]:
    return {
        "last_success_timestamp_seconds": model.last_success_timestamp,
        "data_as_of_timestamp_seconds": model.data_as_of_timestamp,
        "labels_overdue": float(model.labels_overdue),
    }


def _of_metric(gauges: MetricGauges) -> dict[str, float]:
    return {
        "value": gauges.value,
        "value_lower": gauges.lower,
        "value_upper": gauges.upper,
        "alert": float(gauges.alert),
        "chunk_start_timestamp_seconds": gauges.chunk_start_timestamp,
        "labels_ratio": gauges.labels_ratio,
        "verdict_probability": gauges.probability,
    }


def _check(models: Sequence[ModelGauges]) -> None:
    """Refuse what Prometheus would: one duplicate, and it reads nothing of the file."""
    seen: set[tuple[str, ...]] = set()
    keys = [(model.model,) for model in models]
    for key in [*keys, *(tuple(key) for key, _ in _series(models))]:
        if key in seen:
            names = dict(zip(("model", "segment", "metric"), key, strict=False))
            msg = f"`models` must hold each series once, got twice: {names}."
            raise ValueError(msg)
        seen.add(key)
    for _, gauges in _series(models):
        if gauges.kind is not None and gauges.kind not in KINDS:
            kinds = ", ".join(KINDS)
            msg = f"`kind` must be one of {kinds} or None, got {gauges.kind!r}."
            raise ValueError(msg)
