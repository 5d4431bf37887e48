"""Calibrated probabilities: maps from raw scores, and tests of how well they hold."""

from calibration.base import Calibrator, UncertainCalibrator
from calibration.cross_fitting import CrossFit, blocked_folds, cross_fit
from calibration.diagnostics import (
    BrierDecomposition,
    ReliabilityCurve,
    compute_brier_decomposition,
    compute_calibration_error,
    compute_reliability_curve,
)
from calibration.features.density_ratio import DensityRatio, estimate_density_ratio
from calibration.features.feature_aware import FeatureAwareCalibrator
from calibration.maps.isotonic import IsotonicCalibrator
from calibration.maps.parametric import (
    BetaCalibrator,
    IdentityCalibrator,
    PlattCalibrator,
    TemperatureCalibrator,
)
from calibration.maps.spline import SplineCalibrator
from calibration.plots import plot_brier_decomposition, plot_reliability_curve
from calibration.registry import CALIBRATORS, make_calibrator
from calibration.selection import CalibratorSelection, select_calibrator

__all__ = [
    "CALIBRATORS",
    "BetaCalibrator",
    "BrierDecomposition",
    "Calibrator",
    "CalibratorSelection",
    "CrossFit",
    "DensityRatio",
    "FeatureAwareCalibrator",
    "IdentityCalibrator",
    "IsotonicCalibrator",
    "PlattCalibrator",
    "ReliabilityCurve",
    "SplineCalibrator",
    "TemperatureCalibrator",
    "UncertainCalibrator",
    "blocked_folds",
    "compute_brier_decomposition",
    "compute_calibration_error",
    "compute_reliability_curve",
    "cross_fit",
    "estimate_density_ratio",
    "make_calibrator",
    "plot_brier_decomposition",
    "plot_reliability_curve",
    "select_calibrator",
]
