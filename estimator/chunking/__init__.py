"""Rows are grouped into chunks and segments."""
