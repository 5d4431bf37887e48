import inspect
import json
import tomllib

import pytest

from estimator import PerformanceEstimator
from estimator.operations.config.settings import (
    config_schema,
)
from tests.estimator.operations.config.nightly_files import (
    LABELS,
    ROOT,
    SMALL,
    WHOLE,
    changed,
)


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
