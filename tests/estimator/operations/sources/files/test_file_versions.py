"""A file that was rewritten is seen, whatever its size and time say."""

import os
import time

import pytest

from estimator.operations.config.settings import FileLocation
from estimator.operations.sources.files import file_versions
from estimator.operations.sources.files.file_search import find_files
from estimator.operations.sources.files.file_versions import is_same_content, version_of
from estimator.operations.sources.row_source import open_engine


@pytest.fixture
def file(tmp_path, monkeypatch):
    path = tmp_path / "labels.csv"
    path.write_text("id,y_true\n1,0\n")
    monkeypatch.setattr(file_versions, "_TICK_NANOSECONDS", 0)  # it has settled
    time.sleep(0.01)
    return path


def restore_time(path, status):
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def test_equal_size_and_restored_time(file):
    before, status = version_of(file), file.stat()
    file.write_text("id,y_true\n1,1\n")
    restore_time(file, status)
    assert (file.stat().st_size, file.stat().st_mtime_ns) == (
        status.st_size,
        status.st_mtime_ns,
    )
    after = version_of(file, before)
    assert not is_same_content(after, before)


def test_another_file_under_the_same_name(file, tmp_path):
    before, status = version_of(file), file.stat()
    other = tmp_path / "other.csv"
    other.write_text("id,y_true\n1,1\n")
    restore_time(other, status)
    other.rename(file)
    assert not is_same_content(version_of(file, before), before)


@pytest.mark.parametrize("change", ["touch", "chmod", "copy"])
def test_a_file_of_the_same_content_is_the_same(file, change, tmp_path):
    before = version_of(file)
    if change == "touch":
        file.touch()
    elif change == "chmod":
        file.chmod(0o600)
    else:
        (tmp_path / "copy").write_bytes(file.read_bytes())
        (tmp_path / "copy").rename(file)
    assert is_same_content(version_of(file, before), before)


def test_what_the_system_says_is_as_it_was_is_not_read(file, monkeypatch):
    before = version_of(file)
    monkeypatch.setattr(file_versions.hashlib, "file_digest", None)
    assert version_of(file, before) == before


def test_a_file_that_has_just_changed_is_read_again(file, monkeypatch):
    monkeypatch.setattr(file_versions, "_TICK_NANOSECONDS", 10**12)
    before, status = version_of(file), file.stat()
    file.write_text("id,y_true\n1,1\n")
    restore_time(file, status)
    after = version_of(file, before)
    assert not is_same_content(after, before)
    assert is_same_content(version_of(file, after), after)


def test_nothing_was_seen_before(file):
    assert not is_same_content(version_of(file), None)
    assert not is_same_content(version_of(file), "14:1767600000")  # of earlier versions


def test_a_file_behind_a_url_rewritten_on_the_same_day(file):
    location = FileLocation(patterns=(f"file://{file.parent}/*.csv",))
    with open_engine("100MB", 1) as engine:
        listed = engine.execute("SELECT * FROM glob(?)", [*location.patterns])
        if not listed.fetchall():
            pytest.skip("this version of DuckDB lists no file:// addresses")

    def version():
        with open_engine("100MB", 1) as engine:
            (newest,) = find_files(engine, location, "labels").values()
        return newest

    os.utime(file, (1_800_000_000, 1_800_000_000))
    before = version()
    assert is_same_content(version(), before)
    os.utime(file, (1_800_000_060, 1_800_000_060))
    assert not is_same_content(version(), before)


def test_a_run_without_news_writes_no_other_versions():
    before = {"labels": {"a": "hash ?", "b": "other 1:2:3:4"}}
    now = {"labels": {"a": "hash 1:2:3:4", "b": "new 1:2:3:4", "c": "hash ?"}}
    assert file_versions.versions_as_before(now, before) == {
        "labels": {"a": "hash ?", "b": "new 1:2:3:4", "c": "hash ?"}
    }
