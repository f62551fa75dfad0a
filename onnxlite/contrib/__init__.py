"""onnxruntime's own operators (domain com.microsoft), as functions over the operators of the specification.

onnxruntime's optimizers and quantizers write models that use them.  As functions they run on every provider, and the
passes see through them.
"""

from onnxlite.contrib.body import contrib_body, contrib_names

__all__ = ["contrib_body", "contrib_names"]
