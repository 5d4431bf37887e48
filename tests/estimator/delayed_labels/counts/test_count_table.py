"""Tables of counts say what their rows say, in whatever order these were read."""

import numpy as np
import pandas as pd
import pytest

from estimator import Monitor, PerformanceEstimator
from estimator.chunking.chunks import check_chunk, make_chunks
from estimator.delayed_labels.counts.count_table import LOSSES, UNLABELED, without_slots
from estimator.delayed_labels.counts.count_table_bytes import (
    table_from_bytes,
    table_to_bytes,
)
from estimator.delayed_labels.counts.counting import count_rows
from estimator.delayed_labels.counts.weighted_rows import add_up_hours, rows_from_counts
from estimator.delayed_labels.overdue import LabelCalendar
from estimator.estimation.estimates import adapt_columns, features_of, score_map
from estimator.ledger.label_frame import microseconds
from estimator.ledger.label_hours import count_by_hour
from estimator.monitoring.evaluation import evaluate_chunks, performance_of
from estimator.monitoring.scored_rows import ScoredRows, end_of_usual_labels
from trials.nightly_world import START, simulate_days


def rows_of(n_days=3, per_day=300, seed=0, share_labeled=0.6):
    rows = simulate_days(n_days, per_day, seed)
    rng = np.random.default_rng(seed)
    rows["y_true"] = rows["y_true"].where(rng.random(len(rows)) < share_labeled)
    rows["labeled_at"] = rows["labeled_at"].where(rows["y_true"].notna())
    rows.loc[rng.random(len(rows)) < 0.02, "y_pred_proba"] = np.nan
    return rows


@pytest.fixture(scope="module")
def estimator():
    reference = simulate_days(15, seed=1, start=START - pd.Timedelta(days=40))
    return PerformanceEstimator(
        chunk="D", timestamp="time", labeled_at="labeled_at", segments="region"
    ).fit(reference)


def tables_of(estimator, rows):
    columns = estimator.read_production(rows, with_arrivals=True)
    chunks = make_chunks(columns.n_rows, "D", columns.timestamp)
    return count_rows(
        columns,
        chunks,
        decision=estimator.decisions(columns),
        bands=estimator.reference_.delays.bands,
    )


def test_counts_add_up(estimator):
    rows = rows_of()
    for table, (day, of_day) in zip(
        tables_of(estimator, rows), rows.groupby(rows["time"].dt.date), strict=True
    ):
        assert table.label == str(day)
        assert table.n_rows == len(of_day)
        assert table.n_labels == of_day["y_true"].notna().sum()
        assert table.n_missing == of_day["y_pred_proba"].isna().sum()
        assert pd.Timestamp(table.first, unit="us") == of_day["time"].min()
        assert pd.Timestamp(table.last, unit="us") == of_day["time"].max()
        assert pd.Timestamp(table.latest_label, unit="us") == of_day["labeled_at"].max()
        cells = pd.DataFrame(dict(table.cells))
        by_cell = cells.groupby(["label", "decision", "code/0"])["count"].sum()
        truth = of_day.assign(
            label=of_day["y_true"].fillna(UNLABELED).astype(int),
            decision=of_day["y_pred_proba"] >= 0.5,
            code=of_day["region"].map({"north": 0, "south": 1}),
        ).groupby(["label", "decision", "code"])
        assert by_cell.to_dict() == truth.size().to_dict()


def test_arrivals_count_every_usable_label_once_by_all_and_by_segment(estimator):
    rows = rows_of()
    usable = rows["y_true"].notna() & rows["y_pred_proba"].notna()
    tables = tables_of(estimator, rows)
    for i in (0, 1):
        assert sum(t.arrivals[f"count/{i}"].sum() for t in tables) == usable.sum()


def test_hours_of_arrivals_are_those_of_the_labels(estimator):
    rows = rows_of()
    rows.loc[rows.index[::7], "labeled_at"] = pd.NaT
    assert rows.loc[rows["y_pred_proba"].isna(), "labeled_at"].notna().any()
    hours = add_up_hours(tables_of(estimator, rows))
    came = rows["labeled_at"].dropna()
    truth = came.groupby(came.dt.floor("h")).agg(["max", "size"])
    assert pd.to_datetime(hours.time, unit="us").tolist() == truth["max"].tolist()
    assert hours.count.tolist() == truth["size"].tolist()


