"""``python -m onnxlite.conformance``: run the onnx backend suite; ``--help`` lists the options."""

from __future__ import annotations

import argparse
import sys

from onnxlite.conformance.command import add_arguments, main

if __name__ == "__main__":
    parser = argparse.ArgumentParser("python -m onnxlite.conformance")
    parser.description = "Run the backend test suite of the installed onnx package on an engine."
    add_arguments(parser)
    sys.exit(main(parser.parse_args()))
