"""The page that the nightly job writes."""
