"""The specification's inference for single nodes, remembered: networks repeat their layers, and passes ask again."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import replace

import numpy as np

from onnxlite.kernels.arrays import Array
from onnxlite.model.ir import Node
from onnxlite.model.specification import inferred_types
from onnxlite.model.types import TensorType, ValueType

#: How many answers are kept; then all are forgotten.
_MOST = 4096

_answers: dict[Hashable, list[ValueType | None]] = {}


def remembered_types(
    node: Node, input_types: Sequence[ValueType | None], constants: Mapping[str, Array]
) -> list[ValueType | None]:
    """What `inferred_types` says; two nodes that differ in names alone, those of lengths included, share an answer.

    Args:
        node: The node.
        input_types: The types of its inputs.
        constants: Inputs whose values are known, by name; small ones.
    """
    if any(node.graphs()) or any(array.dtype == np.object_ for array in constants.values()):
        return inferred_types(node, input_types, constants)
    attributes = tuple(sorted(node.attributes.items()))
    names = {name: f"x{index}" if name else "" for index, name in enumerate(dict.fromkeys(node.inputs))}
    lengths: dict[str, str] = {}
    kinds = tuple(_renamed(kind, lengths) for kind in input_types)
    values = tuple((names[n], a.dtype.str, a.shape, a.tobytes()) for n, a in constants.items())
    inputs = tuple(map(names.__getitem__, node.inputs))
    key = (node.domain, node.op_type, node.opset, attributes, inputs, len(node.outputs), kinds, values)
    try:
        answer = _answers.get(key)
    except TypeError:  # an attribute is an array
        return inferred_types(node, input_types, constants)
    if answer is None:
        if len(_answers) >= _MOST:
            _answers.clear()
        plain = replace(node, inputs=inputs, outputs=tuple(f"y{i}" for i in range(len(node.outputs))))
        answer = inferred_types(plain, kinds, {names[name]: array for name, array in constants.items()})
        _answers[key] = answer
    originals = {new: old for old, new in lengths.items()}
    return [_with_lengths(kind, originals) for kind in answer]


def _renamed(kind: ValueType | None, lengths: dict[str, str]) -> ValueType | None:
    """A type whose unknown lengths are numbered in the order in which they come, which is noted."""
    if not isinstance(kind, TensorType) or kind.shape is None:
        return kind
    shape = (lengths.setdefault(n, f"n{len(lengths)}") if isinstance(n, str) else n for n in kind.shape)
    return TensorType(kind.element, tuple(shape))


def _with_lengths(kind: ValueType | None, originals: Mapping[str, str]) -> ValueType | None:
    if not isinstance(kind, TensorType) or kind.shape is None:
        return kind
    return TensorType(kind.element, tuple(originals.get(n, n) if isinstance(n, str) else n for n in kind.shape))
