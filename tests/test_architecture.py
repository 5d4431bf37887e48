"""Data flows one way: a layer imports only layers before it (its own included)."""

import ast
from pathlib import Path

import pytest

LAYERS = [
    "calibration",
    "estimator._extras",
    "estimator.files",
    "estimator.archive",
    "estimator.progress",
    "estimator._kernels",
    "estimator._datetimes",
    "estimator._columns",
    "estimator.cell_contents",
    "estimator.column_names",
    "estimator.frames",
    "estimator.features",
    "estimator._periods",
    "estimator._edges",
    "estimator.chunking",
    "estimator.row_order",
    "estimator.groups",
    "estimator.metrics",
    "estimator.soft_labels",
    "estimator.calibration_shift",
    "estimator.segment_calibration",
    "estimator.metric_series",
    "estimator.newest",
    "estimator.presentation.scale",
    "estimator.presentation.panel",
    "estimator.presentation.formats",
    "estimator.presentation.ticks",
    "estimator.presentation.svg_paths",
    "estimator.presentation.svg",
    "estimator.presentation.html",
    "estimator.presentation.plots",
    "estimator.degradation",
    "estimator.presentation",
    "estimator.result_names",
    "estimator.result_series",
    "estimator.result_tables",
    "estimator.results",
    "estimator.label_free",
    "estimator.assembly",
    "estimator.delayed_labels",
    "estimator.common_mistakes",
    "estimator.reference",
    "estimator.unlabelled",
    "estimator.parameters",
    "estimator.reference_array_checks",
    "estimator.reference_arrays",
    "estimator.performance_estimator",
    "estimator.monitoring",
    "estimator.monitor",
    "estimator.simulation",
    "estimator.operations",
]
FACADES = {"estimator"}  # re-exports from everywhere, lazily
ROOT = Path(__file__).parent.parent
SOURCES = [
    path.relative_to(ROOT)
    for folder in ("calibration", "estimator")
    for path in (ROOT / folder).rglob("*.py")
]


def layer_of(module):
    owners = [i for i, name in enumerate(LAYERS) if f"{module}.".startswith(f"{name}.")]
    return owners[0] if owners else None


def module_of(source):
    return ".".join(source.with_suffix("").parts).removesuffix(".__init__")


MODULES = {module_of(source): source for source in SOURCES}


def imports_of(module):
    """Return what a module imports of ours: lazily and for types alone, too."""
    imported = set()
    for node in ast.walk(ast.parse((ROOT / MODULES[module]).read_text())):
        if isinstance(node, ast.ImportFrom):
            names = [f"{node.module}.{alias.name}" for alias in node.names]
            imported.update({node.module, *names})
        elif isinstance(node, ast.Import):
            imported.update(alias.name for alias in node.names)
    return {name for name in imported & MODULES.keys() if name not in FACADES}


@pytest.mark.parametrize("source", SOURCES, ids=str)
def test_imports_point_down(source):
    module = module_of(source)
    if module in FACADES:
        return
    here = layer_of(module)
    assert here is not None, f"{module} has no place in LAYERS: give it one"
    for name in imports_of(module):
        target = layer_of(name)
        assert target is None or target <= here, f"{source} imports {name}"


def test_no_module_is_imported_by_what_it_imports():
    """Whoever changes a module of a circle must know all others of it."""
    waiting = {name: imports_of(name) for name in MODULES if name not in FACADES}
    while leaves := [name for name, imports in waiting.items() if not imports]:
        for name in leaves:
            del waiting[name]
        waiting = {name: imports - set(leaves) for name, imports in waiting.items()}
    assert not waiting, f"circles of imports, and what needs them: {sorted(waiting)}"


def test_calibration_never_imports_estimator():
    for module in MODULES:
        if module.startswith("calibration"):
            names = [name for name in imports_of(module) if "estimator" in name]
            assert not names, f"{module} imports {names}"
