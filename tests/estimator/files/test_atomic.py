import multiprocessing
import os
import signal
import tempfile
from pathlib import Path

import pytest

from estimator.files.atomic import remove_leftovers, replacing, temporary_folder

PROCESS = multiprocessing.get_context("fork")


def fail_while_writing(path):
    with replacing(path) as temporary:
        temporary.write_text("half")
        msg = "in the middle"
        raise RuntimeError(msg)


def test_an_error_leaves_nothing_behind(tmp_path):
    with pytest.raises(RuntimeError, match="in the middle"):
        fail_while_writing(tmp_path / "a.svg")
    assert list(tmp_path.iterdir()) == []


def test_an_error_leaves_the_old_file(tmp_path):
    path = tmp_path / "a.csv.gz"
    path.write_text("old")
    with pytest.raises(RuntimeError, match="in the middle"):
        fail_while_writing(path)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_the_temporary_file_has_the_same_ending(tmp_path):
    with replacing(tmp_path / "a.csv.gz") as temporary:
        assert temporary.parent == tmp_path
        assert temporary.name.endswith(".csv.gz")
        temporary.write_text("new")
    assert (tmp_path / "a.csv.gz").read_text() == "new"


def test_the_ending_of_the_temporary_file_can_be_another(tmp_path):
    with replacing(tmp_path / "figures.prom", ending=".tmp") as temporary:
        assert temporary.suffix == ".tmp"
        temporary.write_text("new")
    assert [file.name for file in tmp_path.iterdir()] == ["figures.prom"]


def leave_and_die(folder, name):
    """Write a file and a temporary folder, and be killed at it."""
    tempfile.tempdir = str(folder)
    with replacing(folder / name) as temporary, temporary_folder() as spill:
        temporary.write_text("half")
        (spill / "block").write_text("half")
        os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.parametrize(
    "name",
    ["credit.html", "credit.v-2.html", "ä b.c d.e-f", "x", f"a.{'y' * 240}.html"],
)
def test_what_a_killed_process_left_is_removed(tmp_path, name):
    theirs = [tmp_path / ".d.html", tmp_path / ".deadreckon-results", tmp_path / name]
    for path in theirs:
        path.write_text("not ours")
    process = PROCESS.Process(target=leave_and_die, args=(tmp_path, name))
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    assert len(list(tmp_path.iterdir())) == len(theirs) + 2
    remove_leftovers(tmp_path)
    assert sorted(tmp_path.iterdir()) == sorted(theirs)


def test_what_is_being_written_is_no_leftover(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with replacing(tmp_path / "a.html") as temporary, temporary_folder() as spill:
        temporary.write_text("whole")
        process = PROCESS.Process(target=remove_leftovers, args=(tmp_path,))
        process.start()
        process.join()
        assert process.exitcode == 0
        remove_leftovers(tmp_path)
        assert spill.is_dir()
    assert [file.name for file in tmp_path.iterdir()] == ["a.html"]
    assert (tmp_path / "a.html").read_text() == "whole"


def test_leftovers_of_old_and_links_to_elsewhere(tmp_path):
    folder, elsewhere = tmp_path / "report", tmp_path / "elsewhere"
    folder.mkdir()
    elsewhere.mkdir()
    (elsewhere / "a").write_text("stays")
    (folder / f".{'0a' * 16}.v-2.html").write_text("half")
    (folder / f".deadreckon-{'0b' * 16}").symlink_to(elsewhere)
    remove_leftovers(folder)
    assert [file.is_symlink() for file in folder.iterdir()] == [True]
    assert (elsewhere / "a").read_text() == "stays"


def test_many_write_and_tidy_up_at_once(tmp_path):
    """Nobody's file is taken for a leftover between being made and being locked."""

    def work(number):
        for turn in range(40):
            with replacing(tmp_path / f"{number}.html") as temporary:
                temporary.write_text(f"{number} {turn}")
            remove_leftovers(tmp_path)

    processes = [PROCESS.Process(target=work, args=(number,)) for number in range(4)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0] * 4
    written = {file.name: file.read_text() for file in tmp_path.iterdir()}
    assert written == {f"{number}.html": f"{number} 39" for number in range(4)}


def test_the_name_is_on_the_disk_as_well(tmp_path, monkeypatch):
    """The folder is synchronized after the rename, the file before it."""
    steps = []

    def note(descriptor):
        path = Path(f"/proc/self/fd/{descriptor}").readlink()
        steps.append((path == tmp_path, (tmp_path / "a.txt").exists()))

    monkeypatch.setattr(os, "fsync", note)
    with replacing(tmp_path / "a.txt") as temporary:
        temporary.write_text("new")
    assert steps == [(False, False), (True, True)]
