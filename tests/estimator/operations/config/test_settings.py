import inspect
import json
import pickle
import re
import subprocess
import sys
import tomllib
import traceback
from pathlib import Path
from urllib.parse import quote, quote_plus, unquote

import duckdb
import pandas as pd
import pytest
import sqlalchemy as sa
from hypothesis import assume, example, given
from hypothesis import strategies as st
from sqlalchemy.engine import make_url

from estimator import PerformanceEstimator
from estimator.operations.config import settings as module
from estimator.operations.config.redaction import describe_url, redaction_of
from estimator.operations.config.settings import (
    FileLocation,
    SqlLocation,
    config_schema,
    load_config,
)
from estimator.operations.errors import ConfigurationError

ROOT = Path(__file__).parents[4]
WHOLE = """
[job]
store = "deadreckon.db"
report = "report"
memory_limit = "512MB"
threads = 2

[notify]
webhook = "${SLACK_WEBHOOK}"
prometheus = "/var/lib/node_exporter/deadreckon.prom"

[models.credit]
reference = "data/reference.parquet"
predictions = ["data/predictions/*.parquet", "s3://bucket/more/*.csv"]
row_id = "id"
lookback = "180D"

[models.credit.labels]
url = "sqlite:///reader:${DB_PASSWORD}.db"
query = "select id, y_true, labeled_at from outcomes"

[models.credit.estimator]
chunk = "D"
timestamp = "timestamp"
labeled_at = "labeled_at"
metrics = ["roc_auc", "f1"]
segments = ["channel"]
thresholds = { roc_auc = ["constant", 0.7, ""], f1 = ["standard_error", 2] }

[[models.credit.retrained]]
from_chunk = "2026-06-01"
reference = "data/reference-2026.parquet"

[[models.credit.retrained]]
from_chunk = 2026-07-01
reference = { url = "sqlite:////data/references.db", table = "second" }
"""
ENVIRON = {
    "SLACK_WEBHOOK": "https://hooks.slack.com/services/T0/B0/zzyzx",
    "DB_PASSWORD": "hunter2",
}
SMALL = """
[job]
store = "deadreckon.db"
[models.credit]
reference = "reference.parquet"
predictions = "predictions.parquet"
row_id = "id"
[models.credit.estimator]
timestamp = "timestamp"
"""


def write(folder, text):
    path = folder / "nightly.toml"
    path.write_text(text, encoding="utf-8")
    return path


def refusal(folder, text, environ=ENVIRON):
    """Return the lines of the error, without the file's name."""
    path = write(folder, text)
    with pytest.raises(ConfigurationError) as caught:
        load_config(path, environ)
    lines = str(caught.value).splitlines()
    assert all(line.startswith(f"{path}: `") for line in lines)
    return [line.removeprefix(f"{path}: ") for line in lines]


def changed(**replacements):
    """Return ``SMALL`` with lines replaced (None drops them) or put in, by key."""
    text = SMALL
    for key, line in replacements.items():
        table, _, name = key.rpartition("__")
        pattern = re.compile(rf"^{name} = .*\n", re.MULTILINE)
        new = "" if line is None else f"{line}\n"
        if pattern.search(text):
            text = pattern.sub(lambda _, new=new: new, text)
        else:
            header = f"[{table.replace('__', '.')}]\n"
            assert header in text
            text = text.replace(header, header + new)
    return text


# ---- what a good file says


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


@pytest.mark.parametrize("scheme", ["mysql", "mysql+pymysql", "MariaDB", "duckdb"])
def test_stores_that_are_not_supported(tmp_path, scheme):
    store = f'store = "{scheme}://u:geheim@h/db"'
    [message] = refusal(tmp_path, changed(job__store=store))
    assert "must be a database of SQLite or PostgreSQL, got one of " in message
    assert "not supported" in message
    assert '"postgresql+psycopg://…"' in message
    assert "geheim" not in message


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


# ---- variables


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


# ---- what is wrong


