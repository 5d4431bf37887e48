"""The shapes that a series of chunk values can have, and the evidence for each."""
