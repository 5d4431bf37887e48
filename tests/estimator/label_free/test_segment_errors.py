"""What errors of the segments' shifts do to each metric."""

from copy import deepcopy
from functools import partial
from itertools import pairwise

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.special import expit, logit

from calibration import SplineCalibrator
from estimator.chunking.segments import Groups
from estimator.frames.columns import SegmentCodes
from estimator.label_free.segment_calibration import (
    learn_segment_calibration,
    shift_rows,
    shifted_soft_label,
    with_segment_errors,
)
from estimator.metrics.calibration_shift import shift_frame
from estimator.metrics.error_cells import NO_ERROR, measure_error_cells
from estimator.metrics.intervals import ShiftError
from estimator.metrics.measurement import measure
from estimator.metrics.metric_names import resolve_metrics
from estimator.metrics.registry import METRIC_NAMES
from estimator.metrics.rows import Decisions, Rows
from estimator.metrics.segment_slots import BlockSlots
from estimator.metrics.soft_label_sums import sum_soft_labels
from tests.estimator.label_free.segment_world import COSTS, Means, name_of


@pytest.mark.parametrize("at_once", [1, 50, 2_000, 1 << 17])
def test_new_values_err_alike_however_many_chunks_are_held(at_once, monkeypatch):
    """Against sums of one chunk at a time, in which only its own values exist."""
    monkeypatch.setattr("estimator.metrics.segment_slots._NEW_AT_ONCE", at_once)
    score, label, segments = frame_of_cells()
    calibrator = SplineCalibrator().fit(score, label)
    calibration = learn_segment_calibration(calibrator, score, label, segments)
    plain = measure_error_cells(calibrator, score, calibrator.predict(score))
    rng = np.random.default_rng(1)
    first = rng.choice([f"new {k}" for k in range(400)], score.size)
    first[::3] = rng.choice(["p", "q", "r"], score[::3].size)
    second = np.where(rng.random(score.size) < 0.5, "x", "z")

    def sums(rows, offsets):
        coded = {}
        for column, value in (("first", first[rows]), ("second", second[rows])):
            values, codes = np.unique(value, return_inverse=True)
            coded[column] = SegmentCodes(codes=codes, values=values.tolist())
        shifts = shift_rows(calibration, coded)
        return sum_soft_labels(
            Rows(
                score=score[rows],
                soft=shifted_soft_label(calibrator, calibration, shifts.slots),
                decisions=Decisions(threshold=0.5),
            ),
            row_numbers=None,
            offsets=offsets,
            error_cells=with_segment_errors(plain, calibration, shifts),
        ).by_segment

    offsets = np.array([0, 5, 5, 40, 2_000, *range(2_010, 6_001, 10)])
    together = sums(np.arange(score.size), offsets)
    for c, (start, stop) in enumerate(pairwise(offsets)):
        if stop > start:
            alone = sums(np.arange(start, stop), np.array([0, stop - start]))[0]
            assert_allclose(together[c], alone, rtol=1e-9, atol=1e-15)


@pytest.mark.parametrize("name", ["first", "second"])
def test_a_chunk_of_one_value_sums_as_any_other(name, monkeypatch):
    """Where all rows have one slot, sums by slot are sums over all: by row and so."""
    score, label, segments = frame_of_cells()
    calibrator = SplineCalibrator().fit(score, label)
    calibration = learn_segment_calibration(calibrator, score, label, segments)
    # One value of the first column has no shift.
    segments["first"] = SegmentCodes(
        codes=segments["first"].codes, values=["p", "new", "r"]
    )
    shifts = shift_rows(calibration, segments)
    plain = measure_error_cells(calibrator, score, calibrator.predict(score))
    codes = segments[name].codes
    rows = np.argsort(codes, kind="stable")
    offsets = np.append(0, np.cumsum(np.bincount(codes)))
    offsets = np.insert(offsets, 1, offsets[1])  # one chunk has no rows
    sums = partial(
        sum_soft_labels,
        Rows(
            score=score,
            soft=shifted_soft_label(calibrator, calibration, shifts.slots),
            decisions=Decisions(threshold=0.5),
        ),
        row_numbers=rows,
        offsets=offsets,
        error_cells=with_segment_errors(plain, calibration, shifts),
    )
    covariance = sums().by_segment
    assert (covariance[:, 0, 0] > 0.0).sum() >= 2
    monkeypatch.setattr(
        "estimator.metrics.soft_label_sums.split_slots",
        lambda columns, bounds, order: BlockSlots(
            by_row=np.array(columns)[:, order],
            fixed=np.empty((bounds.size - 1, 0), np.int32),
        ),
    )
    assert_allclose(covariance, sums().by_segment, rtol=1e-9, atol=1e-18)


def frame_of_cells(seed=0):
    """Return rows on a grid of scores, each a cell of its own, and their segments."""
    rng = np.random.default_rng(seed)
    n, grid = 6_000, np.linspace(0.05, 0.95, 12)
    score = grid[np.arange(n) % grid.size]
    codes = [rng.integers(0, 3, n), rng.integers(0, 2, n)]
    shift = np.array([-0.6, 0.0, 0.6])[codes[0]] + np.array([-0.4, 0.4])[codes[1]]
    label = (rng.random(n) < expit(logit(score) + shift)) * 1.0
    segments = {
        "first": SegmentCodes(codes=codes[0], values=["p", "q", "r"]),
        "second": SegmentCodes(codes=codes[1], values=["x", "y"]),
    }
    return score, label, segments


