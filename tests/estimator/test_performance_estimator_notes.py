"""What a result says of rows that were left out, and of what is not known."""

import numpy as np

from tests.estimator.conftest import simulate
from tests.estimator.estimated_frames import make, rows


def test_reference_rows_without_a_label_are_left_out_and_counted(reference_frame):
    holes = reference_frame.assign(y_true=reference_frame["y_true"].astype(float))
    holes.loc[[0, 7], "y_true"] = np.nan
    holes.loc[9, "y_pred_proba"] = np.nan
    in_reference = rows(
        make().fit(holes).reference_.performance.to_frame(), "reference"
    )
    assert in_reference["n_rows"][0] == 997
    assert (
        in_reference["note"][0] == "1 row left out: no score; 2 rows left out: no label"
    )


def test_undefined_metrics_are_nan_with_their_reason(reference_frame):
    low = simulate(1_000, 4)
    low["y_pred_proba"] /= 3  # nothing is predicted positive
    low["y_true"] = 0
    estimates = make().fit(reference_frame).estimate(low).to_frame()
    for metric, reason in (
        ("precision", "undefined: no predicted positives"),
        ("recall", "undefined: no predicted positives"),
        ("f1", "undefined: no predicted positives"),
    ):
        row = rows(estimates, metric=metric).iloc[0]
        assert np.isnan(
            row[["value", "lower", "upper", "expected_lower"]].astype(float)
        ).all()
        assert reason in row["note"]
        assert not row["alert"]
    auc = rows(estimates).iloc[0]
    assert np.isfinite(auc["value"])
    assert np.isnan(auc["realized"])
    assert "realized undefined: no positives" in auc["note"]


def test_too_few_expected_positives_say_so(reference_frame):
    rare = simulate(20, 4)
    rare["y_pred_proba"] = np.linspace(0.001, 0.04, 20)
    frame = make().fit(reference_frame).estimate(rare, chunk=None).to_frame()
    row = rows(frame).iloc[0]
    assert np.isnan(row["value"])
    assert "undefined: too few expected positives" in row["note"]


def test_scores_beyond_the_references_are_called_extrapolated(reference_frame):
    far = simulate(1_000, 4)
    far.loc[:49, "y_pred_proba"] = 0.9999
    in_reference = rows(make().fit(reference_frame).estimate(far).to_frame())
    assert in_reference["note"][0].startswith("extrapolated: 5.")
