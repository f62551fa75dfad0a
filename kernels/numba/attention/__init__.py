"""Attention without the matrix of all scores."""
