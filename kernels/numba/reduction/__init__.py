"""Operators along axes: sums, extremes, normalisations, orders."""
