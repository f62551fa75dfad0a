"""Operators on images and boxes that neither convolve nor pool."""
