"""The documentation says what the repository holds, and its code runs as printed."""

import contextlib
import io
import re
import shlex
import tomllib
from pathlib import Path
from typing import NamedTuple

import click
import matplotlib.pyplot as plt
import numpy as np
import pytest

from estimator import PerformanceEstimator
from estimator.operations.commands.demo import CONFIG
from estimator.operations.commands.main import main
from estimator.operations.config.settings import load_config

ROOT = Path(__file__).parent.parent
BENCHMARKS = ROOT / "benchmarks"
README = ROOT / "README.md"
PAGES = sorted([README, *(ROOT / "docs").glob("*.md")])
TEXTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("[bde]*/*.md")])
DECIMAL = r"\d+\.\d+"


class Block(NamedTuple):
    language: str
    code: str


def blocks(page):
    """Return the page's fenced blocks of code, in their order."""
    fenced = r"^```(\w*)\n(.*?)^```$"
    text = page.read_text("utf-8")
    fences = re.findall(fenced, text, re.MULTILINE | re.DOTALL)
    return [Block(*fence) for fence in fences]


def by_name(page):
    return str(page.relative_to(ROOT))


def all_blocks(language):
    return [
        pytest.param(block.code, id=f"{by_name(page)}-{i}")
        for page in PAGES
        for i, block in enumerate(blocks(page))
        if block.language == language
    ]


def anchors(page):
    """Return what GitHub makes of the page's headings."""
    text = re.sub(r"```.*?```", "", page.read_text("utf-8"), flags=re.DOTALL)
    headings = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    words = (re.sub(r"[^\w\- ]", "", heading.lower()) for heading in headings)
    return {heading.replace(" ", "-") for heading in words}


@pytest.mark.parametrize(
    "page", [page for page in PAGES if "```python" in page.read_text()], ids=by_name
)
def test_python_runs_and_prints_what_the_page_says(page, tmp_path, monkeypatch):
    """Words and whole numbers as printed; decimals may differ with versions."""
    monkeypatch.chdir(tmp_path)
    namespace = {}
    printed = io.StringIO()
    expected = []
    for i, (language, code) in enumerate(blocks(page)):
        if language == "python":
            program = compile(code, f"{page.name}, block {i}", "exec")
            with contextlib.redirect_stdout(printed):
                exec(program, namespace)  # noqa: S102
        elif language == "text":
            expected.append(code)
    plt.close("all")
    output, documented = printed.getvalue(), "".join(expected)
    assert re.split(DECIMAL, output) == re.split(DECIMAL, documented)
    numbers = [
        np.array(re.findall(DECIMAL, text), float) for text in (output, documented)
    ]
    np.testing.assert_allclose(*numbers, atol=0.005)


@pytest.mark.parametrize("code", all_blocks("toml"))
def test_configurations_are_valid(code, tmp_path, monkeypatch):
    for name in re.findall(r"\$\{(\w+)\}", code):
        monkeypatch.setenv(name, "https://example.com/secret")
    path = tmp_path / "nightly.toml"
    path.write_text(code, encoding="utf-8")
    assert load_config(path).models


def test_the_readme_shows_the_configuration_of_the_demonstration():
    """For the picture below it is the page that `deadreckon demo` makes."""
    (code,) = (block.code for block in blocks(README) if block.language == "toml")
    demo = tomllib.loads(CONFIG)
    metrics = demo["models"]["lender"]["estimator"].pop("metrics")
    assert tuple(metrics) == PerformanceEstimator().metrics
    assert tomllib.loads(code) == demo


def test_commands_have_the_options_that_the_pages_use():
    calls = [
        shlex.split(line, comments=True)
        for page in PAGES
        for block in blocks(page)
        if not block.language
        for line in block.code.replace("\\\n", " ").splitlines()
        if line.startswith("deadreckon ")
    ]
    assert len(calls) > 10
    for _, name, *arguments in calls:
        options = {
            option
            for parameter in main.commands[name].params
            if isinstance(parameter, click.Option)
            for option in parameter.opts
        }
        used = {word for word in arguments if word.startswith("--")}
        assert used <= options, name


@pytest.mark.parametrize("page", TEXTS, ids=by_name)
def test_links_lead_somewhere(page):
    text = re.sub(r"```.*?```", "", page.read_text("utf-8"), flags=re.DOTALL)
    for link in re.findall(r"\]\(([^)\s]+)\)", text):
        if link.startswith("https://"):
            continue
        path, _, anchor = link.partition("#")
        target = page.parent / path if path else page
        assert target.exists(), link
        if anchor:
            assert anchor in anchors(target), link


@pytest.mark.parametrize("page", TEXTS, ids=by_name)
def test_paths_of_the_repository_exist(page):
    folders = "calibration|estimator|tests|trials|benchmarks|docs|examples|notebooks"
    for path in re.findall(rf"`((?:{folders})/[\w./]*)`", page.read_text("utf-8")):
        assert (ROOT / path).exists(), path


def test_the_readme_links_every_page_and_is_short():
    text = README.read_text("utf-8")
    assert len(text.splitlines()) <= 200
    for page in (ROOT / "docs").glob("*.md"):
        assert f"(docs/{page.name}" in text, page


def test_numbers_in_prose_have_their_zero():
    for page in TEXTS:
        text = re.sub(r"```.*?```|`.*?`", "", page.read_text("utf-8"), flags=re.DOTALL)
        assert not re.findall(r"(?<=[\s(|])[-−]?\.\d+", text), page


def test_readme_of_the_benchmarks_names_every_benchmark():
    programs = {
        source.stem
        for source in BENCHMARKS.glob("*.py")
        if re.search(r"^def main\(", source.read_text("utf-8"), re.MULTILINE)
    }
    text = (BENCHMARKS / "README.md").read_text("utf-8")
    assert set(re.findall(r"^\| `python -m benchmarks\.(\w+)", text, re.M)) == programs


@pytest.mark.parametrize("page", PAGES, ids=by_name)
def test_benchmarks_that_a_page_cites_exist(page):
    for name in re.findall(r"\bbenchmarks\.(\w+)", page.read_text("utf-8")):
        assert (BENCHMARKS / f"{name}.py").is_file(), name


def test_no_issue_without_its_project():
    """A reader sees no tracker of ours; "numba issue 1771" says whose it is."""
    texts = [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")]
    for folder in ("benchmarks", "calibration", "estimator", "examples", "notebooks"):
        texts += [
            path
            for path in (ROOT / folder).rglob("*")
            if path.suffix in {".md", ".py", ".toml", ".yaml", ".ipynb"}
        ]
    assert len(texts) > 100
    for path in texts:
        text = path.read_text("utf-8")
        named = re.search(r"(?<!numba )\bissues? #?\d", text, re.IGNORECASE)
        assert named is None, f"{path}: {named}"
