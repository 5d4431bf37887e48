from importlib import metadata
from types import SimpleNamespace

from estimator.operations.commands import doctor
from trials.runner import invoke


def findings():
    return {finding.name: finding for finding in doctor.examine()}


def test_nothing_is_wrong_here():
    result = invoke("doctor")
    assert result.exit_code == 0, result.output
    assert "numpy" in result.stdout
    assert result.stderr == "Nothing is wrong.\n"
    assert all(finding.ok for finding in findings().values())


def test_another_distribution_with_our_import_name(monkeypatch):
    monkeypatch.setattr(
        metadata,
        "packages_distributions",
        lambda: {"estimator": ["deadreckon", "stranger"]},
    )
    result = invoke("doctor")
    assert result.exit_code == 1
    assert "! import estimator    stranger also installs `estimator`" in result.stdout
    assert result.stderr == "1 to mend, marked with !\n"


def test_import_that_finds_somebody_else(monkeypatch, tmp_path):
    origin = str(tmp_path / "calibration" / "__init__.py")
    monkeypatch.setattr(doctor, "find_spec", lambda _: SimpleNamespace(origin=origin))
    finding = findings()["import calibration"]
    assert not finding.ok
    assert f"`import calibration` finds {origin}" in finding.text


def test_missing_core_package_is_wrong_and_a_missing_extra_is_not(monkeypatch):
    version = metadata.version

    def without(name):
        if name in ("narwhals", "matplotlib"):
            raise metadata.PackageNotFoundError(name)
        return version(name)

    monkeypatch.setattr(metadata, "version", without)
    by_name = findings()
    assert not by_name["narwhals"].ok
    assert by_name["matplotlib"].ok
    assert 'pip install ".[plot]"' in by_name["matplotlib"].text


def test_no_kernel_cache_is_said_but_nothing_is_wrong(monkeypatch):
    monkeypatch.setattr(doctor, "_cache_paths", lambda _: iter(()))
    finding = findings()["kernel cache"]
    assert finding.ok
    assert "NUMBA_CACHE_DIR" in finding.text


def test_read_only_kernel_cache(monkeypatch):
    monkeypatch.setattr(doctor, "_cache_paths", lambda _: iter(("/proc",)))
    finding = findings()["kernel cache"]
    assert not finding.ok
    assert "not writable" in finding.text
