"""Operators that move elements: copies, transpositions, gathering and scattering."""
