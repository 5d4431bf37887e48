import json
import pickle
import re
import subprocess
import sys
from pathlib import Path
from urllib.parse import unquote

import duckdb
import pandas as pd
import pytest
from sqlalchemy.engine import make_url

from estimator import PerformanceEstimator
from estimator.operations.config import settings as module
from estimator.operations.config.settings import (
    FileLocation,
    SqlLocation,
    load_config,
)
from estimator.operations.errors import ConfigurationError
from tests.estimator.operations.config.nightly_files import (
    ENVIRON,
    ROOT,
    SMALL,
    WHOLE,
    changed,
    refusal,
    write,
)


def test_every_setting_of_a_whole_file(tmp_path):
    config = load_config(write(tmp_path, WHOLE), ENVIRON)
    assert config.path == tmp_path / "nightly.toml"
    assert make_url(config.job.store).database == str(tmp_path / "deadreckon.db")
    assert config.job.report == tmp_path / "report"
    assert (config.job.memory_limit, config.job.threads) == ("512MB", 2)
    assert config.notify.webhook == ENVIRON["SLACK_WEBHOOK"]
    assert config.notify.prometheus == Path("/var/lib/node_exporter/deadreckon.prom")
    assert list(config.models) == ["credit"]
    credit = config.models["credit"]
    assert (credit.name, credit.row_id) == ("credit", "id")
    assert credit.reference == FileLocation(
        patterns=(str(tmp_path / "data/reference.parquet"),)
    )
    assert credit.predictions.patterns == (
        str(tmp_path / "data/predictions/*.parquet"),
        "s3://bucket/more/*.csv",
    )
    assert isinstance(credit.labels, SqlLocation)
    assert credit.labels.query == "select id, y_true, labeled_at from outcomes"
    url = make_url(credit.labels.url)
    assert unquote(str(url.database)) == f"{tmp_path}/reader:hunter2.db"
    assert credit.lookback == pd.Timedelta(days=180)
    assert credit.parameters == {
        "chunk": "D",
        "timestamp": "timestamp",
        "labeled_at": "labeled_at",
        "metrics": ("roc_auc", "f1"),
        "segments": ("channel",),
        "thresholds": {
            "roc_auc": ("constant", 0.7, None),
            "f1": ("standard_error", 2),
        },
    }
    PerformanceEstimator(**credit.parameters).check_parameters()
    first, second = credit.retrained
    assert first.from_chunk == "2026-06-01"
    assert first.reference.patterns == (str(tmp_path / "data/reference-2026.parquet"),)
    assert second.from_chunk == "2026-07-01"
    assert second.reference == SqlLocation(
        url="sqlite:////data/references.db", table="second"
    )


def test_defaults(tmp_path):
    config = load_config(write(tmp_path, SMALL), {})
    assert config.job.report is None
    assert config.job.threads is None
    assert config.notify.webhook is None
    assert config.notify.prometheus is None
    credit = config.models["credit"]
    assert (credit.labels, credit.lookback, credit.retrained) == (None, None, ())
    assert credit.parameters == {"timestamp": "timestamp"}
    connection = duckdb.connect(config={"memory_limit": config.job.memory_limit})
    connection.close()


def test_relative_paths_start_at_the_file_not_at_the_process(tmp_path, monkeypatch):
    folder = tmp_path / "etc"
    folder.mkdir()
    write(folder, SMALL)
    monkeypatch.chdir(tmp_path)
    config = load_config(Path("etc/nightly.toml"), {})
    assert config.path == folder / "nightly.toml"
    patterns = config.models["credit"].reference.patterns
    assert patterns == (str(folder / "reference.parquet"),)
    assert make_url(config.job.store).database == str(folder / "deadreckon.db")


@pytest.mark.parametrize("name", ["a b.db", "ü+#@:&=.db", "deep/er/x.db", "[x]'\".db"])
def test_store_of_any_name_is_the_file_of_that_name(tmp_path, name):
    import sqlite3

    from sqlalchemy import create_engine, text

    (tmp_path / name).parent.mkdir(exist_ok=True, parents=True)
    path = write(tmp_path, changed(job__store=f"store = {json.dumps(name)}"))
    engine = create_engine(load_config(path, {}).job.store)
    with engine.begin() as connection:
        connection.execute(text("create table t as select 1 as x"))
    engine.dispose()
    with sqlite3.connect(tmp_path / name) as connection:
        assert connection.execute("select x from t").fetchall() == [(1,)]
    connection.close()


@pytest.mark.parametrize(
    "url",
    ["relative.db", "/data/store.db", "a?timeout=5"],
)
def test_files_in_urls_begin_at_the_folder_of_the_configuration(tmp_path, url):
    path = write(tmp_path, changed(job__store=f'store = "sqlite:///{url}"'))
    absolute = url if url.startswith("/") else f"{tmp_path}/{url}"
    assert load_config(path, {}).job.store == f"sqlite:///{absolute}"


