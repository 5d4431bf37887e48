"""A frame of any library becomes typed columns, times and features."""
