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


def packages_imported_in(folder):
    """Return our top-level packages that the modules of a folder import."""
    names = set()
    for source in (ROOT / folder).rglob("*.py"):
        for node in ast.walk(ast.parse(source.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.module:
                names.add(node.module.split(".")[0])
            elif isinstance(node, ast.Import):
                names.update(alias.name.split(".")[0] for alias in node.names)
    return {name for name in names if (ROOT / name).is_dir()}


def test_what_tests_import_is_in_the_source_distribution():
    imported = packages_imported_in("tests")
    assert {"calibration", "estimator", "trials"} <= imported <= INCLUDED


def test_tests_and_benchmarks_share_trials_and_nothing_else():
    assert "benchmarks" not in packages_imported_in("tests")
    assert "tests" not in packages_imported_in("benchmarks")
    assert packages_imported_in("trials") <= {"calibration", "estimator", "trials"}


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