def test_without_times_of_labels_there_are_no_hours(estimator):
    hours = add_up_hours(tables_of(estimator, rows_of().assign(labeled_at=pd.NaT)))
    assert (hours.time.size, hours.count.size) == (0, 0)


def test_the_order_of_the_rows_leaves_no_trace(estimator):
    rows = rows_of()
    first = [table_to_bytes(table) for table in tables_of(estimator, rows)]
    mixed = rows.sample(frac=1, random_state=1)
    assert [table_to_bytes(table) for table in tables_of(estimator, mixed)] == first


@pytest.mark.parametrize("method", ["feature_aware", "pape", "auto"])
def test_nor_does_it_where_features_are_read(method):
    def with_age(rows, mean):
        rng = np.random.default_rng(0)
        return rows.assign(age=rng.normal(mean + 5 * rows["y_true"].fillna(0), 10))

    reference = simulate_days(15, seed=1, start=START - pd.Timedelta(days=40))
    adaptive = PerformanceEstimator(
        chunk="D", timestamp="time", features="age", segments="region", method=method
    ).fit(with_age(reference, 40))
    fitted, rows = adaptive.reference_, with_age(rows_of(per_day=1_500), 46)

    def count(frame):
        columns = adaptive.read_production(frame, with_arrivals=True)
        chunks = make_chunks(columns.n_rows, "D", columns.timestamp)
        features = features_of(fitted, frame, name="production")
        plain = score_map(fitted, columns.segments)
        adapted, remarks = adapt_columns(
            fitted, columns, plain, features, chunks.row_sets()
        )
        tables = count_rows(
            adapted,
            chunks,
            decision=adaptive.decisions(columns),
            bands=fitted.delays.bands,
            remarks=remarks,
        )
        return [table_to_bytes(table) for table in tables]

    first = count(rows)
    for seed in (0, 1):
        assert count(rows.sample(frac=1, random_state=seed)) == first


@pytest.mark.parametrize("metrics", [(), ("roc_auc", "log_loss"), ("brier_score",)])
def test_losses_of_metrics_that_are_not_asked_for_are_left_out(estimator, metrics):
    rows = rows_of(per_day=20_000)  # so many that cells hold several scores
    columns = estimator.read_production(rows, with_arrivals=True)
    chunks = make_chunks(columns.n_rows, "D", columns.timestamp)
    every = tables_of(estimator, rows)
    some = count_rows(
        columns,
        chunks,
        decision=estimator.decisions(columns),
        bands=estimator.reference_.delays.bands,
        metrics=metrics,
    )
    for table, less in zip(every, some, strict=True):
        assert table.scores["spread"].any()
        left = [name for name in LOSSES if name.partition("/")[0] not in metrics]
        assert set(table.cells) - set(less.cells) == set(left)
        for name, values in less.cells.items():
            np.testing.assert_array_equal(values, table.cells[name])


def test_bytes_and_back(estimator):
    for table in tables_of(estimator, rows_of()):
        again = table_from_bytes(table_to_bytes(table))
        assert (again.label, again.first, again.last) == (
            table.label,
            table.first,
            table.last,
        )
        assert (again.latest_label, again.remark) == (table.latest_label, table.remark)
        assert dict(again.values) == dict(table.values)
        for part in ("scores", "cells", "arrivals"):
            ours, theirs = getattr(table, part), getattr(again, part)
            assert set(ours) == set(theirs)
            for name, values in ours.items():
                # Soft labels are kept as 32-bit numbers.
                np.testing.assert_allclose(theirs[name], values, rtol=1e-7)
        assert table_to_bytes(again) == table_to_bytes(table)


@pytest.mark.parametrize("damage", [b"", b"something else"])
def test_damaged_bytes(damage):
    with pytest.raises(ValueError, match="is damaged"):
        table_from_bytes(damage)


def test_bytes_of_a_later_version(estimator):
    import zlib

    data = zlib.decompress(table_to_bytes(tables_of(estimator, rows_of())[0]))
    later = zlib.compress(data.replace(b'"version": 3', b'"version": 9', 1))
    with pytest.raises(ValueError, match="version 9"):
        table_from_bytes(later)


