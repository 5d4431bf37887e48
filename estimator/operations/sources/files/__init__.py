"""Rows in files: Parquet and CSV, read by name and out of core."""
