"""What is learned from the reference, and estimates from it."""