@pytest.mark.parametrize("calibrator", [SplineCalibrator(), Means()], ids=name_of)
@pytest.mark.parametrize("name", METRIC_NAMES)
def test_the_error_of_the_shifts_is_the_delta_method(name, calibrator):
    """By differences: each coefficient moved a little, the metric measured anew."""
    score, label, segments = frame_of_cells()
    calibrator = deepcopy(calibrator).fit(score, label)
    calibration = learn_segment_calibration(calibrator, score, label, segments)
    shifts = calibration.shifts
    rows_of_frame = np.arange(2_000)
    score = score[rows_of_frame]
    segments = {
        "first": SegmentCodes(  # one value that the reference does not have
            codes=segments["first"].codes[rows_of_frame], values=["p", "new", "r"]
        ),
        "second": SegmentCodes(
            codes=segments["second"].codes[rows_of_frame], values=["x", "y"]
        ),
    }
    rows = shift_rows(calibration, segments)
    cells = measure_error_cells(
        calibrator, score, calibrator.predict(score), rows_per_cell=1
    )
    cells = with_segment_errors(cells, calibration, rows)
    assert np.unique(np.searchsorted(cells.edges, score)).size == 12
    metrics = resolve_metrics((name,), COSTS)
    groups = Groups(
        parts=((None, np.array([0, 900, rows_of_frame.size])),),
        segment=np.array(["", ""], dtype=object),
        chunk=np.array([0, 1]),
    )

    def measure_soft(soft, error_cells=NO_ERROR):
        rows = Rows(score=score, soft=soft, decisions=Decisions(threshold=0.5))
        return measure(metrics, groups, rows, error_cells=error_cells)

    soft = shifted_soft_label(calibrator, calibration, rows.slots)
    measured = measure_soft(soft, cells)
    # Only what the segments add, and what all rows have in common: no other factor.
    p = soft.of_rows(score, rows.slots)
    u = shifts.standardize(logit(calibrator.predict(score)))
    columns = list(shifts.common_basis(u).T)
    for slot in range(len(shifts.shifts) + len(rows.new_variance)):
        has = (rows.slots == slot).any(axis=1) * 1.0
        columns += [has, has * u]
    covariance = np.zeros((len(columns), len(columns)))
    n_known = shifts.covariance.shape[0]
    covariance[:n_known, :n_known] = shifts.covariance
    covariance[n_known:, n_known:] = np.diag(rows.new_variance.ravel())
    assert rows.new_variance[0, 0] > 0.0
    step = 1e-4
    slope = np.stack(
        [
            measure_soft(expit(logit(p) + step * column)).value
            - measure_soft(expit(logit(p) - step * column)).value
            for column in columns
        ]
    )[:, :, 0] / (2.0 * step)
    expected = np.einsum("ig,ij,jg->g", slope, covariance, slope)
    rest = np.zeros(2)
    # Without an error of the map, each cell errs by itself, as its labels tell it.
    factor = cells.factor if cells.has_factor else np.diag(np.sqrt(cells.variance))
    if factor.size:
        moved = [f[np.searchsorted(cells.edges, score)] for f in factor]
        rest = sum(
            (
                (
                    measure_soft(expit(logit(p) + step * f)).value
                    - measure_soft(expit(logit(p) - step * f)).value
                )[:, 0]
                / (2.0 * step)
            )
            ** 2
            for f in moved
        )
    variance = measured.calibration_variance[:, 0]
    if name == "average_precision" and cells.has_factor:  # the larger of two forms
        assert (variance >= 0.98 * (expected + rest)).all()
    else:
        assert_allclose(variance, expected + rest, rtol=0.02)


def test_a_tracked_shift_and_the_rest_are_the_whole_error():
    score, label, segments = frame_of_cells()
    calibrator = SplineCalibrator().fit(score, label)
    calibration = learn_segment_calibration(calibrator, score, label, segments)
    rows = shift_rows(calibration, segments)
    cells = measure_error_cells(calibrator, score, calibrator.predict(score))
    cells = with_segment_errors(cells, calibration, rows)
    frame = shift_frame(cells)
    metrics = resolve_metrics(("accuracy", "recall", "brier_score"), None)
    groups = Groups(
        parts=((None, np.array([0, score.size])),),
        segment=np.array([""], dtype=object),
        chunk=np.array([0]),
    )
    soft = shifted_soft_label(calibrator, calibration, rows.slots)
    content = Rows(score=score, soft=soft, decisions=Decisions(threshold=0.5))
    whole = measure(metrics, groups, content, error_cells=cells).calibration_variance
    parts = measure(
        metrics,
        groups,
        content,
        error_cells=frame.cells,
        shift=ShiftError(covariance=frame.prior[None], slope=np.ones(1)),
    )
    # The parts may be correlated; the shift of all rows carries most.
    total = parts.calibration_variance + parts.shift_variance
    assert_allclose(total, whole, rtol=0.25)
