"""Shifts of a calibration map: over time, and by segment."""
