import re
import sys

import pytest

from tests.estimator.operations.config.nightly_files import (
    LABELS,
    SMALL,
    SQL,
    changed,
    refusal,
)


@pytest.mark.parametrize("scheme", ["mysql", "mysql+pymysql", "MariaDB", "duckdb"])
def test_stores_that_are_not_supported(tmp_path, scheme):
    store = f'store = "{scheme}://u:geheim@h/db"'
    [message] = refusal(tmp_path, changed(job__store=store))
    assert "must be a database of SQLite or PostgreSQL, got one of " in message
    assert "not supported" in message
    assert '"postgresql+psycopg://…"' in message
    assert "geheim" not in message


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
