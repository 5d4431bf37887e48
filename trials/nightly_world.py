"""A small world for the nightly job: files on disk, one model, runs of the command."""

import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import sqlalchemy as sa

from estimator.operations.config.settings import load_config
from estimator.operations.nightly.job import run_job
from estimator.operations.store import schema
from trials.runner import invoke

START = pd.Timestamp("2026-01-05")  # a Monday
CONFIG = """
[job]
store = "{store}"
report = "report"

[models.credit]
reference = "reference.csv"
predictions = "predictions/*.parquet"
labels = "labels/*.parquet"
row_id = "id"

[models.credit.estimator]
chunk = "D"
timestamp = "time"
labeled_at = "labeled_at"
metrics = ["roc_auc", "accuracy"]
segments = ["region"]
"""


def simulate_days(n_days, per_day=120, seed=0, start=START):
    """Return rows with labels and when these come: positives late."""
    rng = np.random.default_rng(seed)
    n = n_days * per_day
    score = rng.beta(1, 2, n)
    label = rng.random(n) < score
    time = start + pd.to_timedelta(np.sort(rng.random(n)) * n_days, unit="D")
    waits = rng.exponential(np.where(label, 4.0, 1.5)) + 0.2
    return pd.DataFrame(
        {
            "id": np.arange(n) + 1_000_000 * seed,
            "time": time.floor("s"),
            "y_pred_proba": score.round(6),
            "region": rng.choice(["north", "south"], n),
            "y_true": label.astype(int),
            "labeled_at": (time + pd.to_timedelta(waits, unit="D")).floor("s"),
        }
    )


class World:
    """A folder in which a model's days arrive, one after another."""

    def __init__(self, folder, n_days=12, store="deadreckon.db", config=CONFIG, **how):
        self.folder = Path(folder)
        for name in ("predictions", "labels"):
            (self.folder / name).mkdir(parents=True)
        reference = simulate_days(15, seed=1, start=START - pd.Timedelta(days=40))
        reference.to_csv(self.folder / "reference.csv", index=False)
        self.rows = simulate_days(n_days, **how)
        self.n_days = n_days
        self.path = self.folder / "nightly.toml"
        self.path.write_text(config.format(store=store))

    @property
    def config(self):
        return load_config(self.path)

    def arrive(self, day):
        """Let a day's predictions and the labels that come in it arrive."""
        begin, end = self.moment(day), self.moment(day + 1)
        rows = self.rows[(self.rows["time"] >= begin) & (self.rows["time"] < end)]
        rows = rows.drop(columns=["y_true", "labeled_at"])
        rows.to_parquet(self.folder / "predictions" / f"{day:03d}.parquet")
        came = self.rows["labeled_at"]
        labels = self.rows[(came >= begin) & (came < end)]
        if len(labels):
            labels[["id", "y_true", "labeled_at"]].to_parquet(
                self.folder / "labels" / f"{day:03d}.parquet"
            )

    def arrive_all(self):
        for day in range(self.n_days):
            self.arrive(day)

    def run(self, **options):
        return run_job(self.config, **options)

    def localize(self, zone):
        """Give all times a time zone; the days are then those of the zone."""
        for name in ("time", "labeled_at"):
            self.rows[name] = self.rows[name].dt.tz_localize(zone)
        file = self.folder / "reference.csv"
        reference = pd.read_csv(file, parse_dates=["time", "labeled_at"])
        for name in ("time", "labeled_at"):
            reference[name] = reference[name].dt.tz_localize(zone)
        reference.to_parquet(self.folder / "reference.parquet")
        text = self.path.read_text()
        self.path.write_text(text.replace("reference.csv", "reference.parquet"))

    def moment(self, day):
        """Return when a day begins."""
        begin = START + pd.Timedelta(days=day)
        return begin.tz_localize(self.rows["time"].dt.tz)

    def end(self):
        return self.moment(self.n_days)

    def command(self, name="run", *arguments):
        """Call the command line, within this process."""
        result = invoke(name, self.path, *arguments)
        return SimpleNamespace(
            returncode=result.exit_code, stdout=result.stdout, stderr=result.stderr
        )

    def dump(self, *tables, but=()):
        """Return all rows of the store's tables (all but the log of runs), sorted."""
        engine = sa.create_engine(self.config.job.store)
        names = tables or [
            name for name in schema.metadata.tables if name != "deadreckon_run"
        ]
        try:
            with engine.connect() as connection:
                return {
                    name: sorted(
                        (
                            tuple(v for k, v in row._asdict().items() if k not in but)
                            for row in connection.execute(
                                sa.select(schema.metadata.tables[name])
                            )
                        ),
                        key=repr,
                    )
                    for name in names
                }
        finally:
            engine.dispose()

    def final(self):
        """Return what does not depend on which nights there were."""
        remembered = [f"remembered_{name}" for name in schema.REMEMBERED]
        results = self.dump(
            "deadreckon_result",
            "deadreckon_chunk",
            but=("revision", "as_of", *remembered),
        )
        there = {(row[1], row[3]) for row in results["deadreckon_result"]}
        verdicts = {k: v for k, v in self.verdicts().items() if k[1:] in there}
        return results | {"verdicts": verdicts}

    def sizes(self):
        """Return the number of rows of each chunk in the store."""
        rows = self.dump("deadreckon_chunk", but=("fingerprint",))["deadreckon_chunk"]
        return {chunk: n_rows for _, chunk, n_rows, _, _ in rows}

    def verdicts(self):
        rows = self.dump("deadreckon_verdict", but=("as_of",))["deadreckon_verdict"]
        newest = {}
        for model, segment, metric, revision, *verdict in rows:
            if revision >= newest.get((model, segment, metric), (0,))[0]:
                newest[model, segment, metric] = (revision, *verdict)
        return {key: verdict[1:] for key, verdict in newest.items()}


def command_line(*arguments):
    code = "from estimator.operations.commands.main import main; main()"
    return [sys.executable, "-c", code, *arguments]
