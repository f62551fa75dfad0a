"""Convolutions of float32 on images with the channels last."""
