"""Segments beside all rows, and time zones."""

import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from tests.estimator.estimated_frames import make, rows


@pytest.mark.parametrize("chunk", ["W", 1_000, None])
def test_the_order_of_a_reference_with_times_does_not_matter(chunk, reference_frame):
    shuffled = reference_frame.sample(frac=1, random_state=0)
    estimates = [
        make(chunk=chunk, timestamp="timestamp").fit(f).reference_.performance
        for f in (reference_frame, shuffled)
    ]
    estimates = [performance.to_frame() for performance in estimates]
    pd.testing.assert_frame_equal(estimates[0], estimates[1], rtol=1e-9)


def test_time_zones_come_back(reference_frame, production_frame):
    zone = "Europe/Berlin"
    frames = [
        frame.assign(
            timestamp=frame["timestamp"].dt.tz_localize("UTC").dt.tz_convert(zone)
        )
        for frame in (reference_frame, production_frame)
    ]
    estimator = make(chunk="D", timestamp="timestamp", metrics="accuracy")
    estimates = estimator.fit(frames[0]).estimate(frames[1]).to_frame()
    assert str(estimates["start"].dt.tz) == zone
    analysis = rows(estimates, metric="accuracy")
    assert analysis["start"][0] == frames[1]["timestamp"].min()


def test_segments_stand_beside_all_rows(reference_frame, production_frame):
    estimator = make(segments="region", metrics=["roc_auc", "tp"]).fit(reference_frame)
    frame = estimator.estimate(production_frame).to_frame()
    assert list(frame["segment"].unique()) == ["", "region=north", "region=south"]
    parts = [
        rows(frame, metric="tp", segment=f"region={r}") for r in ("north", "south")
    ]
    whole = rows(frame, metric="tp")
    assert_allclose(parts[0]["value"] + parts[1]["value"], whole["value"])
    assert_array_equal(parts[0]["n_rows"] + parts[1]["n_rows"], whole["n_rows"])
    overall = make(metrics=["roc_auc", "tp"]).fit(reference_frame)
    alone = overall.estimate(production_frame).to_frame()
    pd.testing.assert_frame_equal(
        frame[frame["segment"] == ""].reset_index(drop=True), alone
    )


@pytest.mark.parametrize("name", [7, "a=b", ("region",)])
def test_a_segment_column_may_have_any_name(name, reference_frame, production_frame):
    column = name[0] if isinstance(name, tuple) else name
    frames = [
        frame.rename(columns={"region": column})
        for frame in (reference_frame, production_frame)
    ]
    performance = (
        make(segments=name, metrics="roc_auc").fit(frames[0]).estimate(frames[1])
    )
    assert performance.segments == ("", f"{column}=north", f"{column}=south")
    assert not (performance.note == "segment is not in the reference").any()


def test_clocks_with_and_without_a_zone_do_not_mix(reference_frame, production_frame):
    zoned = production_frame.assign(
        timestamp=production_frame["timestamp"].dt.tz_localize("Asia/Tokyo")
    )
    estimator = make(chunk="W", timestamp="timestamp").fit(reference_frame)
    with pytest.raises(ValueError, match="production has one and reference has none"):
        estimator.estimate(zoned)
    with pytest.raises(ValueError, match="reference has one and production has none"):
        make(chunk="W", timestamp="timestamp").fit(zoned).estimate(production_frame)


def test_segments_that_vanish_or_appear_are_said_so(reference_frame, production_frame):
    estimator = make(segments=("region",), metrics=["roc_auc"]).fit(reference_frame)
    moved = production_frame.assign(
        region=production_frame["region"].replace("north", "west")
    )
    frame = estimator.estimate(moved).to_frame()
    gone = rows(frame, segment="region=north")
    assert (gone["n_rows"] == 0).all()
    assert (gone["note"].str.endswith("undefined: no rows")).all()
    new = rows(frame, segment="region=west")
    assert new["value"].notna().all()
    assert new["lower_threshold"].isna().all()
    assert new["note"].str.contains("segment is not in the reference").all()