LABELS = "models__credit__labels"
CHUNK = "models__credit__estimator__chunk"
SQL = 'labels = {{ url = "{}", table = "t" }}'
RETRAINED = "[[models.credit.retrained]]\nfrom_chunk = {}\nreference = 'a.csv'\n"


WRONG = {
    "job": [
        ("thread = 2", r"`job.thread` is no key here; nearest: `threads`\."),
        ("n_jobs = 2", r"`job.n_jobs` is no key here; nearest: `threads`\."),
        ("zzz = 2", r"`job.zzz` is no key here; known: store, report, memory_limit, t"),
        (
            "store = 1",
            r"`job.store` must be a text, got 1\. What .* For example: store",
        ),
        ("threads = 'two'", r"`job.threads` must be a whole number, got 'two'\."),
        ("threads = 0", r"`job.threads` must be greater than or equal to 1, got 0\."),
        ("memory_limit = 'much'", r"`job.memory_limit` must .*GB or TB, got 'much'\."),
        ("report = 's3://x'", r"`job.report` must be a path on this machine, got a UR"),
        ("store = 'sqlite://'", r"`job.store` must be .*next night, got one in memory"),
        ("store = '://x'", r"`job.store` must be a database URL like"),
    ],
    "models.credit": [
        ("reference = 5", r"credit.reference` must be a text or a list or a table, g"),
        ("reference = ['a', 2]", r"`models.credit.reference\[1\]` must be a text, got"),
        ("reference = []", r"`models.credit.reference` must not be empty\. A labelled"),
        ("row_id = ' '", r"`models.credit.row_id` must not be empty\. Column"),
        ("retrained = 5", r"`models.credit.retrained` must be a list, got 5\. Retr"),
        ("labels = {table = 't'}", r"`models.credit.labels.url` is missing\. Database"),
        ("labels = {url = 'sqlite://'}", r"`table` or else `query` .* got neither"),
        ("labels = {url = 'sqlite://', tabel = 't'}", r"tabel` is .* nearest: `table`"),
        ("lookback = '180'", r"`models.credit.lookback` must be .* unit, got '180'\."),
        ("lookback = '-3D'", r"must be a span of time above zero .* got '-3D'\."),
        ("lookback = 'NaT'", r"must be a span of time above zero .* got 'NaT'\."),
    ],
    "models.credit.estimator": [
        ("metrcs = 'f1'", r"estimator.metrcs` is no key here; nearest: `metrics`\."),
        ("seed = 1", r"estimator.seed` is no key here; nearest: `random_state`\."),
        ("target = 'y'", r"estimator.target` is no key here; nearest: `y_true`\."),
        ("progress = true", r"`models.credit.estimator.progress` is no key here"),
        ("level = []", r"must be a number, got \[\]\. Coverage .*: level = 0\.95\.$"),
        ("thresholds = {f1 = 'low'}", r"thresholds.f1` must be a list, got 'low'"),
        ("chunk = 2000", r"credit.estimator.chunk` must .*count rows would change"),
        ("chunk = 'none'", r"`models.credit.estimator.chunk` must be an offset alias"),
        ("chunk = [2026-02-01, 2026-01-01]", r"chunk` must hold strictly increasing"),
        ("metrics = 'roc_auk'", r"`models.credit.estimator.metrics` must .* 'roc_auc'"),
        ("level = nan", r"`models.credit.estimator.level` must be a number .* got nan"),
        ("method = 'pape'", r"`models.credit.estimator.features` must name columns"),
        ("calibrator = 'plat'", r"estimator.calibrator` must .* Did you mean 'platt'"),
        ("thresholds = {f1 = ['constant', 1]}", r"estimator.thresholds` has an entry"),
    ],
}


@pytest.mark.parametrize(
    ("table", "line", "match"),
    [(table, *case) for table, cases in WRONG.items() for case in cases],
)
def test_each_wrong_setting_is_told_once_with_its_place(tmp_path, table, line, match):
    key = f"{table.replace('.', '__')}__{line.partition(' ')[0]}"
    [sentence] = refusal(tmp_path, changed(**{key: line}))
    assert re.search(match, sentence), sentence
    assert not re.search("[Pp]ydantic|Input should|type=|https?://", sentence)


