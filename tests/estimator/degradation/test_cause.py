import numpy as np
import pandas as pd
import pytest

from estimator import classify_degradation
from estimator.degradation.cause import with_cause
from tests.estimator.degradation.series import (
    ERRORS,
    N_REFERENCE,
    ONSET,
    N,
    clear,
)

VERDICT = classify_degradation(clear("sudden"), ERRORS, n_reference=N_REFERENCE)
ANALYSIS = np.arange(N_REFERENCE, N)


def attribution(
    covariate=0.0, concept=0.0, error=0.01, labeled=slice(None), shared=0.002
):
    """Return what a monitor tells, with noise, the change being in affected chunks."""
    rng = np.random.default_rng(0)
    down = np.where(ANALYSIS >= ONSET, -1.0, 0.0)
    n = ANALYSIS.size
    frame = pd.DataFrame(
        {
            "chunk": ANALYSIS,
            "covariate_shift": covariate * down + rng.normal(0, 0.003, n),
            "residual": np.nan,
            "residual_standard_error": np.nan,
            "residual_sensitivity": 1.0,
            "residual_shared_error": shared,
        }
    )
    labeled_rows = frame.index[labeled]
    residual = concept * down + rng.normal(0, error, n)
    frame.loc[labeled_rows, "residual"] = residual[labeled]
    frame.loc[labeled_rows, "residual_standard_error"] = error
    return frame


@pytest.mark.parametrize(
    ("covariate", "concept", "cause"),
    [
        (0.07, 0.0, "covariate_shift"),
        (0.0, 0.07, "concept_drift"),
        (0.035, 0.035, "both"),
        (0.07, -0.01, "covariate_shift"),
        (0.005, 0.065, "concept_drift"),  # less than a fifth is no cause
    ],
)
def test_cause_is_what_makes_up_the_change(covariate, concept, cause):
    verdict = with_cause(VERDICT, attribution(covariate, concept))
    assert verdict.cause == cause
    assert ("cause: " in str(verdict)) == (cause != "unknown")
    assert VERDICT.cause == "unknown"  # the verdict given is left as it was


def test_unknown_until_labels_tell():
    attributed = attribution(0.07, 0.0)
    none = attributed.assign(residual=np.nan, residual_standard_error=np.nan)
    assert with_cause(VERDICT, none).cause == "unknown"
    # Labels of chunks before the decline say nothing about it.
    before = attribution(0.07, 0.0, labeled=slice(0, ONSET - N_REFERENCE - 2))
    assert with_cause(VERDICT, before).cause == "unknown"
    # So few labels that half of the change could be concept drift.
    few = attribution(0.07, 0.0, error=0.4)
    assert with_cause(VERDICT, few).cause == "unknown"


def test_a_shaky_calibration_excuses_itself():
    attributed = attribution(0.0, 0.03)
    assert with_cause(VERDICT, attributed).cause == "concept_drift"
    shaky = attribution(0.0, 0.03, error=0.06, shared=0.05)
    assert with_cause(VERDICT, shaky).cause == "unknown"


def test_a_chunk_without_a_residual_hides_no_cause():
    attributed = attribution(0.0, 0.07)
    attributed.loc[attributed.index[-1], "residual"] = np.nan  # its error stays
    assert with_cause(VERDICT, attributed).cause == "concept_drift"


def test_labels_that_show_no_drift_exclude_none():
    attributed = attribution(0.04, 0.07)
    young = attributed.index[-4:]
    attributed.loc[young, "residual"] = 0.0
    attributed.loc[young, "residual_standard_error"] = 1e-3
    attributed.loc[young, "residual_sensitivity"] = 0.02
    assert with_cause(VERDICT, attributed).cause == "both"
    attributed.loc[young, "residual_sensitivity"] = 1.0
    assert with_cause(VERDICT, attributed).cause == "covariate_shift"


def test_a_shared_error_does_not_average_out():
    attributed = attribution(0.0, 0.03, error=0.02, shared=0.0)
    assert with_cause(VERDICT, attributed).cause == "concept_drift"
    shared = attributed.assign(residual_shared_error=0.0199)
    assert with_cause(VERDICT, shared).cause == "unknown"


def test_a_loss_has_causes_upwards():
    values = 1.0 - clear("sudden")
    loss = classify_degradation(
        values, ERRORS, n_reference=N_REFERENCE, higher_is_better=False
    )
    attributed = attribution(-0.07, 0.0)
    assert with_cause(loss, attributed).cause == "covariate_shift"
    assert with_cause(loss, attribution(0.07, 0.0)).cause == "unknown"


def test_stable_has_no_cause():
    stable = classify_degradation(clear("stable"), ERRORS, n_reference=N_REFERENCE)
    assert with_cause(stable, attribution(0.07, 0.0)).cause == "unknown"
