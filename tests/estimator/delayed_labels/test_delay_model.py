import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from estimator.delayed_labels.arrivals import (
    Arrivals,
    choose_column,
    count_arrivals,
    merge_arrivals,
)
from estimator.delayed_labels.delay_model import (
    estimate_never,
    fit_delays,
    no_delays,
)
from estimator.delayed_labels.strata.delay_cells import (
    MAX_VALUES,
    N_AGES,
    N_BANDS,
    age_step,
    end_of_step,
)

DAY = 86_400.0
BANDS = np.array([0.3, 0.6])


def simulate(n=40_000, seed=0, horizon=60.0, share=1.0):
    """Draw labels that take exponential times by class; rows come over 60 days."""
    rng = np.random.default_rng(seed)
    label = (rng.random(n) < 0.3).astype(float)
    took = rng.exponential(np.where(label == 1, 5.0, 20.0)) * DAY
    took[rng.random(n) > share] = np.inf
    age = rng.uniform(0, horizon, n) * DAY
    return label, took, age, rng


def fit(label, took, age, soft=None):
    came = took <= age
    zero = np.zeros(int(came.sum()), dtype=int)
    arrivals = count_arrivals(
        ("",), label=label[came], code=zero, band=zero, seconds=took[came]
    )
    waiting = np.zeros((2, 2, N_BANDS, N_AGES))
    soft = np.full(label.size, 0.3) if soft is None else soft
    for y, weight in ((0, 1 - soft), (1, soft)):
        step = age_step(age[~came])
        waiting[y, 0, 0] = np.bincount(step, weight[~came], minlength=N_AGES)
    return fit_delays(None, BANDS, arrivals, waiting)


def arrived(model, y, days):
    step = age_step(np.asarray(days, dtype=float) * DAY)
    return -np.expm1(-model.hazard[y, 0, step])


def test_recent_rows_do_not_make_delays_look_short():
    """Half of the slow class is still waiting: its curve is right all the same."""
    label, took, age, _ = simulate()
    model = fit(label, took, age, soft=label)  # classes known: Kaplan-Meier proper
    for y, scale in ((1, 5.0), (0, 20.0)):
        days = np.array([2.0, 10.0, 30.0, 50.0])
        assert_allclose(arrived(model, y, days), -np.expm1(-days / scale), atol=0.02)
        naive = np.mean(took[(label == y) & (took <= age)] <= 10 * DAY)
        assert naive > arrived(model, y, 10.0) + 0.01


def test_unknown_classes_are_told_by_their_soft_labels():
    label, took, age, rng = simulate()
    score = np.clip(rng.normal(0.3 + 0.2 * (label - 0.3), 0.05), 0.01, 0.99)
    bins = np.digitize(score, np.quantile(score, np.arange(1, 50) / 50))
    soft = (np.bincount(bins, label) / np.bincount(bins))[bins]
    model = fit(label, took, age, soft=soft)
    days = np.array([5.0, 20.0])
    for y, scale in ((1, 5.0), (0, 20.0)):
        assert_allclose(arrived(model, y, days), -np.expm1(-days / scale), atol=0.04)


def test_labels_that_never_come_leave_a_plateau():
    label, took, age, _ = simulate(horizon=300.0, share=0.1)
    model = fit(label, took, age, soft=label)
    for y in (0, 1):
        assert_allclose(arrived(model, y, 250.0), 0.1, atol=0.01)
    hazard = model.hazard.reshape(2, -1, N_AGES)
    old = age_step(np.array([250.0 * DAY]))[0]
    assert_allclose(hazard[..., old], hazard[..., -1], atol=0.01)


@pytest.mark.parametrize("share", [0.0, 0.05, 0.6])
def test_labels_that_never_come_are_counted_whatever_their_class(share):
    rng = np.random.default_rng(4)
    n, mean = 20_000, np.array([6.0, 2.0])  # days, by class
    label = (rng.random(n) < 0.3).astype(int)
    took = rng.exponential(mean[label])
    came = np.zeros((2, N_BANDS, N_AGES))
    np.add.at(came, (label, 0, age_step(took * DAY)), 1.0)
    again = rng.exponential(1.2 * mean[label])  # delays have become longer
    age, is_lost = rng.uniform(0.0, 60.0, n), rng.random(n) < share
    waits = is_lost | (again > age)
    waiting = np.zeros((2, N_BANDS, N_AGES))
    for y, soft in ((0, 0.7), (1, 0.3)):
        np.add.at(waiting, (y, 0, age_step(age[waits] * DAY)), soft)
    never = estimate_never(came, waiting, float((~waits).sum()))
    assert_allclose(never.share, share, atol=0.03)
    days = np.array([1.0, 5.0, 50.0])
    late = (1.0 - share) * np.exp(-days / np.sqrt(2.0) / mean[:, None])
    expected = late / (share + late) if share else np.ones((2, 3))
    assert_allclose(never.comes[:, 0, 0, age_step(days * DAY)], expected, atol=0.05)


