"""Models with the architectures that people deploy, exported with random weights.

This package needs torch, onnxruntime and skl2onnx, and nothing of onnxlite: it may run in an environment of its own.
"""
