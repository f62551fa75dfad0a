"""Speed, start and memory of onnxlite beside onnxruntime: `python -m benchmarks`."""
