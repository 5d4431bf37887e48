import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from estimator._kernels import step_fits as kernels
from estimator._kernels.step_fits import log_total
from estimator.degradation.series import read_series
from estimator.degradation.shapes.candidates import fit_shapes
from estimator.degradation.shapes.pair_grid import pair_grid
from estimator.degradation.shapes.whitening import SETTINGS, plain_base, whiten
from tests.estimator.degradation.series import ERRORS, N_REFERENCE, clear


def series_of(values, n_reference=N_REFERENCE, **changes):
    options = {"times": None, "higher_is_better": True, "shared_error": 0.0} | changes
    errors = np.full(len(values), ERRORS[0])
    return read_series(values, errors, n_reference=n_reference, **options)


def fits_of(series, rho=0.0, columns=None):
    base = plain_base(series)
    if columns is not None:
        base = base.with_columns(columns)
    return fit_shapes(series, whiten(series, rho, base))


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


def test_near_blocks_hold_all_pairs_beside_one():
    grid = pair_grid(171, 2, 8)
    rng = np.random.default_rng(0)
    for _ in range(50):
        a, b = np.sort(rng.choice(171, 2, replace=False)).tolist()
        first, last, _ = grid.pairs_of(np.flatnonzero(grid.is_near(a, b)))
        near = set(zip(first.tolist(), last.tolist(), strict=True))
        for x in range(a - 1, a + 2):
            for y in range(b - 1, b + 2):
                if x >= 0 and y < 171 and y - x >= 2:
                    assert (x, y) in near


def test_the_grid_grows_linearly():
    sizes = [pair_grid(n, 2, 24).first.size for n in (100, 200, 400, 800)]
    assert sizes[-1] < 45 * 800
    assert np.diff(sizes).max() < 50 * 400


def test_edges_are_found_to_the_chunk_however_long_the_series():
    rng = np.random.default_rng(0)
    for a, b in ((71, 208), (58, 279), (131, 170)):
        i = np.arange(300)
        shape = (i >= a) * 1.0 - (i >= b)
        series = series_of(0.8 - 0.12 * shape + rng.normal(0, 0.01, 300))
        (fits,) = [f for f in fits_of(series) if f.form == "window"]
        best = int(fits.log_down.argmax())
        assert (fits.first[best], fits.last[best]) == (a, b)


@pytest.mark.parametrize("rho", SETTINGS.rho_prior)
@pytest.mark.parametrize(
    ("kind", "form"),
    [
        ("sudden", "step"),
        ("gradual", "ramp"),
        ("recovered", "window"),
        ("training_serving_skew", "step"),
    ],
)
def test_the_best_shape_is_the_true_one(kind, form, rho):
    series = series_of(clear(kind))
    (fits,) = [f for f in fits_of(series, rho) if f.kind == kind]
    assert fits.form == form
    best = int(fits.log_down.argmax())
    residual = series.y - fits.amplitude[best] * fits.curve(best, series.t)
    assert np.std(residual) < 1.4
    assert np.std(series.y) > 2.0


@pytest.mark.parametrize("rho", [0.0, 0.6])
def test_evidence_is_that_of_the_integral(rho):
    """By quadrature over the amplitude, of dense matrices, beside a base of columns."""
    rng = np.random.default_rng(3)
    values = clear("recovered", 1, 0.02)
    n = values.size
    columns = rng.normal(size=(n, 2))
    series = series_of(values, shared_error=0.004)
    base = plain_base(series).with_columns(columns)
    s = base.errors
    corr = rho ** np.abs(series.t[:, None] - series.t) if rho else np.eye(n)
    shared = np.where(np.arange(n) >= series.n_reference, series.shared, 0.0)
    random = np.column_stack([shared, columns])
    noise = np.outer(s, s) * corr + random @ random.T
    inverse = np.linalg.inv(noise)
    one = np.ones(n)

    def log_likelihood(y):
        """Of y with phi integrated out and a flat level, up to a constant."""
        level = (one @ inverse @ y) / (one @ inverse @ one)
        squares = (y - level) @ inverse @ (y - level) + SETTINGS.phi_dof
        log_determinant = np.linalg.slogdet(noise)[1]
        log_determinant += np.log(one @ inverse @ one)
        nu = n - 1 + SETTINGS.phi_dof
        return -0.5 * log_determinant - 0.5 * nu * np.log(squares), squares / nu

    white = whiten(series, rho, base)
    lone = SETTINGS.outlier_cost * np.sum(1.0 - series.pooled_errors / s)
    assert white.log_stable + lone == pytest.approx(log_likelihood(series.y)[0])
    for fits in fit_shapes(series, white):
        for k in rng.choice(fits.first.size, 3).tolist():
            curve = fits.curve(k, series.t)
            down = up = 0.0
            for c in white.scales:
                left = noise + c * c * np.outer(curve, curve)
                weight = _student(series.y, left, n)
                down += weight * _second_moment(series.y, noise, left, curve, c, n, -1)
                up += weight * _second_moment(series.y, noise, left, curve, c, n, 1)
            prior = fits.log_prior[k] + np.log(SETTINGS.rho_prior[rho]) - lone
            for log_weight, truth in ((fits.log_down[k], down), (fits.log_up[k], up)):
                if np.isfinite(log_weight) and truth > 1e-200:
                    assert log_weight - prior == pytest.approx(
                        np.log(truth / 2), abs=1e-6
                    )


