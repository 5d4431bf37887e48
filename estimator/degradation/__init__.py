"""When is a value too low, and what kind of decline is it."""
