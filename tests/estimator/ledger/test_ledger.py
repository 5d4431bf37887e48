"""The ledger against a twin that keeps lists and takes the rules literally."""

from dataclasses import fields

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from estimator.chunking.chunks import check_chunk
from estimator.frames.columns import ColumnNames, read_columns
from estimator.ledger.adding_labels import add_labels
from estimator.ledger.adding_rows import add_rows
from estimator.ledger.label_events import LabelEvents
from estimator.ledger.label_frame import NO_TIME, read_labels
from estimator.ledger.ledger import Ledger
from estimator.ledger.ledger_arrays import ledger_from_arrays, ledger_to_arrays
from estimator.ledger.snapshot import take_snapshot

DAY = 86_400 * 10**6
START = pd.Timestamp("2026-01-05")


def micro(day):
    return int((START + pd.Timedelta(days=day)).value // 1000)


def frame_of(ids, days, scores=None):
    ids = np.asarray(ids, dtype=np.int64)
    return pd.DataFrame(
        {
            "id": ids,
            "time": START + pd.to_timedelta(np.asarray(days, dtype=float), unit="D"),
            "y_pred_proba": (ids % 97) / 97 if scores is None else scores,
            "region": np.where(ids % 3 == 0, "north", "south"),
        }
    )


def add(ledger, frame, chunk="D", timestamp="time", segments=("region",)):
    columns = read_columns(
        frame,
        ColumnNames(
            timestamp=timestamp,
            y_pred_proba="y_pred_proba",
            y_pred=None,
            y_true="y_true",
            segments=segments,
        ),
        name="production",
        label_required=False,
    )
    spec = check_chunk(chunk, has_timestamp=timestamp is not None)
    keys = frame["id"].to_numpy()
    return add_rows(ledger, columns, keys, spec, lambda i: str(frame["id"].iloc[i]))


def label(ledger, ids, values, days=None, now=None):
    frame = pd.DataFrame({"id": np.asarray(ids, np.int64), "y_true": values})
    if days is not None:
        days = pd.to_timedelta(np.asarray(days, dtype=float), unit="D")
        frame["known"] = START + days
    read = read_labels(frame, row_id="id", y_true="y_true", labeled_at="known")
    return add_labels(ledger, read, None if now is None else micro(now))


def contents(ledger, spec="D", as_of=None):
    """Return what a snapshot says: chunk label and (score, label, since) by row."""
    spec = check_chunk(spec, has_timestamp=True)
    snapshot = take_snapshot(ledger, spec, None if as_of is None else micro(as_of))
    columns, offsets = snapshot.columns, snapshot.chunks.offsets
    return {
        name: sorted(
            (
                float(columns.score[i]),
                str(columns.label[i]),
                str(columns.labeled_at[i]),
            )
            for i in range(offsets[c], offsets[c + 1])
        )
        for c, name in enumerate(snapshot.chunks.label.tolist())
    }


def arrays_of(ledger):
    header, arrays = ledger_to_arrays(ledger)
    return header, arrays


def assert_same(first, second):
    (header, arrays), (other_header, other) = arrays_of(first), arrays_of(second)
    assert header == other_header
    assert arrays.keys() == other.keys()
    for name, values in arrays.items():
        assert values.dtype == other[name].dtype, name
        assert_array_equal(values, other[name], err_msg=name)


class Twin:
    """Rows and labels in lists."""

    def __init__(self):
        self.rows, self.labels = {}, []

    def contents(self, as_of=None):
        days = {}
        for row, (day, score) in self.rows.items():
            if as_of is not None and day > as_of:
                continue
            came = [
                event
                for event in self.labels
                if event[0] == row and (as_of is None or event[1] <= as_of)
            ]
            value, since = "nan", "NaT"
            if came:
                _, arrived_at, _, y = max(came, key=lambda event: event[1:])
                value, since = (
                    str(float(y)),
                    str(np.datetime64(micro(arrived_at), "us")),
                )
            name = f"{START + pd.Timedelta(days=int(day)):%Y-%m-%d}"
            days.setdefault(name, []).append((score, value, since))
        if not days:
            return {}
        span = pd.date_range(min(days), max(days), freq="D").strftime("%Y-%m-%d")
        return {name: sorted(days.get(name, [])) for name in span}


@settings(max_examples=40)
@given(data=st.data())
def test_any_history_gives_what_the_twin_says(data):
    ledger, twin = Ledger(), Twin()
    ids = st.lists(st.integers(0, 30), min_size=1, max_size=12, unique=True)
    day_of = {
        row: data.draw(st.integers(0, 5), label=f"day {row}") for row in range(31)
    }
    for _ in range(data.draw(st.integers(1, 5))):
        rows = data.draw(ids)
        if data.draw(st.booleans(), label="rows or labels"):
            ledger, added = add(ledger, frame_of(rows, [day_of[r] for r in rows]))
            new = [r for r in rows if r not in twin.rows]
            assert added.n_new == len(new)
            assert added.n_identical == len(rows) - len(new)
            twin.rows |= {r: (day_of[r], (r % 97) / 97) for r in new}
        else:
            values = data.draw(
                st.lists(st.integers(0, 1), min_size=len(rows), max_size=len(rows))
            )
            days = data.draw(
                st.lists(st.integers(0, 9), min_size=len(rows), max_size=len(rows))
            )
            ledger, added = label(ledger, rows, values, days)
            twin.labels += [
                (r, d, 0, y) for r, d, y in zip(rows, days, values, strict=True)
            ]
            assert added.n_held == sum(r not in twin.rows for r in rows)
    for as_of in (None, 0, 3, 7):
        if ledger.chunks:
            assert contents(ledger, as_of=as_of) == twin.contents(as_of)
    header, arrays = arrays_of(ledger)
    assert_same(ledger, ledger_from_arrays(header, arrays))


@settings(max_examples=25)
@given(seed=st.integers(0, 2**32 - 1), cuts=st.lists(st.integers(0, 80), max_size=4))
def test_order_and_split_of_labels_change_nothing(seed, cuts):
    rng = np.random.default_rng(seed)
    start, _ = add(Ledger(), frame_of(np.arange(40), rng.integers(0, 4, 40)))
    rows, values = rng.integers(0, 50, 80), rng.integers(0, 2, 80)
    days = rng.integers(0, 9, 80)  # restatements and ties among them
    together, _ = label(start, rows, values, days)
    order = rng.permutation(80)
    apart = start
    for part in np.split(order, sorted(cuts)):
        apart, _ = label(apart, rows[part], values[part], days[part])
    assert_same(together, apart)
    # Nor does it matter whether the labels or the rows come first.
    before, _ = label(Ledger(), rows, values, days)
    before, _ = add(before, frame_of(np.arange(40), [0] * 40))
    after, _ = add(Ledger(), frame_of(np.arange(40), [0] * 40))
    after, _ = label(after, rows, values, days)
    assert_same(before, after)


def test_restatements_are_counted_and_the_later_arrival_wins():
    ledger, _ = add(Ledger(), frame_of([1, 2, 3], [0, 0, 0]))
    ledger, first = label(ledger, [1, 2], [0, 1], [3, 3])
    assert (first.n_new, first.n_restated, first.n_held) == (2, 0, 0)
    ledger, second = label(ledger, [1, 2, 9], [1, 0, 1], [4, 2, 4])
    assert (second.n_new, second.n_restated, second.n_identical) == (0, 1, 1)
    assert second.n_held == 1
    at_end = {row[0]: row[1] for row in contents(ledger)["2026-01-05"]}
    assert at_end == {1 / 97: "1.0", 2 / 97: "1.0", 3 / 97: "nan"}
    earlier = {row[0]: row[1] for row in contents(ledger, as_of=3)["2026-01-05"]}
    assert earlier == {1 / 97: "0.0", 2 / 97: "1.0", 3 / 97: "nan"}
    _, again = label(ledger, [1, 2, 9], [1, 0, 1], [4, 2, 4])
    assert (again.n_new, again.n_restated, again.n_identical) == (0, 0, 2)


def test_at_equal_times_the_larger_label_wins():
    ledger, _ = add(Ledger(), frame_of([1], [0]))
    ledger, _ = label(ledger, [1, 1], [1, 0], [3, 3])
    assert contents(ledger)["2026-01-05"][0][1] == "1.0"


def test_without_a_time_the_later_call_wins_and_repeats_cost_nothing():
    ledger, _ = add(Ledger(), frame_of([1], [0]))
    ledger, _ = label(ledger, [1], [1])
    ledger, second = label(ledger, [1], [0])
    assert second.n_restated == 1
    size = ledger.nbytes
    for _ in range(3):
        ledger, again = label(ledger, [1], [0])
        assert again.n_identical == 1
    assert ledger.nbytes == size
    assert contents(ledger)["2026-01-05"] == [
        (1 / 97, "0.0", "2026-01-05T00:00:00.000000")
    ]


def test_now_is_when_labels_without_a_time_arrive():
    ledger, _ = add(Ledger(), frame_of([1], [0]))
    ledger, _ = label(ledger, [1], [1], now=8)
    assert ledger.latest == micro(8)
    assert contents(ledger, as_of=7)["2026-01-05"][0][1] == "nan"
    assert contents(ledger, as_of=8)["2026-01-05"][0][1] == "1.0"


def test_labels_from_after_now_are_refused():
    ledger, _ = add(Ledger(), frame_of([1, 2], [0, 0]))
    with pytest.raises(ValueError, match=r"1 of 2 do \(first: id 2 at 2026-01-10"):
        label(ledger, [1, 2], [0, 1], [3, 5], now=4)
    assert contents(ledger)["2026-01-05"][0][1] == "nan"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"y_pred_proba": 0.5},
            r"the score of id 2 was 0.02\d* and now is 0.5 \(1 such",
        ),
        ({"time": START}, "the time of id 2 was 2026-01-06 and now is 2026-01-05"),
        ({"y_pred_proba": np.nan}, "the score of id 2 was"),
    ],
)
def test_a_row_that_changed_is_refused(change, message):
    ledger, _ = add(Ledger(), frame_of([1, 2], [1, 1]))
    changed = frame_of([7, 2], [1, 1]).astype({"y_pred_proba": float})
    for column, value in change.items():
        changed.loc[1, column] = value
    with pytest.raises(ValueError, match=message):
        add(ledger, changed)
    with pytest.raises(ValueError, match=message):  # within one batch, too
        add(Ledger(), pd.concat([frame_of([1, 2], [1, 1]), changed]))


