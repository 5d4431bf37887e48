"""Pages to test, and a parser that insists on balanced tags."""

from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pandas as pd

from estimator import Monitor, PerformanceEstimator
from estimator.report.page import Report
from tests.estimator.conftest import simulate

VOID = {"meta", "link", "wbr"}
SIX = ("roc_auc", "average_precision", "accuracy", "f1", "recall", "brier_score")


class Element:
    def __init__(self, tag, attributes):
        self.tag, self.attributes, self.children = tag, dict(attributes), []

    def __iter__(self):
        """All elements from here on, in document order."""
        yield self
        for child in self.children:
            if not isinstance(child, str):
                yield from child

    @property
    def text(self):
        return "".join(
            child if isinstance(child, str) else child.text for child in self.children
        )

    @property
    def classes(self):
        return (self.attributes.get("class") or "").split()

    def all(self, tag, name=None):
        return [
            element
            for element in self
            if element.tag == tag and (name is None or name in element.classes)
        ]

    def one(self, tag, name=None):
        (element,) = self.all(tag, name)
        return element

    def by_id(self, name):
        (element,) = [e for e in self if e.attributes.get("id") == name]
        return element


def number(text):
    """Read a number as the page writes it."""
    return float(text.replace("−", "-").replace(",", "").replace("∞", "inf"))


class _Parser(HTMLParser):
    def __init__(self):
        super().__init__()
        self.root = Element("", [])
        self.open = [self.root]

    def handle_starttag(self, tag, attrs):
        element = Element(tag, attrs)
        self.open[-1].children.append(element)
        if tag not in VOID:
            self.open.append(element)

    def handle_startendtag(self, tag, attrs):
        self.open[-1].children.append(Element(tag, attrs))

    def handle_endtag(self, tag):
        assert self.open.pop().tag == tag, f"</{tag}> closes nothing"

    def handle_data(self, data):
        self.open[-1].children.append(data)


def parse(page):
    parser = _Parser()
    parser.feed(page)
    parser.close()
    assert parser.open == [parser.root], "a tag is not closed"
    return parser.root


def days(first, last, seed, slope):
    """Rows of 120 a day, from one day to another."""
    rows = simulate(120 * (last - first), seed, slope=slope)
    shift = pd.Timedelta(days=first)
    return rows.assign(id=rows.index + 120 * first, timestamp=rows["timestamp"] + shift)


def monitored(metrics=SIX, segments=None, n_reference=20, n_days=40):
    """Follow a model that falls after half of its days, with labels of two thirds.

    The first third is complete, of the second there are only some, of the last none.
    """
    reference = days(0, n_reference, 0, 1.3)
    calm = days(n_reference, n_reference + n_days // 2, 1, 1.3)
    worse = days(n_reference + n_days // 2, n_reference + n_days, 2, 1.3)
    centre = worse["y_pred_proba"].mean()
    worse["y_pred_proba"] = centre + (worse["y_pred_proba"] - centre) / 5
    production = pd.concat([calm, worse], ignore_index=True)
    estimator = PerformanceEstimator(
        metrics=metrics, chunk="D", timestamp="timestamp", segments=segments
    )
    monitor = Monitor(estimator.fit(reference), row_id="id")
    monitor.add_predictions(production.drop(columns="y_true"))
    third = len(production) // 3
    complete, some = production[:third], production[third : 2 * third : 3]
    monitor.add_labels(pd.concat([complete, some])[["id", "y_true"]])
    return monitor


def report_of(monitor, **about):
    performance = monitor.performance()
    return Report(
        **{
            "title": "credit default",
            "performance": performance,
            "verdicts": {
                segment: monitor.degradation(segment=segment)
                for segment in performance.segments
            },
            "as_of": "2026-03-06 23:59",
        }
        | about
    )


def renamed(performance, *, segment, chunk, note):
    """Put texts in the place of those that come from data."""
    segments = performance.segment.copy()
    segments[segments != ""] = segment
    chunks = performance.chunk.copy()
    chunks[0], chunks[-1] = chunk, f"{chunk} "
    for name in performance.segments:  # the newest of each, and the oldest
        segment_rows = np.flatnonzero(performance.segment == name)
        chunks[segment_rows[0]], chunks[segment_rows[-1]] = chunk, f"{chunk} "
    notes = performance.note.copy()
    notes[-1, :] = notes[5, 0] = note
    return replace(performance, segment=segments, chunk=chunks, note=notes)
