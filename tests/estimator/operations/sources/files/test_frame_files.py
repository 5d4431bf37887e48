import numpy as np
import pandas as pd
import pytest

from estimator.operations.sources.files import frame_files as sources
from estimator.operations.sources.files.frame_files import read_frame, write_frame
from estimator.operations.sources.label_join import join_labels


@pytest.fixture
def frame():
    rng = np.random.default_rng(0)
    n = 500
    return pd.DataFrame(
        {
            "id": np.arange(n),
            "when": pd.Timestamp("2025-01-06") + pd.to_timedelta(np.arange(n), "h"),
            "score": rng.random(n),
            "region": rng.choice(["north", "south"], n),
        }
    )


@pytest.mark.parametrize("name", ["a.parquet", "a.pq", "a.csv", "a.csv.gz", "A.CSV"])
def test_round_trip_of_the_columns_asked_for(tmp_path, frame, name):
    path = tmp_path / name
    write_frame(frame, path)
    back = read_frame(path, ["score", "id"], optional=["region", "absent"])
    expected = frame[["score", "id", "region"]]
    pd.testing.assert_frame_equal(back, expected, check_dtype=False)
    assert [entry.name for entry in tmp_path.iterdir()] == [name]


def test_json_holds_every_digit(tmp_path, frame):
    path = tmp_path / "a.json"
    write_frame(frame, path)
    back = pd.read_json(path, orient="records", precise_float=True)
    np.testing.assert_allclose(back["score"], frame["score"], rtol=0, atol=1e-15)


def test_pandas_index_does_not_come_along(tmp_path, frame):
    path = tmp_path / "a.parquet"
    frame.sample(frac=1, random_state=0).set_index("id").to_parquet(path)
    assert list(read_frame(path, ["score"])) == ["score"]
    assert list(read_frame(path, ["id"])) == ["id"]


@pytest.mark.parametrize("name", ["a.parquet", "a.csv", "a.csv.gz"])
def test_missing_column_names_the_nearest(tmp_path, frame, name):
    path = tmp_path / name
    write_frame(frame, path)
    with pytest.raises(ValueError, match=r"no column `scores` \(nearest: score\)"):
        read_frame(path, ["scores"])


@pytest.mark.parametrize("name", ["a.parquet", "a.csv.gz"])
@pytest.mark.parametrize("share", [0.3, 0.9, 0.999])
def test_truncated(tmp_path, frame, name, share):
    path = tmp_path / name
    write_frame(frame, path)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(ValueError, match=rf"{name} .*truncated.*Write it again"):
        read_frame(path, ["score"])


def test_csv_that_ends_within_a_row(tmp_path, frame):
    path = tmp_path / "a.csv"
    write_frame(frame, path)
    text = path.read_text()
    path.write_text(text[: text.rindex(",")])
    with pytest.raises(ValueError, match=r"truncated: its last line has fewer than"):
        read_frame(path, ["score"])