@pytest.mark.parametrize("key", ["job__store", "models__credit__row_id", "timestamp"])
def test_missing_keys(tmp_path, key):
    [sentence] = refusal(tmp_path, changed(**{key: None}))
    assert re.match(
        rf"`\S*{key.split('__')[-1]}` is missing\. .* For example: ", sentence
    )


@pytest.mark.parametrize(
    ("url", "match"),
    [
        ("postgresql//u:geheim@h/db", r"must be a database URL like"),
        ("postgresql://u:geheim@h:port/db", r"SQLAlchemy cannot read it"),
        ("postgresql+psycopg://u:p@geheim@h/db", r"write @ as %40"),
        ("postgres://u:geheim@h/db", r"SQLAlchemy knows; nearest: postgresql\+psycopg"),
        ("a+b+c://u:geheim@h/db", r"of a kind of database that SQLAlchemy knows\."),
    ],
)
def test_wrong_urls(tmp_path, url, match):
    [sentence] = refusal(tmp_path, changed(**{LABELS: SQL.format(url)}))
    assert re.match(rf"`models.credit.labels.url` .*{match}", sentence), sentence
    assert "geheim" not in sentence


@pytest.mark.parametrize(
    ("line", "match"),
    [
        ("webhook = 'ftp://hooks.slack.com/x'", r"begins with https:// or http:// an"),
        ("webhook = 'https://'", r"and names a host\. Copy it whole"),
        ("prometheus = 'http://h/a.prom'", r"`notify.prometheus` must be a path on th"),
        ("prometheus = ''", r"`notify.prometheus` must not be empty\."),
    ],
)
def test_wrong_receivers(tmp_path, line, match):
    [sentence] = refusal(tmp_path, f"{SMALL}[notify]\n{line}\n")
    assert re.search(match, sentence), sentence
    assert "slack.com" not in sentence  # a webhook's address is its key


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("", r"`job` is missing\. What all models share\."),
        ("", r"`models` is missing\. The models by name"),
        ("[models]", r"`models` must not be empty\."),
        ("models = 1", r"`models` must be a table, got 1\."),
        ("[models]\ncredit = 1", r"`models.credit` must be a table, got 1\."),
        ('["a b"]', r'`"a b"` is no key here; known: job, notify, models\.'),
    ],
)
def test_wrong_tables(tmp_path, text, match):
    assert any(re.match(match, line) for line in refusal(tmp_path, text))


@pytest.mark.parametrize(
    "name", ["index", "INDEX", '"a b"', '"a/b"', '".."', '"ä"', '""', "x" * 101]
)
def test_names_that_are_no_file_names(tmp_path, name):
    [line] = refusal(tmp_path, SMALL.replace("credit", name))
    bare = name.strip('"')
    assert re.match(rf"`models` must have names .* Rename '{bare}'\.", line), line


def test_names_that_differ_by_case_only(tmp_path):
    second = SMALL.replace("credit", "Credit").partition("\n[models")
    [line] = refusal(tmp_path, f"{SMALL}\n[models{second[2]}")
    assert re.search(r"differ by more than case: .* Rename 'Credit'\.", line)


@pytest.mark.parametrize(
    "starts",
    [
        ["'2026-06-01'", "'2026-06-01'"],
        ["2026-06-02", "'2026-06-01'"],
        ["'June'"],
        ["'today'"],
        ["2026-06-01", "2026-07-01T00:00:00Z"],
    ],
)
def test_retrainings_must_rise(tmp_path, starts):
    [line] = refusal(tmp_path, SMALL + "".join(map(RETRAINED.format, starts)))
    assert re.match(r"`models.credit.retrained` must have ISO dates .* that rise", line)


