"""The kernel, read by the registry, against loops over pairs and scikit-learn."""

from itertools import pairwise

import hypothesis.extra.numpy as hnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from sklearn import metrics as sklearn_metrics

from estimator.frames.cell_contents import CellContents
from estimator.metrics.error_cells import ErrorCells
from estimator.metrics.metric_names import resolve_metrics
from estimator.metrics.moments import compute_moments
from estimator.metrics.registry import METRIC_NAMES
from estimator.metrics.rows import Decisions, Rows
from estimator.metrics.soft_label_sums import sum_soft_labels
from tests import reference

COSTS = {"tn": 1.0, "fp": -5.0, "fn": -100.0, "tp": 20.0}
METRICS = {metric.name: metric for metric in resolve_metrics(METRIC_NAMES, COSTS)}

SKLEARN = {
    "roc_auc": lambda y, s, d: sklearn_metrics.roc_auc_score(y, s),
    "average_precision": lambda y, s, d: sklearn_metrics.average_precision_score(y, s),
    "accuracy": lambda y, s, d: sklearn_metrics.accuracy_score(y, d),
    "f1": lambda y, s, d: sklearn_metrics.f1_score(y, d),
    "precision": lambda y, s, d: sklearn_metrics.precision_score(y, d),
    "recall": lambda y, s, d: sklearn_metrics.recall_score(y, d),
    "specificity": lambda y, s, d: sklearn_metrics.recall_score(y, d, pos_label=0),
    "balanced_accuracy": lambda y, s, d: sklearn_metrics.balanced_accuracy_score(y, d),
    "brier_score": lambda y, s, d: sklearn_metrics.brier_score_loss(y, s),
    "log_loss": lambda y, s, d: sklearn_metrics.log_loss(y, s, labels=[0, 1]),
    "tn": lambda y, s, d: sklearn_metrics.confusion_matrix(y, d)[0, 0],
    "fp": lambda y, s, d: sklearn_metrics.confusion_matrix(y, d)[0, 1],
    "fn": lambda y, s, d: sklearn_metrics.confusion_matrix(y, d)[1, 0],
    "tp": lambda y, s, d: sklearn_metrics.confusion_matrix(y, d)[1, 1],
    "business_value": lambda y, s, d: (
        sklearn_metrics.confusion_matrix(y, d).ravel() @ list(COSTS.values())
    ),
}

# Scores on a coarse grid: ties are the rule, as with a real tree ensemble. Soft labels
# mix probabilities with arrived labels.
rows = st.integers(2, 30).flatmap(
    lambda n: st.tuples(
        hnp.arrays(np.float64, n, elements=st.integers(0, 9).map(lambda k: k / 9)),
        hnp.arrays(
            np.float64,
            n,
            elements=st.one_of(st.floats(0.01, 0.99), st.sampled_from([0.0, 1.0])),
        ),
        hnp.arrays(np.bool_, n),
    )
)

weighted_rows = rows.flatmap(
    lambda chunk: st.tuples(
        st.just(chunk),
        hnp.arrays(np.float64, chunk[0].size, elements=st.integers(1, 4).map(float)),
    )
)
THREE_CELLS = ErrorCells(
    edges=np.array([0.25, 0.6]),
    log_odds=np.zeros(3),
    information=np.ones(3),
    factor=np.array([[0.3, 2.0, 0.7], [-1.0, 0.1, 1.1]]),
    has_factor=True,
    variance=np.array([0.5, 0.2, 0.9]),
    score_range=np.array([0.15, 0.8]),
)


def rows_of(score, soft, decision, weight=None, contents=None):
    """Decisions are given row by row, or as the score from which they are positive."""
    by_row = decision if isinstance(decision, np.ndarray) else None
    threshold = decision if by_row is None else np.nan
    return Rows(
        score=score,
        soft=soft,
        decisions=Decisions(threshold=threshold, by_row=by_row),
        weight=weight,
        contents=contents,
    )


def run(score, soft, decision, offsets=None, *, weight=None, contents=None, **options):
    bounds = np.array([0, score.size] if offsets is None else offsets)
    rows = rows_of(score, soft, decision, weight, contents)
    return sum_soft_labels(rows, row_numbers=None, offsets=bounds, **options)


def moments(name, *chunk, **options):
    return compute_moments((METRICS[name],), run(*chunk, **options).sums)


@pytest.mark.parametrize("name", METRIC_NAMES)
@given(chunk=rows)
def test_value_and_variances_equal_the_loops_over_pairs(name, chunk):
    assert_equal_to_the_loops(name, moments(name, *chunk), chunk)


