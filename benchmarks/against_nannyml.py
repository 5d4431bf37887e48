"""Fit and estimate beside NannyML's CBPE, same frames, same run.

NannyML computes its six metrics with one band; we compute all 15 with both intervals.
Both are told the same three columns (score, decision, label) and the same chunk size,
which cuts the reference as well. Import and compilation are not timed.
"""

import sys
import time

import numpy as np
import pandas as pd

from benchmarks.nannyml_process import NannyML
from benchmarks.reporting import Targets, make_parser, print_table
from benchmarks.worlds import ALL_METRICS, COSTS, SIX_METRICS, draw_frame
from estimator import PerformanceEstimator

# By number of chunks: how many times faster.
ESTIMATE_TARGET = {10: 6.0, 1_000: 50.0}
FIT_AND_ESTIMATE_TARGET = {10: 2.5, 1_000: 40.0}


def main() -> int:
    parser = make_parser(__doc__)
    parser.add_argument(
        "--nannyml-python", required=True, help="interpreter that has nannyml"
    )
    parser.add_argument("--rows", type=int, nargs="+", default=[100_000, 1_000_000])
    parser.add_argument("--chunks", type=int, nargs="+", default=[10, 1_000])
    parser.add_argument("--reference", type=int, default=100_000, help="rows")
    parser.add_argument("--repeats", type=int, default=3, help="of each, interleaved")
    options = parser.parse_args()
    rng = np.random.default_rng(options.seed)
    targets = Targets(source="speed beside NannyML")
    reference = draw_frame(options.reference, rng)
    table = []
    with NannyML(options.nannyml_python) as nannyml:
        for n_rows in options.rows:
            analysis = draw_frame(n_rows, rng)[["y_pred_proba", "y_pred"]]
            nannyml.load(reference, analysis)
            for n_chunks in options.chunks:
                theirs, ours, threshold = _compare(
                    nannyml, reference, analysis, n_rows // n_chunks, options.repeats
                )
                where = f"{n_rows:,} rows, {n_chunks:,} chunks"
                ratio = theirs.sum(axis=1) / ours.sum(axis=1)
                faster = np.median(theirs, axis=0) / np.median(ours, axis=0)
                both = float(np.median(ratio))
                table.append(
                    (
                        where,
                        *(f"{x:.2f} s" for x in np.median(theirs, axis=0)),
                        *(f"{1e3 * x:.0f} ms" for x in np.median(ours, axis=0)),
                        *(f"{1e3 * x:.0f} ms" for x in np.median(threshold, axis=0)),
                        f"{faster[1]:.0f}×",
                        f"{both:.1f}×",
                    )
                )
                if n_chunks in ESTIMATE_TARGET:
                    targets.at_least(
                        f"estimate: {where}", faster[1], ESTIMATE_TARGET[n_chunks], "×"
                    )
                    targets.at_least(
                        f"fit + estimate: {where}",
                        both,
                        FIT_AND_ESTIMATE_TARGET[n_chunks],
                        "×",
                    )
        versions = ", ".join(f"{k} {v}" for k, v in nannyml.versions.items())
    print(f"NannyML's environment: {versions}; reference {options.reference:,} rows.")
    print_table(
        "NannyML's six metrics, our 15 (also without the y_pred column)",
        (
            "analysis",
            *("NannyML fit", "estimate", "our fit", "estimate"),
            *("no y_pred: fit", "estimate", "estimate", "fit + estimate"),
        ),
        table,
    )
    return targets.finish(check=options.check)


def _compare(
    nannyml: NannyML,
    reference: pd.DataFrame,
    analysis: pd.DataFrame,
    chunk: int,
    repeats: int,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return seconds of (fit, estimate), one row a repetition: theirs and ours."""

    def run_ours(y_pred: str | None) -> tuple[float, float]:
        estimator = PerformanceEstimator(
            ALL_METRICS, chunk=chunk, y_pred=y_pred, business_costs=COSTS
        )
        start = time.perf_counter()
        estimator.fit(reference)
        fitted = time.perf_counter()
        estimator.estimate(analysis)
        return fitted - start, time.perf_counter() - fitted

    run_ours("y_pred"), run_ours(None)
    theirs, ours, threshold = [], [], []
    for _ in range(repeats):
        taken = nannyml.run(SIX_METRICS, chunk)
        theirs.append((taken["fit"], taken["estimate"]))
        # Ours is short: the median of five beside each of theirs.
        ours.append(np.median([run_ours("y_pred") for _ in range(5)], axis=0))
        threshold.append(np.median([run_ours(None) for _ in range(5)], axis=0))
    return np.array(theirs), np.array(ours), np.array(threshold)


if __name__ == "__main__":
    sys.exit(main())
