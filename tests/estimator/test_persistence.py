import pandas as pd
import pytest

from calibration import CALIBRATORS, SplineCalibrator
from estimator import PerformanceEstimator
from estimator.metrics.registry import METRIC_NAMES
from estimator.performance_estimator import VERSION

OPTIONS = {
    "metrics": METRIC_NAMES,
    "timestamp": "timestamp",
    "segments": ("region",),
    "business_costs": {"tn": 0, "fp": -5, "fn": -100, "tp": 20},
    "thresholds": {"roc_auc": ("constant", 0.7, None), "f1": ("quantile", 0.1, 0.9)},
}


@pytest.mark.parametrize("calibrator", [*CALIBRATORS, "select"])
def test_a_loaded_estimator_estimates_bit_for_bit_the_same(
    calibrator, reference_frame, production_frame, tmp_path
):
    estimator = PerformanceEstimator(calibrator=calibrator, **OPTIONS)
    estimator.fit(reference_frame).save(tmp_path / "estimator.npz")
    loaded = PerformanceEstimator.load(tmp_path / "estimator.npz")
    assert loaded.get_params() == estimator.get_params()
    pd.testing.assert_frame_equal(
        loaded.estimate(production_frame).to_frame(),
        estimator.estimate(production_frame).to_frame(),
        check_exact=True,
    )
    assert [path.name for path in tmp_path.iterdir()] == ["estimator.npz"]


@pytest.mark.parametrize("chunk", ["W", 1_000, None, ["2026-02-01", "2026-03-01"]])
def test_every_kind_of_chunk_is_kept(
    chunk, reference_frame, production_frame, tmp_path
):
    estimator = PerformanceEstimator(timestamp="timestamp", chunk=chunk)
    estimator.fit(reference_frame).save(tmp_path / "estimator.npz")
    loaded = PerformanceEstimator.load(tmp_path / "estimator.npz")
    pd.testing.assert_frame_equal(
        loaded.estimate(production_frame).to_frame(),
        estimator.estimate(production_frame).to_frame(),
    )


@pytest.fixture
def saved(reference_frame, tmp_path):
    path = tmp_path / "estimator.npz"
    PerformanceEstimator(chunk=1_000).fit(reference_frame).save(path)
    return path


def test_a_damaged_file_is_refused(saved):
    whole = saved.read_bytes()
    for damaged in (b"", whole[: len(whole) // 2], b"PK" + whole[2:1000], b"hello"):
        saved.write_bytes(damaged)
        with pytest.raises(
            ValueError, match="is not a saved estimator, or it is damag"
        ):
            PerformanceEstimator.load(saved)


def test_any_flipped_byte_is_noticed_or_harmless(saved, production_frame):
    expected = PerformanceEstimator.load(saved).estimate(production_frame).to_frame()
    whole = saved.read_bytes()
    for position in range(0, len(whole), len(whole) // 60):
        garbled = bytearray(whole)
        garbled[position] ^= 0xFF
        saved.write_bytes(bytes(garbled))
        try:
            loaded = PerformanceEstimator.load(saved)
        except ValueError:
            continue
        estimates = loaded.estimate(production_frame).to_frame()
        pd.testing.assert_frame_equal(estimates, expected)


def test_another_version_is_refused(saved, monkeypatch):
    monkeypatch.setattr("estimator.performance_estimator.VERSION", VERSION + 1)
    match = rf"version {VERSION}; this version .* version {VERSION + 1}"
    with pytest.raises(ValueError, match=match):
        PerformanceEstimator.load(saved)


def test_a_pickle_is_never_run(tmp_path):
    class Bomb:
        def __reduce__(self):
            return (pytest.fail, ("code from the file was run",))

    import numpy as np

    path = tmp_path / "bomb.npz"
    np.savez(path, header=np.array([Bomb()], dtype=object))
    with pytest.raises(ValueError, match="is not a saved estimator"):
        PerformanceEstimator.load(path)


def test_a_missing_folder_is_named(saved):
    estimator = PerformanceEstimator.load(saved)
    with pytest.raises(FileNotFoundError, match=r"no folder .*nowhere"):
        estimator.save(saved.parent / "nowhere" / "estimator.npz")


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"nothing\.npz"):
        PerformanceEstimator.load(tmp_path / "nothing.npz")


def test_the_callers_own_calibrator_cannot_be_saved(reference_frame, tmp_path):
    estimator = PerformanceEstimator(chunk=1_000, calibrator=SplineCalibrator())
    estimator.fit(reference_frame)
    with pytest.raises(TypeError, match="only pickle could write it"):
        estimator.save(tmp_path / "estimator.npz")
    assert not list(tmp_path.iterdir())
