"""Docstrings of public names are complete: numpydoc's validation passes."""

import dataclasses
import inspect

import numpydoc.docscrape
import numpydoc.validate
import pytest

import calibration
import estimator
import estimator.simulation

# Checks of numpydoc that contradict the style of this project.
LEFT_OUT = {
    "ES01": "an extended summary stands where there is more to say",
    "EX01": "an example stands where the call is not obvious; all of them run",
    "GL01": "the summary begins beside the quotes, as numpydoc allows from 1.11 on",
    "SA01": "related names are named in the text, in backticks",
}
OURS = ("calibration", "estimator")


def exported(module):
    """Return what a module offers: its `__all__`, or what it defines itself."""
    names = getattr(module, "__all__", None) or [
        name
        for name, value in vars(module).items()
        if not name.startswith("_")
        and getattr(value, "__module__", None) == module.__name__
    ]
    values = (getattr(module, name) for name in names)
    return [value for value in values if callable(value)]


def public_members(cls):
    """Return methods and properties; those inherited from elsewhere are not ours."""
    return {
        name
        for owner in cls.__mro__
        if owner.__module__.split(".")[0] in OURS
        for name, value in vars(owner).items()
        if not name.startswith("_")
        and (
            isinstance(value, property | classmethod | staticmethod)
            or inspect.isfunction(value)
        )
    }


PUBLIC = [
    value
    for module in (calibration, estimator, estimator.simulation)
    for value in exported(module)
]
CLASSES = {f"{c.__module__}.{c.__name__}": c for c in PUBLIC if inspect.isclass(c)}
NAMES = sorted(
    {f"{value.__module__}.{value.__name__}" for value in PUBLIC}
    | {f"{path}.{name}" for path, c in CLASSES.items() for name in public_members(c)}
)


def has_no_parameters_of_its_own(cls):
    """Whether `Attributes` describes the fields, or there is nothing to construct."""
    return dataclasses.is_dataclass(cls) or getattr(cls, "_is_protocol", False)


def test_public_names_are_not_overlooked():
    assert {
        "calibration.base.Calibrator.fit",
        "calibration.maps.spline.SplineCalibrator.predict",
        "estimator.degradation.verdict.Degradation.probability",
        "estimator.monitor.Monitor.load",
        "estimator.simulation.simulate_credit_default",
    } <= set(NAMES)


@pytest.mark.parametrize("path", NAMES)
def test_docstring_is_complete(path):
    faults = dict(numpydoc.validate.validate(path)["errors"])
    if path in CLASSES and has_no_parameters_of_its_own(CLASSES[path]):
        faults.pop("PR01", None)
    assert {code: faults[code] for code in faults.keys() - LEFT_OUT} == {}


@pytest.mark.parametrize("path", sorted(CLASSES))
def test_every_attribute_is_described(path):
    sections = numpydoc.docscrape.NumpyDocString(inspect.getdoc(CLASSES[path]))
    attributes = sections["Attributes"]
    assert [entry.name for entry in attributes if not (entry.type and entry.desc)] == []
    if dataclasses.is_dataclass(CLASSES[path]):
        described = {name for entry in attributes for name in entry.name.split(", ")}
        public = {field.name for field in dataclasses.fields(CLASSES[path])}
        assert described == {name for name in public if not name.startswith("_")}
