"""How long kernels and `estimate` take beside a bare sort, and what memory they use.

Everything is a ratio to ``np.sort`` over the same chunks in the same run: NumPy's
vectorized sort, one chunk after the other, on one core. We may use all cores that the
process has (``NUMBA_NUM_THREADS=1`` in the environment takes that away). Extra memory
is the peak less what the result itself keeps: 1,000 chunks of 15 metrics are larger
than 100,000 scores.
"""

import os
import resource
import subprocess
import sys
from functools import partial
from itertools import pairwise, product

import numba
import numpy as np
import pandas as pd

from benchmarks.reporting import Targets, make_parser, print_table
from benchmarks.timing import median_seconds, peak_bytes
from benchmarks.worlds import ALL_METRICS, COSTS, draw_frame
from calibration import SplineCalibrator
from estimator import PerformanceEstimator
from estimator.metrics.error_cells import measure_error_cells
from estimator.metrics.rows import Decisions, Rows
from estimator.metrics.soft_label_sums import sum_soft_labels

KERNEL_TARGET, ESTIMATE_TARGET, ESTIMATE_AIM = 5.0, 10.0, 5.0
MEMORY_TARGET, CALL_TARGET_MS, HELP_TARGET_S = 4.0, 5.0, 0.5
KERNELS = ("argsort", "argsort, no log loss", "sort + calibration")
HELP = "from estimator.operations.commands.main import main; main()"


def main() -> int:
    parser = make_parser(__doc__)
    parser.add_argument(
        "--rows", type=int, nargs="+", default=[100_000, 1_000_000, 5_000_000]
    )
    parser.add_argument("--chunks", type=int, nargs="+", default=[10, 100, 1_000])
    parser.add_argument("--reference", type=int, default=100_000, help="rows")
    parser.add_argument("--repeats", type=int, default=15, help="interleaved")
    parser.add_argument(
        "--budget", type=float, default=20.0, help="seconds per cell of the grid"
    )
    parser.add_argument(
        "--decimals", type=int, default=17, help="round the scores: ties"
    )
    options = parser.parse_args()
    rng = np.random.default_rng(options.seed)
    targets = Targets(source="speed and memory of the kernels and of estimate")

    reference = draw_frame(options.reference, rng)
    score = reference["y_pred_proba"].to_numpy()
    calibrator = SplineCalibrator().fit(score, reference["y_true"])
    cells = measure_error_cells(calibrator, score, calibrator.predict(score))

    kernels, whole = [], []
    for n_rows, n_chunks in product(options.rows, options.chunks):
        frame = draw_frame(n_rows, rng)[["y_pred_proba"]]
        frame = frame.round(options.decimals)
        score = frame["y_pred_proba"].to_numpy()
        size = n_rows // n_chunks
        offsets = np.arange(0, n_rows + 1, size)
        by_row = Rows(
            score=score,
            soft=calibrator.predict(score),
            decisions=Decisions(by_row=score >= 0.5),
        )
        by_score = Rows(
            score=score, soft=calibrator.predict, decisions=Decisions(threshold=0.5)
        )
        sums = partial(
            sum_soft_labels, row_numbers=None, offsets=offsets, error_cells=cells
        )
        estimator = PerformanceEstimator(
            ALL_METRICS, chunk=size, business_costs=COSTS
        ).fit(reference)
        seconds = median_seconds(
            {
                "np.sort": partial(_sort, score, offsets),
                "argsort": partial(sums, by_row),
                "sort + calibration": partial(sums, by_score),
                "argsort, no log loss": partial(sums, by_row, with_log_loss=False),
                "estimate": partial(estimator.estimate, frame),
            },
            options.repeats,
            budget=options.budget,
        )
        base = seconds.pop("np.sort")
        ratio = {name: taken.wall / base.wall for name, taken in seconds.items()}
        work = {name: taken.cpu / base.cpu for name, taken in seconds.items()}
        peak, kept = peak_bytes(partial(estimator.estimate, frame))
        columns = (peak - kept) / (8 * n_rows)
        where = f"{n_rows:,} rows, {n_chunks:,} chunks"
        kernels.append(
            (
                where,
                f"{1e3 * base.wall:.1f} ms",
                *(f"{ratio[name]:.2f} ({work[name]:.1f})" for name in KERNELS),
            )
        )
        whole.append(
            (
                where,
                f"{1e3 * seconds['estimate'].wall:.1f} ms",
                f"{ratio['estimate']:.2f} ({work['estimate']:.1f})",
                "yes" if ratio["estimate"] <= ESTIMATE_AIM else "no",
                f"{columns:.2f}",
                f"{kept / (8 * n_rows):.2f}",
            )
        )
        targets.at_most(
            f"kernels, argsort: {where}", ratio["argsort"], KERNEL_TARGET, "×"
        )
        targets.at_most(
            f"kernels, sort: {where}", ratio["sort + calibration"], KERNEL_TARGET, "×"
        )
        targets.at_most(f"estimate: {where}", ratio["estimate"], ESTIMATE_TARGET, "×")
        targets.at_most(f"extra memory: {where}", columns, MEMORY_TARGET, " columns")

    load = os.getloadavg()[0]
    print(
        f"Cores we may use: {numba.config.NUMBA_NUM_THREADS} (load {load:.1f}); "
        "np.sort uses one."
    )
    print_table(
        "Kernels with their sort, × np.sort in time (in work on all cores)",
        ("", "np.sort", *KERNELS),
        kernels,
    )
    print_table(
        "estimate(frame), 15 metrics with both intervals",
        (
            "",
            "time",
            "× np.sort",
            f"aim ≤ {ESTIMATE_AIM:g}×",
            "extra memory, float64 columns",
            "the result",
        ),
        whole,
    )
    one = _time_one_call(reference, rng)
    print_table("One chunk of 10,000 rows, library call, warm", ("", "median"), one[0])
    targets.at_most("10,000 rows, 15 metrics", one[1], CALL_TARGET_MS, " ms")
    help_seconds = _help_cpu_seconds()
    print_table("deadreckon --help", ("", "seconds"), [("CPU", f"{help_seconds:.2f}")])
    targets.at_most("deadreckon --help, CPU", help_seconds, HELP_TARGET_S, " s")
    return targets.finish(check=options.check)


