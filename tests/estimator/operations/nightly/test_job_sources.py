"""What files and databases may hold, and how they may be called, seen from the job."""

import os
import random
import shutil
import string
from pathlib import Path

import pandas as pd
import pytest

from estimator.operations.exit_codes import BAD_DATA, NOTHING_NEW, RAN
from estimator.operations.store import schema
from trials.nightly_world import START, World


def edit(world, old, new):
    text = world.path.read_text()
    assert old in text
    world.path.write_text(text.replace(old, new))


def segments_of(world):
    """Return the segments that have rows, and those that also have thresholds."""
    columns = [column.name for column in schema.result.columns]
    rows = world.dump("deadreckon_result")["deadreckon_result"]
    named = [dict(zip(columns, row, strict=True)) for row in rows]
    there = [row for row in named if row["segment"] and row["n_rows"]]
    with_reference = [row for row in there if row["lower_threshold"] is not None]
    return {row["segment"] for row in there}, {row["segment"] for row in with_reference}


LONG = "".join(random.Random(0).choices(string.ascii_letters, k=3_000))  # noqa: S311


@pytest.mark.parametrize("database", ["sqlite", "postgres"])
def test_odd_segment_values_stop_nobody(tmp_path, request, database):
    store = "deadreckon.db"
    if database == "postgres":
        store = request.getfixturevalue("postgres")
    world = World(tmp_path / "world", n_days=3, store=store)
    odd = ["a\0b", LONG, LONG + "1", LONG + "2"]
    world.rows["region"] = [odd[i % 4] for i in range(len(world.rows))]
    world.arrive_all()
    assert world.run() == RAN
    assert world.run() == NOTHING_NEW
    stored, _ = segments_of(world)
    assert len(stored) == 4
    assert all("… #" in segment and "\0" not in segment for segment in stored)
    assert any(segment.startswith("region=a␀b… #") for segment in stored)


def test_a_value_that_cannot_be_kept_stops_its_model_only(tmp_path, postgres, caplog):
    """A column's name of 3,000 letters: it is part of the segment's."""
    world = World(tmp_path / "world", n_days=2, store=postgres)
    text = world.path.read_text()
    _, _, model = text.partition("[models.credit]")
    world.path.write_text(
        f"{text}\n[models.fraud]{model}".replace("models.credit.", "models.fraud.", 2)
        .replace("models.fraud.", "models.credit.", 1)
        .replace('"region"', f'"{LONG}"')
        .replace(f'"{LONG}"', '"region"', 1)
    )
    world.arrive_all()
    for file in world.folder.glob("predictions/*"):
        frame = pd.read_parquet(file)
        frame.assign(**{LONG: frame["region"]}).to_parquet(file)
    reference = pd.read_csv(world.folder / "reference.csv")
    reference[LONG] = reference["region"]
    reference.to_csv(world.folder / "reference.csv", index=False)
    assert world.run() == BAD_DATA
    assert "fraud: The store" in caplog.text
    assert "refuses a value" in caplog.text
    rows = world.dump("deadreckon_chunk")["deadreckon_chunk"]
    assert {row[0] for row in rows} == {"credit"}


CODES = ["01", "1", "NA", "10:00", "1e3", "true"]


def with_codes(frame):
    return frame.assign(region=[CODES[i % len(CODES)] for i in range(len(frame))])


@pytest.mark.parametrize("production", ["csv", "csv.gz", "parquet"])
def test_segments_of_a_csv_reference_are_those_of_production(tmp_path, production):
    world = World(tmp_path / "world", n_days=2)
    edit(world, "predictions/*.parquet", f"predictions/*.{production}")
    file = world.folder / "reference.csv"
    with_codes(pd.read_csv(file)).to_csv(file, index=False)
    world.rows = with_codes(world.rows)
    for day in range(2):
        world.arrive(day)
        made = world.folder / f"predictions/{day:03d}.parquet"
        rows = pd.read_parquet(made)
        if day == 1:  # a file in which all codes are numbers
            rows = rows[rows["region"].isin(["01", "1", "1e3"])]
        if production != "parquet":
            made.unlink()
            made = world.folder / f"predictions/{day:03d}.{production}"
            rows.to_csv(made, index=False)
        else:
            rows = rows.replace({"region": {"true": "True"}})
            rows.to_parquet(made)
    assert world.run() == RAN
    names = [f"region={code}" for code in CODES if code != "true"] + ["region=True"]
    stored, with_reference = segments_of(world)
    assert stored == with_reference == set(names)


