"""Configurations of the nightly job, whole and small, and what is refused of them."""

import re
from pathlib import Path

import pytest

from estimator.operations.config.settings import (
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


LABELS = "models__credit__labels"
CHUNK = "models__credit__estimator__chunk"
SQL = 'labels = {{ url = "{}", table = "t" }}'
