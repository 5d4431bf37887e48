"""The configuration of the nightly job."""
