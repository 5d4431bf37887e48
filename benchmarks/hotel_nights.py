"""Thirty nights of hotel bookings: is every message true, and does it last?

Bookings arrive day by day, and so do their labels, with their true dates: that of a
cancellation when it happens, that of a stay at checkout. A LightGBM model is trained on
the first 35,000 bookings, the next 30,000 are the reference, in weeks and by hotel. The
job runs thirty nights in a row, once from the first day of production on, and once half
a year later, after a first run over all that came until then. It tells of verdicts,
alerts and stopped labels, of all rows and of both hotels.

A message is held against the final, fully labelled series:

* a decline is true if the metric, over the complete weeks that the verdict calls
  affected, is worse than the reference's mean by two standard errors;
* an all-clear, if it is not in the newest complete week of that night;
* an alert, if its week's final value lies beyond the threshold;
* labels that have stopped: never, for they have not.

A message is taken back if, before one more week is complete, another one says the
contrary of the same metric and segment.
"""

import json
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import sqlalchemy as sa
from lightgbm import LGBMClassifier

from benchmarks.delayed_labels import FEATURES, N_REFERENCE, N_TRAIN
from benchmarks.reporting import Targets, make_parser, print_table
from estimator import PerformanceEstimator
from estimator.operations.config.settings import load_config
from estimator.operations.exit_codes import NOTHING_NEW, RAN
from estimator.operations.nightly.job import run_job
from estimator.operations.store import schema
from estimator.results.performance import Performance

METRICS = ("roc_auc", "accuracy", "f1")
N_NIGHTS = 30
STARTS = (0, 182)  # days of production before the first night
GOOD = ("stable", "recovered")
CONFIG = """
[job]
store = "deadreckon.db"
[notify]
on = ["verdict", "alert", "labels_overdue"]
segments = ["hotel"]
[models.hotel]
reference = "reference.parquet"
predictions = "predictions/*.parquet"
labels = "labels/*.parquet"
row_id = "id"
[models.hotel.estimator]
chunk = "W"
timestamp = "booked"
labeled_at = "known"
metrics = ["roc_auc", "accuracy", "f1"]
segments = ["hotel"]
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """A message as it was sent.

    Attributes
    ----------
    night : Timestamp
    complete : str
        Newest complete week of that night.
    about : str
    segment, metric : str
    text : str
    is_good : bool
    affected : tuple of str
        Weeks that a verdict calls affected.
    """

    night: pd.Timestamp
    complete: str
    about: str
    segment: str
    metric: str
    text: str
    is_good: bool
    affected: tuple[str, ...] = ()


def main() -> int:
    parser = make_parser(__doc__)
    parser.add_argument("data", type=Path, help="folder with hotel_bookings.parquet")
    options = parser.parse_args()
    path = options.data / "hotel_bookings.parquet"
    if not path.is_file():
        parser.error(f"there is no {path}: Antonio, Almeida & Nunes (2019), CC BY 4.0.")
    targets = Targets(source="“every message true when it was sent, none taken back”")
    bookings = read_bookings(path, options.seed)
    final = final_series(bookings)
    n_false = n_back = 0
    for start in STARTS:
        with tempfile.TemporaryDirectory() as folder:
            sent = live_through(bookings, Path(folder), start)
        back = taken_back(sent)
        truths = [is_true(message, final) for message in sent]
        n_false += truths.count(False)
        n_back += len(back)
        print_table(
            f"{N_NIGHTS} nights after {start} days: {len(sent)} messages",
            ("night", "about", "segment", "message", "true", "taken back"),
            [
                (
                    f"{message.night:%Y-%m-%d}",
                    message.about,
                    message.segment or "all",
                    message.text,
                    "yes" if true else "NO",
                    "YES" if i in back else "",
                )
                for i, (message, true) in enumerate(zip(sent, truths, strict=True))
            ],
        )
    targets.at_most("messages that were not true", n_false, 0, "")
    targets.at_most("messages taken back within a week", n_back, 0, "")
    return targets.finish(check=options.check)


def read_bookings(path: Path, seed: int) -> pd.DataFrame:
    """Return reference and production bookings with the client model's score."""
    raw = pd.read_parquet(path)
    features, label = raw[FEATURES], raw["y_true"].astype(int)
    model = LGBMClassifier(random_state=seed, verbosity=-1)
    model.fit(features[:N_TRAIN], label[:N_TRAIN])
    return pd.DataFrame(
        {
            "id": np.arange(len(raw)),
            "booked": raw["booking_date"],
            "hotel": raw["hotel"].astype(str),
            "y_pred_proba": model.predict_proba(features)[:, 1],
            "y_true": label,
            "known": raw["label_date"],
        }
    )[N_TRAIN:].reset_index(drop=True)


def final_series(bookings: pd.DataFrame) -> Performance:
    """Return the realized metrics of all weeks, with every label."""
    estimator = PerformanceEstimator(
        METRICS, chunk="W", timestamp="booked", segments="hotel"
    )
    estimator.fit(bookings[:N_REFERENCE])
    return estimator.estimate(bookings[N_REFERENCE:])


