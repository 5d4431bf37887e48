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
    "estimator.results",
    "estimator.newest",
    "estimator.label_free",
    "estimator.degradation",
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
    "estimator.presentation",
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


@pytest.mark.parametrize("source", SOURCES, ids=str)
def test_imports_point_down(source):
    module = module_of(source)
    if module in FACADES:
        return
    here = layer_of(module)
    assert here is not None, f"{module} has no place in LAYERS: give it one"
    tree = ast.parse((ROOT / source).read_text())
    for node in tree.body:  # module level: a lazy import inside a function is allowed
        if isinstance(node, ast.ImportFrom):
            target = layer_of(node.module)
            assert target is None or target <= here, f"{source} imports {node.module}"


def test_calibration_never_imports_estimator():
    for source in (ROOT / "calibration").rglob("*.py"):
        for node in ast.walk(ast.parse(source.read_text())):
            if isinstance(node, ast.ImportFrom):
                assert not node.module.startswith("estimator"), source
