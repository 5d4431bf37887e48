"""What `status --format json` prints: the same as the text, for programs.

The fields are a contract: one may be added, none changes its meaning.
"""

import math

import pandas as pd

from estimator.charts.newest_chunk import newest_chunk, unfinished_chunk
from estimator.metric_series import has_all_labels, label_coverage
from estimator.operations.nightly.overview import ModelOverview

# Columns of a result that are printed as they are; NaN becomes null.
NUMBERS = (
    "value",
    "lower",
    "upper",
    "estimated",
    "realized",
    "lower_threshold",
    "upper_threshold",
    "breach_probability",
)


def status_of(
    overview: ModelOverview,
    metrics: tuple[str, ...] = (),
    segments: tuple[str, ...] | None = None,
) -> dict[str, object]:
    """Return what is known of a model, as JSON can hold it.

    Parameters
    ----------
    overview : ModelOverview
    metrics : tuple of str, default=()
        Only these; none: all.
    segments : tuple of str, optional
        Only these; "" is all rows together. Default: all.

    Returns
    -------
    dict
        ``model``; ``as_of``, ISO 8601; ``warnings``, sentences; ``labels_overdue``,
        a number; ``newest_complete_chunk`` and ``unfinished_chunk``, labels or None;
        ``verdicts``, each with ``segment`` ("" is all rows together), ``metric``,
        ``kind``, ``probability`` and ``sentence``; ``chunks``, each analysis chunk and
        metric with ``segment, chunk, start, end, metric, n_rows, n_labels``,
        ``labels_ratio`` (0 to 1), the numbers of ``NUMBERS``, ``is_final`` (whether
        all labels are in: else ``realized`` is that of the labels so far), ``alert``,
        ``trust`` and ``note``.
    """
    performance = overview.performance
    n_rows, n_labels = performance.n_rows, performance.n_labels
    final = has_all_labels(n_rows, n_labels)
    coverage = label_coverage(n_rows, n_labels)

    def wanted(segment: str, metric: str) -> bool:
        here = segments is None or segment in segments
        return here and (not metrics or metric in metrics)

    frame = performance.to_frame()
    n_metrics = len(performance.metrics)
    chunks = []
    for i, row in enumerate(frame.to_dict("records")):
        if row["period"] != "analysis" or not wanted(row["segment"], row["metric"]):
            continue
        chunks.append(
            {
                "segment": row["segment"],
                "chunk": row["chunk"],
                "start": _iso(row["start"]),
                "end": _iso(row["end"]),
                "metric": row["metric"],
                "n_rows": int(row["n_rows"]),
                "n_labels": int(row["n_labels"]),
                "labels_ratio": float(coverage[i // n_metrics]),
                "is_final": bool(final[i // n_metrics]),
                **{name: _number(row[name]) for name in NUMBERS},
                "alert": bool(row["alert"]),
                "trust": row["trust"],
                "note": row["note"],
            }
        )
    return {
        "model": overview.name,
        "as_of": overview.as_of.isoformat(),
        "warnings": list(overview.warnings),
        "labels_overdue": 0 if overview.overdue is None else overview.overdue.missing,
        "newest_complete_chunk": newest_chunk(performance),
        "unfinished_chunk": unfinished_chunk(performance),
        "verdicts": [
            {
                "segment": segment,
                "metric": metric,
                "kind": verdict.kind,
                "probability": _number(verdict.probability),
                "sentence": str(verdict),
            }
            for segment, by_metric in overview.verdicts.items()
            for metric, verdict in by_metric.items()
            if wanted(segment, metric)
        ],
        "chunks": chunks,
    }


def _iso(moment: pd.Timestamp) -> str | None:
    text: str = moment.isoformat()
    return None if text == "NaT" else text


def _number(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None
