"""Simulated nights and series, crashes, damaged files: for tests and benchmarks."""
