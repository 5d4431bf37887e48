"""Data flows one way, and rooms stay small: a newcomer can hold each in mind."""

import ast
import graphlib
import statistics
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
MOST_LINES, MEDIAN_LINES = 400, 150
MOST_LINES_OF_BODY, MOST_LINES_OF_KERNEL, MOST_PARAMETERS = 60, 90, 8
COMPILED = {"kernel", "kernel_part", "inlined_part"}
# What stays above a limit, and why.
LONG_FILES = {
    "estimator.monitor": "more than half of it documents the public methods",
    "estimator.performance_estimator": "most of it documents the parameters",
    "estimator.results.performance": "half of it documents the columns",
}
LONG_FUNCTIONS: dict[str, str] = {}
WIDE_FUNCTIONS = {
    "estimator.operations.commands.estimate.estimate": "an option of the command each"
}
SAY_NOTHING = {"found", "told", "own", "known", "place", "at", "of"}
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


def test_files_are_short():
    n_lines = {
        module: len(path.read_text().splitlines()) for module, path in SOURCES.items()
    }
    assert {m for m, n in n_lines.items() if n > MOST_LINES} == LONG_FILES.keys()
    assert statistics.median(n_lines.values()) <= MEDIAN_LINES


def functions():
    """Yield module, name, function and whether it is compiled, of all our functions."""
    for module, path in SOURCES.items():
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef):
                decorators = {ast.unparse(d) for d in node.decorator_list}
                yield module, node, bool(decorators & COMPILED)


def test_functions_are_short_and_have_few_parameters():
    long, wide = set(), set()
    for module, node, is_compiled in functions():
        has_docstring = ast.get_docstring(node) is not None
        body = node.body[has_docstring:]
        n_lines = node.end_lineno - body[0].lineno + 1 if body else 0
        if n_lines > (MOST_LINES_OF_KERNEL if is_compiled else MOST_LINES_OF_BODY):
            long.add(f"{module}.{node.name}")
        names = [a.arg for a in (*node.args.args, *node.args.kwonlyargs)]
        n_parameters = len([n for n in names if n not in ("self", "cls")])
        if n_parameters > MOST_PARAMETERS and not is_compiled:
            wide.add(f"{module}.{node.name}")
    assert long == LONG_FUNCTIONS.keys()
    assert wide - {"estimator.performance_estimator.__init__"} == WIDE_FUNCTIONS.keys()
    assert len(LONG_FILES) + len(LONG_FUNCTIONS) + len(WIDE_FUNCTIONS) <= 5


def test_names_say_what_they_hold():
    """A participle, a pronoun or a preposition names nothing."""
    folders = [path.parent for path in SOURCES.values()] + [
        path.parent for path in (ROOT / "tests").rglob("*.py")
    ]
    wrong = []
    for folder in sorted({*folders, ROOT / "benchmarks"}):
        for path in sorted(folder.glob("*.py")):
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.arg):
                    name = node.arg
                elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                    name = node.id
                else:
                    continue
                if name in SAY_NOTHING:
                    wrong.append(f"{path.relative_to(ROOT)}:{node.lineno} {name}")
    assert wrong == []