def test_files_are_read_by_their_names(tmp_path):
    """`00[2].parquet` is no pattern once it is listed, and `*` may be in a name."""
    world = World(tmp_path / "world", n_days=4)
    world.arrive_all()
    folder = world.folder / "predictions"
    (folder / "001.parquet").rename(folder / "00[2].parquet")
    (folder / "003.parquet").rename(folder / "00?.parquet")
    assert world.run() == RAN
    assert list(world.sizes().values()) == [
        len(pd.read_parquet(folder / f"{name}.parquet"))
        for name in ("000", "00[2]", "002", "00?")
    ]
    edit(world, "predictions/*.parquet", "predictions/00[[]2].parquet")
    edit(world, "deadreckon.db", "other.db")
    assert world.run() == RAN
    assert list(world.sizes()) == ["2026-01-06"]
    edit(world, "predictions/00[[]2].parquet", "predictions/00[2].parquet")
    edit(world, "other.db", "third.db")
    assert world.run() == RAN
    assert list(world.sizes()) == ["2026-01-06"]


@pytest.mark.parametrize("hive", [False, True])
@pytest.mark.parametrize("ending", ["parquet", "csv"])
def test_folders_are_columns_on_request_only(tmp_path, hive, ending):
    world = World(tmp_path / "world", n_days=2)
    world.arrive_all()
    for file in sorted(world.folder.glob("predictions/*.parquet")):
        other = world.folder / "predictions" / "region=e%20u" / f"{file.stem}.{ending}"
        other.parent.mkdir(exist_ok=True)
        rows = pd.read_parquet(file)
        if ending == "csv":
            rows.to_csv(other, index=False)
        else:
            rows.to_parquet(other)
        file.unlink()
    edit(world, "predictions/*.parquet", f"predictions/*/*.{ending}")
    reference = world.folder / "region=north" / f"reference.{ending}"
    reference.parent.mkdir()
    rows = pd.read_csv(
        world.folder / "reference.csv", parse_dates=["time", "labeled_at"]
    )
    if ending == "csv":
        rows.to_csv(reference, index=False)
    else:
        rows.to_parquet(reference)
    edit(world, '"reference.csv"', f'"region=north/reference.{ending}"')
    if hive:
        edit(world, 'row_id = "id"', 'row_id = "id"\nhive_partitioning = true')
    assert world.run() == RAN
    expected = {"region=e u"} if hive else {"region=north", "region=south"}
    assert segments_of(world)[0] == expected


def test_a_folder_is_no_source(tmp_path, caplog):
    world = World(tmp_path / "world", n_days=1)
    world.arrive_all()
    edit(world, "predictions/*.parquet", "predictions")
    assert world.run() == BAD_DATA
    assert "predictions is a folder" in caplog.text
    assert 'predictions/*.parquet"' in caplog.text
    assert "hive_partitioning" not in caplog.text
    deep = world.folder / "predictions" / "region=eu"
    deep.mkdir()
    shutil.copy(world.folder / "predictions/000.parquet", deep)
    world.run()
    assert 'predictions/**/*.parquet"' in caplog.text
    assert "`hive_partitioning = true`" in caplog.text


@pytest.mark.parametrize("kind", ["predictions", "labels"])
def test_a_csv_file_with_a_header_only_is_an_empty_table(tmp_path, kind):
    world, plain = (World(tmp_path / name, n_days=2) for name in ("world", "plain"))
    for each in (world, plain):
        each.arrive_all()
        edit(each, f"{kind}/*.parquet", f"{kind}/*")
    names = pd.read_parquet(world.folder / kind / "000.parquet").columns
    (world.folder / kind / "empty.csv").write_text(",".join(names) + "\n")
    assert world.run() == RAN
    assert plain.run() == RAN
    assert world.final() == plain.final()


def test_nothing_but_headers(tmp_path, caplog):
    world = World(tmp_path / "world", n_days=2)
    world.arrive_all()
    edit(world, "labels/*.parquet", "labels/*.csv")
    (world.folder / "labels" / "a.csv").write_text("id,y_true,labeled_at\n")
    assert world.run() == RAN
    edit(world, "predictions/*.parquet", "predictions/*.csv")
    edit(world, "deadreckon.db", "other.db")
    file = world.folder / "predictions" / "a.csv"
    file.write_text("id,time,y_pred_proba,region\n")
    assert world.run() == NOTHING_NEW or world.run() == RAN
    assert world.sizes() == {}


