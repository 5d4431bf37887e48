"""Tables of counts keep the learned stratum of a row's delay as its rows have it."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_array_equal

from estimator import PerformanceEstimator
from estimator.chunking.chunks import check_chunk, make_chunks
from estimator.delayed_labels.arrivals import arrivals_by_column
from estimator.delayed_labels.counts.count_table_bytes import (
    table_from_bytes,
    table_to_bytes,
)
from estimator.delayed_labels.counts.counting import count_rows
from estimator.delayed_labels.counts.weighted_rows import rows_from_counts
from estimator.delayed_labels.strata.delay_cells import LEARNED, strata_of
from estimator.frames.categories import stratum_codes
from tests.estimator.delayed_labels.counts.test_count_table import rows_of
from trials.nightly_world import START, simulate_days


@pytest.fixture(scope="module")
def estimator():
    reference = simulate_days(15, seed=1, start=START - pd.Timedelta(days=40))
    return PerformanceEstimator(
        chunk="D", timestamp="time", labeled_at="labeled_at", segments="region"
    ).fit(reference)


@pytest.fixture(scope="module")
def columns(estimator):
    read = estimator.read_production(rows_of(), with_arrivals=True)
    stratum = np.random.default_rng(3).integers(-1, 4, read.n_rows).astype(np.int8)
    return replace(read, delay_stratum=stratum_codes(stratum))


def count(estimator, columns):
    chunks = make_chunks(columns.n_rows, "D", columns.timestamp)
    tables = count_rows(
        columns,
        chunks,
        decision=estimator.decisions(columns),
        bands=estimator.reference_.delays.bands,
    )
    return [table_from_bytes(table_to_bytes(table)) for table in tables]


def lay_out(tables):
    return rows_from_counts(tables, check_chunk("D", has_timestamp=True), None)


def test_arrivals_by_stratum_are_those_of_the_rows(estimator, columns):
    usable = ~np.isnan(columns.score) & ~np.isnan(columns.label)
    bands = estimator.reference_.delays.bands
    theirs = arrivals_by_column(columns, bands, usable)
    ours = lay_out(count(estimator, columns)).evidence.arrivals
    assert list(ours) == list(theirs) == [None, "region", LEARNED]
    for name in theirs[LEARNED].values:
        a, b = (one[LEARNED].values.index(name) for one in (ours, theirs))
        assert_array_equal(
            ours[LEARNED].count[:, a], theirs[LEARNED].count[:, b], err_msg=name
        )


def test_cells_hold_as_many_rows_of_each_stratum(estimator, columns):
    laid = lay_out(count(estimator, columns)).columns
    values = columns.delay_stratum.values
    assert sorted(values) == laid.delay_stratum.values == ["(none)", "0", "1", "2", "3"]
    bands = estimator.reference_.delays.bands

    def n_waiting(rows):
        waits = np.isnan(rows.label) & ~np.isnan(rows.score)
        stratum = strata_of(rows, bands, LEARNED, tuple(values))
        weight = None if rows.weight is None else rows.weight[waits]
        return np.bincount(stratum[waits], weight)

    assert list(laid.segments) == ["region"]
    assert_array_equal(n_waiting(laid), n_waiting(columns))


def test_strata_make_no_finer_cells_of_the_score(estimator, columns):
    with_strata = count(estimator, columns)
    without = count(estimator, replace(columns, delay_stratum=None))
    for ours, theirs in zip(with_strata, without, strict=True):
        assert_array_equal(ours.scores["score"], theirs.scores["score"])
    assert lay_out(without).columns.delay_stratum is None


def test_rows_whose_features_nobody_read_are_of_any_other_stratum(estimator, columns):
    bands = estimator.reference_.delays.bands
    unread = replace(columns, delay_stratum=None)
    stratum = strata_of(unread, bands, LEARNED, ("0", "1"))
    assert set(stratum.tolist()) == {6, 7, 8}
