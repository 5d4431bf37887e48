"""What DuckDB reads, held against pandas."""

import numpy as np
import pandas as pd
import pytest

from estimator.operations.config.settings import FileLocation
from estimator.operations.errors import DataError
from estimator.operations.sources.consistency import check_join
from estimator.operations.sources.files.file_search import find_files
from estimator.operations.sources.opening import open_row_source
from estimator.operations.sources.queries import (
    count_hours,
    count_labeled_hours,
    read_rows,
)
from estimator.operations.sources.row_source import (
    AT,
    ID,
    LABEL,
    TIME,
    RequestedColumns,
    RowData,
    open_engine,
)
from trials.nightly_world import START, simulate_days


@pytest.fixture(scope="module")
def engine():
    with open_engine("500MB", 2) as engine:
        yield engine


def write(frame, path):
    if path.suffix == ".parquet":
        frame.to_parquet(path)
    else:
        frame.to_csv(path, index=False)


def sources(engine, folder, rows, labels, *, ending=".parquet", n_files=3, timed=True):
    parts = np.array_split(np.arange(len(rows)), n_files)
    for i, part in enumerate(parts):
        write(rows.iloc[part], folder / f"rows{i}{ending}")
    write(labels, folder / f"labels{ending}")
    roles = {ID: "id", LABEL: "y_true"} | ({AT: "labeled_at"} if timed else {})
    opened = []
    for name, pattern, name_roles, others in (
        ("predictions", "rows*", {ID: "id", TIME: "time"}, ("y_pred_proba", "region")),
        ("labels", "labels*", roles, ()),
    ):
        location = FileLocation(patterns=(str(folder / f"{pattern}{ending}"),))
        files = find_files(engine, location, name)
        opened.append(
            open_row_source(
                engine,
                RowData(name=name, where="here", files=files),
                RequestedColumns(
                    roles=name_roles, others=others, numbers=("y_pred_proba",)
                ),
            )
        )
    return opened


def split(n_days=3, seed=0):
    frame = simulate_days(n_days, 200, seed)
    rows = frame[["id", "time", "y_pred_proba", "region"]]
    return rows, frame.loc[::2, ["id", "y_true", "labeled_at"]]


@pytest.mark.parametrize("ids", ["numbers", "texts"])
@pytest.mark.parametrize("ending", [".parquet", ".csv", ".csv.gz"])
def test_rows_with_their_labels(engine, tmp_path, ending, ids):
    rows, labels = split()
    if ids == "texts":
        rows = rows.assign(id="row-" + rows["id"].astype(str))
        labels = labels.assign(id="row-" + labels["id"].astype(str))
    predictions, label_source = sources(engine, tmp_path, rows, labels, ending=ending)
    begin, end = START + pd.Timedelta(hours=5), START + pd.Timedelta(days=2)
    until = START + pd.Timedelta(days=2, hours=3)
    joined = read_rows(
        engine, predictions, label_source, spans=[(begin, end)], until=until
    ).to_pandas()
    inside = rows[(rows["time"] >= begin) & (rows["time"] < end)]
    truth = inside.merge(labels[labels["labeled_at"] <= until], how="left", on="id")
    names = ["time", "y_pred_proba", "region", "y_true", "labeled_at"]
    for name in ("time", "labeled_at"):
        truth[name] = truth[name].astype(joined[name].dtype)
    pd.testing.assert_frame_equal(
        joined[names].sort_values(["time", "y_pred_proba"], ignore_index=True),
        truth[names].sort_values(["time", "y_pred_proba"], ignore_index=True),
        check_dtype=False,
    )


def test_spans_apart_and_open(engine, tmp_path):
    rows, labels = split()
    predictions, label_source = sources(engine, tmp_path, rows, labels)
    first, last = START + pd.Timedelta(days=1), START + pd.Timedelta(days=2)
    joined = read_rows(
        engine, predictions, label_source, spans=[(START, first), (last, None)]
    ).to_pandas()
    apart = (rows["time"] < first) | (rows["time"] >= last)
    assert sorted(joined["time"]) == sorted(rows.loc[apart, "time"])


def test_of_two_labels_the_later_counts_and_at_equal_times_the_larger(engine, tmp_path):
    rows, _ = split()
    time = pd.Timestamp("2026-02-01")
    deliveries = [
        (0, 1, time), (0, 0, time + pd.Timedelta(days=1)),  # the later
        (1, 0, time), (1, 1, time),  # the larger
        (2, 1, time), (2, 0, pd.NaT),  # of unknown time: the earliest
        (3, 1, pd.NaT), (3, 0, pd.NaT),
    ]  # fmt: skip
    labels = pd.DataFrame(deliveries, columns=["id", "y_true", "labeled_at"])
    predictions, label_source = sources(engine, tmp_path, rows, labels)
    joined = read_rows(
        engine, predictions, label_source, spans=[(START, None)]
    ).to_pandas()
    values = joined.merge(rows, on=["time", "y_pred_proba", "region"]).set_index("id")
    assert values["y_true"].dropna().to_dict() == {0: 0, 1: 1, 2: 1, 3: 1}


