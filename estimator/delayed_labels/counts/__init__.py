"""Chunks as tables of counts: what is kept once rows have been read."""
