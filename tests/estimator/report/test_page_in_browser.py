"""The report page in a real browser: what is seen, said, reached, and never sent."""

import re
import shutil
from dataclasses import replace

import numpy as np
import pytest

from estimator import PerformanceEstimator
from estimator.metrics.registry import METRIC_NAMES
from estimator.report.page import Report, index_html, report_html
from tests.estimator.conftest import simulate
from tests.estimator.report.pages import monitored, renamed, report_of

playwright = pytest.importorskip(
    "playwright.sync_api", reason="Playwright for Python is not installed"
)

CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))),
    None,
)
pytestmark = pytest.mark.skipif(
    CHROMIUM is None, reason="Chromium is not installed (on the PATH)"
)
QUIET = (
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update"),
    "--disable-sync",
)
HOSTILE = (
    "</script><script>window.hit = 1</script>",
    '"><img src=x onerror="window.hit = 1">',
    "' onmouseover='window.hit = 1' autofocus onfocus='window.hit = 1",
    "</style><svg onload='window.hit = 1'>",
    "javascript:window.hit=1//" + "unbroken" * 30,
)
# Text against what lies behind it, by the formula of WCAG 2.2.
CONTRASTS = """() => {
  const channels = (text) => text.match(/[\\d.]+/g).map(Number);
  const light = (rgb) => {
    const [r, g, b] = rgb.map((v) => v / 255)
      .map((v) => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const behind = (element) => {
    for (let e = element; e; e = e.parentElement) {
      const found = channels(getComputedStyle(e).backgroundColor);
      if (found.length === 3 || found[3] === 1) { return found.slice(0, 3); }
    }
    throw new Error('no background');
  };
  const ratio = (a, b) => {
    const [low, high] = [light(a), light(b)].sort((x, y) => x - y);
    return (high + 0.05) / (low + 0.05);
  };
  const text = [], lines = [];
  for (const e of document.querySelectorAll('main *')) {
    const own = [...e.childNodes].some((n) => n.nodeType === 3 && n.data.trim());
    const style = getComputedStyle(e);
    if (own) {
      const color = e.closest('svg') ? style.fill : style.color;
      text.push([ratio(channels(color).slice(0, 3), behind(e)), e.outerHTML]);
    }
    const drawn = ['estimated', 'reconciled', 'realized', 'before', 'threshold',
      'fitted'].some((name) => e.classList.contains(name));
    if (drawn && e.tagName === 'path') {
      lines.push([ratio(channels(style.stroke).slice(0, 3), behind(e)), e.outerHTML]);
    }
  }
  return {text, lines};
}"""


@pytest.fixture(scope="module")
def browser():
    with playwright.sync_playwright() as running:
        chromium = running.chromium.launch(executable_path=CHROMIUM, args=list(QUIET))
        yield chromium
        chromium.close()


@pytest.fixture(scope="module")
def report():
    return report_of(monitored(metrics=("roc_auc", "accuracy"), segments="region"))


@pytest.fixture(scope="module")
def file(report, tmp_path_factory):
    path = tmp_path_factory.mktemp("page") / "model.html"
    path.write_text(report_html(report), encoding="utf-8")
    return path


@pytest.fixture
def visit(browser):
    """Open a file, and at the end find that nothing was said, asked for or run."""
    contexts, wrong, requests = [], [], []

    def open_page(path, **how):
        context = browser.new_context(**how)
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: wrong.append(message.text))
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("request", lambda request: requests.append(request.url))

        def refuse(dialog):
            wrong.append(dialog.message)
            dialog.dismiss()

        page.on("dialog", refuse)
        page.goto(path.as_uri())
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert wrong == []
    assert requests
    assert all(url.startswith("file://") for url in requests)
    assert len(requests) == len(contexts), requests


def readout(figure):
    return dict(
        zip(
            figure.locator(".readout dt").all_inner_texts(),
            # Of the first entry the chunk, its rows stand beside it.
            [
                slot.locator("dd").first.inner_text()
                for slot in figure.locator(".readout > div").all()
            ],
            strict=True,
        )
    )


