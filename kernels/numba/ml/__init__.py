"""The models of ai.onnx.ml."""