def test_hours(engine, tmp_path):
    rows, labels = split()
    predictions, _ = sources(engine, tmp_path, rows, labels)
    hours = count_hours(engine, predictions)
    truth = rows["time"].dt.floor("h").value_counts().sort_index()
    assert hours.hour.tolist() == truth.index.to_numpy("M8[us]").tolist()
    assert hours.count.tolist() == truth.tolist()
    some = list(predictions.files)[:1]
    part = count_hours(engine, predictions, files=some)
    assert part.n_rows == 200
    after, until = START + pd.Timedelta(days=1), START + pd.Timedelta(days=2)
    inside = (rows["time"] > after) & (rows["time"] <= until)
    window = count_hours(engine, predictions, after=after, until=until)
    assert window.n_rows == inside.sum()


def test_hours_of_rows_that_have_new_labels(engine, tmp_path):
    rows, labels = split()
    stray = labels[:5].assign(id=-labels["id"][:5] - 1)
    predictions, label_source = sources(
        engine, tmp_path, rows, pd.concat([labels, stray])
    )
    after = START + pd.Timedelta(days=2)
    hours, n_labels = count_labeled_hours(
        engine, predictions, label_source, after=after
    )
    new = labels[labels["labeled_at"] > after]
    truth = rows[rows["id"].isin(new["id"])]["time"].dt.floor("h").value_counts()
    assert dict(zip(hours.hour.astype("M8[ns]"), hours.count, strict=True)) == {
        hour.to_datetime64(): n for hour, n in truth.items()
    }
    assert n_labels == len(new) + (stray["labeled_at"] > after).sum()


def test_labels_of_no_row_that_is_read(engine, tmp_path):
    rows, labels = split()
    labels = labels.assign(id=-1 - labels["id"], y_true=labels["y_true"].astype(float))
    predictions, label_source = sources(engine, tmp_path, rows, labels)
    joined = read_rows(engine, predictions, label_source, spans=[(START, None)])
    assert joined["y_true"].null_count == joined.num_rows == len(rows)


def test_labels_without_times_count_always(engine, tmp_path):
    rows, labels = split()
    labels = labels.drop(columns="labeled_at")
    predictions, label_source = sources(engine, tmp_path, rows, labels, timed=False)
    joined = read_rows(
        engine,
        predictions,
        label_source,
        spans=[(START, None)],
        until=pd.Timestamp("2027"),
    ).to_pandas()
    assert joined["y_true"].notna().sum() == len(labels)
    assert "labeled_at" not in joined


def test_ids_of_two_kinds(engine, tmp_path):
    rows, labels = split()
    labels = labels.assign(id="row-" + labels["id"].astype(str))
    predictions, label_source = sources(engine, tmp_path, rows, labels)
    with pytest.raises(DataError, match="`id` must be of one type"):
        check_join(predictions, label_source)


def test_times_with_and_without_zone(engine, tmp_path):
    rows, labels = split()
    labels = labels.assign(labeled_at=labels["labeled_at"].dt.tz_localize("UTC"))
    predictions, label_source = sources(engine, tmp_path, rows, labels)
    with pytest.raises(DataError, match="everywhere or nowhere"):
        check_join(predictions, label_source)


@pytest.mark.parametrize(
    ("column", "values", "rule"),
    [("id", 0.5, "row ids, whole numbers or texts"), ("time", 7, "times")],
)
def test_types_that_cannot_be_right(engine, tmp_path, column, values, rule):
    rows, labels = split()
    with pytest.raises(DataError, match=f"`{column}` must hold {rule}"):
        sources(engine, tmp_path, rows.assign(**{column: values}), labels)


def test_names_that_would_be_sql(engine, tmp_path):
    rows, _ = split()
    folder = tmp_path / 'it\'s "mine"'
    folder.mkdir()
    odd = 'sc"ore; DROP TABLE x'
    rows.rename(columns={"y_pred_proba": odd}).to_parquet(folder / "rows.parquet")
    location = FileLocation(patterns=(str(folder / "*.parquet"),))
    source = open_row_source(
        engine,
        RowData(
            name="predictions",
            where="here",
            files=find_files(engine, location, "predictions"),
        ),
        RequestedColumns(roles={ID: "id", TIME: "time"}, others=(odd,)),
    )
    table = read_rows(engine, source, None, spans=[(START, None)])
    assert table.column_names == ["time", odd]
    assert table.num_rows == len(rows)


def test_a_file_of_another_kind(engine, tmp_path):
    (tmp_path / "rows.txt").write_text("id\n1\n")
    location = FileLocation(patterns=(str(tmp_path / "*"),))
    with pytest.raises(DataError, match="must end in"):
        find_files(engine, location, "predictions")
