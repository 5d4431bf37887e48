"""What is installed here, and whether anything is in its way."""

import platform
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType

OURS = ("estimator", "calibration")
DISTRIBUTION = "deadreckon"
CORE = (
    "numpy",
    "pandas",
    "scipy",
    "scikit-learn",
    "lightgbm",
    "numba",
    "narwhals",
    "click",
)
OPTIONAL = {
    "matplotlib": "plot",
    "pyarrow": "job",
    "duckdb": "job",
    "pydantic": "job",
    "sqlalchemy": "job",
    "prometheus-client": "job",
    "urllib3": "job",
    "psycopg": "postgres",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One line of the report.

    Attributes
    ----------
    name, text : str
        What was looked at, and what is there.
    ok : bool
        False where something must be mended.
    """

    name: str
    text: str
    ok: bool = True


def examine() -> Iterator[Finding]:
    """Yield what is installed, where compiled kernels are kept, and collisions."""
    yield Finding(name=DISTRIBUTION, text=_version(DISTRIBUTION) or "from source")
    python = f"{platform.python_version()} ({sys.executable})"
    yield Finding(name="python", text=python, ok=sys.version_info >= (3, 11))
    for name in CORE:
        version = _version(name)
        yield Finding(name=name, text=version or "missing", ok=version is not None)
    for name, extra in OPTIONAL.items():
        hint = f'– (for it, in a checkout: pip install ".[{extra}]")'
        yield Finding(name=name, text=_version(name) or hint)
    yield _cache_directory()
    yield from map(_import_package, OURS)


def _version(distribution: str) -> str | None:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None


def _cache_directory() -> Finding:
    """Report where numba keeps compiled kernels; without a place it only starts slower.

    Kernels are asked rather than numba's settings: what counts is what they found.
    """
    from estimator._kernels import soft_label_sums

    name = "kernel cache"
    paths = {Path(path) for path in _cache_paths(soft_label_sums)}
    if not paths:
        text = (
            "none: kernels are compiled anew in every process. "
            "Set NUMBA_CACHE_DIR to a writable folder."
        )
        return Finding(name=name, text=text)
    path = paths.pop()
    if not _is_writable(path):
        text = f"{path} is not writable. Set NUMBA_CACHE_DIR to a folder that is."
        return Finding(name=name, text=text, ok=False)
    compiled = sum(1 for _ in path.glob("*.nbc")) if path.is_dir() else 0
    return Finding(name=name, text=f"{path} (writable, {compiled} compiled)")


def _cache_paths(module: ModuleType) -> Iterator[str]:
    for function in vars(module).values():
        path = getattr(getattr(function, "stats", None), "cache_path", None)
        if path:
            yield path


def _is_writable(path: Path) -> bool:
    """Try it: permissions alone do not tell of a read-only file system."""
    existing = next(p for p in (path, *path.parents) if p.exists())
    try:
        with tempfile.TemporaryFile(dir=existing):
            return True
    except OSError:
        return False


def _import_package(name: str) -> Finding:
    """Report whether ``import name`` finds this distribution's package and no other."""
    here = Path(__file__).resolve().parents[3] / name / "__init__.py"
    spec = find_spec(name)
    imported = Path(spec.origin).resolve() if spec and spec.origin else None
    if imported != here:
        text = (
            f"`import {name}` finds {imported}, not {here}. "
            f"Uninstall what brought it, or use {DISTRIBUTION} in an environment "
            "of its own."
        )
        return Finding(name=f"import {name}", text=text, ok=False)
    owners = set(metadata.packages_distributions().get(name, ()))
    others = sorted(owners - {DISTRIBUTION})
    if others:
        text = (
            f"{', '.join(others)} also installs `{name}`, and files of one overwrite "
            f"those of the other. Uninstall it, then run `pip install "
            f"--force-reinstall --no-deps .` in a checkout of {DISTRIBUTION}."
        )
        return Finding(name=f"import {name}", text=text, ok=False)
    return Finding(name=f"import {name}", text=str(here.parent))
