import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from estimator._kernels import step_fits as kernels
from estimator._kernels.step_fits import log_total
from estimator.degradation.series import read_series
from estimator.degradation.shapes.candidates import fit_shapes
from estimator.degradation.shapes.cycles import frequencies
from estimator.degradation.shapes.fitted_shapes import shape_of
from estimator.degradation.shapes.pair_grid import pair_grid
from estimator.degradation.shapes.whitening import SETTINGS, whiten
from tests.estimator.degradation.series import ERRORS, N_REFERENCE, clear


def series_of(values, n_reference=N_REFERENCE, **changes):
    options = {"times": None, "higher_is_better": True, "shared_error": 0.0} | changes
    errors = np.full(len(values), ERRORS[0])
    return read_series(values, errors, n_reference=n_reference, **options)


def fits_of(series, rho=0.0):
    return list(fit_shapes(series, whiten(series, rho)))


@pytest.mark.parametrize("n", [1, 2, 3, 7, 30, 100, 171])
@pytest.mark.parametrize(("shortest", "exact"), [(2, 8), (2, 24), (4, 12)])
def test_the_grid_covers_each_pair_once(n, shortest, exact):
    grid = pair_grid(n, shortest, exact)
    blocks = np.arange(grid.first.size)
    first, last, block = grid.pairs_of(blocks)
    pairs = sorted(zip(first.tolist(), last.tolist(), strict=True))
    assert pairs == [(a, b) for a in range(n) for b in range(a + shortest, n)]
    if not pairs:
        assert blocks.size == 0
        return
    # The middle of a block is one of its pairs, and its share that of its pairs.
    triples = set(zip(first.tolist(), last.tolist(), block.tolist(), strict=True))
    for b in blocks.tolist():
        assert (grid.first[b], grid.last[b], b) in triples
    assert_allclose(grid.share, np.bincount(block) / len(pairs))
    assert (grid.stride[grid.length <= exact] == 1).all()
    assert (grid.stride <= np.maximum(grid.length * 2 / exact, 1)).all()


def test_the_grid_grows_linearly():
    sizes = [pair_grid(n, 2, 24).first.size for n in (100, 200, 400, 800)]
    assert sizes[-1] < 45 * 800
    assert np.diff(sizes).max() < 50 * 400


@pytest.mark.parametrize("form", ["window", "staircase"])
def test_edges_are_found_to_the_chunk_however_long_the_series(form):
    rng = np.random.default_rng(0)
    for a, b in ((71, 208), (58, 279), (131, 170)):
        i = np.arange(300)
        shape = (i >= a) * 1.0 - (i >= b)
        if form == "staircase":
            shape = 0.5 * (i >= a) + 0.5 * (i >= b)
        series = series_of(0.8 - 0.12 * shape + rng.normal(0, 0.01, 300))
        fits = max(
            (f for f in fits_of(series) if f.form == form),
            key=lambda f: f.log_weight.max(),
        )
        best = int(fits.log_weight.argmax())
        assert (fits.first[best], fits.last[best]) == (a, b)


def test_frequencies_go_from_two_cycles_to_one_in_two_and_a_half_chunks():
    frequency, prior = frequencies(50.0, 50)
    assert frequency[0] == pytest.approx(2 / 50)
    assert 1 / 2.5 <= frequency[-1] < 1.05 / 2.5
    assert_allclose(prior.sum(), 1.0)
    octave = [prior[(frequency >= f) & (frequency < 2 * f)].sum() for f in (0.05, 0.1)]
    assert octave[0] == pytest.approx(octave[1], rel=0.15)
    assert frequencies(4.0, 4)[0].size == 0


@pytest.mark.parametrize("rho", SETTINGS.rho_prior)
@pytest.mark.parametrize(
    ("kind", "form"),
    [
        ("sudden", "step"),
        ("gradual", "ramp"),
        ("recovered", "window"),
        ("training_serving_skew", "step"),
        ("cyclical", "cycle"),
    ],
)
def test_the_best_shape_is_the_true_one(kind, form, rho):
    series = series_of(clear(kind))
    fits = [f for f in fits_of(series, rho) if f.kind == kind]
    best = max(fits, key=lambda f: f.log_weight.max())
    assert best.form == form
    curve = shape_of(best, int(best.log_weight.argmax()), series)
    residual = series.y - curve
    assert np.std(residual) < 1.4
    assert np.std(series.y) > 2.0


def test_evidence_of_all_kinds_is_one_on_average_without_a_decline():
    """E[BF] = 1 under H0; so BF of c is exceeded in at most 1/c of all series."""
    rng = np.random.default_rng(0)
    ratios: dict[str, list[float]] = {}
    for _ in range(400):
        phi = 6.0 / rng.gamma(6.0)  # the prior's
        series = series_of(rng.normal(0.0, 0.01 * np.sqrt(phi), 30), n_reference=10)
        white = whiten(series, 0.0)
        total: dict[str, float] = {}
        for f in fit_shapes(series, white):
            weight = log_total(f.log_weight) - np.log(SETTINGS.rho_prior[0.0])
            total[f.kind] = np.logaddexp(total.get(f.kind, -np.inf), weight)
        for kind, value in total.items():
            ratios.setdefault(kind, []).append(value - white.log_stable)
    assert len(ratios) == 5
    for kind, log_factors in ratios.items():
        over = np.mean(np.exp(log_factors) > 10.0)
        assert over <= 0.1, kind
        assert np.mean(np.minimum(np.exp(log_factors), 50.0)) < 1.5, kind


@pytest.mark.parametrize("n", range(1, 16))
@pytest.mark.parametrize("n_reference", [0, 1, 2, 8])
def test_few_chunks_have_what_they_have_room_for(n, n_reference):
    rng = np.random.default_rng(n)
    if n_reference > n:
        return
    series = series_of(rng.normal(0.8, 0.01, n), n_reference=n_reference)
    kinds = set()
    for f in fits_of(series):
        assert np.isfinite(f.log_weight).all()
        assert (f.last < n).all()
        assert (f.first >= 0).all()
        kinds.add(f.kind)
    assert ("training_serving_skew" in kinds) == (0 < n_reference < n)
    n_analysis = n - n_reference
    assert ("cyclical" in kinds) == (n_analysis >= 6) or n_analysis == 5
    assert ("gradual" in kinds) == (n_analysis + (n_reference > 0) > 4)


def test_priors_over_positions_sum_to_one(monkeypatch):
    """With an evidence of 1 for every shape, its prior is left of each weight."""

    def no_evidence(*arguments):
        for array in arguments[-4:]:
            array[:] = 0.0

    def no_evidence_of_two(*arguments):
        no_evidence(*arguments[:-1])

    monkeypatch.setattr(kernels, "one_amplitude", no_evidence)
    monkeypatch.setattr(kernels, "two_steps", no_evidence_of_two)
    series = series_of(clear("stable"))
    white = whiten(series, 0.0)
    total: dict[str, float] = {}
    for f in fit_shapes(series, white):
        if f.kind != "cyclical":
            prior = (
                np.exp(f.log_weight - white.log_base).sum() / SETTINGS.rho_prior[0.0]
            )
            total[f.kind] = total.get(f.kind, 0.0) + prior
    assert len(total) == 4
    assert_allclose(list(total.values()), 1.0)


def test_positions_of_missing_chunks_are_kept():
    values = clear("sudden")
    values[[3, 20, 30]] = np.nan
    series = series_of(values)
    assert_array_equal(series.index, np.flatnonzero(np.isfinite(values)))
    assert series.n_reference == N_REFERENCE - 1
    assert series.gaps.max() == 2.0