def test_dates_of_toml_are_edges(tmp_path):
    line = 'chunk = [2026-01-01, 2026-02-01T00:00:00, "2026-03-01"]'
    text = changed(models__credit__estimator__chunk=line)
    chunk = load_config(write(tmp_path, text), {}).models["credit"].parameters["chunk"]
    assert chunk == ("2026-01-01", "2026-02-01T00:00:00", "2026-03-01")


@pytest.mark.parametrize(
    ("text", "hours"), [("180D", 4320), ("36h", 36), ("1 day 12:00:00", 36)]
)
def test_lookback(tmp_path, text, hours):
    path = write(tmp_path, changed(models__credit__lookback=f'lookback = "{text}"'))
    lookback = load_config(path, {}).models["credit"].lookback
    assert lookback == pd.Timedelta(hours=hours)


@pytest.mark.parametrize("limit", ["1GB", "1.5 GB", "800MiB", "2gb"])
def test_memory_limits_are_understood_by_the_engine(tmp_path, limit):
    path = write(tmp_path, changed(job__memory_limit=f'memory_limit = "{limit}"'))
    limit = load_config(path, {}).job.memory_limit
    duckdb.connect(config={"memory_limit": limit}).close()


def test_settings_pickle(tmp_path):
    config = load_config(write(tmp_path, WHOLE), ENVIRON)
    again = pickle.loads(pickle.dumps(config))  # noqa: S301 - our own bytes
    assert again == config
    assert repr(again) == repr(config)


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("${A}", "one"),
        ("x${A}${B}y", "xone$two{y"),
        ("$${A}", "${A}"),
        ("$${${A}}", "${one}"),
        ("$A {A} $ {A} $$", "$A {A} $ {A} $$"),
        ("${C}", "${A}"),  # what a variable says is not read again
    ],
)
def test_variables(tmp_path, written, read):
    text = changed(models__credit__row_id=f'row_id = "{written}"')
    environ = {"A": "one", "B": "$two{", "C": "${A}"}
    assert load_config(write(tmp_path, text), environ).models["credit"].row_id == read


def test_environment_of_the_process_by_default(tmp_path, monkeypatch):
    monkeypatch.setenv("DEADRECKON_TEST_ID", "number")
    text = changed(models__credit__row_id='row_id = "${DEADRECKON_TEST_ID}"')
    assert load_config(write(tmp_path, text)).models["credit"].row_id == "number"


def test_all_missing_variables_are_told_at_once(tmp_path):
    assert refusal(tmp_path, WHOLE, {"DB_PASSWORD": " "}) == [
        "`notify.webhook` needs the environment variable SLACK_WEBHOOK, which is not "
        "set. Set it for the job.",
        "`models.credit.labels.url` needs the environment variable DB_PASSWORD, which "
        "is empty. Set it for the job.",
    ]


@pytest.mark.parametrize("written", ["${", "${}", "${A", "${A-B}", "${1}", "${ÄÖ}"])
def test_braces_without_a_name(tmp_path, written):
    text = changed(models__credit__row_id=f'row_id = "{written}"')
    [line] = refusal(tmp_path, text)
    assert re.match(r'`models.credit.row_id` has a "\$\{" that no .* write', line, re.I)


@pytest.mark.parametrize("package", ["pydantic", "sqlalchemy", "duckdb"])
def test_missing_package(tmp_path, monkeypatch, package):
    find_spec = module.find_spec
    monkeypatch.setattr(
        module, "find_spec", lambda name: None if name == package else find_spec(name)
    )
    with pytest.raises(
        ModuleNotFoundError, match=rf'{package}\. Install .* "\.\[job\]"'
    ):
        load_config(write(tmp_path, SMALL), {})


def test_file_that_cannot_be_read(tmp_path):
    path = tmp_path / "nightly.toml"
    with pytest.raises(ConfigurationError, match=r"read \(No such file .* Name the"):
        load_config(path, {})
    with pytest.raises(ConfigurationError, match=r"cannot be read \(Is a directory\)"):
        load_config(tmp_path, {})
    path.write_text("[job]\nstore = 'a'\nreport = oops\n")
    with pytest.raises(ConfigurationError, match=r"not valid TOML: .*\(at line 3, col"):
        load_config(path, {})
    path.write_bytes(b"a = '\xff'")
    with pytest.raises(
        ConfigurationError, match=r"is not UTF-8 text \(byte 5\)\. Save"
    ):
        load_config(path, {})


def test_importing_is_cheap():
    heavy = ["numpy", "pandas", "pydantic", "sqlalchemy", "duckdb"]
    code = (
        "import sys, estimator.operations.config.settings; "
        f"print([name for name in {heavy} if name in sys.modules])"
    )
    done = subprocess.run(  # noqa: S603 - our own interpreter
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
    )
    assert done.stdout.strip() == "[]"
