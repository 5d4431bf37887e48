"""Where predictions and labels are read from."""
