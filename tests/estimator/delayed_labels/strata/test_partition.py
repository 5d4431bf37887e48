"""Merged cells against searches through all cuts, and their properties."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.stats import chi2_contingency

from estimator.delayed_labels.strata.partition import (
    N_DELAYS,
    delay_groups,
    dependence_evidence,
    merge_cells,
)


def slow_evidence(values, delays):
    """Log likelihood ratio less Akaike's price, from a list of labels."""
    table = np.zeros((values.max(initial=0) + 1, N_DELAYS))
    for value, delay in zip(values, delays, strict=True):
        table[value, delay] += 1
    table = table[table.sum(axis=1) > 0][:, table.sum(axis=0) > 0]
    if min(table.shape, default=0) < 2:
        return 0.0
    # G is twice the log likelihood ratio (Sokal & Rohlf).
    g, _, freedom, _ = chi2_contingency(
        table, correction=False, lambda_="log-likelihood"
    )
    return g / 2.0 - freedom


def slow_merge(rows, shape, most, least):
    """Cut the best of all rectangles at the best of all places, by brute force."""
    label, band, first, second, delay = rows.T
    stratum = np.zeros(shape, dtype=int)
    while stratum.max() + 1 < most:
        best = (0.0, None)
        for box in range(stratum.max() + 1):
            for axis, cell in ((0, first), (1, second)):
                inside = stratum[first, second] == box
                for cut in range(1, shape[axis]):
                    after = cell[inside] >= cut
                    if min(after.sum(), (~after).sum()) < least:
                        continue
                    evidence = sum(
                        slow_evidence(after[group].astype(int), delay[inside][group])
                        for y in (0, 1)
                        for b in range(3)
                        for group in [(label[inside] == y) & (band[inside] == b)]
                        if group.any()
                    )
                    if evidence > best[0] + 1e-9:
                        best = (evidence, (box, axis, cut))
        if best[1] is None:
            break
        box, axis, cut = best[1]
        places = np.indices(shape)[axis] >= cut
        stratum[(stratum == box) & places] = stratum.max() + 1
    return stratum


def draw(rng, n=1_500, shape=(5, 4), effect=1.0):
    label, band = rng.integers(0, 2, n), rng.integers(0, 3, n)
    cells = [rng.integers(0, size, n) for size in shape]
    late = effect * np.where(label == 1, cells[0] >= 3, cells[1] >= 2)
    delay = np.clip(rng.normal(6 + 3 * late, 2), 0, N_DELAYS - 1).astype(int)
    return np.column_stack([label, band, *cells, delay])


def counted(rows, shape):
    count = np.zeros((2, 3, *shape, N_DELAYS))
    np.add.at(count, tuple(rows.T), 1.0)
    return count


def same_partition(ours, theirs):
    pairs = set(zip(ours.ravel().tolist(), theirs.ravel().tolist(), strict=True))
    return len(pairs) == ours.max() + 1 == theirs.max() + 1


@pytest.mark.parametrize("seed", range(4))
def test_cells_are_merged_as_a_search_through_all_cuts_would(seed):
    rows = draw(np.random.default_rng(seed))
    ours = merge_cells(counted(rows, (5, 4)), 4, 50.0)
    assert ours.max() >= 2  # negatives differ by one prediction, positives by the other
    assert same_partition(ours, slow_merge(rows, (5, 4), 4, 50.0))


@pytest.mark.parametrize("seed", range(10))
def test_delays_that_do_not_differ_leave_one_stratum(seed):
    rng = np.random.default_rng(seed)
    rows = draw(rng, n=20_000, shape=(64, 64), effect=0.0)
    assert not merge_cells(counted(rows, (64, 64)), 12, 100.0).any()


def test_there_are_never_more_strata_than_allowed_nor_smaller_ones():
    rng = np.random.default_rng(0)
    n, shape = 40_000, (64, 2)
    first = rng.integers(0, 64, n)
    delay = np.clip(first // 5 + rng.integers(0, 2, n), 0, N_DELAYS - 1)
    rows = np.column_stack([first % 2, first % 3, first, np.zeros(n, int), delay])
    for most in (1, 2, 7, 12):
        stratum = merge_cells(counted(rows, shape), most, 1_000.0)
        assert stratum.max() + 1 == most
        assert np.bincount(stratum[rows[:, 2], 0]).min() >= 1_000


def test_evidence_is_that_of_a_likelihood_ratio_test_with_akaikes_price():
    rng = np.random.default_rng(1)
    values, delays = rng.integers(0, 4, 500), rng.integers(0, N_DELAYS, 500)
    table = np.zeros((4, N_DELAYS))
    np.add.at(table, (values, delays), 1.0)
    assert_allclose(dependence_evidence(table), slow_evidence(values, delays))
    both = np.stack([table, np.zeros_like(table)])
    assert_allclose(dependence_evidence(both), [slow_evidence(values, delays), 0.0])


def test_groups_of_delays_hold_tenths_and_halves_of_the_last():
    group = delay_groups(np.ones(8_000))
    assert (np.diff(group) >= 0).all()
    assert_array_equal(
        np.bincount(group, minlength=N_DELAYS), [800] * 9 + [400, 200, 100, 100]
    )
