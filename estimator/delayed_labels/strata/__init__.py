"""Strata by which delays may differ: segment value or learned stratum, band, age."""
