"""How much chunks differ in who is waiting: found where it is, and only there."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.special import expit

from estimator.delayed_labels.reference_delays import measure_spread
from estimator.delayed_labels.strata.delay_cells import N_AGES, age_step

DAY = 86_400.0
N_CHUNKS, SIZE = 60, 2_000


def simulate(spread, seed=0):
    """Draw chunks whose positives wait longer or less long, by ``spread`` each."""
    rng = np.random.default_rng(seed)
    n = N_CHUNKS * SIZE
    chunk = np.repeat(np.arange(N_CHUNKS), SIZE)
    x = rng.normal(-0.5, 1.2, n)
    drift = rng.normal(0, 0.3, N_CHUNKS)[chunk]  # of the concept: not of delays
    label = (rng.random(n) < expit(x + drift)).astype(float)
    speed = np.exp(rng.normal(0, spread, N_CHUNKS))[chunk]
    mean = np.where(label == 1, 10.0 / speed, 10.0)
    age = age_step(rng.exponential(mean) * DAY)
    log_ratio = np.zeros((1, N_AGES))  # on average the classes wait alike
    stratum = np.zeros(n, dtype=np.int16)
    u = (x + 0.5) / 1.2
    return measure_spread(x, u, label, chunk, age, log_ratio, stratum), speed


def test_where_chunks_do_not_differ_there_is_hardly_a_spread():
    spread, _ = simulate(0.0)
    # Later, when a few hundred rows of a chunk wait, chance is hard to tell apart.
    for days, most in ((3.0, 0.04), (7.0, 0.06), (14.0, 0.09)):
        spread_then = spread[age_step(np.array([days * DAY]))[0]]
        assert np.sqrt(spread_then.diagonal().max()) < most


@pytest.mark.parametrize("days", [7.0, 14.0])
def test_the_spread_is_that_of_the_log_ratio_of_who_waits(days):
    spread, speed = simulate(0.5)
    # P(waiting | positive) is exp(-speed age / 10), of negatives exp(-age / 10).
    truth = np.mean(((speed[::SIZE] - 1.0) * days / 10.0) ** 2)
    spread_then = spread[age_step(np.array([days * DAY]))[0]]
    assert_allclose(np.sqrt(spread_then[0, 0]), np.sqrt(truth), rtol=0.25)
    assert spread_then[1, 1] < 0.1 * spread_then[0, 0]


def test_the_spread_begins_with_nothing_and_ends_with_the_last_that_told():
    spread, _ = simulate(0.5)
    assert (spread[0] == 0).all()
    assert (spread[-1] == spread[age_step(np.array([400 * DAY]))[0]]).all()
    assert np.linalg.eigvalsh(spread).min() > -1e-12
    assert_allclose(spread, spread.transpose(0, 2, 1))


def test_a_few_chunks_cannot_tell():
    rng = np.random.default_rng(0)
    n = 3_000
    x = rng.normal(size=n)
    spread = measure_spread(
        x,
        x,
        (rng.random(n) < 0.5).astype(float),
        np.arange(n) // 1_000,
        rng.integers(0, N_AGES, n),
        np.zeros((1, N_AGES)),
        np.zeros(n, dtype=np.int16),
    )
    assert (spread == 0).all()
