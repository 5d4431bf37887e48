"""Performance of a deployed classifier, estimated before its labels arrive."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from estimator.performance_estimator import PerformanceEstimator
    from estimator.results import Performance

__all__ = ["Performance", "PerformanceEstimator", "__version__"]

__version__ = "0.1.0"

_HOMES = {
    "Performance": "estimator.results",
    "PerformanceEstimator": "estimator.performance_estimator",
}


def __getattr__(name: str) -> Any:
    """Import a public name on first use: ``deadreckon --help`` needs none of them."""
    if name not in _HOMES:
        msg = f"module 'estimator' has no attribute {name!r}"
        raise AttributeError(msg)
    value = getattr(import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
