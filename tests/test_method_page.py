"""The method page and the code say the same: its equations, by plain Python twins.

Kernels have twins beside their own tests; here are equations that no other test
evaluates, and the citations.
"""

import ast
import math
import re
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.integrate import quad
from scipy.special import expit, ndtr, ndtri

from calibration.maps.logistic import LEARNED_PENALTIES, fit_logistic
from estimator import PerformanceEstimator
from estimator.delayed_labels.arrivals import Arrivals
from estimator.delayed_labels.delay_model import fit_delays
from estimator.delayed_labels.strata.delay_cells import N_AGES, N_BANDS
from estimator.label_free.adapter_learning import _learn_weight
from estimator.label_free.chunk_map import (
    BlendWeights,
    ChunkMap,
    blend_soft_labels,
)
from estimator.label_free.forward_evidence import (
    ForwardHalf,
    weight_beyond_reference,
)
from estimator.metrics.calibration_shift import shift_frame
from estimator.metrics.error_cells import NO_ERROR
from estimator.metrics.rows import Decisions, Rows
from estimator.simulation import simulate_credit_default

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs/method.md").read_text("utf-8")
TAGS = [int(number) for number in re.findall(r"\\tag\{(\d+)\}", PAGE)]
SOURCES = sorted(
    path
    for folder in ("calibration", "estimator")
    for path in (ROOT / folder).rglob("*.py")
)
# Functions whose algebra does not explain itself.
DERIVED = (
    "_influences",
    "whiten",
    "one_amplitude",
    "_account",
    "nested_evidence",
    "step_e_process",
    "soften",
    "shift_information",
    "fit_delays",
    "dependence_evidence",
    "learn_strata",
    "shift_frame",
    "evidence",
    "order_sums",
    "measure_adapted",
    "blend_soft_labels",
    "_learn_weight",
)


def citations(text):
    """Return the lists in "method.md, equations 7, 8 to 10 and 14"."""
    flat = " ".join(re.sub(r"\n\s*#?", " ", text).split())
    numbers = r"\d+(?:(?:, | and | to )\d+)*"
    return re.findall(rf"method\.md, equations? ({numbers})", flat, re.IGNORECASE)


def cited(text):
    lists = citations(text)
    return [int(number) for one in lists for number in re.findall(r"\d+", one)]


def test_equations_are_numbered_from_1_on():
    assert [*range(1, len(TAGS) + 1)] == TAGS
    assert PAGE.count("$$") == 2 * len(TAGS)
    inside = re.findall(r"equations? (\d+)(?![.\d])(?: and (\d+))?", PAGE)
    assert {int(n) for pair in inside for n in pair if n} <= set(TAGS)


def test_no_line_of_an_equation_reads_as_markdown():
    """A line that begins with a minus is a list to GitHub, also between $$ and $$."""
    blocks = re.findall(r"^\$\$\n(.*?)^\$\$$", PAGE, re.DOTALL | re.MULTILINE)
    assert len(blocks) == len(TAGS)
    for block in blocks:
        assert not re.search(r"^\s*([-+*#=>|]|\d+\.|$)", block.rstrip(), re.M), block
        assert not re.search(r"\\[,!;{}\\]", block), block  # escapes of Markdown


def test_the_code_cites_equations_that_exist():
    numbers = [n for source in SOURCES for n in cited(source.read_text("utf-8"))]
    assert len(numbers) > 20
    assert set(numbers) <= set(TAGS)
    for source in SOURCES:  # each mention says which equation
        text = source.read_text("utf-8")
        mentions = re.findall(r"method\.md", text, re.IGNORECASE)
        assert len(mentions) == len(citations(text)), source


def test_code_that_the_page_names_exists():
    paths = re.findall(r"`((?:calibration|estimator|tests)/[\w/]+\.py)`", PAGE)
    assert len(paths) > 15
    assert [path for path in paths if not (ROOT / path).is_file()] == []


@pytest.mark.parametrize("name", DERIVED)
def test_what_is_derived_cites_its_equation(name):
    citations = []
    for source in SOURCES:
        text = source.read_text("utf-8")
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef) and node.name == name:
                citations += cited(ast.get_source_segment(text, node))
    assert citations, f"no function {name} cites an equation of the method page"