def test_a_missing_score_delivered_again_is_the_same_row():
    frame = frame_of([1, 2], [0, 0], scores=[0.5, np.nan])
    ledger, _ = add(Ledger(), frame)
    _, again = add(ledger, frame)
    assert (again.n_new, again.n_identical) == (0, 2)


def test_a_number_of_rows_fills_the_open_chunk_first():
    ledger = Ledger()
    for begin, end in ((0, 4), (4, 5), (5, 13)):
        ledger, _ = add(ledger, frame_of(np.arange(begin, end), [0] * (end - begin)), 5)
    snapshot = take_snapshot(ledger, 5)
    assert snapshot.chunks.label.tolist() == [0, 1, 2]
    assert np.diff(snapshot.chunks.offsets).tolist() == [5, 5, 3]
    assert snapshot.chunks.complete.tolist() == [True, True, False]
    assert_array_equal(snapshot.columns.score, np.arange(13) / 97)


def test_none_makes_a_chunk_of_every_call():
    ledger = Ledger()
    for ids in ([1, 2], [2], [3]):  # the second brings nothing new
        ledger, _ = add(ledger, frame_of(ids, [0] * len(ids)), None)
    snapshot = take_snapshot(ledger, None)
    assert snapshot.chunks.label.tolist() == [0, 1]
    assert snapshot.chunks.complete.all()


