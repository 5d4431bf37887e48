"""Realized metrics from tables of counts beside scikit-learn's from the rows.

One chunk of each kind, all labels known, counted, stored as bytes, read back and
measured as the nightly job does. Scores crowd near 1, near 0 or in a narrow band, are
overconfident, rare or rounded, or of three segments of which one is small and narrow.
"""

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit
from sklearn import metrics as sklearn_metrics

from benchmarks.reporting import Targets, make_parser, print_table
from estimator.chunking.chunks import check_chunk, make_chunks
from estimator.chunking.segments import group_rows
from estimator.delayed_labels.counts.count_table_bytes import (
    table_from_bytes,
    table_to_bytes,
)
from estimator.delayed_labels.counts.counting import count_rows
from estimator.delayed_labels.counts.weighted_rows import rows_from_counts
from estimator.frames.columns import Columns, SegmentCodes, not_none
from estimator.metrics.measurement import Measurement, measure
from estimator.metrics.metric_names import resolve_metrics
from estimator.metrics.rows import Decisions, rows_of_columns

Floats = NDArray[np.float64]
Draw = Callable[[Floats, np.random.Generator], tuple[Floats, Floats]]

METRICS = resolve_metrics(
    ("roc_auc", "average_precision", "accuracy", "f1", "log_loss", "brier_score"), None
)
TRUTH: dict[str, Callable[[Floats, Floats], float]] = {
    "roc_auc": sklearn_metrics.roc_auc_score,
    "average_precision": sklearn_metrics.average_precision_score,
    "accuracy": lambda y, s: sklearn_metrics.accuracy_score(y, s >= 0.5),
    "f1": lambda y, s: sklearn_metrics.f1_score(y, s >= 0.5),
    "log_loss": lambda y, s: sklearn_metrics.log_loss(y, s, labels=[0, 1]),
    "brier_score": sklearn_metrics.brier_score_loss,
}
# Score and log odds of the label, given a standard normal z.
KINDS: dict[str, Draw] = {
    "ordinary": lambda z, _: (expit(1.5 * z - 1.0), 1.5 * z - 1.0),
    "overconfident: log odds × 10": lambda z, _: (expit(10.0 * z), 1.5 * z),
    "crowded at 1: log odds 14 ± 8": lambda z, _: (expit(8.0 * z + 14.0), z),
    "crowded at 0: log odds -14 ± 2": lambda z, _: (
        expit(2.0 * z - 14.0),
        1.5 * z - 3.0,
    ),
    "a band: 1e-7 to 9e-7": lambda z, r: (r.uniform(1e-7, 9e-7, z.size), z - 1.0),
    "rare: 1 % positive": lambda z, _: (expit(1.3 * z - 5.4), 1.3 * z - 5.4),
    "three decimals": lambda z, _: (expit(1.5 * z).round(3), 1.5 * z),
    "32-bit scores": lambda z, _: (
        expit(2.0 * z).astype(np.float32).astype(np.float64),
        z,
    ),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """What one chunk came to.

    Attributes
    ----------
    errors : dict of float
        By metric: distance from scikit-learn, all rows.
    segment_errors : dict of float
        By metric: largest distance of the three segments, in their standard errors.
    overrun : dict of float
        By metric: by how much the truth lies beyond its bound, at most, of all rows
        and segments; 0 if within.
    bound, standard_error : dict of float
        By metric, of all rows.
    n_cells, n_bytes : int
    seconds : float
        For counting.
    """

    errors: dict[str, float]
    segment_errors: dict[str, float]
    overrun: dict[str, float]
    bound: dict[str, float]
    standard_error: dict[str, float]
    n_cells: int
    n_bytes: int
    seconds: float


def main() -> int:
    parser = make_parser(__doc__)
    parser.add_argument("--rows", type=int, default=10_000_000, help="of the largest")
    options = parser.parse_args()
    targets = Targets(source="how exact tables of counts are")
    trials: dict[str, Trial] = {}
    for size, kinds in (
        (2_000, list(KINDS)),
        (200_000, list(KINDS)),
        (options.rows, ["ordinary"]),
    ):
        for kind in kinds:
            trials[f"{size:,} rows, {kind}"] = run(kind, size, options.seed)
    print_table(
        "Error of all rows, and the bound of ROC AUC",
        ("", *TRUTH, "ROC AUC's bound", "its standard error", "cells", "MB", "s"),
        [
            (
                name,
                *(f"{error:.1e}" for error in trial.errors.values()),
                f"{trial.bound['roc_auc']:.1e}",
                f"{trial.standard_error['roc_auc']:.1e}",
                f"{trial.n_cells:,}",
                f"{trial.n_bytes / 1e6:.2f}",
                f"{trial.seconds:.2f}",
            )
            for name, trial in trials.items()
        ],
    )
    largest = {
        name: max(trial.errors[name] for trial in trials.values()) for name in TRUTH
    }
    for name, target in (
        ("roc_auc", 2e-5),
        ("average_precision", 1e-4),
        ("accuracy", 1e-9),
        ("f1", 1e-9),
        ("log_loss", 1e-9),
        ("brier_score", 1e-9),
    ):
        targets.at_most(f"{name}, largest error", largest[name], target)
    for name in ("roc_auc", "average_precision"):
        overrun = max(trial.overrun[name] for trial in trials.values())
        targets.at_most(f"{name}, beyond its bound", overrun, 1e-12)
        error = max(trial.segment_errors[name] for trial in trials.values())
        targets.at_most(f"{name}, segments, in standard errors", error, 0.1)
    return targets.finish(check=options.check)


def run(kind: str, n_rows: int, seed: int) -> Trial:
    """Draw, count and measure one chunk."""
    rng = np.random.default_rng(seed)
    z = rng.normal(size=n_rows)
    code = rng.choice(3, n_rows, p=[0.7, 0.28, 0.02]).astype(np.int16)
    z[code == 2] = 0.3 + 0.05 * z[code == 2]  # a small segment, of nearly one score
    score, log_odds = KINDS[kind](z, rng)
    label = (rng.random(n_rows) < expit(log_odds)).astype(np.float64)
    columns = Columns(
        n_rows=n_rows,
        score=score,
        decision=None,
        label=label,
        timestamp=np.full(n_rows, "2026-01-05", dtype="M8[us]"),
        timezone=None,
        segments={"kind": SegmentCodes(codes=code, values=["a", "b", "c"])},
        missing_score=0,
        missing_decision=0,
    )
    chunks = make_chunks(n_rows, "D", columns.timestamp)
    begun = time.perf_counter()
    (table,) = count_rows(
        columns, chunks, decision=Decisions(threshold=0.5), bands=np.array([0.3, 0.7])
    )
    seconds = time.perf_counter() - begun
    content = table_to_bytes(table)
    laid = rows_from_counts(
        [table_from_bytes(content)], check_chunk("D", has_timestamp=True), None
    )
    groups = group_rows(laid.columns, laid.chunks)
    measured = measure(
        METRICS,
        groups,
        rows_of_columns(
            laid.columns,
            not_none(laid.columns.label),
            Decisions(by_row=not_none(laid.columns.decision)),
        ),
    )
    return _compare(measured, score, label, code, table.cells["count"].size, content,
                    seconds)  # fmt: skip


def _compare(
    measured: Measurement,
    score: Floats,
    label: Floats,
    code: NDArray[np.int16],
    n_cells: int,
    content: bytes,
    seconds: float,
) -> Trial:
    below, above = measured.order_error
    errors, of_segments, overrun = (dict.fromkeys(TRUTH, 0.0) for _ in range(3))
    everyone = np.ones(score.size, dtype=np.bool_)
    for g, rows in enumerate([everyone, code == 0, code == 1, code == 2]):
        for k, (name, truth) in enumerate(TRUTH.items()):
            if np.isnan(measured.value[g, k]):  # a segment of one class
                continue
            off = truth(label[rows], score[rows]) - float(measured.value[g, k])
            if g == 0:
                errors[name] = abs(off)
            else:
                error = abs(off) / np.sqrt(measured.sampling_variance[g, k])
                of_segments[name] = max(of_segments[name], float(error))
            beyond = max(off - above[g, k], -off - below[g, k])
            overrun[name] = max(overrun[name], float(beyond))
    widths = np.maximum(below, above)[0]
    deviations = np.sqrt(measured.sampling_variance[0])
    return Trial(
        errors=errors,
        segment_errors=of_segments,
        overrun=overrun,
        bound=dict(zip(TRUTH, widths.tolist(), strict=True)),
        standard_error=dict(zip(TRUTH, deviations.tolist(), strict=True)),
        n_cells=n_cells,
        n_bytes=len(content),
        seconds=seconds,
    )


if __name__ == "__main__":
    sys.exit(main())
