"""What all tests share."""

import os

# A compiled kernel is tested from its first call on: nothing stands in for it while it is compiled.
os.environ.setdefault("ONNXLITE_COMPILE", "wait")