def _student(y, covariance, n):
    one, inverse = np.ones(n), np.linalg.inv(covariance)
    level = (one @ inverse @ y) / (one @ inverse @ one)
    squares = (y - level) @ inverse @ (y - level) + SETTINGS.phi_dof
    log_determinant = np.linalg.slogdet(covariance)[1]
    log_determinant += np.log(one @ inverse @ one)
    nu = n - 1 + SETTINGS.phi_dof
    return np.exp(-0.5 * (log_determinant + nu * np.log(squares)))


def _second_moment(y, noise, covariance, curve, c, n, side):
    """Return E[amplitude² on its side] / c², twice, with phi at its estimate."""
    one, inverse = np.ones(n), np.linalg.inv(noise)
    center = np.eye(n) - np.outer(one, one @ inverse) / (one @ inverse @ one)
    A = curve @ inverse @ center @ curve
    b = curve @ inverse @ center @ y
    precision = A + 1.0 / c**2
    full, nu = np.linalg.inv(covariance), n - 1 + SETTINGS.phi_dof
    level = (one @ full @ y) / (one @ full @ one)
    phi = ((y - level) @ full @ (y - level) + SETTINGS.phi_dof) / nu
    mean, deviation = b / precision, np.sqrt(phi / precision)
    grid = np.linspace(mean - 12 * deviation, mean + 12 * deviation, 40_001)
    density = np.exp(-0.5 * ((grid - mean) / deviation) ** 2)
    density /= density.sum()
    return 2.0 * density[grid * side > 0] @ grid[grid * side > 0] ** 2 / (phi * c**2)


def test_evidence_of_all_kinds_is_one_on_average_without_a_decline():
    """E[BF] = 1 under H0; so BF of c is exceeded in at most 1/c of all series."""
    rng = np.random.default_rng(0)
    ratios: dict[str, list[float]] = {}
    for _ in range(400):
        phi = 6.0 / rng.gamma(6.0)  # the prior's
        series = series_of(rng.normal(0.0, 0.01 * np.sqrt(phi), 30), n_reference=10)
        white = whiten(series, 0.0, plain_base(series))
        for f in fit_shapes(series, white):
            weight = log_total(f.log_down) - np.log(SETTINGS.rho_prior[0.0])
            ratios.setdefault(f.kind, []).append(weight - white.log_stable)
    assert len(ratios) == 4
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
        assert np.isfinite(f.log_down).all()
        assert (f.last < n).all()
        assert (f.first >= 0).all()
        kinds.add(f.kind)
    assert ("training_serving_skew" in kinds) == (0 < n_reference < n)
    n_analysis = n - n_reference
    assert ("gradual" in kinds) == (n_analysis + (n_reference > 0) > 4)


def test_priors_over_positions_sum_to_one(monkeypatch):
    """With an evidence of 1 for every shape, its prior is left of each weight."""

    def no_evidence(*arguments):
        for array in arguments[-4:]:
            array[:] = 0.0

    monkeypatch.setattr(kernels, "one_amplitude", no_evidence)
    series = series_of(clear("stable"))
    white = whiten(series, 0.0, plain_base(series))
    totals = [
        np.exp(f.log_down - white.log_base).sum() / SETTINGS.rho_prior[0.0]
        for f in fit_shapes(series, white)
    ]
    assert len(totals) == 4
    assert_allclose(totals, 1.0)


def test_positions_of_missing_chunks_are_kept():
    values = clear("sudden")
    values[[3, 20, 30]] = np.nan
    series = series_of(values)
    assert_array_equal(series.index, np.flatnonzero(np.isfinite(values)))
    assert series.n_reference == N_REFERENCE - 1
    assert series.gaps.max() == 2.0
