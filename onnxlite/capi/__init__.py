"""The module path under which onnxruntime's users find its exceptions."""