@pytest.mark.parametrize("name", METRIC_NAMES)
@given(weighted=weighted_rows)
def test_weighted_rows_equal_the_loops_over_all_they_stand_for(name, weighted):
    chunk, weight = weighted
    weighted_moments = moments(name, *chunk, weight=weight)
    assert_equal_to_the_loops(
        name, weighted_moments, reference.repeated(weight, *chunk)
    )


def assert_equal_to_the_loops(name, estimate, chunk):
    arguments = (name, *chunk, COSTS)
    plug_in = reference.plug_in(*arguments)
    # Log loss at a score of 0 or 1 is of the order of 36, a business value of 1000.
    scale = {"log_loss": 40.0, "business_value": 1e3}.get(name, 1.0)
    assert_allclose(
        estimate.value[0, 0],
        plug_in + reference.correction(*arguments),
        rtol=1e-12,
        atol=1e-12 * scale,
    )
    if np.isnan(plug_in):
        return
    for variance, twin in (
        (estimate.label_variance, reference.label_variance),
        (estimate.sampling_variance, reference.sampling_variance),
    ):
        assert_allclose(
            variance[0, 0], twin(*arguments), rtol=1e-12, atol=1e-12 * scale**2
        )


@pytest.mark.parametrize("name", METRIC_NAMES)
@given(chunk=rows)
def test_channels_are_the_response_to_a_shift_of_the_map(name, chunk):
    sums = run(*chunk, error_cells=THREE_CELLS)
    assert_response_to_a_shift(name, sums, chunk)


@pytest.mark.parametrize("name", METRIC_NAMES)
@given(weighted=weighted_rows)
def test_channels_of_weighted_rows_are_those_of_all_they_stand_for(name, weighted):
    chunk, weight = weighted
    sums = run(*chunk, error_cells=THREE_CELLS, weight=weight)
    assert_response_to_a_shift(name, sums, reference.repeated(weight, *chunk))


def assert_response_to_a_shift(name, sums, chunk):
    score, soft, decision = chunk
    shift = THREE_CELLS.factor.T
    channels = compute_moments((METRICS[name],), sums.sums).channels[0, 0]
    h = reference.influence(name, score, soft, decision, COSTS)
    if np.isnan(h).any():
        return
    to_log_odds = soft * (1 - soft)  # 0 where the label has arrived
    cell = np.searchsorted(THREE_CELLS.edges, score)
    scale = np.abs(h).max() + 1.0
    assert_allclose(
        channels @ sums.jacobian[0],
        (h * to_log_odds) @ shift[cell],
        rtol=1e-11,
        atol=1e-12 * scale,
    )
    by_cell = np.bincount(cell, h * to_log_odds, 3)
    scatter = channels**2 @ sums.scatter[0, :6]
    scatter += 2 * channels[0] * channels[1] * sums.scatter[0, 6]
    assert_allclose(
        scatter, by_cell**2 @ THREE_CELLS.variance, rtol=1e-9, atol=1e-12 * scale**2
    )


@pytest.mark.parametrize("name", METRIC_NAMES)
@given(chunk=rows, seed=st.integers(0, 2**32 - 1))
def test_known_labels_give_the_metric_of_sklearn_and_no_variance(name, chunk, seed):
    score, _, decision = chunk
    label = np.random.default_rng(seed).integers(0, 2, score.size).astype(float)
    label[:2] = 0, 1
    decision = decision.copy()
    decision[:2] = True, False
    estimate = moments(name, score, label, decision)
    assert_allclose(
        estimate.value[0, 0],
        SKLEARN[name](label, score, decision),
        rtol=1e-12,
        atol=1e-12,
    )
    assert estimate.label_variance[0, 0] == 0.0


@pytest.mark.parametrize("name", METRIC_NAMES)
@given(chunk=rows, seed=st.integers(0, 2**32 - 1))
def test_row_order_does_not_matter(name, chunk, seed):
    order = np.random.default_rng(seed).permutation(chunk[0].size)
    before = moments(name, *chunk)
    after = moments(name, *(column[order] for column in chunk))
    for field in ("value", "label_variance", "sampling_variance"):
        assert_allclose(
            getattr(after, field), getattr(before, field), rtol=1e-11, atol=1e-10
        )


@pytest.mark.parametrize("name", ["roc_auc", "average_precision"])
@given(chunk=rows)
def test_only_the_order_of_scores_matters_to_ranking(name, chunk):
    score, soft, decision = chunk
    before = moments(name, score, soft, decision)
    after = moments(name, score**3 / 2 + 0.1, soft, decision)
    for field in ("value", "label_variance", "sampling_variance"):
        assert_allclose(getattr(after, field), getattr(before, field))