def test_line_break_within_the_last_field_is_no_torn_row(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text('score,remark\n0.5,"fine\nreally"\n')
    assert len(read_frame(path, ["score"])) == 1


@pytest.mark.parametrize(
    ("written", "named", "match"),
    [
        ("a.csv", "a.parquet", r"is not a Parquet file, whatever its ending says"),
        ("a.csv", "a.csv.gz", r"is not a readable .csv.gz file"),
        ("a.parquet", "a.csv", r"is a Parquet file, whatever its ending says"),
        ("a.csv.gz", "a.csv", r"is a gzip file, whatever its ending says"),
        ("a.csv", "a.xlsx", r"the ending must be one of .parquet, .*got '.xlsx'"),
        ("a.csv", "a", r"the ending must be one of .* got 'none'"),
    ],
)
def test_not_what_the_ending_says(tmp_path, frame, written, named, match):
    write_frame(frame, tmp_path / written)
    (tmp_path / written).rename(tmp_path / named)
    with pytest.raises(ValueError, match=match):
        read_frame(tmp_path / named, ["score"])


@pytest.mark.parametrize("name", ["a.parquet", "a.csv", "a.csv.gz"])
def test_empty_file(tmp_path, name):
    (tmp_path / name).touch()
    with pytest.raises(ValueError, match=rf"{name} is empty \(0 bytes\)"):
        read_frame(tmp_path / name, ["score"])


@pytest.mark.parametrize("name", ["a.parquet", "a.csv"])
def test_no_rows(tmp_path, frame, name):
    write_frame(frame.head(0), tmp_path / name)
    with pytest.raises(ValueError, match="columns but no rows"):
        read_frame(tmp_path / name, ["score"])


def test_absent_file_names_the_nearest(tmp_path, frame):
    write_frame(frame, tmp_path / "reference.parquet")
    with pytest.raises(FileNotFoundError, match=r"nearest: reference.parquet"):
        read_frame(tmp_path / "refrence.parquet", ["score"])
    with pytest.raises(FileNotFoundError, match="no folder"):
        read_frame(tmp_path / "absent" / "a.csv", ["score"])


def test_folder(tmp_path):
    with pytest.raises(ValueError, match="is not a file"):
        read_frame(tmp_path, ["score"])


def test_duplicate_column(tmp_path):
    (tmp_path / "a.csv").write_text("score,score\n0.1,0.2\n")
    with pytest.raises(ValueError, match=r"must be unique, but `score` is there 2"):
        read_frame(tmp_path / "a.csv", ["score"])


def test_other_separator(tmp_path):
    (tmp_path / "a.csv").write_text("score;id\n0,5;1\n")
    with pytest.raises(ValueError, match="separator is not a comma"):
        read_frame(tmp_path / "a.csv", ["score"])


def test_binary_csv(tmp_path):
    (tmp_path / "a.csv").write_bytes(bytes(range(128, 256)) * 10)
    with pytest.raises(ValueError, match=r"is not a readable .csv file"):
        read_frame(tmp_path / "a.csv", ["score"])


def test_parquet_without_pyarrow_says_what_to_install(tmp_path, frame, monkeypatch):
    monkeypatch.setattr(sources, "find_spec", lambda _: None)
    with pytest.raises(ModuleNotFoundError, match=r'pip install "\.\[job\]"'):
        write_frame(frame, tmp_path / "a.parquet")
    (tmp_path / "a.parquet").write_bytes(b"PAR1")
    with pytest.raises(ModuleNotFoundError, match=r'pip install "\.\[job\]"'):
        read_frame(tmp_path / "a.parquet", ["score"])


@pytest.mark.parametrize("name", ["a.parquet", "a.csv"])
def test_failed_write_leaves_the_old_file_and_nothing_else(tmp_path, name, frame):
    class Unwritable:
        def __str__(self):
            msg = "no text"
            raise RuntimeError(msg)

        __repr__ = __str__

    path = tmp_path / name
    path.write_text("old")
    frame = frame.assign(score=[Unwritable()] * len(frame))
    with pytest.raises(Exception, match=r"no text|Unwritable"):
        write_frame(frame, path)
    assert path.read_text() == "old"
    assert [entry.name for entry in tmp_path.iterdir()] == [name]


def test_join_keeps_rows_and_counts_what_does_not_match():
    analysis = pd.DataFrame({"id": [3, 1, 2, 4], "score": [0.3, 0.1, 0.2, 0.4]})
    targets = pd.DataFrame({"id": [1, 3, 9, 3, 2], "y": [1, 0, 1, 0, np.nan]})
    join = join_labels(analysis, targets, row_id="id", y_true="y")
    np.testing.assert_array_equal(join.frame["y"], [0, 1, np.nan, np.nan])
    np.testing.assert_array_equal(join.frame["score"], analysis["score"])
    assert (join.n_labelled, join.n_unlabelled, join.n_unknown) == (2, 2, 1)


def test_join_of_booleans_and_missing_ids():
    analysis = pd.DataFrame({"id": [1.0, np.nan, 2.0], "score": [0.1, 0.2, 0.3]})
    targets = pd.DataFrame({"id": [1.0, np.nan], "y": [True, False]})
    join = join_labels(analysis, targets, row_id="id", y_true="y")
    np.testing.assert_array_equal(join.frame["y"].astype(float), [1, np.nan, np.nan])


@pytest.mark.parametrize(
    ("analysis", "targets", "match"),
    [
        ([1, 1], [1], r"`id` must be unique .* 1 of 2 .*first: 1"),
        ([1, 2], [1, 1], r"one label in the targets, but 1 ids have two \(first: 1"),
        ([1, 2], ["1", "2"], r"`id` must be of one type"),
    ],
)
def test_join_refuses(analysis, targets, match):
    left = pd.DataFrame({"id": analysis})
    right = pd.DataFrame({"id": targets, "y": np.arange(len(targets)) % 2})
    with pytest.raises(ValueError, match=match):
        join_labels(left, right, row_id="id", y_true="y")
