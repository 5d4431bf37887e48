"""Rows that stand for several equal ones say what these would say one by one."""

from dataclasses import fields, replace

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.special import expit, logit

from estimator import PerformanceEstimator
from estimator.chunking.chunks import Chunks
from estimator.chunking.segments import group_rows
from estimator.delayed_labels.arrivals import arrivals_by_column
from estimator.delayed_labels.evidence import Evidence
from estimator.frames.adapted_soft_labels import AdaptedSoftLabels
from estimator.frames.columns import Columns, SegmentCodes
from estimator.ledger.snapshot import Snapshot, part_of_snapshot
from estimator.metrics.registry import METRIC_NAMES
from estimator.monitoring.attribution import attribution_of
from estimator.monitoring.evaluation import evaluate_chunks, performance_of
from estimator.monitoring.label_arrival import arrivals_of
from estimator.monitoring.scored_rows import ScoredRows

COSTS = {"tn": 1.0, "fp": -5.0, "fn": -20.0, "tp": 10.0}
START = np.datetime64("2026-01-05T00:00:00", "us")
DAY, HOUR = np.timedelta64(1, "D"), np.timedelta64(1, "h")
NOW = START + 7 * DAY
SIZES = [900, 500, 0, 700, 40]  # a chunk may be empty
# What the arrays of `Columns` are condensed by; NaN and NaT are no values to compare.
PER_ROW = ("score", "decision", "label", "timestamp", "labeled_at")


def reference_frame(seed=0, n_days=14, per_day=500):
    """Days differ in who waits: their positives are known early, or late."""
    rng = np.random.default_rng(seed)
    n = n_days * per_day
    z, day = rng.normal(0.0, 1.3, n), np.repeat(np.arange(n_days), per_day)
    group = rng.integers(0, 2, n)
    label = rng.random(n) < expit(1.2 * z - 0.5 + 0.8 * group)
    positives_late = rng.uniform(0.3, 3.0, n_days)[day]
    took = rng.exponential(np.where(label, positives_late, 1.5))
    time = START + (day - 60) * DAY + rng.integers(0, 24, n) * HOUR
    return pd.DataFrame(
        {
            "time": time,
            "known": time + (took * 24 * 60).astype("m8[m]"),
            "y_pred_proba": expit(z),
            "y_pred": (expit(z + 0.3 * rng.normal(size=n)) > 0.5).astype(int),
            "y_true": label.astype(int),
            "group": group,
            "region": np.where(rng.random(n) < 0.4, "north", "south"),
            "tier": np.where(group == 1, "gold", "blue"),
        }
    )


@pytest.fixture(scope="module")
def fitted():
    options = {
        "metrics": METRIC_NAMES,
        "chunk": "D",
        "timestamp": "time",
        "labeled_at": "known",
        "segments": ["region", "tier"],
        "business_costs": COSTS,
    }
    frame = reference_frame()
    return {
        "threshold": PerformanceEstimator(**options).fit(frame),
        "decisions": PerformanceEstimator(**options, y_pred="y_pred").fit(frame),
        "features": PerformanceEstimator(
            **options, method="feature_aware", features="group"
        ).fit(frame),
    }


def draw(seed, *, decided=False, adapted=False, timed=True, labelled=0.6):
    """Draw rows on coarse grids, so that many are equal; some lack a score."""
    rng = np.random.default_rng(seed)
    n, chunk = sum(SIZES), np.repeat(np.arange(len(SIZES)), SIZES)
    score = rng.choice([0.02, 0.1, 0.3, 0.5, 0.7, 0.93], n)
    label = (rng.random(n) < expit(logit(score) + 0.4)).astype(float)
    # Times rise within a chunk, as a snapshot has them.
    hour = np.sort(24 * chunk + 8 * rng.integers(0, 3, n))
    took = rng.choice([1, 30, 90], n)
    label[rng.random(n) > labelled] = np.nan
    score[rng.random(n) < 0.05] = np.nan
    time = START + hour * HOUR
    labeled_at = np.where(np.isnan(label), np.datetime64("NaT"), time + took * HOUR)
    labeled_at[rng.random(n) < 0.05] = np.datetime64("NaT")  # nobody knows when
    soft = None
    if adapted:
        calibrated = expit(logit(score) + 0.3 * rng.integers(0, 2, n))
        calibrated[rng.random(n) < 0.05] = np.nan  # by the map of the score
        soft = AdaptedSoftLabels(
            calibrated=calibrated,
            inflation=1.0 + 0.25 * rng.integers(0, 3, n),
            unknown_shift=np.array([0.0, 0.3, 0.0, 0.6, 0.0])[chunk],
        )
    columns = Columns(
        n_rows=n,
        score=score,
        decision=(rng.random(n) < 0.4) & ~np.isnan(score) if decided else None,
        label=label,
        timestamp=time if timed else None,
        timezone=None,
        segments={
            "region": SegmentCodes(
                codes=rng.integers(0, 2, n).astype(np.int16), values=["south", "north"]
            ),
            "tier": SegmentCodes(
                codes=rng.integers(0, 3, n).astype(np.int16),
                values=["gold", "unheard of", "blue"],
            ),
        },
        missing_score=int(np.isnan(score).sum()),
        missing_decision=0,
        labeled_at=labeled_at if timed else None,
        adapted=soft,
    )
    return columns, cut(columns, np.append(0, np.cumsum(SIZES)))


