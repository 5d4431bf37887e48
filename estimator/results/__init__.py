"""Results: performance by chunk, metric and segment."""
