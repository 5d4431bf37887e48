"""`deadreckon run`, as users call it."""

import json
import os
import re
import warnings

import numpy as np
import pandas as pd
import pytest

from tests.estimator.operations.commands.calls import call, files_in, log_lines
from trials.nightly_world import START, World
from trials.processes import start_command, wait_for_end


def test_run_is_quiet_where_nobody_looks(world):
    result = call(0, "run", world.path)
    assert (result.stdout, result.stderr) == ("", "")
    result = call(99, "run", world.path)
    assert (result.stdout, result.stderr) == ("", "")


def test_verbose_run_says_what_it_did_and_where_the_pages_are(world):
    result = call(0, "run", world.path, "--verbose")
    assert "credit: touched 6 chunks, 36 results written" in result.stderr
    verdict = (
        r"credit: Both metrics are stable; the least sure, "
        r"(roc_auc|accuracy): probability (above )?0\.\d\d"
    )
    assert re.fullmatch(verdict, result.stderr.splitlines()[1])
    page = world.folder / "report" / "index.html"
    assert result.stderr.splitlines()[-1] == f"Pages: {page}"
    assert page.is_file()


def test_check_touches_nothing(world):
    before = files_in(world.folder)
    result = call(0, "run", world.path, "--check")
    assert "is sound: 1 model: credit." in result.stderr
    assert files_in(world.folder) == before


def test_dry_run_changes_nothing(world):
    before = files_in(world.folder)
    result = call(0, "run", world.path, "--dry-run")
    assert "would touch 6 chunks" in result.stderr
    assert files_in(world.folder) == before
    call(0, "run", world.path)
    before = world.dump("deadreckon_run", *world.dump())
    result = call(99, "run", world.path, "--dry-run")
    assert "nothing new" in result.stderr
    assert world.dump(*before) == before


@pytest.mark.parametrize(
    ("text", "words"),
    [("[job", "nightly.toml"), ('[job]\nstoer = "x"', "nearest: `store`")],
)
def test_wrong_configuration_is_wrong_usage(tmp_path, text, words):
    path = tmp_path / "nightly.toml"
    path.write_text(text)
    for arguments in (["run"], ["run", "--check"], ["status"], ["report"]):
        assert words in call(2, *arguments, path).stderr


def test_as_of(world):
    assert "ISO date" in call(2, "run", world.path, "--as-of", "tomorrow").stderr
    call(0, "run", world.path, "--as-of", "2026-01-07")
    chunks = {row[1] for row in world.dump("deadreckon_chunk")["deadreckon_chunk"]}
    assert chunks == {"2026-01-05", "2026-01-06", "2026-01-07"}
    before = world.dump()
    result = call(2, "run", world.path, "--as-of", "2026-01-06")
    assert "must not lie before 2026-01-07" in result.stderr
    assert world.dump() == before
    call(0, "run", world.path)


def test_as_of_is_on_the_clock_of_the_data(tmp_path):
    world = World(tmp_path / "world", n_days=3)
    world.localize("America/New_York")
    world.arrive_all()
    call(0, "run", world.path, "--as-of", "2026-01-06")
    sizes = world.sizes()
    days = world.rows["time"].dt.strftime("%Y-%m-%d").value_counts()
    assert sizes == {day: days[day] for day in ("2026-01-05", "2026-01-06")}


def test_json_log(world):
    model, verdict, pages, end = log_lines(0, "run", world.path)
    assert verdict["model"] == "credit"
    assert (
        "; probability " in verdict["message"] or ": probability " in verdict["message"]
    )
    assert model["message"].startswith("credit: touched 6 chunks")
    assert (model["model"], model["exit_code"]) == ("credit", 0)
    assert pages["message"] == f"Pages: {world.folder / 'report' / 'index.html'}"
    assert "exit_code" not in end
    (world.folder / "predictions" / "005.parquet").write_bytes(b"PAR1")
    model, end = log_lines(65, "run", world.path)
    assert (model["exit_code"], model["level"]) == (65, "ERROR")


def test_json_log_of_what_never_ran(world, tmp_path):
    assert "is sound" in log_lines(0, "run", world.path, "--check")[0]["message"]
    wrong = tmp_path / "wrong.toml"
    wrong.write_text('[job]\nstoer = "x"')
    for arguments in (
        ["run", wrong],
        ["run", wrong, "--check"],
        ["run", tmp_path / "missing.toml"],
        ["run", world.path, "--as-of", "tomorrow"],
        ["run", world.path, "--fail-on", "nothing"],
        ["run", world.path, "--no-such-option"],
        ["run"],
    ):
        (line,) = log_lines(2, *arguments)
        assert line["level"] == "ERROR"
        assert line["message"]