def cut(columns, offsets):
    n = offsets.size - 1
    label = np.empty(n, dtype=object)
    label[:] = [str(START + c * DAY)[:10] for c in range(n)]
    complete = np.ones(n, dtype=bool)
    complete[-1] = False
    return Chunks(
        rows=None,
        offsets=offsets,
        label=label,
        start=START + np.arange(n) * DAY,
        end=START + np.arange(n) * DAY + 16 * HOUR,
        complete=complete,
        asked=100,
    )


def condense(columns, chunks, *, keep_arrival):
    """Count equal rows of a chunk."""
    per_row = {name: getattr(columns, name) for name in PER_ROW}
    if not keep_arrival:
        per_row["labeled_at"] = None
    per_row = {name: values for name, values in per_row.items() if values is not None}
    adapted = columns.adapted
    chunk = np.repeat(np.arange(len(chunks)), np.diff(chunks.offsets))
    parts = [*per_row.values(), *(adapted.by_name().values() if adapted else ())]
    codes = [np.unique(v, return_inverse=True)[1].ravel() for v in parts]
    codes += [segment.codes for segment in columns.segments.values()]
    _, first, count = np.unique(
        np.column_stack([chunk, *codes]), axis=0, return_index=True, return_counts=True
    )
    weight = count.astype(np.float64)
    missing = np.isnan(columns.score[first])
    condensed = replace(
        columns,
        n_rows=first.size,
        segments={
            name: SegmentCodes(codes=segment.codes[first], values=segment.values)
            for name, segment in columns.segments.items()
        },
        missing_score=int(weight[missing].sum()),
        weight=weight,
        adapted=adapted and adapted.take(first),
        **dict.fromkeys(PER_ROW) | {n: v[first] for n, v in per_row.items()},
    )
    offsets = np.searchsorted(chunk[first], np.arange(len(chunks) + 1))
    return condensed, replace(chunks, offsets=offsets)


def delays_apart(estimator, columns):
    """Return how long labels took, as kept beside a table of counts."""
    bands = estimator.reference_.delays.bands
    usable = ~np.isnan(columns.score) & ~np.isnan(columns.label)
    return no_evidence(arrivals_by_column(columns, bands, usable))


def no_evidence(arrivals):
    n = len(SIZES)
    return Evidence(
        information=np.zeros((n, 2, 2)), vector=np.zeros((n, 2)), arrivals=arrivals
    )


def assert_same(ours, theirs, where=""):
    assert type(ours) is type(theirs), where
    if isinstance(ours, pd.DataFrame):
        ours = {name: ours[name].to_numpy() for name in ours}
        theirs = {name: theirs[name].to_numpy() for name in theirs}
    elif hasattr(ours, "__dataclass_fields__"):
        ours, theirs = (
            {f.name: getattr(one, f.name) for f in fields(one)}
            for one in (ours, theirs)
        )
    if isinstance(ours, dict):
        assert list(ours) == list(theirs), where
        for name in ours:
            assert_same(ours[name], theirs[name], f"{where}.{name}")
    elif np.asarray(ours).dtype.kind == "f":
        assert_allclose(ours, theirs, rtol=1e-10, atol=1e-10, err_msg=where)
    else:
        assert_array_equal(ours, theirs, err_msg=where)


def stock_of(estimator, columns, chunks, now, wanted=None, *, remarks=(), others=None):
    rows = ScoredRows(
        estimator=estimator, columns=columns, chunks=chunks, others=others
    )
    return evaluate_chunks(rows, now, wanted, remarks=remarks)


def assert_same_stock(estimator, ours, theirs, *, whole=True):
    for name in ("n_labels", "estimated", "reconciled", "realized", "remarks"):
        assert_same(getattr(ours, name), getattr(theirs, name), name)
    for name in ("delivered", "groups"):
        for column in ("n_rows", "segment", "chunk"):
            assert_same(
                *(getattr(getattr(one, name), column) for one in (ours, theirs)), column
            )
    if ours.reconciliation is not None:
        for name in ("shift", "slope", "information", "vector", "delays"):
            assert_same(
                *(getattr(one.reconciliation, name) for one in (ours, theirs)), name
            )
    assert_same(*(performance_of(estimator, one) for one in (ours, theirs)))
    assert_same(*(attribution_of(estimator, one) for one in (ours, theirs)))
    if whole:
        assert_same(
            *(arrivals_of([(estimator, one)]).by_chunk for one in (ours, theirs))
        )


