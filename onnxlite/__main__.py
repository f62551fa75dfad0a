"""``python -m onnxlite`` is the ``onnxlite`` command."""

import sys

from onnxlite.cli import main

sys.exit(main())
