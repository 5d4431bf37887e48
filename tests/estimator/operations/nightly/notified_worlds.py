"""What a nightly world has told: messages, figures, the overview."""

from prometheus_client.parser import text_string_to_metric_families

from estimator.operations.nightly.overview import load_overview
from estimator.operations.store.connection import open_store


def figures(world):
    text = (world.folder / "deadreckon.prom").read_text(encoding="utf-8")
    return {
        (one.name, one.labels.get("metric"), one.labels.get("kind")): one.value
        for family in text_string_to_metric_families(text)
        for one in family.samples
    }


def texts(hook):
    return [message["text"] for message in hook.received]


def load_overview_of(world):
    with open_store(world.config.job.store) as store:
        return load_overview(store, "credit")
