"""The demonstration: a simulated lender's months, week by week, then night by night."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pandas as pd

from estimator.files.atomic import replacing
from estimator.operations.config.settings import NightlyConfig, load_config
from estimator.operations.errors import ConfigurationError
from estimator.operations.nightly.job import run_job
from estimator.operations.sources.files.frame_files import write_frame
from estimator.progress import Progress
from estimator.simulation import CreditDefaultWorld

# The last nights are run one by one, and before them one a week: what is stored in the
# end is the same, and nobody waits for more than a minute.
N_LAST_NIGHTS = 21
CONFIG = """\
# What `deadreckon run` does at night; `deadreckon run --schema` has all keys.

[job]
store = "deadreckon.db"
report = "report"

[models.lender]
reference = "reference.parquet"
predictions = "predictions/*.parquet"
labels = "labels/*.parquet"
row_id = "id"

[models.lender.estimator]
chunk = "W"
timestamp = "timestamp"
labeled_at = "labeled_at"
y_pred = "y_pred"
metrics = ["roc_auc", "accuracy"]
"""


def write_beginning(world: CreditDefaultWorld, folder: Path) -> NightlyConfig:
    """Write the reference and the configuration; forget an earlier demonstration.

    Raises
    ------
    ConfigurationError
        If the folder holds something else.
    """
    path = folder / "nightly.toml"
    folder.mkdir(parents=True, exist_ok=True)
    ours = path.is_file() and path.read_text(encoding="utf-8") == CONFIG
    if not ours and any(folder.iterdir()):
        msg = (
            f"`--output-dir` must be empty or hold an earlier demonstration, but "
            f"{folder} holds something else. Name another folder."
        )
        raise ConfigurationError(msg)
    for name in ("predictions", "labels", "report"):
        shutil.rmtree(folder / name, ignore_errors=True)
        (folder / name).mkdir()
    for file in folder.glob("deadreckon.db*"):
        file.unlink()
    write_frame(world.reference, folder / "reference.parquet")
    with replacing(path) as temporary:
        temporary.write_text(CONFIG, encoding="utf-8")
    return load_config(path)


def nights(world: CreditDefaultWorld) -> list[pd.Timestamp]:
    """Return the days at whose end the job runs: Sundays, then the last ones."""
    days = world.production["timestamp"].dt.normalize()
    every = pd.date_range(days.min(), days.max())
    last = every[-N_LAST_NIGHTS:]
    return [day for day in every if day.day_of_week == 6 or day >= last[0]]


def live_through(
    world: CreditDefaultWorld, config: NightlyConfig, progress: Progress
) -> Iterator[tuple[pd.Timestamp, int]]:
    """Let each day's predictions and labels arrive, and run the job at its times.

    Yields
    ------
    day, code : Timestamp, int
        Of each run, the day that has ended, and the exit code.
    """
    arrivals = {
        "predictions": (world.production, world.production["timestamp"]),
        "labels": (world.labels, world.labels["labeled_at"]),
    }
    by_day = {
        name: dict(iter(frame.groupby(time.dt.normalize())))
        for name, (frame, time) in arrivals.items()
    }
    began = world.production["timestamp"].min().normalize()
    for night in nights(world):
        with progress.stage(f"the night of {night:%Y-%m-%d}"):
            for arrived in pd.date_range(began, night):
                for name, rows in by_day.items():
                    if arrived in rows:
                        file = config.path.parent / name / f"{arrived:%Y-%m-%d}.parquet"
                        write_frame(rows[arrived], file)
            began = night + pd.Timedelta(days=1)
            code = run_job(config)
        yield night, code
