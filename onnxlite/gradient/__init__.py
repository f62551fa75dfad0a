"""Gradient (ai.onnx.preview.training) as reverse-mode differentiation of a graph."""
