"""What the shapes of an operator's outputs depend on: the shapes of its inputs, or also the values of some, or more.

A plan that is specialised to the shapes of its inputs needs to know which shapes stay the same on the next run.
"""

from __future__ import annotations

from onnxlite.model.ir import Node

#: Inputs (by index) whose values decide the shape of an output.
_SHAPING_INPUTS: dict[str, tuple[int, ...]] = {
    "AffineGrid": (1,),
    "BlackmanWindow": (0,),
    "CenterCropPad": (1,),
    "Col2Im": (1, 2),
    "ConstantOfShape": (0,),
    "DFT": (1, 2),
    "Expand": (1,),
    "HammingWindow": (0,),
    "HannWindow": (0,),
    "MaxUnpool": (2,),
    "MelWeightMatrix": (0, 1),
    "OneHot": (1,),
    "Pad": (1, 3),
    "Range": (0, 1, 2),
    "ReduceL1": (1,),
    "ReduceL2": (1,),
    "ReduceLogSum": (1,),
    "ReduceLogSumExp": (1,),
    "ReduceMax": (1,),
    "ReduceMean": (1,),
    "ReduceMin": (1,),
    "ReduceProd": (1,),
    "ReduceSum": (1,),
    "ReduceSumSquare": (1,),
    "Reshape": (1,),
    "Resize": (1, 2, 3),
    "STFT": (1, 3),
    "Slice": (1, 2, 3, 4),
    "Split": (1,),
    "Squeeze": (1,),
    "Tile": (1, 2),
    "TopK": (1,),
    "Unsqueeze": (1,),
    "Upsample": (1,),
}

#: Operators whose outputs' shapes, or kinds, depend on everything that they are given.
_UNPREDICTABLE = frozenset(
    {
        "Compress",
        "ConcatFromSequence",
        "If",
        "ImageDecoder",
        "Loop",
        "NonMaxSuppression",
        "NonZero",
        "Optional",
        "OptionalGetElement",
        "OptionalHasElement",
        "Scan",
        "SequenceAt",
        "SequenceConstruct",
        "SequenceEmpty",
        "SequenceErase",
        "SequenceInsert",
        "SequenceLength",
        "SequenceMap",
        "SplitToSequence",
        "StringNormalizer",
        "StringSplit",
        "Unique",
    }
)

#: Operators whose results differ from run to run.
_RANDOM = frozenset(
    {"Bernoulli", "Dropout", "Multinomial", "RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike"}
)

#: The domains whose operators the tables above are about; those of models (ai.onnx.ml) depend on shapes alone, or give
#: and take what is no array.
_KNOWN_DOMAINS = frozenset({"", "onnxlite", "ai.onnx.ml"})


def shaping_inputs(node: Node) -> tuple[int, ...] | None:
    """The inputs whose values decide the shapes of the outputs; None if nothing decides them beforehand."""
    if node.domain not in _KNOWN_DOMAINS or node.op_type in _UNPREDICTABLE:
        return None
    return _SHAPING_INPUTS.get(node.op_type, ())


def draws_numbers(node: Node) -> bool:
    """Whether the operator draws random numbers; Dropout does so in training alone."""
    if node.op_type == "Dropout":
        return len(node.inputs) > 2 if node.opset >= 7 else not node.attributes.get("is_test", 0)
    return node.op_type in _RANDOM


def is_repeatable(node: Node) -> bool:
    """Whether equal inputs always give equal outputs, and nothing else happens."""
    return node.domain in _KNOWN_DOMAINS and node.op_type not in _RANDOM and not any(node.graphs())
