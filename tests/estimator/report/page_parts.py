"""What a page shows, read back: its table, its charts, and what holds for any page."""

import re

from estimator.report.page import index_html, report_html
from tests.estimator.report.pages import number, parse


def read_table(page):
    """Return head and rows of the table; a row begins with chunk and metric."""
    table = page.by_id("numbers")
    head = [th.text for th in table.one("thead").all("th")]
    rows = []
    for body in table.all("tbody"):
        chunk, *_ = body.all("th")
        label = next(child for child in chunk.children if isinstance(child, str))
        for tr in body.all("tr"):
            cells = [th.text for th in tr.all("th") if th is not chunk]
            rows.append([label, *cells, *(td.text for td in tr.all("td"))])
    return head, rows


def axis_of(figure):
    """Return a map from pixels to values, from where the ticks of values stand."""
    marks = [
        (float(text.attributes["y"]) - 4 - 14, number(text.text))  # centred; top margin
        for text in figure.one("svg", "chart").all("text")
        if text.attributes["x"] == "-6" and text.text != "labels"
    ]
    (a, low), *_, (b, high) = marks
    return lambda y: low + (y - a) * (high - low) / (b - a)


def points_of(path):
    """Return chunk and pixel of each dot."""
    coordinates = re.findall(r"M(\d+) ([\d.-]+)h0", path.attributes["d"])
    return {(int(x) - 5) // 10: float(y) for x, y in coordinates}


def check_page(report):
    """Check what holds for any page, and return it."""
    page = parse(report_html(report))
    for element in page:
        for name in ("d", "x", "y", "width", "height", "viewbox"):
            assert not re.search("nan|inf", element.attributes.get(name, ""))
    n = int((report.performance.segment == "").sum())
    assert len(page.by_id("numbers").all("tbody")) == n
    assert len(page.one("div", "charts").all("figure")) == len(
        report.performance.metrics
    )
    ids = [e.attributes["id"] for e in page if "id" in e.attributes]
    assert len(ids) == len(set(ids))
    parse(index_html([(report, "a.html")]))
    return page
