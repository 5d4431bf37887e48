"""The built-in calibrators by name, and how a caller's choice becomes an instance."""

import copy
from types import MappingProxyType
from typing import Final

from sklearn.base import clone

from calibration._validation import nearest_name
from calibration.base import Calibrator, SavableCalibrator
from calibration.maps.isotonic import IsotonicCalibrator
from calibration.maps.parametric import (
    BetaCalibrator,
    IdentityCalibrator,
    PlattCalibrator,
    TemperatureCalibrator,
)
from calibration.maps.spline import SplineCalibrator

CALIBRATORS: dict[str, type[SavableCalibrator]] = {
    "spline": SplineCalibrator,
    "isotonic": IsotonicCalibrator,
    "platt": PlattCalibrator,
    "beta": BetaCalibrator,
    "temperature": TemperatureCalibrator,
    "identity": IdentityCalibrator,
}

# What other libraries and papers call them.
_SYNONYMS: Final = MappingProxyType(
    {
        "sigmoid": "platt",
        "logistic": "platt",
        "logistic_regression": "platt",
        "platt_scaling": "platt",
        "isotonic_regression": "isotonic",
        "temperature_scaling": "temperature",
        "beta_calibration": "beta",
        "splines": "spline",
        "gam": "spline",
        "none": "identity",
        "raw": "identity",
        "uncalibrated": "identity",
    }
)


def make_calibrator(spec: str | Calibrator) -> Calibrator:
    """Return a fresh, unfitted calibrator; the caller's own object is never fitted.

    Parameters
    ----------
    spec : str or object with ``fit`` and ``predict``
        A name in ``CALIBRATORS``, or a calibrator to be cloned (copied, where it is
        not a scikit-learn estimator).

    Returns
    -------
    Calibrator
        An unfitted calibrator.

    Raises
    ------
    TypeError
        If ``spec`` is neither a name nor such an object, or is a class.
    ValueError
        If no calibrator has this name.

    Examples
    --------
    >>> make_calibrator("spline")
    SplineCalibrator()
    >>> make_calibrator("isotonc")
    Traceback (most recent call last):
        ...
    ValueError: `calibrator` must be one of 'spline', 'isotonic', 'platt', 'beta', \
'temperature', 'identity' or an object with fit and predict, got 'isotonc'. Did you \
mean 'isotonic'?
    """
    names = ", ".join(map(repr, CALIBRATORS))
    rule = f"`calibrator` must be one of {names} or an object with fit and predict"
    if isinstance(spec, str):
        if spec in CALIBRATORS:
            return CALIBRATORS[spec]()
        msg = f"{rule}, got {spec!r}.{nearest_name(spec, CALIBRATORS, _SYNONYMS)}"
        raise ValueError(msg)
    if isinstance(spec, type):
        msg = f"{rule}, got the class {spec.__name__}. Pass an instance of it."
        raise TypeError(msg)
    if not isinstance(spec, Calibrator):
        msg = f"{rule}, got {spec!r} of type {type(spec).__name__}."
        raise TypeError(msg)
    fresh: Calibrator
    try:
        fresh = clone(spec)
    except TypeError:  # not a scikit-learn estimator
        fresh = copy.deepcopy(spec)
    return fresh
