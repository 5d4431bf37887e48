import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from calibration import estimate_density_ratio

rng = np.random.default_rng(0)
REFERENCE = rng.normal(size=(8_000, 2))


def shifted(by, n=3_000, seed=1):
    return np.random.default_rng(seed).normal(size=(n, 2)) + np.array([by, 0.0])


def test_the_ratio_of_two_normals():
    """log w(x) = by x - by²/2, up to what 60 small trees and the clip leave."""
    estimate = estimate_density_ratio(REFERENCE, shifted(0.8))
    truth = np.exp(0.8 * REFERENCE[:, 0] - 0.32)
    assert estimate.weight.mean() == pytest.approx(1.0)
    assert np.corrcoef(estimate.weight, truth)[0, 1] > 0.85
    # Reweighted, the reference has the moments of the other population.
    moved = np.average(REFERENCE, axis=0, weights=estimate.weight)
    assert moved[0] == pytest.approx(0.8, abs=0.1)
    assert moved[1] == pytest.approx(0.0, abs=0.05)


def test_effective_sample_size_falls_with_the_shift():
    sizes = [
        estimate_density_ratio(REFERENCE, shifted(by)).effective_sample_size
        for by in (0.0, 0.7, 1.5, 3.0)
    ]
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[0] > 0.8 * len(REFERENCE)
    assert sizes[-1] < 0.2 * len(REFERENCE)


def test_unseen_rows_of_the_same_population_cannot_be_told_apart():
    estimate = estimate_density_ratio(REFERENCE, shifted(0.0))
    assert estimate.separability == pytest.approx(0.5, abs=0.03)
    far = estimate_density_ratio(REFERENCE, shifted(4.0))
    assert far.separability > 0.98
    assert far.importance[0] > 0.9
    assert_allclose(far.importance.sum(), 1.0)


def test_categories_and_missing_values():
    n = 6_000
    draw = np.random.default_rng(2)
    ours = draw.choice(12, n).astype(float)
    theirs = draw.choice(12, n, p=np.repeat([1 / 9, 1 / 18], 6))
    gaps, more_gaps = draw.random(n) < 0.1, draw.random(n) < 0.4
    ours = np.stack([ours, np.where(gaps, np.nan, 1.0)], axis=1)
    theirs = np.stack([theirs, np.where(more_gaps, np.nan, 1.0)], axis=1)
    estimate = estimate_density_ratio(ours, theirs, categorical=[0])
    low = ours[:, 0] < 6
    assert estimate.weight[low].mean() / estimate.weight[~low].mean() == pytest.approx(
        2.0, rel=0.25
    )
    missing = np.isnan(ours[:, 1])
    assert estimate.weight[missing].mean() == pytest.approx(4.0, rel=0.2)


def test_a_long_reference_is_thinned_evenly():
    estimate = estimate_density_ratio(REFERENCE, shifted(0.5), max_reference=1_000)
    assert estimate.rows.size == estimate.weight.size == 1_000
    assert estimate.rows[0] == 0
    assert estimate.rows[-1] == len(REFERENCE) - 1
    assert set(np.diff(estimate.rows).tolist()) <= {8, 9}


def test_the_same_whatever_the_threads(monkeypatch):
    one = estimate_density_ratio(REFERENCE, shifted(0.5), random_state=3)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    import calibration.features.density_ratio as module

    monkeypatch.setattr(module, "for_each", lambda items, work: [*map(work, items)])
    other = estimate_density_ratio(REFERENCE, shifted(0.5), random_state=3)
    assert_array_equal(one.weight, other.weight)
    again = estimate_density_ratio(REFERENCE, shifted(0.5), random_state=4)
    assert not np.array_equal(one.weight, again.weight)


@pytest.mark.parametrize(
    ("arguments", "kind", "message"),
    [
        ({"reference": [1.0, 2.0]}, ValueError, "`reference` must have shape"),
        ({"reference": [["a"], ["b"]]}, TypeError, "`reference` must be numeric"),
        ({"other": np.ones((5, 3))}, ValueError, "the same features, got 2 and 3"),
        ({"other": np.ones((1, 2))}, ValueError, "`other` must have at least two rows"),
        ({"other": [[np.inf, 1.0], [0.0, 1.0]]}, ValueError, r"other\[0, 0\] is"),
        ({"categorical": [2]}, ValueError, "`categorical` must hold columns 0 to 1"),
        ({"max_reference": 1}, ValueError, "`max_reference` must be at least 2"),
    ],
)
def test_bad_input_is_refused(arguments, kind, message):
    arguments = {"reference": REFERENCE, "other": shifted(0.0, 50)} | arguments
    reference, other = arguments.pop("reference"), arguments.pop("other")
    with pytest.raises(kind, match=message):
        estimate_density_ratio(reference, other, **arguments)


def test_constant_features_weigh_all_rows_alike():
    estimate = estimate_density_ratio(np.ones((500, 1)), np.ones((300, 1)))
    assert_allclose(estimate.weight, 1.0, atol=0.05)
    assert estimate.importance.sum() == 0.0
    assert "worth" in repr(estimate)