def test_every_error_is_told_at_once(tmp_path):
    text = """
    [job]
    store = "postgres://u@h/db"
    threads = 0
    thread = 1
    [models.credit]
    reference = ["a", 2, "b", 3]
    predictions = { url = "nowhere" }
    [models.credit.estimator]
    metrcs = "f1"
    [models.other]
    reference = "a"
    predictions = "a"
    row_id = "id"
    lookback = "5"
    [models.other.estimator]
    timestamp = "t"
    level = 7
    """
    credit, other = "models.credit", "models.other"
    lines = refusal(tmp_path, text)
    assert {re.match(r"`(.*?)` ", line)[1] for line in lines} == {
        "job.store",
        "job.threads",
        "job.thread",
        f"{credit}.reference[1]",
        f"{credit}.reference[3]",
        f"{credit}.predictions.url",
        f"{credit}.row_id",
        f"{credit}.estimator.timestamp",
        f"{credit}.estimator.metrcs",
        f"{other}.lookback",
        f"{other}.estimator.level",
    }
    assert len(lines) == 11


@pytest.mark.parametrize(
    ("kind", "package", "match"),
    [
        ("postgresql+psycopg", "psycopg", r'`pip install "\.\[postgres\]"`\.'),
        ("mysql+pymysql", "pymysql", r"Install the package of the driver"),
    ],
)
def test_driver_that_is_not_installed(tmp_path, monkeypatch, kind, package, match):
    monkeypatch.setitem(sys.modules, package, None)
    [line] = refusal(tmp_path, changed(**{LABELS: SQL.format(f"{kind}://u@h/db")}))
    assert re.match(r"`models.credit.labels.url` needs a database driver that", line)
    assert re.search(match, line), line


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


# ---- secrets


def everything_told(error):
    """Return all text that a log of an exception may hold, with its whole chain."""
    parts = ["".join(traceback.format_exception(error))]
    while error is not None:
        parts += [str(error), repr(error), repr(error.args)]
        error = error.__cause__ or error.__context__
    return "\n".join(parts)


def forms_of(secret):
    quoted = {quote(secret), quote(secret, safe=""), quote_plus(secret)}
    return {secret, repr(secret)[1:-1], *quoted}


SHAPES = (
    "{}",
    "pre{}post",
    "a b/{}/c.parquet",
    "postgresql+psycopg://user:{}@host/db",
    "postgresql+psycopg://{}:x@host/db",
    "postgresql+psycopg://user:x@host:{}/db",
    "{}://user:x@host/db",
    "sqlite+{}:///x",
    "sqlite:///{}",
    "https://user:{}@host/x?token={}",
    "2026-01-01{}",
)
SECRETS = st.text(
    st.characters(codec="utf-8", exclude_characters="\0"), min_size=8, max_size=24
)


HOSTILE = (
    'it\'s "quoted" \\ and\nbroken',
    "p@ss:w/rd?%41#[x]",
    "a//b/./c/../secret",
)
DOCUMENT = WHOLE.replace(
    'chunk = "D"',
    'chunk = ["2026-01-01", "2026-02-01"]\nmethod = "feature_aware"\n'
    'features = ["income"]\ncalibrator = "platt"\ny_pred = "decided"',
)
TEXTS = [hit.span() for hit in re.finditer(r'"[^"\n]*"', DOCUMENT)]
BROKEN = """
[models.index]
row_id = ["${SECRET}", 1]
labels = "${SECRET}"
nonsense = "${SECRET}"
"""


@given(
    secret=SECRETS,
    chosen=st.dictionaries(
        st.sampled_from(TEXTS), st.sampled_from(SHAPES), min_size=1, max_size=4
    ),
    broken=st.booleans(),
)
@example(HOSTILE[0], {TEXTS[0]: "{}"}, True)
@example(HOSTILE[1], {TEXTS[0]: SHAPES[3]}, True)
@example(HOSTILE[2], {TEXTS[0]: "pre{}post"}, False)
def test_no_secret_is_told(tmp_path_factory, secret, chosen, broken):
    assume(secret.strip())
    text = DOCUMENT
    for (begin, end), shape in sorted(chosen.items(), reverse=True):
        text = text[:begin] + f'"{shape.replace("{}", "${SECRET}")}"' + text[end:]
    if broken:  # every kind of error beside
        text += BROKEN
    path = write(tmp_path_factory.getbasetemp(), text)
    environ = {**ENVIRON, "SECRET": secret}
    # A short one may stand there anyway.
    assume(not any(form in f"{text}{path}{ROOT}" for form in forms_of(secret)))
    try:
        config = load_config(path, environ)
    except ConfigurationError as error:
        text_shown = everything_told(error)
    else:
        credit = config.models["credit"]
        parts = (config, config.job, config.notify, credit, credit.predictions)
        text_shown = (
            f"{config} {config.models} {parts} {credit.labels} {credit.retrained}"
        )
    for hidden in (*forms_of(secret), *forms_of(ENVIRON["SLACK_WEBHOOK"]), "hunter2"):
        assert hidden not in text_shown


