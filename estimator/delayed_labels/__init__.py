"""Labels that come late: which have come, what to expect of the others."""
