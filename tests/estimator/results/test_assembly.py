"""What a result says of rows that were left out, and how two periods are joined."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from estimator import PerformanceEstimator
from estimator.chunking.chunks import make_chunks
from estimator.chunking.segments import group_rows
from estimator.frames.columns import ColumnNames, read_columns
from estimator.results.assembly import compose_remarks, concatenate_periods
from tests.estimator.conftest import simulate

NAMES = ColumnNames(
    timestamp=None,
    y_pred_proba="y_pred_proba",
    y_pred=None,
    y_true="y_true",
    segments=("region",),
)


@settings(max_examples=30)
@given(
    seed=st.integers(0, 2**32 - 1),
    size=st.integers(3, 30),
    missing=st.sampled_from([0.0, 0.1, 0.6]),
)
def test_rows_left_out_are_counted_as_pandas_counts_them(seed, size, missing):
    rng = np.random.default_rng(seed)
    frame = simulate(70, seed % 1_000)
    for column in ("y_pred_proba", "y_true"):
        frame[column] = frame[column].mask(rng.random(70) < missing)
    frame.loc[0, ["y_pred_proba", "y_true"]] = 0.5, 1.0  # nothing else is refused
    columns = read_columns(frame, NAMES, name="production", label_required=True)
    chunks = make_chunks(columns.n_rows, size, None, None)
    delivered = group_rows(columns, chunks)
    kept = delivered.keep(~np.isnan(columns.score) & ~np.isnan(columns.label))
    remarks = compose_remarks(columns, chunks, delivered, kept)
    frame["chunk"] = np.arange(70) // size
    for g, (segment, chunk) in enumerate(
        zip(kept.segment.tolist(), kept.chunk.tolist(), strict=True)
    ):
        rows = frame[frame["chunk"] == chunk]
        expected = []
        if len(rows) < size:
            expected.append(f"incomplete: {len(rows)} of {size} rows")
        if segment:
            rows = rows[rows["region"] == segment.removeprefix("region=")]
        lacking = rows["y_pred_proba"].isna()
        for n, what in (
            (lacking.sum(), "score"),
            ((rows["y_true"].isna() & ~lacking).sum(), "label"),
        ):
            if n:
                expected.append(f"{n} row{'s' if n > 1 else ''} left out: no {what}")
        assert remarks.get(g, []) == expected


@pytest.mark.parametrize("segments", [None, "region"])
def test_periods_are_joined_segment_by_segment(reference_frame, segments):
    estimator = PerformanceEstimator(chunk=1_000, segments=segments)
    reference = estimator.fit(reference_frame).reference_.performance
    new = simulate(3_000, 1)
    new.loc[::5, "region"] = "west"  # not in the reference
    analysis = estimator.estimate(new)
    joined = concatenate_periods(reference, analysis).to_frame()
    apart = pd.concat([reference.to_frame(), analysis.to_frame()], ignore_index=True)
    names = ["", *(f"region={name}" for name in ("north", "south", "west"))]
    order = np.argsort(apart["segment"].map(names.index).to_numpy(), kind="stable")
    expected = apart.iloc[order].reset_index(drop=True)
    pd.testing.assert_frame_equal(joined, expected, check_dtype=False)
    if segments:
        west = joined[joined["segment"] == "region=west"]
        assert set(west["period"]) == {"analysis"}
        assert west["note"].str.contains("segment is not in the reference").all()
