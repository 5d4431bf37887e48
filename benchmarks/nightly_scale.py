"""The nightly job on 50 million predictions: the first run, and a night's increment.

365 daily Parquet files with five segments; 80 % of the labels have come, in a file per
day of arrival. Each run is a process of its own, as under cron. The yardstick is what
DuckDB takes to group the same predictions by day, segment and bin of the score.
"""

import subprocess
import sys
import tempfile
import time
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from scipy.special import expit

from benchmarks.reporting import Targets, make_parser, print_table

DAYS, SEGMENTS = 365, ("east", "north", "online", "south", "west")
START = np.datetime64("2025-01-01", "us")
DAY = np.timedelta64(86_400_000_000, "us")
N_REFERENCE = 100_000
SHARE_LABELLED = 0.8
LONGEST_DAYS = 30
FIRST_SECONDS, NIGHT_SECONDS, GIGABYTES = 180, 10, 3
CONFIG = """
[job]
store = "deadreckon.db"
report = "report"

[models.credit]
reference = "reference.parquet"
predictions = "predictions/*.parquet"
labels = "labels/*.parquet"
row_id = "id"

[models.credit.estimator]
chunk = "D"
timestamp = "timestamp"
labeled_at = "labeled_at"
metrics = ["roc_auc", "accuracy"]
segments = ["channel"]
"""


