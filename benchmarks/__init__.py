"""Measurements of speed, memory and truthfulness; run as ``python -m benchmarks.…``."""