def test_json_log_of_a_bug(world, monkeypatch):
    def fail(_):
        msg = "not thought of"
        raise KeyError(msg)

    for function in ("config.settings.load_config", "nightly.job.run_job"):
        with monkeypatch.context() as patched:
            patched.setattr(
                f"estimator.operations.{function}", lambda *_, **__: fail(0)
            )
            (line,) = log_lines(1, "run", world.path)
        assert "KeyError: 'not thought of'" in line["message"]


def test_warnings_are_lines_of_the_log(world, monkeypatch):
    def warn(*_, **__):
        with warnings.catch_warnings():
            warnings.simplefilter("default")
            warnings.warn("scores are odd", stacklevel=1)
        return 0

    monkeypatch.setattr("estimator.operations.nightly.job.run_job", warn)
    with warnings.catch_warnings():
        assert log_lines(0, "run", world.path)[0]["message"] == "scores are odd"
        assert call(0, "run", world.path).stderr == "scores are odd\n"


def test_failed_run_names_no_pages(world):
    (world.folder / "predictions" / "005.parquet").write_bytes(b"PAR1")
    assert "Pages" not in call(65, "run", world.path, "--verbose").stderr


@pytest.mark.parametrize("content", [b"x", b"SQLite format 3", b"\0" * 200])
def test_file_in_the_place_of_the_lock(world, content):
    lock = world.folder / "deadreckon.db.lock"
    lock.write_bytes(content * 100)
    text = call(1, "run", world.path).stderr
    assert "deadreckon.db.lock cannot be locked" in text
    assert "Remove it" in text
    assert len(text.splitlines()) == 1
    assert not (world.folder / "deadreckon.db").exists()
    lock.unlink()
    call(0, "run", world.path)


def test_output_that_nobody_reads_ends_quietly(world, tmp_path):
    call(0, "run", world.path)
    stderr = tmp_path / "stderr.txt"
    for arguments in (["status", world.path], ["run", "--schema"]):
        reader, writer = os.pipe()
        os.close(reader)
        process = start_command(*arguments, stderr=stderr, stdout=writer)
        os.close(writer)
        assert (wait_for_end(process), stderr.read_text()) == (141, "")


def test_values_of_the_data_do_nothing_to_the_terminal(tmp_path):
    world = World(tmp_path / "world", n_days=2)
    evil = "\x1b[2J\x1b]0;mine\x07\r\ncredit: nothing new\u202e"
    reference = pd.read_csv(world.folder / "reference.csv")
    for frame in (reference, world.rows):
        frame["region"] = frame["region"].replace("north", evil)
    reference.to_csv(world.folder / "reference.csv", index=False)
    world.arrive_all()
    (world.folder / "predictions" / f"{evil[:4]}.parquet").write_bytes(b"PAR1")
    outputs = [call(65, "run", world.path, "-v")]
    (world.folder / "predictions" / f"{evil[:4]}.parquet").unlink()
    outputs += [call(0, "run", world.path, "-v"), call(0, "status", world.path)]
    text = "".join(output.stdout + output.stderr for output in outputs)
    assert not set(text) & set("\x1b\x07\r\u202e")
    assert r"\x1b[2J" in text
    assert "credit: nothing new" not in [line.strip() for line in text.splitlines()]


@pytest.fixture
def declined(tmp_path):
    """A model that has become a coin toss in its last days."""
    world = World(tmp_path / "declined", n_days=20)
    late = world.rows["time"] > START + pd.Timedelta(days=10)
    coin = np.random.default_rng(0).random(len(world.rows)) < 0.5
    world.rows["y_true"] = np.where(late, coin, world.rows["y_true"]).astype(int)
    world.rows["labeled_at"] = world.rows["time"] + pd.Timedelta(minutes=1)
    world.arrive_all()
    return world


def test_exit_codes_by_gravity(declined):
    call(0, "run", declined.path, "--as-of", "2026-01-12")
    call(99, "run", declined.path, "--as-of", "2026-01-12", "--fail-on", "warning")
    call(20, "run", declined.path, "--fail-on", "warning")
    # It is as grave the night after, though nothing is new.
    text = call(20, "run", declined.path, "--fail-on", "alert").stderr
    assert re.search(
        r"credit: alert: \w+ is beyond its threshold in chunk 2026-01-2\d", text
    )
    lines = log_lines(20, "run", declined.path, "--fail-on", "warning")
    assert lines[0]["exit_code"] == 99
    assert {line.get("severity") for line in lines} >= {"alert", "warning"}
    call(99, "run", declined.path)


