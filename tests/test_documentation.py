"""The documentation says what the repository holds, and its code runs as printed."""

import re
from pathlib import Path

ROOT = Path(__file__).parent.parent
BENCHMARKS = ROOT / "benchmarks"


def test_readme_of_the_benchmarks_names_every_benchmark():
    programs = {
        source.stem
        for source in BENCHMARKS.glob("*.py")
        if re.search(r"^def main\(", source.read_text("utf-8"), re.MULTILINE)
    }
    text = (BENCHMARKS / "README.md").read_text("utf-8")
    assert set(re.findall(r"^\| `python -m benchmarks\.(\w+)", text, re.M)) == programs


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