def test_without_slots_only_time_is_forgotten(estimator):
    rows = rows_of(per_day=2_000, share_labeled=0.2)
    rows["y_pred_proba"] = rows["y_pred_proba"].round(2)
    for table in tables_of(estimator, rows):
        merged = without_slots(table)
        cells, merged_cells = pd.DataFrame(dict(table.cells)), dict(merged.cells)
        key = ["score", "decision", "label", "code/0"]
        assert len(cells) > 2 * len(cells.drop_duplicates(key))
        cells["seconds"] *= cells["count"]
        added = cells.groupby(key)[["count", "seconds", *LOSSES]].sum()
        added["seconds"] //= added["count"]  # whole seconds, as they are kept
        again = pd.DataFrame(merged_cells).set_index(key).sort_index()
        assert again.pop("begins").all()
        assert set(again) == set(added)
        for name, values in added.items():
            np.testing.assert_array_equal(again[name], values)
        assert again.index.is_unique
        assert again.index.tolist() == added.index.tolist()
        for name in ("label", "first", "last", "latest_label", "values", "remark"):
            assert getattr(merged, name) == getattr(table, name)
        assert merged.scores is table.scores
        assert merged.arrivals is table.arrivals


@pytest.mark.parametrize("share_labeled", [0.0, 0.5, 1.0])
def test_tables_say_what_the_rows_say(estimator, share_labeled):
    rows = rows_of(n_days=6, share_labeled=share_labeled)
    monitor = Monitor(estimator, row_id="id")
    monitor.add_predictions(rows.drop(columns=["y_true", "labeled_at"]))
    labels = rows.loc[rows["y_true"].notna(), ["id", "y_true", "labeled_at"]]
    if len(labels):
        monitor.add_labels(labels)
    theirs = monitor.performance().to_frame()
    tables = tables_of(estimator, rows)
    now = max((t.latest_label for t in tables if t.latest_label), default=None)
    spec = check_chunk("D", has_timestamp=True)
    laid = rows_from_counts(tables, spec, None, now)
    scored = ScoredRows(
        estimator=estimator,
        columns=laid.columns,
        chunks=laid.chunks,
        others=laid.evidence if len(labels) else None,
    )
    until = None if now is None else np.datetime64(now, "us")
    came = microseconds(rows["labeled_at"].dropna().to_numpy())
    if came.size:  # as a monitor has it
        seen = microseconds(rows["time"].to_numpy()).max()
        calendar = LabelCalendar(
            as_of=int(max(seen, came.max())), hours=count_by_hour(came)
        )
        until, _ = end_of_usual_labels([scored], until, calendar)
    evaluation = evaluate_chunks(scored, until)
    ours = performance_of(estimator, evaluation).to_frame()
    theirs = theirs[theirs["period"] == "analysis"].reset_index(drop=True)
    for name in ("segment", "chunk", "metric", "n_rows", "n_labels"):
        assert ours[name].tolist() == theirs[name].tolist()
    half_width = ((theirs["upper"] - theirs["lower"]) / 2).to_numpy()
    for name in ("value", "lower", "upper", "estimated", "realized"):
        assert (ours[name].isna() == theirs[name].isna()).all()
        off = np.nan_to_num((ours[name] - theirs[name]).abs().to_numpy())
        assert (off <= 0.03 * half_width + 2e-5).all(), name


def test_empty_days_between_are_laid_out(estimator):
    rows = rows_of(n_days=4)
    rows = rows[rows["time"].dt.day != START.day + 1]
    tables = tables_of(estimator, rows)
    laid = rows_from_counts(tables[::-1], check_chunk("D", has_timestamp=True), None)
    assert laid.chunks.label.tolist() == [
        f"2026-01-{START.day + day:02d}" for day in range(4)
    ]
    weight = np.add.reduceat(
        np.append(laid.columns.weight, 0), laid.chunks.offsets[:-1]
    )
    sizes = rows.groupby(rows["time"].dt.day).size().tolist()
    assert weight[[0, 2, 3]].tolist() == sizes
    assert np.isnat(laid.chunks.start[1])
