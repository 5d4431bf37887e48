"""Drift that the map cannot see: learned from the reference, growing with time."""

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose
from scipy.integrate import dblquad
from scipy.stats import norm

from estimator import PerformanceEstimator
from estimator.estimation.reference_arrays import (
    reference_from_arrays,
    reference_to_arrays,
)
from estimator.results.unseen_drift import (
    EVEN_HEAD_START,
    SETTINGS,
    Drift,
    DriftEvidence,
    ReferencePeriod,
    learn_drift,
    period_of,
    walk_distance,
)

rng = np.random.default_rng(0)


def learn(residual, variance, distance, weight=None):
    return learn_drift(
        DriftEvidence(
            residual=residual[:, None],
            variance=variance[:, None],
            n_rows=np.full(distance.size, SETTINGS.prior_rows),
            distance=distance,
            weight=np.ones(distance.size) if weight is None else weight,
        )
    )


def walks(n_walks=4_000, n_steps=400):
    """Return random walks of unit rate over [0, 1], and the middle of each step."""
    steps = rng.normal(0.0, np.sqrt(1.0 / n_steps), (n_walks, n_steps))
    return np.cumsum(steps, axis=1), (np.arange(n_steps) + 0.5) / n_steps


@pytest.mark.parametrize("even", [True, False])
def test_distances_are_variances_of_random_walks(even):
    walk, time = walks()
    row = np.arange(400) if even else np.sort(rng.choice(400, 90, p=time / time.sum()))
    for rows in (row[time[row] < 0.5], row[(time[row] < 0.2) | (time[row] > 0.6)]):
        gone = walk - walk[:, rows].mean(axis=1, keepdims=True)
        chunks = np.array([90, 130, 215, 330, 399])
        expected = walk_distance(time[chunks], time[rows])
        assert_allclose(gone[:, chunks].var(axis=0), expected, rtol=0.12)


def test_distances_by_hand():
    rows = np.array([0.0, 0.2, 0.9, 1.0])
    among = np.abs(rows[:, None] - rows).mean()
    for t in (-0.5, 0.0, 0.3, 0.9, 2.0):
        expected = np.abs(t - rows).mean() - among / 2.0
        assert walk_distance(np.array([t]), rows)[0] == pytest.approx(expected)


def test_when_the_reference_was():
    day = np.timedelta64(1, "D")
    start = np.datetime64("2024-01-01", "us")
    time = start + np.sort(rng.integers(0, 100, 20_000)) * day
    period, position = period_of(time, time.size)
    assert period.ends[0] - start <= day
    assert start + 99 * day - period.ends[1] <= day
    assert period.head_start == pytest.approx(EVEN_HEAD_START, abs=0.01)
    assert position[[0, -1]].tolist() == [0.0, 1.0]
    # A few wrong dates change nothing; many rows at the end leave less to go.
    wrong = time.copy()
    wrong[:5], wrong[-5:] = np.datetime64("1970-01-01"), np.datetime64("2100-01-01")
    assert period_of(wrong, wrong.size)[0].ends == period.ends
    crowded = np.sort(np.r_[time, np.repeat(time[-1] - day, 80_000)])
    assert period_of(crowded, crowded.size)[0].head_start < 0.1
    # Without times, or all at one time, rows count as even.
    for none in (None, np.repeat(start, 1_000)):
        period, position = period_of(none, 1_000)
        assert (period.ends, period.head_start) == (None, EVEN_HEAD_START)
        assert_allclose(position, (np.arange(1_000) + 0.5) / 1_000)


def test_distances_of_chunks():
    start = np.datetime64("2024-01-01", "us")
    day = np.timedelta64(1, "D")
    period = ReferencePeriod(ends=(start, start + 100 * day), head_start=0.25)
    first = start + np.array([-60, 10, 100, 140, 900]) * day
    distance = period.distances(first, first + 20 * day)
    assert_allclose(distance - 0.25, [0.5, 0.0, 0.1, 0.5, SETTINGS.oldest_age])
    empty = np.array(["NaT"], dtype="M8[us]")
    typical = SETTINGS.typical_age + 0.25
    assert period.distances(empty, empty).tolist() == [typical]
    rows = np.array([0, 500])
    assert period.distances(rows, rows + 499).tolist() == [typical, typical]


def test_the_posterior_mean_by_quadrature():
    n = 12
    variance = rng.uniform(0.5, 2.0, n) * 1e-4
    distance = rng.uniform(0.1, 0.7, n)
    residual = rng.normal(0.0, np.sqrt(variance + 2e-4 + 4e-4 * distance))
    unit = np.median(variance)

    def integrate(power):
        def density(log_rate, log_steady):
            both = unit * np.exp([log_steady, log_rate])
            both[both < SETTINGS.grid[0] * unit] = 0.0  # is none
            scale = np.sqrt(variance + both[0] + both[1] * distance)
            prior = norm.logpdf(
                [log_steady, log_rate],
                np.log(SETTINGS.prior_median),
                SETTINGS.prior_deviation,
            ).sum()
            likelihood = norm.logpdf(residual, 0.0, scale).sum()
            moment = both[0] ** power[0] * both[1] ** power[1]
            return moment * np.exp(prior + likelihood - 40.0)

        low, high = np.log(1e-6), np.log(SETTINGS.grid[1] * 1.5)
        return dblquad(density, low, high, low, high, epsabs=0, epsrel=2e-3)[0]

    total = integrate((0, 0))
    expected = integrate((1, 0)) / total, integrate((0, 1)) / total
    drift = learn(residual, variance, distance)
    assert_allclose((drift.steady[0], drift.rate[0]), expected, rtol=0.15)