@given(chunk=rows, cut=st.integers(0, 30))
def test_chunks_do_not_see_each_other(chunk, cut):
    score, soft, decision = chunk
    cut = min(cut, score.size)
    together = run(score, soft, decision, offsets=[0, cut, cut, score.size]).sums
    apart = [
        run(*(column[part] for column in chunk)).sums[0]
        for part in (slice(0, cut), slice(0, 0), slice(cut, None))
    ]
    assert_allclose(together, apart)


def test_sorting_the_score_alone_gives_the_same_as_sorting_rows():
    rng = np.random.default_rng(0)
    score = rng.random(3_000).round(2)
    offsets = np.array([0, 1_000, 2_000, 2_500, 3_000])
    by_score = run(score, np.sqrt, 0.5, offsets)
    by_row = run(score, np.sqrt(score), score >= 0.5, offsets)
    assert_allclose(by_score.sums, by_row.sums, rtol=1e-12)


@given(weighted=weighted_rows)
def test_chances_of_a_missing_class_and_rows_outside_count_weights(weighted):
    (score, soft, decision), weight = weighted
    sums = run(score, soft, decision, error_cells=THREE_CELLS, weight=weight).sums[0]
    score, soft = reference.repeated(weight, score, soft)
    assert_allclose(sums[20], np.prod(1.0 - soft), rtol=1e-10, atol=1e-29)
    assert_allclose(sums[21], np.prod(soft), rtol=1e-10, atol=1e-29)
    assert sums[22] == np.sum((score < 0.15) | (score > 0.8))


@pytest.mark.parametrize("decision", [0.5, "given"])
@pytest.mark.parametrize("soft", [np.sqrt, "given"])
def test_weights_go_with_their_rows_however_these_are_sorted(soft, decision):
    rng = np.random.default_rng(1)
    n = 100_000  # several blocks, and threads
    score, weight = rng.random(n).round(3), rng.integers(1, 4, n).astype(float)
    decision = rng.random(n) < score if decision == "given" else decision
    soft = rng.random(n) if soft == "given" else soft
    rows = rng.permutation(n)[:90_000]
    offsets = np.array([0, 10, 40_000, 40_000, 89_999, 90_000])
    weighted_sums = sum_soft_labels(
        rows_of(score, soft, decision, weight), row_numbers=rows, offsets=offsets,
        error_cells=THREE_CELLS,
    )  # fmt: skip
    expected = sum_soft_labels(
        rows_of(score, soft, decision),
        row_numbers=np.repeat(rows, weight[rows].astype(int)),
        offsets=np.append(0, np.cumsum(weight[rows])).astype(np.int64)[offsets],
        error_cells=THREE_CELLS,
    )  # fmt: skip
    for name in ("sums", "jacobian", "scatter"):
        # Chances below 1e-30 count as none.
        assert_allclose(
            getattr(weighted_sums, name), getattr(expected, name), rtol=1e-9, atol=1e-29
        )


def test_threads_and_blocks_change_nothing():
    rng = np.random.default_rng(0)
    score = rng.random(200_000)
    rows = rng.permutation(score.size)
    offsets = np.array([0, 10, 70_000, 70_000, 199_999, 200_000])
    content = rows_of(score, np.sqrt, 0.5)
    together = sum_soft_labels(content, row_numbers=rows, offsets=offsets)
    for c, (start, stop) in enumerate(pairwise(offsets)):
        alone = sum_soft_labels(
            content, row_numbers=rows[start:stop], offsets=np.array([0, stop - start])
        )
        assert_allclose(together.sums[c], alone.sums[0], rtol=1e-12)


def test_rows_outside_the_references_scores_are_counted():
    cells = ErrorCells(
        edges=np.empty(0),
        log_odds=np.zeros(1),
        information=np.ones(1),
        factor=np.zeros((0, 1)),
        has_factor=True,
        variance=np.zeros(1),
        score_range=np.array([0.2, 0.8]),
    )
    score = np.array([0.1, 0.2, 0.5, 0.8, 0.81, 0.9])
    sums = run(score, score, score > 0.5, error_cells=cells).sums
    assert sums[0, 22] == 3


def weak_orders(rows):
    """Yield every ordering of a few rows in which some may be tied, as ranks."""
    if not rows:
        yield {}
        return
    first, *others = rows
    for ranks in weak_orders(others):
        used = sorted(set(ranks.values()))
        for rank in used:  # tied with others
            yield ranks | {first: rank}
        ends = [-1.0, *used, 1.0 + max(used, default=0.0)]
        for low, high in pairwise(ends):  # alone, between others
            yield ranks | {first: (low + high) / 2.0}


