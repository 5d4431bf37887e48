"""Performance of a deployed classifier, estimated before its labels arrive."""

from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from estimator.degradation.alarm import AnytimeAlarm, anytime_alarm
    from estimator.degradation.announcements import (
        Announcement,
        Announcements,
        follow_degradation,
    )
    from estimator.degradation.classification import classify_degradation
    from estimator.degradation.verdict import Degradation
    from estimator.monitor import Monitor
    from estimator.performance_estimator import PerformanceEstimator
    from estimator.results.performance import Performance

__all__ = [
    "Announcement",
    "Announcements",
    "AnytimeAlarm",
    "Degradation",
    "Monitor",
    "Performance",
    "PerformanceEstimator",
    "__version__",
    "anytime_alarm",
    "classify_degradation",
    "follow_degradation",
]

__version__ = "0.1.0"

_HOMES = {
    "Announcement": "estimator.degradation.announcements",
    "Announcements": "estimator.degradation.announcements",
    "AnytimeAlarm": "estimator.degradation.alarm",
    "Degradation": "estimator.degradation.verdict",
    "Monitor": "estimator.monitor",
    "Performance": "estimator.results.performance",
    "PerformanceEstimator": "estimator.performance_estimator",
    "anytime_alarm": "estimator.degradation.alarm",
    "classify_degradation": "estimator.degradation.classification",
    "follow_degradation": "estimator.degradation.announcements",
}


def __getattr__(name: str) -> object:
    """Import a public name on first use: ``deadreckon --help`` needs none of them."""
    if name not in _HOMES:
        msg = f"module 'estimator' has no attribute {name!r}"
        raise AttributeError(msg)
    _check_calibration_is_ours()
    value = getattr(import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)


def _check_calibration_is_ours() -> None:
    """Refuse to go on with another distribution's ``calibration``: a generic name."""
    spec = find_spec("calibration")
    imported = None if spec is None or spec.origin is None else Path(spec.origin)
    ours = Path(__file__).parent.parent / "calibration" / "__init__.py"
    if imported is None or not imported.samefile(ours):
        msg = (
            f"`import calibration` finds {imported}, not deadreckon's own package "
            f"{ours}. Another distribution uses the name; uninstall it or give "
            "deadreckon an environment of its own. `deadreckon doctor` says which."
        )
        raise ImportError(msg)