def main() -> int:
    parser = make_parser(__doc__)
    parser.add_argument("--rows", type=int, default=50_000_000)
    parser.add_argument(
        "--folder", type=Path, help="where to put the data, and keep it"
    )
    parser.add_argument("--repeats", type=int, default=3, help="of the increment")
    options = parser.parse_args()
    targets = Targets(source="time and memory of the nightly job")
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.folder or Path(temporary)
        if not (folder / "nightly.toml").exists():
            simulate(folder, options.rows, options.seed, DAYS + options.repeats)
        for name in ("deadreckon.db", "deadreckon.db-wal", "deadreckon.db-shm"):
            (folder / name).unlink(missing_ok=True)
        put_away(folder, DAYS)
        warm = run_job(folder, "--check")
        first = run_job(folder)
        yardstick = group_by(folder)
        again = run_job(folder)
        nights = []
        for night in range(options.repeats):
            bring(folder, DAYS + night)
            nights.append(run_job(folder))
        middle = sorted(nights)[len(nights) // 2]
        size = (folder / "deadreckon.db").stat().st_size / 1e6
    print_table(
        f"{options.rows:,} predictions, {DAYS} days, {len(SEGMENTS)} segments",
        ("", "seconds", "peak memory, GB"),
        [
            ("DuckDB's group-by of the predictions", f"{yardstick:.1f}", ""),
            ("reading the configuration (--check)", *row(warm)),
            ("first run", *row(first)),
            ("nothing new", *row(again)),
            ("a night: one new day, labels of 30 older days", *row(middle)),
        ],
    )
    print(f"The store holds {size:.0f} MB.")
    targets.at_most("first run", first[0], FIRST_SECONDS, " s")
    targets.at_most("first run, peak memory", first[1], GIGABYTES, " GB")
    targets.at_most("a night", middle[0], NIGHT_SECONDS, " s")
    targets.at_most("a night, peak memory", middle[1], GIGABYTES, " GB")
    return targets.finish(check=options.check)


def row(measured: tuple[float, float]) -> tuple[str, str]:
    return f"{measured[0]:.1f}", f"{measured[1]:.2f}"


def run_job(folder: Path, *arguments: str) -> tuple[float, float]:
    """Run the job in a process of its own; return seconds and gigabytes at its peak."""
    command = [sys.executable, "-m", "benchmarks.measured_child"]
    command += ["run", str(folder / "nightly.toml"), *arguments]
    begun = time.perf_counter()
    done = subprocess.run(command, check=False, capture_output=True, text=True)  # noqa: S603
    taken = time.perf_counter() - begun
    if done.returncode not in (0, 99):
        raise RuntimeError(done.stderr)
    return taken, float(done.stdout.strip().splitlines()[-1]) / 1e6


def group_by(folder: Path) -> float:
    """Return DuckDB's seconds for a group-by of all predictions."""
    begun = time.perf_counter()
    duckdb.sql(
        f"""SELECT date_trunc('day', "timestamp"), channel,
            floor((ln(y_pred_proba / (1 - y_pred_proba)) + 12) * 1024 / 24),
            count(*), sum(y_pred_proba)
            FROM read_parquet('{folder}/predictions/*.parquet') GROUP BY ALL"""  # noqa: S608
    ).fetchnumpy()
    return time.perf_counter() - begun


def put_away(folder: Path, days: int) -> None:
    """Leave only what has come by a day; the rest waits in ``later``."""
    for kind in ("predictions", "labels"):
        (folder / "later" / kind).mkdir(parents=True, exist_ok=True)
        for file in [*folder.glob(f"{kind}/*"), *folder.glob(f"later/{kind}/*")]:
            here = int(file.stem) < days
            file.rename(folder / ("" if here else "later") / kind / file.name)


def bring(folder: Path, day: int) -> None:
    for kind in ("predictions", "labels"):
        name = f"{kind}/{day:04d}.parquet"
        if (folder / "later" / name).exists():
            (folder / "later" / name).rename(folder / name)


def simulate(folder: Path, n_rows: int, seed: int, days: int) -> None:
    """Write reference, predictions by day and labels by day of arrival."""
    rng = np.random.default_rng(seed)
    for kind in ("predictions", "labels"):
        (folder / kind).mkdir(parents=True)
    reference = rows_of(rng, N_REFERENCE, START - 60 * DAY, 60, drift=0.0)
    keep = reference["took"] <= LONGEST_DAYS * DAY
    reference["labeled_at"] = reference["timestamp"] + reference.pop("took")
    pd.DataFrame(reference)[keep].to_parquet(folder / "reference.parquet")
    per_day = n_rows // DAYS
    arriving: dict[int, list[pa.Table]] = {}
    for day in range(days):
        rows = rows_of(
            rng, per_day, START + day * DAY, 1, drift=max(0, day - 200) / 165
        )
        identity = day * per_day + rng.permutation(per_day)
        pq.write_table(
            pa.table(
                {
                    "id": identity,
                    "timestamp": rows["timestamp"],
                    "y_pred_proba": rows["y_pred_proba"],
                    "channel": rows["channel"],
                }
            ),
            folder / "predictions" / f"{day:04d}.parquet",
        )
        labeled_at = rows["timestamp"] + rows["took"]
        comes = rng.random(per_day) < SHARE_LABELLED
        on = ((labeled_at - START) // DAY).astype(int)
        for other in np.unique(on[comes]):
            comes_then = comes & (on == other)
            arriving.setdefault(int(other), []).append(
                pa.table(
                    {
                        "id": identity[comes_then],
                        "y_true": rows["y_true"][comes_then].astype(np.int8),
                        "labeled_at": labeled_at[comes_then],
                    }
                )
            )
        if day in arriving:
            labels = pa.concat_tables(arriving.pop(day))
            pq.write_table(labels, folder / "labels" / f"{day:04d}.parquet")
    (folder / "nightly.toml").write_text(CONFIG)


def rows_of(
    rng: np.random.Generator, n: int, begin: np.datetime64, days: int, drift: float
) -> dict[str, np.ndarray]:
    """Simulate rows whose concept has drifted somewhat."""
    channel = rng.integers(len(SEGMENTS), size=n)
    logit = rng.normal(-1.0 + 0.2 * channel, 1.5, n)
    label = rng.random(n) < expit(logit * (1.0 - 0.3 * drift) + 0.2 * drift)
    waits = np.where(label, 4.0, 12.0) * rng.exponential(size=n)
    waits = np.minimum(waits, LONGEST_DAYS - 0.01)
    return {
        "timestamp": begin
        + np.sort((rng.random(n) * days * 86_400e6).astype("m8[us]")),
        "y_pred_proba": expit(logit),
        "channel": np.array(SEGMENTS)[channel],
        "y_true": label,
        "took": (waits * 86_400e6).astype("m8[us]"),
    }


if __name__ == "__main__":
    sys.exit(main())