def test_decline_that_is_in_bounds_now_is_a_warning(declined):
    text = declined.path.read_text()
    rule = '["constant", 0.0, ""]'
    thresholds = f"thresholds = {{ roc_auc = {rule}, accuracy = {rule} }}"
    declined.path.write_text(f"{text}\n{thresholds}\n")
    call(10, "run", declined.path, "--fail-on", "warning")
    call(99, "run", declined.path, "--fail-on", "alert")


def test_changed_configuration_is_estimated_anew(world):
    call(0, "run", world.path)
    text = world.path.read_text()
    world.path.write_text(text.replace('"accuracy"]', '"accuracy", "f1"]'))
    call(0, "run", world.path)
    rows = world.dump("deadreckon_result")["deadreckon_result"]
    assert {row[3] for row in rows} == {"roc_auc", "accuracy", "f1"}
    revisions = {row[3]: row[4] for row in rows}
    assert revisions == {"roc_auc": 1, "accuracy": 1, "f1": 1}
    world.path.write_text(text.replace('["roc_auc", "accuracy"]', '["f1"]'))
    call(0, "run", world.path)
    rows = world.dump("deadreckon_result")["deadreckon_result"]
    assert {row[3] for row in rows} == {"f1"}
    assert "roc_auc" not in call(0, "status", world.path).stdout


def test_retrained_model_has_its_own_reference(world):
    reference = pd.read_csv(world.folder / "reference.csv")
    reference.assign(y_true=1 - reference["y_true"]).to_csv(
        world.folder / "other.csv", index=False
    )
    text = world.path.read_text()
    world.path.write_text(
        f'{text}\n[[models.credit.retrained]]\nfrom_chunk = "2026-01-08"\n'
        'reference = "other.csv"\n'
    )
    call(0, "run", world.path)
    frame = {
        row["chunk"]: row
        for row in results_of(world)
        if (row["segment"], row["metric"]) == ("", "roc_auc")
    }
    for chunk, row in frame.items():
        assert (row["estimated"] > 0.5) == (chunk < "2026-01-08")
        assert ("before the rebase" in row["note"]) == (chunk < "2026-01-08")


def results_of(world):
    import sqlalchemy as sa

    from estimator.operations.store import schema

    engine = sa.create_engine(world.config.job.store)
    with engine.connect() as connection:
        rows = [row._asdict() for row in connection.execute(sa.select(schema.result))]
    engine.dispose()
    return rows


def test_features_are_read_and_adapted_to(tmp_path):
    world = World(tmp_path / "world", n_days=3, per_day=400)
    rng = np.random.default_rng(0)
    for file in ("reference.csv",):
        frame = pd.read_csv(world.folder / file)
        frame["age"] = rng.normal(40, 10, len(frame))
        frame.to_csv(world.folder / file, index=False)
    world.rows["age"] = rng.normal(70, 1, len(world.rows))
    text = world.path.read_text()
    world.path.write_text(text.replace('segments = ["region"]', 'features = ["age"]'))
    world.arrive_all()
    call(0, "run", world.path)
    assert all(
        "beyond" in r["note"] or "outside" in r["note"] for r in results_of(world)
    )
    call(99, "run", world.path)


def test_lost_trust_is_said_once_and_counted(tmp_path):
    world = World(tmp_path / "world", n_days=3, per_day=400)
    score = world.rows["y_pred_proba"]
    world.rows["y_pred_proba"] = 0.999 + 0.001 * score
    world.rows["labeled_at"] += pd.Timedelta(days=90)
    world.arrive_all()
    said = call(0, "run", world.path).stderr
    assert said.count("no trust") == 1  # not a line per chunk
    assert "no trust in 3 of 3 chunks, the newest 2026-01-07" in said
    assert {result["trust"] for result in results_of(world)} == {"none"}
    shown = call(0, "status", world.path).stdout
    assert "?? no trust: do not act on the estimate" in shown
    text = call(0, "status", world.path, "--format", "json").stdout
    assert {chunk["trust"] for chunk in json.loads(text)[0]["chunks"]} == {"none"}
    page = (world.folder / "report" / "credit.html").read_text()
    assert "No trust in the newest complete chunk" in page