def test_labels_rewritten_under_the_size_and_time_of_before(tmp_path, monkeypatch):
    from estimator.operations.sources.files import file_versions

    monkeypatch.setattr(file_versions, "_TICK_NANOSECONDS", 0)
    world, plain = (World(tmp_path / name, n_days=3) for name in ("world", "plain"))
    for each in (world, plain):
        edit(each, 'labeled_at = "labeled_at"\n', "")
        edit(each, "labels/*.parquet", "labels/*.csv")
        each.arrive_all()
    labels = world.rows[["id", "y_true"]]
    for each in (world, plain):
        labels.to_csv(each.folder / "labels" / "all.csv", index=False)
    assert world.run() == RAN
    file = world.folder / "labels" / "all.csv"
    status = file.stat()
    swapped = labels.assign(y_true=1 - labels["y_true"])
    swapped.to_csv(file, index=False)
    os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert file.stat().st_size == status.st_size
    assert world.run() == RAN
    shutil.copy(file, plain.folder / "labels" / "all.csv")
    assert plain.run() == RAN
    assert world.final() == plain.final()


@pytest.fixture
def read_files(monkeypatch):
    """The files whose content is hashed; one that has just changed has settled."""
    from estimator.operations.sources.files import file_versions

    names = []
    file_digest = file_versions.hashlib.file_digest

    def note(file, algorithm):
        path = Path(file.name)
        names.append(f"{path.parent.name}/{path.name}")
        return file_digest(file, algorithm)

    monkeypatch.setattr(file_versions, "_TICK_NANOSECONDS", 0)
    monkeypatch.setattr(file_versions.hashlib, "file_digest", note)
    return names


def test_references_are_read_once(tmp_path, read_files):
    world = World(tmp_path / "world", n_days=5)
    shutil.copy(world.folder / "reference.csv", world.folder / "retrained.csv")
    text = world.path.read_text()
    world.path.write_text(
        text + "[[models.credit.retrained]]\n"
        f'from_chunk = "{START + pd.Timedelta(days=3):%Y-%m-%d}"\n'
        'reference = "retrained.csv"\n'
    )
    for day in range(4):
        world.arrive(day)
    assert world.run() == RAN
    assert sorted(set(read_files)) == sorted(read_files)
    assert {"world/reference.csv", "world/retrained.csv"} <= set(read_files)
    read_files.clear()
    assert world.run() == NOTHING_NEW
    assert not read_files
    world.arrive(4)
    assert world.run() == RAN
    assert sorted(read_files) == ["labels/004.parquet", "predictions/004.parquet"]


def test_a_reference_rewritten_under_the_size_and_time_of_before(tmp_path, read_files):
    world, plain = (World(tmp_path / name, n_days=3) for name in ("world", "plain"))
    world.arrive_all()
    assert world.run() == RAN
    file = world.folder / "reference.csv"
    status = file.stat()
    rows = pd.read_csv(file)
    rows.assign(y_true=1 - rows["y_true"]).to_csv(file, index=False)
    os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert file.stat().st_size == status.st_size
    read_files.clear()
    assert world.run() == RAN
    assert read_files == ["world/reference.csv"]
    shutil.copy(file, plain.folder / "reference.csv")
    plain.arrive_all()
    assert plain.run() == RAN
    assert world.final() == plain.final()


@pytest.mark.parametrize("kind", ["predictions", "labels"])
def test_the_file_with_another_clock_is_named(tmp_path, kind, caplog):
    world = World(tmp_path / "world", n_days=4)
    world.arrive_all()
    column = {"predictions": "time", "labels": "labeled_at"}[kind]
    odd = world.folder / kind / "002.parquet"
    rows = pd.read_parquet(odd)
    rows[column] = rows[column].dt.tz_localize("UTC")
    rows.to_parquet(odd)
    assert world.run() == BAD_DATA
    assert f"{odd} is of another kind than the other files: it has a time zone" in (
        caplog.text
    )
    assert START.strftime("%Y") not in caplog.text


def test_bad_labels_are_told_as_labels(tmp_path, caplog):
    world = World(tmp_path / "world", n_days=2)
    world.arrive_all()
    odd = world.rows[:3][["id", "y_true", "labeled_at"]].assign(y_true=[0, 2, 1])
    odd.to_parquet(world.folder / "labels" / "odd.parquet")
    assert world.run() == BAD_DATA
    assert "labels (" in caplog.text
    assert "`y_true` must hold 0 and 1" in caplog.text
    assert "predictions (" not in caplog.text
