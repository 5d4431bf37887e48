"""The source distribution holds what its own tests import, and no idle extras."""

import ast
import tomllib
from pathlib import Path

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
INCLUDED = {
    name.strip("/")
    for name in PROJECT["tool"]["hatch"]["build"]["targets"]["sdist"]["include"]
}


def test_what_tests_import_is_in_the_source_distribution():
    imported = set()
    for source in (ROOT / "tests").rglob("*.py"):
        for node in ast.walk(ast.parse(source.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.module:
                imported.add(node.module.split(".")[0])
            elif isinstance(node, ast.Import):
                imported.update(alias.name.split(".")[0] for alias in node.names)
    ours = {name for name in imported if (ROOT / name).is_dir()}
    assert {"calibration", "estimator", "tests"} <= ours
    assert ours <= INCLUDED


def test_what_is_included_is_there():
    missing = {name for name in INCLUDED if not (ROOT / name).exists()}
    assert not missing


def test_every_extra_is_used_by_the_code():
    """Packages of an extra are imported, or drivers that SQLAlchemy loads by name."""
    code = "\n".join(
        source.read_text(encoding="utf-8")
        for folder in ("calibration", "estimator")
        for source in (ROOT / folder).rglob("*.py")
    )
    extras = PROJECT["project"]["optional-dependencies"]
    for extra in set(extras) - {"test"}:
        for requirement in extras[extra]:
            name = requirement.partition(">=")[0].partition("[")[0]
            used = name.replace("-", "_") in code
            assert used, f"no code uses {name} of the extra {extra}"