def test_equation_16_the_penalty_of_the_bends_is_a_fixed_point():
    """And equation 17: with weights of 1 the covariance is the inverse Hessian."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=4_000)
    bends = rng.normal(size=(x.size, 4))
    design = np.column_stack([np.ones(x.size), x, bends])
    y = (rng.random(x.size) < expit(0.5 * x + 0.4 * bends[:, 0])) * 1.0
    penalty = np.array([0.0, 0.01, 1.0, 1.0, 1.0, 1.0])
    fit = fit_logistic(design, y, np.ones(x.size), penalty, n_smooth=4)
    p = expit(design @ fit.coefficients)
    fisher = sum(
        p[i] * (1 - p[i]) * np.outer(design[i], design[i]) for i in range(x.size)
    )
    penalties = np.linalg.inv(fit.covariance) - fisher
    # One more Newton step is taken after the Hessian, whose entries are in hundreds.
    assert_allclose(penalties - np.diag(np.diag(penalties)), 0.0, atol=0.01)
    learned = np.diag(penalties)[2:]
    assert_allclose(learned, learned[0], atol=0.01)
    assert LEARNED_PENALTIES[0] < learned[0] < LEARNED_PENALTIES[1]
    free = 4 - learned[0] * np.trace(fit.covariance[2:, 2:])
    beta = fit.coefficients[2:]
    # The fixed point is sought to a tenth of ln(penalty).
    assert math.log(free / (beta @ beta) / learned[0]) == pytest.approx(0.0, abs=0.1)


@pytest.fixture(scope="module")
def fitted():
    lender = simulate_credit_default("gradual", n_weeks=12, applications_per_week=300)
    estimator = PerformanceEstimator(
        ["accuracy"], chunk="W", timestamp="timestamp", y_pred="y_pred", level=0.9
    ).fit(lender.reference)
    return estimator, lender.production, lender.reference


def moved_variance(estimator, score, decision):
    """Equations 69 to 71 for accuracy, row by row."""
    fitted = estimator.reference_
    cells, scores = fitted.error_cells, fitted.scores
    cell = [int((cells.edges < s).sum()) for s in score]
    n, (reference,) = len(score), scores.rows.tolist()
    m, n_bins = sum(reference), len(reference)
    distance = 0.0
    for k, count in enumerate(reference):
        r = (count + 0.5) / (m + 0.5 * n_bins)
        q = sum(scores.bin_of_cell[c] == k for c in cell) / n
        distance += (q - r) ** 2 / r
    noise = n_bins - 1 + 2 * math.sqrt(2 * (n_bins - 1))
    distance = max(0.0, distance - noise * (1 / n + 1 / m))
    distance *= (n / (n + n_bins)) ** 2
    kappa = max(1.0, distance / (scores.farthest[0] + 0.25))
    frame = shift_frame(cells)
    by_intercept = by_slope = 0.0
    p = fitted.calibrator.predict(score)
    for i in range(n):
        response = p[i] * (1 - p[i]) * (2 * decision[i] - 1) / n
        by_intercept += response
        by_slope += response * (cells.log_odds[cell[i]] - frame.centre) / frame.scale
    part = min(1.0, max(0.0, kappa - 2))
    return part * (0.5**2 * by_intercept**2 + 0.25**2 * by_slope**2)


def test_equations_22_and_23_both_intervals_and_the_breach(fitted):
    estimator, production, reference = fitted
    estimates = estimator.estimate(production)
    frame = estimates.to_frame()
    calibration_error = estimates.calibration_error[:, 0]
    tau2 = estimator.reference_.drift[""]
    week = production["timestamp"].dt.to_period("W").dt.start_time
    q = -ndtri(0.05)
    rows = frame[frame["period"] == "analysis"]
    times = reference["timestamp"].sort_values().reset_index(drop=True)
    outermost = int(0.005 * len(times))
    begin, end = times.iloc[outermost], times.iloc[-1 - outermost]
    position = ((times - begin) / (end - begin)).clip(0.0, 1.0).to_numpy()[::7]
    apart = np.abs(position[:, None] - position).mean()
    head_start = (1.0 - position).mean() - apart / 2.0
    assert len(rows) == 12
    for k, row in rows.iterrows():
        chunk = production[week == row["chunk"]]
        p = estimator.reference_.calibrator.predict(chunk["y_pred_proba"].to_numpy())
        d = chunk["y_pred"].to_numpy()
        n = len(chunk)
        value = sum(d * p + (1 - d) * (1 - p)) / n  # equation 4: no correction
        labels = sum(p * (1 - p) * ((2 * d - 1) / n) ** 2)  # equation 12
        rows_noise = sum(((d * p + (1 - d) * (1 - p) - value) / n) ** 2)  # equation 13
        middle = chunk["timestamp"].min()
        middle += (chunk["timestamp"].max() - middle) / 2
        age = min((middle - end) / (end - begin), 2.0)
        drift = tau2.steady[0] + tau2.rate[0] * (age + head_start)  # equation 21
        hidden = calibration_error[k] ** 2 + drift
        hidden += moved_variance(estimator, chunk["y_pred_proba"].to_numpy(), d)
        expected = math.sqrt(rows_noise + hidden)
        half = q * math.sqrt(labels + hidden)
        assert row["value"] == pytest.approx(value, abs=1e-12)
        assert row["standard_error"] == pytest.approx(math.sqrt(rows_noise))
        # Every seventh row of the reference says where its end is, nearly.
        near = partial(pytest.approx, rel=2e-4)
        assert row["lower"] == near(value - half)
        assert row["upper"] == near(value + half)
        assert row["expected_lower"] == near(value - q * expected)
        assert row["expected_upper"] == near(value + q * expected)
        breach = ndtr((row["lower_threshold"] - value) / expected)
        assert row["breach_probability"] == pytest.approx(breach, rel=0.01)


def test_equations_30_and_34_the_blend_and_its_inflation():
    base, aware, weighted = np.array([[0.2, 0.6], [0.3, 0.5], [0.1, 0.9]])
    omega, beyond, outside, effective, m = 0.7, 0.3, 0.1, 500.0, 8_000
    weights = BlendWeights(adapted=omega, beyond=beyond)
    chunk_map = ChunkMap(
        calibrated=weighted, effective_sample_size=effective, outside=outside
    )
    for method in ("auto", "pape"):
        blend, inflation = blend_soft_labels(method, weights, base, aware, chunk_map, m)
        for i in range(2):
            gamma = 0.5 * omega * (1 - outside) * effective / (effective + 2000)
            trees = (omega - gamma) * (1 - outside * (1 - beyond))
            p = base[i] + gamma * (weighted[i] - base[i])
            p += trees * (aware[i] - base[i])
            if method == "pape":
                p, gamma = weighted[i], 1.0
            phi = 1 + gamma * (math.sqrt(m / effective) - 1)
            assert blend[i] == pytest.approx(p)
            assert inflation[i] == pytest.approx(phi)


def expected_accuracy_and_auc(score, z):
    """Return value and V_lab of both metrics: equations 4, 6 to 8 and 12."""
    n, v = score.size, z * (1 - z)
    d = score >= 0.5
    accuracy = sum(np.where(d, z, 1 - z)) / n
    P, N, V = sum(z), sum(1 - z), sum(v)
    k = (score[:, None] > score) + 0.5 * (score[:, None] == score)
    D = P * N - V
    A = (z @ k @ (1 - z) - V / 2) / D
    others = k - 0.5 * np.eye(n)
    w = others @ (1 - z) - A * (N - (1 - z))
    lost = z @ others - A * (P - z)
    h, g = (w - lost) / D, (N - 1 + z) - (P - z)
    auc = A - sum(v * h * g) / D + (2 * A - 1) * (V**2 - sum(v**2)) / D**2
    return (auc, sum(v * h * h)), (accuracy, V / n**2)


@pytest.mark.parametrize("drift", [0.0, 0.8])
def test_equations_31_to_33_the_weight_of_adapting(drift):
    """Ten blocks of 1,000 rows; with drift that adapting does not explain."""
    rng = np.random.default_rng(1)
    n, n_blocks = 10_000, 10
    score = rng.random(n)
    block = np.arange(n) * n_blocks // n
    truth = expit(2 * (score - 0.5) + 0.3 * (block % 3 - 1))
    moved = expit(
        np.log(truth / (1 - truth)) + drift * rng.normal(size=n_blocks)[block]
    )
    label = (rng.random(n) < moved) * 1.0
    base = expit(2 * (score - 0.5))
    rows = Rows(score=score, soft=base, decisions=Decisions(threshold=0.5))
    weight, deviation = _learn_weight(rows, label, truth, NO_ERROR)
    r, x, variance = np.empty((3, 2, n_blocks))
    for b in range(n_blocks):
        rows = block == b
        before, after, real = (
            expected_accuracy_and_auc(score[rows], z[rows])
            for z in (base, truth, label)
        )
        for m in range(2):
            r[m, b] = real[m][0] - before[m][0]
            x[m, b] = after[m][0] - before[m][0]
            variance[m, b] = before[m][1]
    reliability = 1 / max(1, np.mean((r - x) ** 2 / variance))
    start = 8 / (8 + 1 / reliability - 1)
    above = start / 0.15**2
    below = 1 / 0.15**2
    for m in range(2):
        excess = max(0, np.mean(r[m] ** 2 - variance[m]))
        for b in range(n_blocks):
            kappa = 0.5 / (variance[m, b] + excess)
            above += kappa * x[m, b] * r[m, b]
            below += kappa * x[m, b] ** 2
    assert weight == pytest.approx(min(max(above / below, 0.0), 1.0), rel=1e-9)
    rest = 0.15 * reliability + 0.35 * (1 - reliability)
    assert deviation == pytest.approx(rest, rel=1e-9)


def test_equation_35_the_weight_of_trees_beyond_the_reference():
    rng = np.random.default_rng(3)
    base, aware = rng.uniform(0.2, 0.8, (2, 400))
    label = (rng.random(400) < base + 0.6 * (aware - base)) * 1.0

    def likelihood(w):
        p = base + w * (aware - base)
        return math.exp(sum(np.log(label * p + (1 - label) * (1 - p))) + 250.0)

    above, below = (
        quad(lambda w, k=k: w**k * likelihood(w), 0.0, 1.0)[0] for k in (1, 0)
    )
    forward = ForwardHalf(start=400, base=base, aware=aware, outside=0.3)
    weight = weight_beyond_reference(forward, label)
    assert weight == pytest.approx(0.3 / 0.4 * above / below, rel=2e-3)


def test_equations_37_and_38_hazards_of_labels():
    rng = np.random.default_rng(2)
    count = np.zeros((2, 2, N_BANDS, N_AGES))
    waiting = np.zeros((2, 3, N_BANDS, N_AGES))
    ages = [300, 700, 701, 1_200]
    count[..., ages] = rng.integers(0, 9, (2, 2, N_BANDS, 4))
    waiting[:, :2, :, ages] = rng.random((2, 2, N_BANDS, 4)) * 5
    bands = np.array([0.3, 0.6])
    arrivals = Arrivals(values=("a", "b"), count=count)
    model = fit_delays("column", bands, arrivals, waiting)
    for y in range(2):
        for value in range(2):
            for band in range(N_BANDS):
                hazard, at_age = 0.0, {}
                for a in ages:
                    parent = None
                    for select in (
                        (y,),
                        (y, value),
                        (y, value, band),
                    ):
                        came = count[select][..., a].sum()
                        later = count[select][..., a:].sum()
                        risk = later + waiting[select][..., a:].sum()
                        parent = (
                            came / max(risk, 1.0)
                            if parent is None
                            else (came + 10 * parent) / (risk + 10)
                        )
                    hazard -= math.log(1 - parent)
                    at_age[a] = min(7.0, hazard)
                stratum = value * N_BANDS + band
                for a in ages:
                    got = model.hazard[y, stratum, a]
                    assert got == pytest.approx(at_age[a], rel=1e-9)
    arrived = 1 - np.exp(-model.hazard[:, 1, 700])
    chi = math.log((1 - arrived[1]) / (1 - arrived[0]))
    assert model.log_ratio[N_AGES + 700] == pytest.approx(chi)


def test_equation_44_the_maps_error_is_a_shift_and_a_rest(fitted):
    estimator, _, _ = fitted
    cells = estimator.reference_.error_cells
    frame = shift_frame(cells)
    x, information = cells.log_odds, cells.information
    centre = sum(information * x) / sum(information)
    scale = math.sqrt(sum(information * (x - centre) ** 2) / sum(information))
    assert frame.centre == pytest.approx(centre)
    assert frame.scale == pytest.approx(scale)
    X = np.stack([np.ones_like(x), (x - centre) / scale])
    # Q: each column of L, fitted by weighted least squares.
    root = np.sqrt(information)
    Q = np.linalg.lstsq((X * root).T, (cells.factor * root).T, rcond=None)[0]
    assert_allclose(frame.prior, Q @ Q.T, rtol=1e-6, atol=1e-12)
    assert_allclose(frame.cells.factor[:2], X, rtol=1e-9)
    assert_allclose(frame.cells.factor[2:], cells.factor - Q.T @ X, atol=1e-9)
