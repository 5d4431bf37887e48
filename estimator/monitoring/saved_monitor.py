"""A monitor as a header and plain arrays, as it is saved, and back."""

from collections.abc import Hashable
from dataclasses import dataclass

from estimator.degradation.announcements import (
    MIN_PROBABILITY,
    Announcements,
    check_min_probability,
    from_json,
    to_json,
)
from estimator.files.archive import Arrays, JsonObject, under
from estimator.frames.column_names import name_from_json, name_to_json
from estimator.ledger.ledger import Ledger
from estimator.ledger.ledger_arrays import (
    check_labels,
    ledger_from_arrays,
    ledger_to_arrays,
)
from estimator.monitoring.deployments import Deployment, check_deployments
from estimator.performance_estimator import PerformanceEstimator

MONITOR_FORMAT = "deadreckon monitor"
MONITOR_VERSION = 4


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class MonitorParts:
    """All that a monitor consists of; the rest follows from it.

    Attributes
    ----------
    deployments : tuple of Deployment
        Deployments of the model, the earliest first.
    row_id : Hashable
        Name of the column of ids.
    ledger : Ledger
        All rows and labels.
    announcements : dict of (str, str) to Announcements
        By segment and metric, what has been announced.
    min_probability : float
        Least probability of what is announced.
    """

    deployments: tuple[Deployment, ...]
    row_id: Hashable
    ledger: Ledger
    announcements: dict[tuple[str, str], Announcements]
    min_probability: float = MIN_PROBABILITY


def parts_to_arrays(parts: MonitorParts) -> tuple[JsonObject, Arrays]:
    """Take a monitor apart: what JSON can hold, and arrays."""
    ledger_header, ledger_arrays = ledger_to_arrays(parts.ledger)
    content = {f"ledger/{name}": values for name, values in ledger_arrays.items()}
    deployments = []
    for i, deployment in enumerate(parts.deployments):
        estimator, arrays = deployment.estimator.to_arrays()
        deployments.append(
            {"from_chunk": deployment.from_chunk, "estimator": estimator}
        )
        content |= {f"epoch/{i}/{name}": values for name, values in arrays.items()}
    header = {
        "format": MONITOR_FORMAT,
        "version": MONITOR_VERSION,
        "row_id": name_to_json(parts.row_id),
        "ledger": {
            **ledger_header,
            "values": [
                [name_to_json(column), values]
                for column, values in ledger_header["values"]
            ],
        },
        "epochs": deployments,
        "announcements": [
            {"segment": segment, "metric": metric, **to_json(announced)}
            for (segment, metric), announced in parts.announcements.items()
        ],
        "min_probability": parts.min_probability,
    }
    return header, content


def parts_from_arrays(header: JsonObject, arrays: Arrays) -> MonitorParts:
    """Put together what `parts_to_arrays` took apart.

    Raises
    ------
    KeyError, TypeError, ValueError
        If a part is missing or does not fit the others.
    """
    deployments = tuple(
        Deployment(
            estimator=PerformanceEstimator.from_arrays(
                saved["estimator"], under(arrays, f"epoch/{i}/")
            ),
            from_chunk=saved["from_chunk"],
        )
        for i, saved in enumerate(header["epochs"])
    )
    ledger_header = {
        **header["ledger"],
        "values": [
            [name_from_json(column), values]
            for column, values in header["ledger"]["values"]
        ],
    }
    ledger = ledger_from_arrays(ledger_header, under(arrays, "ledger/"))
    announcements = {
        (saved["segment"], saved["metric"]): from_json(saved)
        for saved in header["announcements"]
    }
    row_id = name_from_json(header["row_id"])
    first = deployments[0].estimator
    check_labels(ledger, first.chunk, has_time=first.timestamp is not None)
    check_deployments(deployments)
    return MonitorParts(
        deployments=deployments,
        row_id=row_id,
        ledger=ledger,
        announcements=announcements,
        min_probability=check_min_probability(
            header.get("min_probability", MIN_PROBABILITY)
        ),
    )