@pytest.mark.parametrize(
    "labels", [[1, 0], [1, 1, 0], [1, 0, 0], [1, 1, 0, 0], [1, 1, 1, 0], [1, 0, 0, 0]]
)
@pytest.mark.parametrize("above", [[], [1], [0], [1, 0, 1], [0, 0, 1]])
def test_a_cell_counts_as_all_orders_of_its_rows_and_bounds_them(labels, above):
    fixed_label = [*above, 0, 1, 0]  # ranks above the cell, and below it
    fixed_score = [9.0 + i for i in range(len(above))] + [-5.0, -6.0, -7.0]
    names = ("roc_auc", "average_precision")
    values = {name: [] for name in names}
    strict = {name: [] for name in names}
    for ranks in weak_orders(list(range(len(labels)))):
        score = [*fixed_score, *(ranks[i] for i in range(len(labels)))]
        for name in names:
            value = SKLEARN[name]([*fixed_label, *labels], score, None)
            values[name].append(value)
            if len(set(ranks.values())) == len(labels):
                strict[name].append(value)
    # The cell as the table has it: its negatives and positives, of one score.
    score = np.array([*fixed_score, 1.0, 1.0]) / 100.0 + 0.1
    soft = np.array([*fixed_label, 0.0, 1.0])
    n_1 = float(sum(labels))
    weight = np.array([*[1.0] * len(fixed_label), len(labels) - n_1, n_1])
    spread = np.arange(soft.size) >= len(fixed_label)
    contents = CellContents(spread=spread, brier=None, log_loss=None)
    sums = run(score, soft, score > 0.5, weight=weight, contents=contents).sums[0]
    for name, column, below, above_column in (
        ("roc_auc", 6, 23, 23),
        ("average_precision", 10, 24, 25),
    ):
        # All strict orders are equally likely; none, tied or not, is out of bounds.
        assert_allclose(sums[column], np.mean(strict[name]), rtol=1e-9)
        assert min(values[name]) >= sums[column] - sums[below] - 1e-12
        assert max(values[name]) <= sums[column] + sums[above_column] + 1e-12
    assert_allclose(sums[6] + sums[23], max(values["roc_auc"]))
    assert_allclose(sums[10] + sums[25], max(values["average_precision"]))
    assert sums[10] - sums[24] >= min(values["average_precision"]) - 0.02


def test_the_order_of_rows_without_a_label_is_not_part_of_the_bound():
    score = np.array([0.2, 0.5, 0.5, 0.9])
    weight = np.array([1.0, 6.0, 4.0, 1.0])
    contents = CellContents(
        spread=np.array([False, True, True, False]), brier=None, log_loss=None
    )
    options = {"weight": weight, "contents": contents}
    soft = np.array([0.3, 0.5, 0.5, 0.7])
    assert not run(score, soft, score > 0.5, **options).sums[0, 23:].any()
    soft = np.array([0.0, 1.0, 0.5, 1.0])  # six positives; four wait
    sums = run(score, soft, score > 0.5, **options).sums[0]
    pairs = (soft @ weight) * ((1 - soft) @ weight) - weight @ (soft * (1 - soft))
    assert_allclose(sums[23], 0.5 * 6.0 * 2.0 / pairs)
    assert (sums[24:] > 0).all()


@given(weighted=weighted_rows)
def test_losses_of_cells_are_their_scores_and_what_their_rows_differ_by(weighted):
    (score, soft, decision), weight = weighted
    rng = np.random.default_rng(0)
    brier, log_loss = rng.normal(size=(2, 2, score.size))
    contents = CellContents(
        spread=np.zeros(score.size, dtype=bool), brier=brier, log_loss=log_loss
    )
    options = {"weight": weight}
    plain = run(score, soft, decision, **options).sums[0]
    sums = run(score, soft, decision, contents=contents, **options).sums[0]
    for column, more in ((14, brier), (17, log_loss)):
        added = weight @ ((1.0 - soft) * more[0] + soft * more[1])
        assert_allclose(sums[column], plain[column] + added, rtol=1e-9, atol=1e-9)
    assert_allclose(np.delete(sums, range(14, 20)), np.delete(plain, range(14, 20)))


@given(chunk=weighted_rows)
def test_rows_are_counted_by_cell(chunk):
    (score, soft, decision), weight = chunk
    edges = [-np.inf, *THREE_CELLS.edges, np.inf]
    for w in (None, weight):
        counted = run(score, soft, decision, weight=w, error_cells=THREE_CELLS)
        times = np.ones(score.size) if w is None else w
        expected = [times[(score > a) & (score <= b)].sum() for a, b in pairwise(edges)]
        assert counted.cell_rows.tolist() == [expected]