@pytest.mark.parametrize("apart", [False, True])
@pytest.mark.parametrize("kind", ["threshold", "decisions", "features"])
@pytest.mark.parametrize("seed", range(3))
def test_weighted_rows_say_what_the_same_rows_repeated_say(fitted, kind, seed, apart):
    """``apart``: how long labels took is not told by row, but counted for itself."""
    estimator = fitted[kind]
    assert estimator.reference_.delays.spread.any()
    columns, chunks = draw(
        seed, decided=kind == "decisions", adapted=kind == "features"
    )
    weighted, its_chunks = condense(columns, chunks, keep_arrival=not apart)
    assert weighted.n_rows < columns.n_rows
    others = delays_apart(estimator, columns) if apart else None
    repeated = stock_of(estimator, columns, chunks, NOW)
    condensed = stock_of(estimator, weighted, its_chunks, NOW, others=others)
    assert condensed.reconciliation.delays.hazard.shape[2] > 1  # times count
    assert_same_stock(estimator, condensed, repeated)


@pytest.mark.parametrize("labelled", [0.0, 1.0])
def test_before_the_first_label_and_after_the_last(fitted, labelled):
    estimator = fitted["threshold"]
    columns, chunks = draw(3, labelled=labelled)
    both = (columns, chunks), condense(columns, chunks, keep_arrival=True)
    repeated, condensed = (stock_of(estimator, *each, NOW) for each in both)
    assert (condensed.reconciled is None) == (labelled == 0.0)
    assert_same_stock(estimator, condensed, repeated)


def test_rows_without_times(fitted):
    estimator = fitted["decisions"]
    columns, chunks = draw(4, decided=True, timed=False)
    both = (columns, chunks), condense(columns, chunks, keep_arrival=True)
    assert both[1][0].n_rows < columns.n_rows / 2
    repeated, condensed = (stock_of(estimator, *each, None) for each in both)
    assert_same_stock(estimator, condensed, repeated)


def test_some_chunks_of_all(fitted):
    estimator = fitted["features"]
    columns, chunks = draw(5, adapted=True)
    weighted, its_chunks = condense(columns, chunks, keep_arrival=False)
    remarks = ["", "far", "", "near", ""]
    repeated = stock_of(estimator, columns, chunks, NOW, [1, 3, 4], remarks=remarks)
    condensed = stock_of(
        estimator,
        weighted,
        its_chunks,
        NOW,
        [1, 3, 4],
        remarks=remarks,
        others=delays_apart(estimator, columns),
    )
    assert_same_stock(estimator, condensed, repeated, whole=False)


def test_some_chunks_of_a_snapshot(fitted):
    """Weights are cut like their rows, and rows without a score are counted by them."""
    estimator = fitted["threshold"]
    columns, chunks = draw(6)
    places = np.arange(len(SIZES))
    cuts = [
        part_of_snapshot(
            Snapshot(
                columns=each[0],
                chunks=each[1],
                serial=places,
                position=places,
                position_by_serial=places,
                labels=each[1].label.tolist(),
                remarks=("",) * len(SIZES),
            ),
            slice(1, 4),
        )
        for each in ((columns, chunks), condense(columns, chunks, keep_arrival=True))
    ]
    assert cuts[1][0].missing_score == cuts[0][0].missing_score > 0
    repeated, condensed = (stock_of(estimator, *each, NOW) for each in cuts)
    assert_same_stock(estimator, condensed, repeated)


def test_notes_count_the_rows_of_the_frame(fitted):
    estimator = fitted["threshold"]
    columns, chunks = draw(7)
    weighted, its_chunks = condense(columns, chunks, keep_arrival=True)
    performance = performance_of(
        estimator, stock_of(estimator, weighted, its_chunks, NOW)
    )
    missing = int(np.isnan(columns.score[-SIZES[-1] :]).sum())
    last = (performance.chunk == its_chunks.label[-1]) & (performance.segment == "")
    note = performance.note[last, 0].item()
    assert note.startswith(f"incomplete: {SIZES[-1]} of 100 rows; {missing} row")


def test_delays_kept_apart_count_only_if_there_are_any(fitted):
    """Without counts the rows' waiting tells nothing, whatever the reference knows."""
    estimator = fitted["threshold"]
    columns, chunks = draw(8)
    columns = replace(columns, labeled_at=None)
    alone = stock_of(estimator, columns, chunks, NOW)
    with_nothing = stock_of(estimator, columns, chunks, NOW, others=no_evidence({}))
    assert alone.reconciliation.delays.hazard.shape[2] == 1
    assert_same_stock(estimator, with_nothing, alone)


def test_groups_count_what_their_rows_stand_for():
    columns, chunks = draw(9)
    weighted, its_chunks = condense(columns, chunks, keep_arrival=True)
    groups, repeated = group_rows(weighted, its_chunks), group_rows(columns, chunks)
    assert groups.n_rows.dtype == repeated.n_rows.dtype == np.int64
    assert_array_equal(groups.n_rows, repeated.n_rows)
    kept = groups.keep(~np.isnan(weighted.label))
    assert_array_equal(kept.n_rows, repeated.keep(~np.isnan(columns.label)).n_rows)
    assert repr(columns) == f"<Columns: 2140 rows, {columns.missing_score} unusable>"
    assert repr(weighted) == (
        f"<Columns: 2140 rows counted in {weighted.n_rows}, "
        f"{columns.missing_score} unusable>"
    )