def at_chunk(plot, i, n):
    plot.scroll_into_view_if_needed()
    box = plot.locator("svg.chart").bounding_box()
    return box["x"] + box["width"] * (i + 0.5) / n, box["y"] + box["height"] / 3


def check_readout(report, terms, k, i):
    performance = report.performance
    row = np.flatnonzero(performance.segment == "")[i]
    label = next(text for text in terms.values() if text.startswith("2026-"))
    assert label == performance.chunk[row]
    assert float(terms["value"]) == pytest.approx(performance.value[row, k], abs=0.0005)
    low, _, high = terms["95 % interval"].partition(" to ")
    assert float(low) == pytest.approx(performance.lower[row, k], abs=0.0005)
    assert float(high or low) == pytest.approx(performance.upper[row, k], abs=0.0005)
    assert ("alert" in terms["breach probability"]) == performance.alert[row, k]


def test_hovering_shows_the_chunk_beneath_in_all_charts(report, file, visit):
    page = visit(file)
    figures = page.locator(".charts figure")
    metrics = [
        report.performance.metrics.index(t)
        for t in figures.locator("h3").all_inner_texts()
    ]
    plot = figures.nth(0).locator(".plot")
    for i in (0, 25, 41, 59):
        page.mouse.move(*at_chunk(plot, i, 60))
        for position, k in enumerate(metrics):
            check_readout(report, readout(figures.nth(position)), k, i)
    page.mouse.move(1, 1)
    check_readout(report, readout(figures.nth(0)), metrics[0], 59)


def test_hovering_a_segment_shows_its_own_value(report, file, visit):
    page = visit(file)
    figure = page.locator(".multiples figure").nth(1)
    page.mouse.move(*at_chunk(figure.locator(".plot"), 33, 60))
    chunk, value_text = figure.locator("dd").all_inner_texts()
    performance = report.performance
    row = np.flatnonzero(performance.segment == "region=south")[33]
    assert chunk == performance.chunk[row]
    value = float(re.match(r"[\d.]+", value_text).group())
    assert value == pytest.approx(performance.value[row, 0], abs=0.0005)


def test_touching_shows_the_chunk_and_leaves_it_there(report, file, visit):
    page = visit(file, has_touch=True, viewport={"width": 360, "height": 740})
    figure = page.locator(".charts figure").nth(0)
    k = report.performance.metrics.index(figure.locator("h3").inner_text())
    page.touchscreen.tap(*at_chunk(figure.locator(".plot"), 30, 60))
    check_readout(report, readout(figure), k, 30)


def test_arrow_keys_move_from_chunk_to_chunk(report, file, visit):
    page = visit(file)
    figure = page.locator(".charts figure").nth(0)
    k = report.performance.metrics.index(figure.locator("h3").inner_text())
    for _ in range(30):
        page.keyboard.press("Tab")
        if figure.locator(".plot").evaluate("e => e === document.activeElement"):
            break
    else:
        pytest.fail("Tab does not reach the chart")
    assert "arrow keys" in figure.locator(".plot").get_attribute("aria-label")
    for key, i in (
        *(("ArrowLeft", 58), ("ArrowLeft", 57), ("ArrowRight", 58), ("Home", 0)),
        *(("ArrowLeft", 0), ("ArrowRight", 1), ("End", 59), ("ArrowRight", 59)),
    ):
        page.keyboard.press(key)
        check_readout(report, readout(figure), k, i)
        assert figure.locator(".readout").get_attribute("aria-live") == "polite"
    others = page.locator(".readout[aria-live=polite]")
    assert others.count() == 1  # a screen reader reads one chart, not all


