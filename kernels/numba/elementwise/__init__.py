"""Elementwise operators: their formulas, and kernels generated from expressions."""