def horizon(ledger, as_of=None):
    return ledger.horizon(ledger.hours_until(as_of), as_of)


def test_without_timestamps_labels_are_known_from_the_beginning():
    frame = frame_of([1, 2], [0, 0]).drop(columns="time")
    ledger, _ = add(Ledger(), frame, 2, timestamp=None)
    ledger, _ = label(ledger, [1], [1])
    snapshot = take_snapshot(ledger, 2, as_of=0)
    assert_array_equal(snapshot.columns.label, [1.0, np.nan])
    assert np.isnat(snapshot.columns.labeled_at).all()
    assert horizon(ledger) is None


def test_late_rows_join_their_old_period():
    ledger, _ = add(Ledger(), frame_of([1, 2], [0, 3]))
    ledger, added = add(ledger, frame_of([3], [0.5]))
    assert added.touched == (0,)
    assert list(contents(ledger)) == [f"2026-01-0{d}" for d in (5, 6, 7, 8)]
    part = take_snapshot(ledger, check_chunk("D", has_timestamp=True), only={1})
    assert part.chunks.label.tolist() == ["2026-01-08"]
    assert part.position.tolist() == [3]
    assert list(part.labels) == [f"2026-01-0{d}" for d in (5, 6, 7, 8)]
    assert part.position_by_serial.tolist() == [0, 3]


def test_the_horizon_is_the_latest_label_or_now():
    ledger, _ = add(Ledger(), frame_of([1, 2], [0, 9]))
    assert horizon(ledger) is None
    ledger, _ = label(ledger, [1], [1], [3])
    assert horizon(ledger) == micro(3)
    ledger, _ = label(ledger, [], [], now=5)
    assert (horizon(ledger), horizon(ledger, micro(4))) == (micro(5), micro(3))


def test_zones_are_everywhere_or_nowhere():
    aware = frame_of([1], [0]).assign(time=lambda f: f["time"].dt.tz_localize("UTC"))
    ledger, _ = add(Ledger(), frame_of([2], [0]))
    with pytest.raises(ValueError, match="`production` have one and earlier"):
        add(ledger, aware)
    ledger, _ = add(Ledger(), aware)
    with pytest.raises(ValueError, match="earlier predictions have one and `labels`"):
        label(ledger, [1], [1], [3])


def test_memory_is_columns_only():
    n = 100_000
    ledger, _ = add(Ledger(), frame_of(np.arange(n), np.arange(n) / 1_000), segments=())
    assert ledger.nbytes <= 33 * n
    ledger, _ = label(ledger, np.arange(n), np.arange(n) % 2, np.arange(n) / 1_000)
    assert ledger.nbytes <= 64 * n


def test_events_have_no_object_columns():
    for column in fields(LabelEvents):
        ledger, _ = add(Ledger(), frame_of([1], [0]))
        assert getattr(ledger.chunks[0].events, column.name).dtype.kind in "i"
    assert np.datetime64(NO_TIME, "us") is not None
