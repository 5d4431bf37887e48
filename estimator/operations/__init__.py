"""Running it: files in and out, and the command line."""