def test_the_table_is_reached_and_scrolled_by_keyboard(file, visit):
    page = visit(file)
    region = page.locator(".scroll")
    for _ in range(60):
        page.keyboard.press("Tab")
        if region.evaluate("e => e === document.activeElement"):
            break
    else:
        pytest.fail("Tab does not reach the table")
    page.keyboard.press("PageDown")
    for _ in range(100):  # it scrolls smoothly
        if region.evaluate("e => e.scrollTop") > 100:
            break
        page.wait_for_timeout(20)
    else:
        pytest.fail("the table does not scroll")
    head = region.locator("thead th").first
    top = region.bounding_box()["y"]
    assert head.bounding_box()["y"] == pytest.approx(top, abs=2)  # it stays in sight


def overflow(page):
    return page.evaluate("document.documentElement.scrollWidth - window.innerWidth")


@pytest.mark.parametrize("width", [320, 360, 768, 1280])
def test_no_page_scrolls_sideways(report, file, visit, tmp_path, width):
    how = {"viewport": {"width": width, "height": 740}}
    page = visit(file, **how)
    assert overflow(page) <= 0
    size = page.locator("svg.chart text").first.evaluate(
        "e => e.getBoundingClientRect().height"
    )
    assert 10 <= size <= 20  # text of charts is not scaled
    assert page.locator("svg.chart").first.bounding_box()["width"] > 0.7 * (
        width - 60 if width < 800 else 1_000
    )
    long = replace(report, title="unbroken" * 40, remarks=("unbroken" * 60,))
    path = tmp_path / "index.html"
    path.write_text(index_html([(long, "model.html")] * 3), encoding="utf-8")
    assert overflow(visit(path, **how)) <= 0


def test_texts_do_not_run_into_each_other_on_a_phone(file, visit):
    page = visit(file, viewport={"width": 360, "height": 740})
    overlaps = page.evaluate(
        """() => [...document.querySelectorAll('svg.chart')].flatMap((chart) => {
          const boxes = [...chart.querySelectorAll('text')]
            .map((e) => [e.textContent, e.getBoundingClientRect()]);
          return boxes.flatMap(([a, p], i) => boxes.slice(i + 1)
            .filter(([, q]) => p.left < q.right - 1 && q.left < p.right - 1 &&
              p.top < q.bottom - 4 && q.top < p.bottom - 4)
            .map(([b]) => `${a} / ${b}`));
        })"""
    )
    assert overlaps == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_contrast_suffices_by_day_and_by_night(report, file, visit, tmp_path, scheme):
    path = tmp_path / "index.html"
    path.write_text(index_html([(report, "model.html")]), encoding="utf-8")
    for target in (file, path):
        page = visit(target, color_scheme=scheme)
        contrasts = page.evaluate(CONTRASTS)
        assert len(contrasts["text"]) > 5
        assert [e for ratio, e in contrasts["text"] if ratio < 4.5] == []
        assert [e for ratio, e in contrasts["lines"] if ratio < 3.0] == []
    background = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (max(map(int, re.findall(r"\d+", background))) < 64) == (scheme == "dark")


def test_on_paper_all_is_there_in_dark_on_white(file, visit):
    page = visit(file, color_scheme="dark", viewport={"width": 700, "height": 990})
    page.emulate_media(media="print", color_scheme="dark")
    background = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert background == "rgb(255, 255, 255)"
    hidden = page.evaluate(
        """() => {
          const region = document.querySelector('.scroll');
          const cut = region.scrollHeight > region.clientHeight + 1 &&
            getComputedStyle(region).overflowY !== 'visible';
          const gone = [...document.querySelectorAll('main *')]
            .filter((e) => !e.closest('svg') && e.tagName !== 'WBR' && e.textContent)
            .filter((e) => { const r = e.getBoundingClientRect();
              return e.textContent.trim() && getComputedStyle(e).display === 'none'
                && !e.closest('.readout') && !e.matches('.was'); });
          return {cut, gone: gone.map((e) => e.outerHTML)};
        }"""
    )
    assert hidden == {"cut": False, "gone": []}
    assert overflow(page) <= 0
    kept = page.locator("figure").evaluate_all(
        "all => all.map((e) => getComputedStyle(e).breakInside)"
    )
    assert set(kept) == {"avoid"}
    pages = len(re.findall(rb"/Type\s*/Page\b", page.pdf(format="A4")))
    assert pages > 2  # the whole table, not what was in sight of it


