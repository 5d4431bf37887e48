"""Data flows one way, and rooms stay small: a newcomer can hold each in mind."""

import ast
import graphlib
from pathlib import Path

import pytest

# The way the data go; a module imports only from its own stage and those before.
STAGES = [
    "calibration",
    "estimator.files",
    "estimator.progress",
    "estimator._kernels",
    "estimator.frames",
    "estimator.chunking",
    "estimator.metrics",
    "estimator.label_free",
    "estimator.ledger",
    "estimator.delayed_labels",
    "estimator.metric_series",
    "estimator.charts",
    "estimator.degradation",
    "estimator.report",
    "estimator.results",
    "estimator.estimation",
    "estimator.performance_estimator",
    "estimator.monitoring",
    "estimator.monitor",
    "estimator.simulation",
    "estimator.operations",
]
# By importer and imported module: why this import may point up.
EXCEPTIONS: dict[tuple[str, str], str] = {}
FACADES = {"estimator"}  # re-exports from everywhere, lazily
ROOT = Path(__file__).parent.parent


def name_of(source):
    return ".".join(source.with_suffix("").parts).removesuffix(".__init__")


SOURCES = {
    name_of(path.relative_to(ROOT)): path
    for folder in ("calibration", "estimator")
    for path in sorted((ROOT / folder).rglob("*.py"))
}


def imported_by(module):
    """Return all of our modules that a module imports: lazily and for types, too."""
    names = set()
    for node in ast.walk(ast.parse(SOURCES[module].read_text())):
        if isinstance(node, ast.ImportFrom):
            full = {f"{node.module}.{alias.name}" for alias in node.names}
            names |= {name if name in SOURCES else node.module for name in full}
        elif isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
    return {name for name in names if name in SOURCES and name != module}


def stage_of(module):
    stages = [i for i, s in enumerate(STAGES) if f"{module}.".startswith(f"{s}.")]
    return stages[0] if stages else None


@pytest.mark.parametrize("module", sorted(SOURCES.keys() - FACADES))
def test_imports_point_down(module):
    here = stage_of(module)
    assert here is not None, f"{module} is in no stage: give it one"
    for target in imported_by(module) - FACADES:
        if (module, target) not in EXCEPTIONS:
            assert stage_of(target) <= here, f"{module} imports {target}"


def test_there_is_no_circle():
    graph = {
        module: {t for t in imported_by(module) if (module, t) not in EXCEPTIONS}
        for module in SOURCES.keys() - FACADES
    }
    graph = {module: targets - FACADES for module, targets in graph.items()}
    list(graphlib.TopologicalSorter(graph).static_order())  # raises CycleError


def test_exceptions_are_few_and_still_needed():
    assert len(EXCEPTIONS) <= 6
    for (module, target), reason in EXCEPTIONS.items():
        assert target in imported_by(module), (module, target)
        assert reason


def test_calibration_never_imports_estimator():
    for module in SOURCES:
        if module.split(".")[0] == "calibration":
            assert not [t for t in imported_by(module) if t.startswith("estimator")]


def test_folders_are_small():
    assert len(list((ROOT / "estimator").glob("*.py"))) <= 6
    folders = {path.parent for path in SOURCES.values()} - {ROOT / "estimator"}
    for folder in folders:  # of `estimator` the stages are counted above, by hand
        rooms = [p for p in folder.iterdir() if p.is_dir() and any(p.glob("*.py"))]
        assert len([*folder.glob("*.py"), *rooms]) <= 12, folder
