"""The command line as a whole: its commands, its help, its demonstration."""

import sqlite3
import subprocess
import sys
from pathlib import Path
from statistics import median

import pytest

from estimator.operations.commands.main import main
from trials.runner import program, run

ROOT = Path(__file__).parents[4]
HEAVY = {"numpy", "pandas", "scipy", "sklearn", "numba", "lightgbm", "pyarrow"}


def test_demo_lives_through_its_nights_and_says_where_the_page_is(tmp_path):
    demo = tmp_path / "demo"
    size = ("--weeks", "5", "--applications", "300", "--output-dir", demo)
    result = run("demo", "--scenario", "cyclical", *size)
    assert len(list((demo / "predictions").iterdir())) == 35  # a file a day
    # Five weeks: two Sundays, then 21 nights.
    assert "The job runs 23 times" in result.stderr
    with sqlite3.connect(demo / "deadreckon.db") as store:
        (n_runs,) = store.execute("SELECT count(*) FROM deadreckon_run").fetchone()
    store.close()
    assert n_runs == 23
    # Folders that are still empty are no reason to warn.
    assert "no file matches" not in result.stderr
    page = (demo / "report" / "lender.html").read_text(encoding="utf-8")
    assert "2025-02-03" in page
    assert result.stderr.splitlines()[-1] == f"Look at {demo / 'report' / 'index.html'}"
    assert "lender, as of 2025-02-09" in result.stdout
    assert "roc_auc" in result.stdout
    assert run("run", demo / "nightly.toml", code=99).stdout == ""
    # A second demonstration takes the place of the first.
    assert run("demo", "--scenario", "cyclical", *size).stdout == result.stdout


def test_demo_leaves_folders_of_others_alone(tmp_path):
    (tmp_path / "predictions").mkdir()
    (tmp_path / "predictions" / "mine.parquet").write_bytes(b"precious")
    result = run("demo", "--output-dir", tmp_path, "--weeks", "1", code=2)
    assert "holds something else" in result.stderr
    assert (tmp_path / "predictions" / "mine.parquet").read_bytes() == b"precious"


def test_warm_up():
    assert "compiled" in run("warm-up").stderr


def test_commands():
    nightly = {"run", "status", "report"}
    assert set(main.commands) == {"demo", "doctor", "estimate", "warm-up"} | nightly


@pytest.mark.parametrize("arguments", [["--help"], ["estimate", "--help"]])
def test_help_answers_within_half_a_second_of_cpu(arguments):
    resource = pytest.importorskip("resource")

    def seconds():
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        result = program(*arguments)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        assert result.stdout.startswith("Usage:")
        return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime

    assert median(seconds() for _ in range(3)) < 0.5


def test_command_line_imports_nothing_heavy():
    code = "import estimator.operations.commands.main, sys; print(*sys.modules)"
    imported = subprocess.run(  # noqa: S603
        [sys.executable, "-c", code],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    assert not HEAVY & set(imported)
