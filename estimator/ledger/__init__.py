"""Which row of which chunk is labelled, and since when."""