def _sort(score: np.ndarray, offsets: np.ndarray) -> None:
    for begin, end in pairwise(offsets.tolist()):
        np.sort(score[begin:end])


def _time_one_call(
    reference: pd.DataFrame, rng: np.random.Generator
) -> tuple[list[tuple[str, str]], float]:
    batch = draw_frame(10_000, rng)[["y_pred_proba"]]
    runs = {
        f"{len(metrics)} metrics": partial(
            PerformanceEstimator(
                metrics,
                chunk=10_000,
                business_costs=COSTS if len(metrics) > 2 else None,
            )
            .fit(reference)
            .estimate,
            batch,
            chunk=None,
        )
        for metrics in (ALL_METRICS, ("roc_auc", "accuracy"))
    }
    seconds = median_seconds(runs, 200)
    rows = [(name, f"{1e3 * taken.wall:.2f} ms") for name, taken in seconds.items()]
    return rows, 1e3 * seconds[f"{len(ALL_METRICS)} metrics"].wall


def _help_cpu_seconds(repeats: int = 7) -> float:
    """Return the median user + system time of a process that only prints its help."""
    taken = []
    for _ in range(repeats + 1):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run(  # noqa: S603
            [sys.executable, "-c", HELP, "--help"],
            check=True,
            stdout=subprocess.DEVNULL,
            env=os.environ | {"COLUMNS": "80"},
        )
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        taken.append(
            after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        )
    return float(np.median(taken[1:]))  # the first compiles bytecode


if __name__ == "__main__":
    sys.exit(main())