def test_without_script_the_page_still_tells(report, file, visit):
    page = visit(file, java_script_enabled=False)
    performance = report.performance
    newest = np.flatnonzero(performance.segment == "")[-1]
    figure = page.locator("#metric-1")
    assert figure.locator(".readout b").inner_text() == performance.chunk[newest]
    assert page.locator("#numbers tbody").count() == 60
    assert page.locator("#numbers tbody").first.is_visible()
    assert figure.locator(".plot").get_attribute("tabindex") is None


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_strings_are_shown_and_do_nothing(report, visit, tmp_path, text):
    performance = renamed(
        report.performance, segment=f"region={text}", chunk=text, note=text
    )
    hostile = Report(
        title=text, performance=performance, verdicts={}, as_of=text, remarks=(text,)
    )
    path, index = tmp_path / "model.html", tmp_path / "index.html"
    path.write_text(report_html(hostile), encoding="utf-8")
    index.write_text(index_html([(hostile, "model.html")]), encoding="utf-8")
    for target in (path, index):
        page = visit(target, viewport={"width": 360, "height": 740})
        assert page.locator("img").count() == 0
        assert text in page.locator("body").inner_text()
        assert overflow(page) <= 0
        assert page.evaluate("window.hit") is None
    page = visit(path)
    plot = page.locator(".charts .plot").first
    page.mouse.move(*at_chunk(plot, 0, 60))  # the script copies texts, not markup
    assert page.locator(".charts .readout b").first.inner_text() == text
    assert page.locator("img").count() == 0
    assert page.evaluate("window.hit") is None


def test_the_browser_refuses_requests_and_other_scripts(browser, file):
    context = browser.new_context()
    page = context.new_page()
    done, stopped = [], []
    page.on("requestfinished", lambda request: done.append(request.url))
    page.on("requestfailed", lambda request: stopped.append(request.failure))
    page.goto(file.as_uri())
    refused = page.evaluate(
        """async () => {
          const refused = [];
          document.addEventListener('securitypolicyviolation',
            (event) => refused.push(event.effectiveDirective));
          const image = document.createElement('img');
          image.src = 'http://127.0.0.1:9/pixel.png';
          const script = document.createElement('script');
          script.textContent = 'window.hit = 1';
          document.body.append(image, script);
          await fetch('http://127.0.0.1:9/').catch(() => null);
          await new Promise((done) => setTimeout(done, 100));
          return refused.sort();
        }"""
    )
    assert refused == ["connect-src", "img-src", "script-src-elem"]
    assert page.evaluate("window.hit") is None
    assert done == [file.as_uri()]
    assert stopped == ["csp"]  # the image; the others are not even begun
    context.close()


def test_four_hundred_chunks_of_fifteen_metrics_stay_fast(
    reference_frame, visit, tmp_path
):
    estimator = PerformanceEstimator(
        chunk=20,
        metrics=METRIC_NAMES,
        business_costs={"tn": 0, "fp": -5, "fn": -100, "tp": 20},
    )
    performance = estimator.fit(reference_frame).estimate(simulate(2_000, 1))
    report = Report(title="many", performance=performance, verdicts={}, as_of=None)
    path = tmp_path / "many.html"
    path.write_text(report_html(report), encoding="utf-8")
    page = visit(path, viewport={"width": 360, "height": 740})
    assert overflow(page) <= 0
    plot = page.locator(".charts .plot").first
    plot.focus()
    milliseconds = page.evaluate(
        """() => {
          const plot = document.activeElement, begun = performance.now();
          for (let i = 0; i < 20; i++) {
            plot.dispatchEvent(new KeyboardEvent('keydown', {key: 'ArrowLeft'}));
            document.body.offsetHeight;
          }
          return (performance.now() - begun) / 20;
        }"""
    )
    assert page.locator(".charts .readout b").first.inner_text() == "79"
    assert milliseconds < 500  # generous: machines that test are busy
