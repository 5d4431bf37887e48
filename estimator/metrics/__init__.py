"""Metrics of rows with soft labels, and how sure they are."""