@given(
    secret=st.text(st.characters(min_codepoint=32, max_codepoint=0x24F), min_size=2),
    before=st.text(max_size=5),
    after=st.text(max_size=5),
)
@example("it's a/b@c", "", "")
def test_redact_finds_a_variable_in_every_form(tmp_path_factory, secret, before, after):
    assume(secret.strip(" ./"))
    path = write(
        tmp_path_factory.getbasetemp(),
        changed(models__credit__row_id='row_id = "x${SECRET}"'),
    )
    config = load_config(path, {"SECRET": secret})
    for form in forms_of(secret):
        redacted = config.redact(f"{before}{form}{after}")
        assert "${SECRET}" in redacted
        assert form not in redacted or form in f"{before}${{SECRET}}{after}"
    # repr escapes single quotes where it cannot avoid them.
    assert config.redact(repr(f"{secret} '\"")) == repr("${SECRET} '\"")


def test_nothing_is_left_of_a_secret_that_a_password_runs_into(tmp_path):
    labels = SQL.format("postgresql+psycopg://me:x@h:${SECRET}/db")
    text = changed(**{LABELS: labels, CHUNK: 'chunk = "a:x@h:${SECRET}"'})
    text_shown = "\n".join(refusal(tmp_path, text, {"SECRET": "first@second"}))
    assert "`models.credit.estimator.chunk`" in text_shown
    assert not re.search("first|second", text_shown)


def test_redact_hides_what_stands_in_the_file(tmp_path):
    labels = SQL.format("postgresql+psycopg://me:p%40ss@h/db?sslpassword=geheim")
    text = changed(**{LABELS: labels}) + (
        "[notify]\nwebhook = 'https://hooks.slack.com/services/T/B/zzyzx'\n"
    )
    config = load_config(write(tmp_path, text), {})
    assert config.models["credit"].labels.url.count("p%40ss") == 1
    redacted = config.redact(
        "me:p@ss, me:p%40ss and geheim to https://hooks.slack.com/services/T/B/zzyzx "
        "and a passage"
    )
    assert redacted == "me:***, me:*** and *** to *** and a passage"
    assert not re.search("p%40ss|geheim|zzyzx", f"{config} {config.models['credit']}")


@given(
    secret=st.text(
        st.sampled_from("aZ09 !#$%&'()*+,/:;=?@[]_~-.\"\\ä€")
        | st.characters(codec="utf-8"),
        min_size=4,
        max_size=12,
    ),
    kept=st.sampled_from(["", "!@/'", "!$'()*,/:;?@", "/+"]),
    name=st.sampled_from(["password", "sslpassword", "X-Amz-Signature", "api_key"]),
)
@example("p@ss/w+d", "/", "password")
@example("a b&c", "", "password")
@example("p%40s!", "!", "password")
def test_a_password_in_a_query_is_hidden_however_it_is_written(secret, kept, name):
    """SQLAlchemy and drivers quote other characters of it than the file does."""
    assume(re.search(r"\w", secret))
    url = f"postgresql+psycopg://h/d?{name}={quote(secret, safe=kept)}&x=y"
    document = {"job": {"store": url}}
    redaction = redaction_of(document, document, {})
    parsed = sa.make_url(url)
    read = parsed.query[name]
    forms = {read, quote(read), quote(secret, safe=kept), quote_plus(read)}
    rest = f"postgresql+psycopg://h/d?{name}=***&x=y refused '***'"
    assume(not any(form in rest for form in forms))  # as a word that stands there
    for text in (
        url,
        parsed.render_as_string(hide_password=True),
        f"refused {read}",
        f"refused {read!r}",
        f"refused {quote(read)}",
    ):
        redacted = redaction.redact(text)
        assert not any(form in redacted for form in forms)
    assert describe_url(parsed) == f"postgresql+psycopg://h/d?{name}=***&x=y"


