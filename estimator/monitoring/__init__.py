"""Evaluation of all chunks of a monitor."""