def test_both_parts_are_told_apart():
    n = 3_000
    variance = np.full(n, 0.01**2)
    distance = rng.uniform(0.1, 1.0, n)
    noise = rng.normal(0.0, 0.01, n)
    steady = learn(noise + rng.normal(0.0, 0.02, n), variance, distance)
    growing = learn(
        noise + rng.normal(0.0, 0.02 * np.sqrt(distance)), variance, distance
    )
    none = learn(noise, variance, distance)
    half_way = 0.5
    assert_allclose(steady.variance(half_way), 0.02**2, rtol=0.15)
    assert steady.rate[0] < 0.3 * steady.steady[0]
    assert_allclose(growing.variance(half_way), 0.5 * 0.02**2, rtol=0.15)
    assert growing.steady[0] < 0.1 * growing.rate[0]
    assert (none.variance(half_way) < 0.1 * variance[0]).all()


def test_too_few_chunks_and_certain_ones():
    few = learn(np.full(4, 0.5), np.ones(4), np.ones(4))
    assert few.steady[0] == few.rate[0] == 0.0
    holes = np.r_[np.full(4, 0.5), np.nan]
    assert learn(holes, np.ones(5), np.ones(5)).steady[0] == 0.0
    certain = learn(np.full(6, 0.5), np.zeros(6), np.ones(6))
    assert (certain.steady[0], certain.rate[0]) == (0.25, 0.0)
    one_certain = learn(
        np.r_[0.0, rng.normal(0, 1, 40)], np.r_[0.0, np.ones(40)], np.ones(41)
    )
    assert np.isfinite(one_certain.variance(1.0)).all()


def test_rows_that_count_half_twice_count_once():
    n = 40
    variance = rng.uniform(0.5, 2.0, n) * 1e-4
    distance = rng.uniform(0.1, 0.7, n)
    residual = rng.normal(0.0, np.sqrt(variance + 2e-4))
    once = learn(residual, variance, distance)
    twice = learn(
        *(np.tile(x, 2) for x in (residual, variance, distance, np.full(n, 0.5)))
    )
    assert_allclose(twice.steady, once.steady)
    assert_allclose(twice.rate, once.rate)


def test_shapes_of_the_variance():
    drift = Drift(steady=np.array([1.0, 2.0]), rate=np.array([0.0, 3.0]))
    assert_allclose(drift.variance(1.0), [1.0, 5.0])
    assert_allclose(drift.variance(np.array([0.0, 1.0])), [[1.0, 2.0], [1.0, 5.0]])


def drifting(n, begin, wander):
    """Return rows of four a minute, whose calibration follows a random walk."""
    score = rng.uniform(0.05, 0.95, n)
    log_odds = np.log(score / (1 - score)) + np.repeat(wander, n // wander.size)
    return pd.DataFrame(
        {
            "time": begin + np.arange(n) * np.timedelta64(15, "s"),
            "y_pred_proba": score,
            "y_true": (rng.random(n) < 1 / (1 + np.exp(-log_odds))).astype(int),
        }
    )


def test_intervals_grow_with_the_time_since_the_reference():
    start = np.datetime64("2024-01-01", "us")
    walk = np.cumsum(rng.normal(0.0, 0.25, 20))
    reference = drifting(20_000, start, walk)
    estimator = PerformanceEstimator(["accuracy"], chunk=1_000, timestamp="time").fit(
        reference
    )
    drift = estimator.reference_.drift[""]
    assert drift.rate[0] > 0.0
    length = reference["time"].max() - reference["time"].min()
    chunk = drifting(1_000, start, np.zeros(1))
    widths = []
    for age in (0.0, 0.5, 1.0, 1.9, 2.5, 9.0):
        begin = reference["time"].max() + age * length
        moved = chunk.assign(time=chunk["time"] - chunk["time"].min() + begin)
        estimates = estimator.estimate(moved).filter(period="analysis")
        (row,) = estimates.to_frame().itertuples()
        widths.append((row.upper - row.lower) / 2.0)
    assert np.all(np.diff(widths[:4]) > 0.0)
    squares = np.array(widths) ** 2 / 1.959964**2
    # Ages that the reference cannot judge are taken to go on alike, and cost trust.
    assert squares[5] - squares[4] == pytest.approx(drift.rate[0] * 6.5, rel=0.02)
    assert squares[2] - squares[0] == pytest.approx(drift.rate[0], rel=0.02)
    # As far before the reference as after it.
    begin = reference["time"].min() - 0.5 * length
    moved = chunk.assign(time=chunk["time"] - chunk["time"].max() + begin)
    (row,) = estimator.estimate(moved).filter(period="analysis").to_frame().itertuples()
    assert (row.upper - row.lower) / 2.0 == pytest.approx(widths[1], rel=0.02)
    plain = PerformanceEstimator(["accuracy"], chunk=1_000).fit(reference)
    typical = plain.estimate(chunk).filter(period="analysis").to_frame()
    half = (typical["upper"] - typical["lower"])[0] / 2.0
    assert half == pytest.approx(widths[1], rel=0.02)


def test_files_written_before_have_drift_that_does_not_grow():
    reference = drifting(6_000, np.datetime64("2024-01-01", "us"), np.zeros(6))
    estimator = PerformanceEstimator(["accuracy"], chunk=1_000).fit(reference)
    header, arrays = reference_to_arrays(estimator.reference_)
    before = {name: x for name, x in arrays.items() if name != "drift_rate"}
    header = {name: x for name, x in header.items() if name != "period"}
    loaded = reference_from_arrays(header, before, estimator.fitted_parameters_)
    assert (loaded.period.ends, loaded.period.head_start) == (None, EVEN_HEAD_START)
    (drift,) = loaded.drift.values()
    assert_allclose(drift.steady, estimator.reference_.drift[""].steady)
    assert drift.rate[0] == 0.0