def test_redact_leaves_words_alone_that_hold_a_written_password(tmp_path):
    labels = SQL.format("postgresql+psycopg://postgres:post@h/postgres")
    config = load_config(write(tmp_path, changed(**{LABELS: labels})), {})
    redacted = config.redact("postgresql refused postgres with post at once")
    assert redacted == "postgresql refused postgres with *** at once"


def test_redact_finds_the_password_of_a_url_that_a_variable_holds(tmp_path):
    text = changed(**{LABELS: 'labels = { url = "${DSN}", table = "t" }'})
    dsn = "postgresql+psycopg://me:p%40ss@h/db"
    config = load_config(write(tmp_path, text), {"DSN": dsn})
    assert config.redact(f"{dsn} refused me with p@ss") == "${DSN} refused me with ***"


def test_redact_names_the_variable_in_the_url(tmp_path):
    labels = SQL.format("postgresql+psycopg://me:${DB_PASSWORD}@h/db")
    config = load_config(write(tmp_path, changed(**{LABELS: labels})), ENVIRON)
    assert "://me:${DB_PASSWORD}@h/db" in repr(config.models["credit"].labels)


# ---- the schema


def objects_of(schema):
    """Yield every node of the schema that describes a table with keys of its own."""
    for name, node in {"": schema, **schema["$defs"]}.items():
        if "properties" in node:
            yield name, node


def test_schema_file_is_current():
    written = json.loads((ROOT / "docs/nightly.schema.json").read_text("utf-8"))
    assert written == config_schema(), (
        "write docs/nightly.schema.json anew: json.dumps(config_schema(), indent=2, "
        "ensure_ascii=False) and a line break, from "
        "estimator.operations.config.settings"
    )


def test_schema_forbids_and_describes():
    tables = dict(objects_of(config_schema()))
    for name, table in tables.items():
        assert table["additionalProperties"] is False
        assert table["description"]
        assert set(table.get("required", ())) <= set(table["properties"])
        for key, node in table["properties"].items():
            assert "$ref" in node or node["description"], (name, key)


def test_schema_has_the_arguments_of_the_estimator():
    table = config_schema()["$defs"]["Estimator"]
    parameters = inspect.signature(PerformanceEstimator).parameters
    assert list(table["properties"]) == [
        name for name in parameters if name != "progress"
    ]
    assert table["required"] == ["timestamp"]
    for name, node in table["properties"].items():
        default = parameters[name].default
        default = list(default) if isinstance(default, tuple) else default
        assert node.get("default") == default


def test_schema_tells_good_from_bad():
    jsonschema = pytest.importorskip("jsonschema")
    schema = config_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    validator = jsonschema.Draft202012Validator(schema)

    def accepts(text):
        document = json.loads(json.dumps(tomllib.loads(text), default=str))
        return validator.is_valid(document)

    for text in (WHOLE, SMALL, changed(job__report='report = "${FOLDER}"')):
        assert accepts(text)
    assert accepts(changed(models__credit__estimator__method='method = "${METHOD}"'))
    for changes in (
        {"job__store": None},
        {"job__threads": "threads = 0"},
        {"job__zzz": "zzz = 1"},
        {LABELS: 'labels = { url = "sqlite://" }'},
        {LABELS: 'labels = { url = "sqlite://", table = "t", query = "q" }'},
        {"models__credit__estimator__metrics": 'metrics = ["roc_auk"]'},
        {"models__credit__estimator__chunk": "chunk = 2000"},
        {"models__credit__row_id": None},
    ):
        assert not accepts(changed(**changes)), changes
    assert not accepts(SMALL.replace("credit", '"a b"'))


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