def live_through(bookings: pd.DataFrame, folder: Path, start: int) -> list[Sent]:
    """Run the job for thirty nights; return what it had to tell."""
    for name in ("predictions", "labels"):
        (folder / name).mkdir()
    (folder / "nightly.toml").write_text(CONFIG)
    bookings[:N_REFERENCE].to_parquet(folder / "reference.parquet")
    production = bookings[N_REFERENCE:]
    day = pd.Timedelta(days=1)
    first = production["booked"].min().normalize()
    config = load_config(folder / "nightly.toml")
    sent: list[Sent] = []
    n_read = 0
    for night in range(N_NIGHTS):
        begin = first if night == 0 else first + (start + night) * day
        end = first + (start + night + 1) * day
        write(production, "booked", begin, end, folder / "predictions")
        write(production, "known", begin, end, folder / "labels")
        code = run_job(config)
        if code not in (RAN, NOTHING_NEW):
            msg = f"the night before {end} ended with {code}"
            raise RuntimeError(msg)
        messages = read_messages(config.job.store)
        sent += [as_sent(config.job.store, m, end) for m in messages[n_read:]]
        n_read = len(messages)
    return sent


def write(
    rows: pd.DataFrame, by: str, begin: pd.Timestamp, end: pd.Timestamp, folder: Path
) -> None:
    chosen = rows[(rows[by] >= begin) & (rows[by] < end)]
    drop = ["y_true", "known"] if by == "booked" else ["booked", "hotel"]
    if len(chosen):
        frame = chosen.drop(columns=drop)
        frame.to_parquet(folder / f"{begin:%Y-%m-%d}.parquet")


def read_messages(store: str) -> list[dict[str, object]]:
    engine = sa.create_engine(store)
    with engine.connect() as connection:
        query = sa.select(schema.message).order_by(schema.message.c.id)
        contents = [json.loads(row.content) for row in connection.execute(query)]
    engine.dispose()
    return contents


def as_sent(store: str, content: dict[str, object], end: pd.Timestamp) -> Sent:
    """Read a message, and of a verdict which weeks it calls affected."""
    last = end - pd.Timedelta(days=1)
    monday = last - pd.Timedelta(days=last.day_of_week)
    done = last.day_of_week == 6
    complete = monday if done else monday - pd.Timedelta(days=7)
    common = {"night": last, "complete": f"{complete:%Y-%m-%d}"}
    if "about" in content:
        metric, _, segment = str(content["subject"]).partition(" · ")
        return Sent(
            **common,
            about=str(content["about"]),
            segment=segment,
            metric=metric,
            text=f"{metric} {content['sentence']}",
            is_good=bool(content["is_over"]),
        )
    segment, metric = str(content["segment"]), str(content["metric"])
    engine = sa.create_engine(store)
    with engine.connect() as connection:
        table = schema.verdict.c
        query = sa.select(table.detail).order_by(table.revision.desc())
        query = query.where(table.segment == segment, table.metric == metric)
        detail = json.loads(connection.execute(query).scalars().first())
    engine.dispose()
    chunks = zip(detail["chunks"], detail["affected"], strict=True)
    return Sent(
        **common,
        about="verdict",
        segment=segment,
        metric=metric,
        text=str(content["sentence"]),
        is_good=content["kind"] in GOOD,
        affected=tuple(str(chunk) for chunk, flag in chunks if flag),
    )


def is_true(message: Sent, final: Performance) -> bool:
    """Return whether the fully labelled series agrees with a message."""
    if message.about == "labels_overdue":
        return message.is_good
    in_segment = final.segment == message.segment
    k = final.metrics.index(message.metric)
    analysis = (
        in_segment & (final.period == "analysis") & (final.chunk <= message.complete)
    )
    if message.about == "alert":
        (row,) = np.flatnonzero(analysis & (final.chunk == message.complete))
        return bool(final.realized[row, k] < final.lower_threshold[row, k])
    reference = in_segment & (final.period == "reference")
    usual = float(np.nanmean(final.realized[reference, k]))
    rows = analysis & np.isin(final.chunk, message.affected)
    if message.is_good:
        rows = analysis & (final.chunk == message.complete)
    value, error = final.realized[rows, k], final.standard_error[rows, k]
    weight = 1.0 / error**2
    mean = float(np.sum(value * weight) / weight.sum())
    spread = float(np.nanstd(final.realized[reference, k])) / np.sqrt(reference.sum())
    is_worse = usual - mean > 2.0 * np.hypot(spread, 1.0 / np.sqrt(weight.sum()))
    return bool(is_worse != message.is_good)


def taken_back(sent: list[Sent]) -> set[int]:
    """Return which messages another contradicts before one more week is complete."""
    contradicted = set()
    for i, one in enumerate(sent):
        for other in sent[i + 1 :]:
            same = (one.about, one.segment, one.metric) == (
                other.about,
                other.segment,
                other.metric,
            )
            if same and one.text != other.text and one.complete == other.complete:
                contradicted.add(i)
    return contradicted


if __name__ == "__main__":
    sys.exit(main())
