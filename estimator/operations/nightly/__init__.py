"""The nightly job, model by model."""