@pytest.mark.parametrize("n_labels", [0.0, 1.0])
def test_where_all_rows_waited_longer_than_any_label_took_all_are_lost(n_labels):
    came = np.zeros((2, N_BANDS, N_AGES))
    came[:, :, age_step(DAY)] = 10.0
    waiting = np.zeros_like(came)
    waiting[:, 0, age_step(300 * DAY)] = 30.0
    assert estimate_never(came, waiting, n_labels).share > 0.9
    assert estimate_never(came, np.zeros_like(came), n_labels).share == 0.0


def test_a_label_that_never_comes_says_nothing_of_its_class():
    label, took, *_ = simulate(horizon=300.0)
    counted = Arrivals(values=("",), count=np.zeros((2, 1, N_BANDS, N_AGES)))
    np.add.at(counted.count, (label.astype(int), 0, 0, age_step(took * DAY)), 1.0)
    nobody = np.zeros((2, 2, N_BANDS, N_AGES))
    model = fit_delays(None, np.array([0.3, 0.6]), counted, nobody, 0.4)
    assert_allclose(model.arrived[:, -1], 0.6, atol=0.01)
    assert abs(model.log_ratio.reshape(-1, N_AGES)[0, -1]) < 0.01


def test_small_strata_are_drawn_to_all_rows():
    label, took, age, _ = simulate()
    model = fit(label, took, age, soft=label)
    empty = model.hazard[:, 1]  # a score band without a row
    assert_allclose(empty, model.hazard[:, 0], atol=0.02)


def test_log_ratios_are_those_of_survival_and_arrival():
    label, took, age, _ = simulate()
    model = fit(label, took, age, soft=label)
    came = -np.expm1(-model.hazard)
    assert_allclose(
        model.log_ratio, np.log((1 - came[1]) / (1 - came[0])).ravel(), atol=1e-9
    )
    both = (came > 0).all(axis=0).ravel()
    expected = np.log(came[1].ravel()[both] / came[0].ravel()[both])
    assert_allclose(model.arrived_log_ratio[both], expected)
    neither = (came == 0).all(axis=0).ravel()
    assert (model.arrived_log_ratio[neither] == 0).all()


def test_what_came_when_one_class_never_does_is_of_the_other():
    label, took, age, _ = simulate()
    took = took + np.where(label == 0, 40.0 * DAY, 0.0)
    model = fit(label, took, age, soft=label)
    came = model.arrived
    only_positive = (came[1] > 0.0) & (came[0] == 0.0)
    assert only_positive.any()
    assert (model.arrived_log_ratio[only_positive] == 7.0).all()
    assert np.abs(model.arrived_log_ratio).max() == 7.0


def test_age_steps_hold_days_apart():
    days = np.arange(1.0, 90.0)
    assert np.unique(age_step(days * DAY)).size == days.size
    assert_array_equal(age_step(np.array([-1.0, 0.0, 0.99, 1.0])), [0, 1, 1, 2])
    seconds = 10 ** np.random.default_rng(0).uniform(0, 8, 1_000)
    ends = np.array([end_of_step(step) for step in age_step(seconds)])
    assert (ends >= seconds).all()
    assert (ends < seconds * 1.012).all()


def counts(values, label, code, took):
    zero = np.zeros(label.size, dtype=int)
    return count_arrivals(values, label=label, code=code, band=zero, seconds=took)


def test_the_column_that_tells_delays_is_chosen():
    label, took, _, rng = simulate(5_000)
    is_late = (took > 10 * DAY).astype(int)
    noise = rng.integers(0, 3, label.size)
    columns = {
        None: counts(("",), label, 0 * is_late, took),
        "region": counts(("a", "b", "c"), label, noise, took),
        "term": counts(("short", "long"), label, is_late, took),
    }
    assert choose_column(columns) == "term"
    del columns["term"]
    assert choose_column(columns) is None
    many = tuple(map(str, range(MAX_VALUES + 1)))
    columns["customer"] = counts(many, label, is_late, took)
    assert choose_column(columns) is None


def test_counts_add_up_in_any_order():
    label, took, _, rng = simulate(1_000)
    code = rng.integers(0, 2, 1_000)
    first = counts(("b", "a"), label, code, took)
    second = counts(("c", "b"), label, code, took)
    one, other = merge_arrivals(first, second), merge_arrivals(second, first)
    assert one.values == other.values == ("a", "b", "c")
    assert_array_equal(one.count, other.count)
    assert one.count.sum() == 2_000
    assert_array_equal(one.count[:, 1], first.count[:, 0] + second.count[:, 1])


def test_without_times_waiting_tells_nothing():
    model = no_delays()
    assert model.log_ratio.tolist() == [0.0]
