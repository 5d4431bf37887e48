"""US census employment, Massachusetts: 104 chunks of 2,000 rows with known outcome.

Real data with real shift: 2015 is the reference, 2016 to 2018 follow. Every estimate is
held against the realized metric, which label noise alone moves by √V_lab: the floor
that no method can pass. Never choose a default on this table.
"""

import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from benchmarks.coverage import measure_chunks
from benchmarks.nannyml_process import NannyML
from benchmarks.reporting import Targets, make_parser, print_table
from benchmarks.worlds import SIX_METRICS, read_employment
from estimator import PerformanceEstimator

Floats = NDArray[np.float64]

METRICS = ("roc_auc", "accuracy")
CALIBRATORS = ("spline", "isotonic", "platt", "beta", "temperature", "identity")
LEVEL = 0.95
Z = float(ndtri(0.5 + LEVEL / 2.0))
RMSE_TARGET = {"roc_auc": 84.0, "accuracy": 92.0}  # e-4
COVERAGE_TARGET, WIDTH_TARGET = 90.0, 1.5
HEADER = ("", "RMSE e-4", "MAE e-4", "bias e-4", "covered", "half-width / label noise")


def main() -> int:
    parser = make_parser(__doc__)
    parser.add_argument("data", type=Path, help="folder with employment_MA_*.pq")
    parser.add_argument("--chunk", type=int, default=2_000)
    parser.add_argument("--nannyml-python", help="interpreter that has nannyml")
    options = parser.parse_args()
    targets = Targets(source="estimates on census data")
    reference, analysis = read_employment(options.data, parser)
    n_chunks = len(analysis) // options.chunk
    analysis = analysis[: n_chunks * options.chunk]
    print(f"{len(reference):,} reference rows; {n_chunks} chunks of {options.chunk:,}.")

    tables: dict[str, list[tuple[str, ...]]] = {name: [] for name in METRICS}
    realized = noise = np.empty(0)
    for calibrator in CALIBRATORS:
        estimator = PerformanceEstimator(
            METRICS, "cbpe", options.chunk, calibrator=calibrator, level=LEVEL
        ).fit(reference)
        performance = estimator.estimate(analysis)
        is_analysis = performance.period == "analysis"
        fitted = estimator.reference_
        tau = np.sqrt(fitted.drift[""].variance(fitted.period.typical_distance))
        if calibrator == "spline":
            score = analysis["y_pred_proba"].to_numpy()
            soft = fitted.calibrator.predict
            noise = measure_chunks(METRICS, score, soft, options.chunk).label_variance
            noise, realized = np.sqrt(noise), performance.realized[is_analysis]
            first = performance.period == "reference"
            mean = np.average(
                performance.realized[first], axis=0, weights=performance.n_rows[first]
            )
        for k, metric in enumerate(METRICS):
            half = (performance.upper - performance.lower)[is_analysis][:, k] / 2.0
            error = performance.estimated[is_analysis][:, k] - realized[:, k]
            row_name = f"{calibrator} (tau {1e4 * tau[k]:.0f}e-4)"
            tables[metric].append(_row(row_name, error, half, noise[:, k]))
            if calibrator == "spline":
                covered = 100.0 * float(np.mean(np.abs(error) <= half))
                width = float(np.mean(half)) / float(Z * np.mean(noise[:, k]))
                rmse = 1e4 * float(np.sqrt(np.mean(error**2)))
                targets.at_most(f"{metric}: RMSE", rmse, RMSE_TARGET[metric], "e-4")
                targets.at_least(f"{metric}: coverage", covered, COVERAGE_TARGET, " %")
                targets.at_most(
                    f"{metric}: half-width", width, WIDTH_TARGET, " × noise"
                )
    for k, metric in enumerate(METRICS):
        constant = mean[k] - realized[:, k]
        tables[metric].append(_row("constant: the reference's", constant))
    if options.nannyml_python:
        with NannyML(options.nannyml_python) as nannyml:
            nannyml.load(reference, analysis.drop(columns="y_true"))
            nannyml.run(SIX_METRICS, options.chunk)
            for k, metric in enumerate(METRICS):
                theirs = nannyml.estimates(metric)
                error = theirs["value"].to_numpy() - realized[:, k]
                # NannyML draws ± 3 sampling errors: here the width of 95 %.
                half = Z * theirs["error"].to_numpy()
                row_name = f"NannyML {nannyml.versions['nannyml']}, band at {LEVEL:.0%}"
                tables[metric].append(_row(row_name, error, half, noise[:, k]))
    for k, metric in enumerate(METRICS):
        floor = noise[:, k]
        square, absolute = (
            np.sqrt(np.mean(floor**2)),
            np.mean(floor) * (2 / np.pi) ** 0.5,
        )
        tables[metric].append(
            (
                "label noise alone",
                f"{1e4 * square:.1f}",
                f"{1e4 * absolute:.1f}",
                *3 * " ",
            )
        )
        print_table(f"{metric}, against the realized value", HEADER, tables[metric])
    return targets.finish(check=options.check)


def _row(
    name: str, error: Floats, half: Floats | None = None, noise: Floats | None = None
) -> tuple[str, ...]:
    covered = width = ""
    if half is not None and noise is not None:
        covered = f"{np.mean(np.abs(error) <= half):.1%}"
        width = f"{np.mean(half) / (Z * np.mean(noise)):.2f}"
    return (
        name,
        f"{1e4 * np.sqrt(np.mean(error**2)):.1f}",
        f"{1e4 * np.mean(np.abs(error)):.1f}",
        f"{1e4 * np.mean(error):+.1f}",
        covered,
        width,
    )


if __name__ == "__main__":
    sys.exit(main())
