"""Files that are damaged or made by hand; `benchmarks.damaged_files` has thousands."""

import json

import numpy as np
import pandas as pd
import pytest

from estimator import Monitor, PerformanceEstimator
from estimator.files.archive import read_archive, write_archive
from trials.damage import CRAFTS, DAMAGES, run_trials

REMEDY = "Save the estimator again."


def test_each_kind_of_damage_is_refused_or_harmless(tmp_path):
    outcomes = list(run_trials(tmp_path, 60, seed=0))
    assert {outcome.kind for outcome in outcomes} == {*DAMAGES, *CRAFTS}
    assert [outcome for outcome in outcomes if not outcome.sound] == []


def test_an_archive_comes_back_as_it_was(tmp_path):
    path = tmp_path / "file.npz"
    arrays = {
        "numbers": np.array([[1.5, np.nan], [np.inf, -0.0]]).T,
        "none": np.empty((0, 3), dtype=np.int16),
        "one": np.array(7),
        "texts": np.array(["a", "Ä"]),
        "keys": np.array([b"\x00\xff" * 8], dtype="S16"),
        "times": np.array(["2026-01-01", "NaT"], dtype="M8[ns]"),
        "flags": np.array([True, False]),
    }
    header = {"format": "our things", "version": 1, "odd": "\ud800", "n": 10**30}
    write_archive(path, header, arrays)
    again, arrays_again = read_archive(path, "our things", 1, REMEDY)
    assert again == header
    assert list(arrays_again) == list(arrays)
    for name, array in arrays.items():
        assert arrays_again[name].dtype == array.dtype
        assert arrays_again[name].flags.writeable
        np.testing.assert_array_equal(arrays_again[name], array)


def test_a_change_by_other_hands_is_noticed(tmp_path):
    """Written again with NumPy: each entry is whole, and one number is another."""
    path = tmp_path / "file.npz"
    header = {"format": "our things", "version": 1}
    write_archive(path, header, {"a": np.arange(3.0), "b": np.ones(3)})
    with np.load(path) as archive:
        content = dict(archive)
    for change in ({"a": np.ones(3), "b": np.arange(3.0)}, {"c": np.ones(3)}):
        np.savez(path, **content | change)
        with pytest.raises(ValueError, match="is not a saved things, or it is damaged"):
            read_archive(path, "our things", 1, REMEDY)
    np.savez(path, **content)
    assert list(read_archive(path, "our things", 1, REMEDY)[1]) == ["a", "b"]


def test_only_text_that_is_json_is_a_header(tmp_path):
    path = tmp_path / "file.npz"
    text = json.dumps({"format": "our things", "version": 1}).encode()[:-1]
    np.savez(path, header=np.frombuffer(text, dtype=np.uint8))
    with pytest.raises(ValueError, match="is not a saved things"):
        read_archive(path, "our things", 1, REMEDY)


NAMES = [
    ("a", "s"),
    (("a", 1), "s"),
    0,
    1.5,
    pd.Timestamp("2026-01-01"),
    pd.Timestamp("2026-01-01").date(),
    "ümlaut",
]


@pytest.mark.parametrize("name", NAMES, ids=str)
def test_any_column_name_is_kept(name, reference_frame, production_frame, tmp_path):
    """A name of each role: score, segment, feature and row id."""
    frames = [reference_frame.reset_index(), production_frame.reset_index()]
    rng = np.random.default_rng(0)
    for role in ("y_pred_proba", "region", "x", "index"):
        reference, production = (
            frame.assign(x=rng.normal(size=len(frame))) for frame in frames
        )
        other = {role: name}
        reference.columns, production.columns = (
            pd.Index([other.get(c, c) for c in frame.columns], tupleize_cols=False)
            for frame in (reference, production)
        )
        estimator = PerformanceEstimator(
            chunk=1_000.0,
            y_pred_proba=other.get("y_pred_proba", "y_pred_proba"),
            segments=[other.get("region", "region")],
            features=[other.get("x", "x")] if role == "x" else None,
            method="cbpe",
            level=np.float32(0.9),
        ).fit(reference)
        monitor = Monitor(estimator, row_id=other.get("index", "index"))
        monitor.add_predictions(production)
        estimator.save(tmp_path / "estimator.npz")
        monitor.save(tmp_path / "monitor.npz")
        loaded = PerformanceEstimator.load(tmp_path / "estimator.npz")
        pd.testing.assert_frame_equal(
            loaded.estimate(production).to_frame(),
            estimator.estimate(production).to_frame(),
            check_exact=True,
        )
        assert loaded.y_pred_proba == estimator.y_pred_proba
        again = Monitor.load(tmp_path / "monitor.npz")
        assert again.row_id == monitor.row_id
        pd.testing.assert_frame_equal(
            again.performance().to_frame(), monitor.performance().to_frame()
        )


def test_a_name_that_no_file_can_hold_is_refused(reference_frame, tmp_path):
    frame = reference_frame.rename(columns={"region": frozenset("ab")})
    estimator = PerformanceEstimator(chunk=1_000, segments=[frozenset("ab")]).fit(frame)
    with pytest.raises(TypeError, match=r"column's name .* Rename the column"):
        estimator.save(tmp_path / "estimator.npz")


@pytest.mark.skipif(
    len(pd.unique(np.array(["x", "x\0"], dtype=object))) < 2,
    reason="this version of pandas reads texts up to a NUL",
)
def test_segments_that_differ_in_a_nul_stay_apart(
    reference_frame, production_frame, tmp_path
):
    names = np.array(["x", "x\0"], dtype=object)
    reference, production = (
        frame.assign(region=names[np.arange(len(frame)) % 2])
        for frame in (reference_frame, production_frame)
    )
    estimator = PerformanceEstimator(chunk=1_000, segments="region").fit(reference)
    estimator.save(tmp_path / "estimator.npz")
    loaded = PerformanceEstimator.load(tmp_path / "estimator.npz")
    expected = estimator.estimate(production)
    assert expected.segments == ("", "region=x", "region=x\0")
    pd.testing.assert_frame_equal(
        loaded.estimate(production).to_frame(), expected.to_frame()
    )
