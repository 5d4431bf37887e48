"""Calibration that reads features beside the score."""
