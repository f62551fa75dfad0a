"""Small models with the operators that most models have, whose kernels are worth compiling ahead of any model."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from onnxlite.kernels.arrays import Array
from onnxlite.options import SessionOptions
from onnxlite.session import InferenceSession

_RANDOM = np.random.default_rng(0)


def run_common_kernels(options: SessionOptions) -> None:
    """Run the models, with a session's options."""
    for model, shape in (_images(), _text(), _sequence(), _numbers()):
        session = InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
        (given,) = session.get_inputs()
        session.run(None, {given.name: _random(*shape)})


def _random(*shape: int) -> Array:
    return _RANDOM.standard_normal(shape, np.float32)


class _Builder:
    """Nodes one after the other, each of which reads what the last one made."""

    def __init__(self, first: str = "x") -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.arrays: dict[str, Array] = {}
        self.last = first
        self._names = (f"v{number}" for number in range(10_000))

    def constant(self, array: Array) -> str:
        """The name of a new initializer."""
        name = next(self._names)
        self.arrays[name] = array
        return name

    def add(self, operator: str, *more: str | Array, before: Sequence[str] | None = None, **attributes: Any) -> str:
        """The output of a new node, which reads the last value, or those before, and then some more."""
        names = [value if isinstance(value, str) else self.constant(value) for value in more]
        output = next(self._names)
        inputs = [*([self.last] if before is None else before), *names]
        self.nodes.append(helper.make_node(operator, inputs, [output], **attributes))
        self.last = output
        return output

    def model(self, shape: Sequence[int | str]) -> onnx.ModelProto:
        """The model, whose output is the last value."""
        graph = helper.make_graph(
            self.nodes,
            "common",
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
            [helper.make_tensor_value_info(self.last, TensorProto.FLOAT, None)],
            [numpy_helper.from_array(array, name) for name, array in self.arrays.items()],
        )
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)])


def _images() -> tuple[onnx.ModelProto, tuple[int, ...]]:
    """Convolutions of the usual kinds, with the usual activations, residuals and pools."""
    b = _Builder()
    b.add("Conv", _random(16, 3, 3, 3), _random(16), strides=[2, 2], pads=[1] * 4)
    b.add("Relu")
    for width, activation in ((16, "Relu"), (48, "HardSwish")):
        kept = b.last
        b.add("Conv", _random(width, 16, 1, 1), _random(width))
        b.add(activation)
        b.add("Conv", _random(width, 1, 3, 3), _random(width), pads=[1] * 4, group=width)
        b.add("Clip", np.float32(0).reshape(()), np.float32(6).reshape(()))
        b.add("Conv", _random(16, width, 3, 3), _random(16), pads=[1] * 4)
        b.add("Add", kept)
    b.add("MaxPool", kernel_shape=[3, 3], strides=[2, 2], pads=[1] * 4)
    gate = b.last
    b.add("GlobalAveragePool")
    b.add("Conv", _random(16, 16, 1, 1), _random(16))
    b.add("Sigmoid")
    b.add("Mul", gate)
    b.add("AveragePool", kernel_shape=[2, 2], strides=[2, 2])
    b.add("Resize", "", np.array([1, 1, 2, 2], np.float32), mode="nearest")
    b.add("GlobalAveragePool")
    b.add("Flatten")
    b.add("Gemm", _random(10, 16), _random(10), transB=1)
    b.add("Softmax")
    return b.model([1, 3, 64, 64]), (1, 3, 64, 64)


def _text() -> tuple[onnx.ModelProto, tuple[int, ...]]:
    """Attention, normalization and a perceptron, as exporters write them."""
    b, heads, width = _Builder(), 2, 64
    for _ in range(2):
        kept = b.last
        b.add("LayerNormalization", _random(width), _random(width))
        normal, split = b.last, np.array([1, -1, heads, width // heads], np.int64)
        parts = []
        for order in ((0, 2, 1, 3), (0, 2, 3, 1), (0, 2, 1, 3)):
            b.add("MatMul", _random(width, width), before=[normal])
            b.add("Add", _random(width))
            b.add("Reshape", split)
            parts.append(b.add("Transpose", perm=order))
        b.add("MatMul", before=parts[:2])
        b.add("Mul", np.float32(0.2).reshape(()))
        b.add("Softmax", axis=-1)
        b.add("MatMul", parts[2])
        b.add("Transpose", perm=[0, 2, 1, 3])
        b.add("Reshape", np.array([1, -1, width], np.int64))
        b.add("MatMul", _random(width, width))
        b.add("Add", kept)
        kept = b.last
        b.add("MatMul", _random(width, 4 * width))
        inner = b.add("Add", _random(4 * width))
        b.add("Div", np.float32(2**0.5).reshape(()))
        b.add("Erf")
        b.add("Add", np.float32(1).reshape(()))
        b.add("Mul", inner)
        b.add("Mul", np.float32(0.5).reshape(()))
        b.add("MatMul", _random(4 * width, width))
        b.add("Add", kept)
    return b.model([1, "n", width]), (1, 48, width)


def _sequence() -> tuple[onnx.ModelProto, tuple[int, ...]]:
    """Recurrence."""
    b, units = _Builder(), 32
    for operator, gates in (("LSTM", 4), ("GRU", 3)):
        b.add(operator, *(_random(1, gates * units, n) for n in (units, units)), hidden_size=units)
        b.add("Squeeze", np.array([1], np.int64))
    return b.model(["n", 1, units]), (20, 1, units)


def _numbers() -> tuple[onnx.ModelProto, tuple[int, ...]]:
    """Arithmetic, reductions and movement."""
    b = _Builder()
    for operator in ("Exp", "Tanh", "Sqrt", "Abs", "Neg", "LeakyRelu", "Softplus"):
        b.add(operator)
    for operator in ("ReduceMean", "ReduceMax", "ReduceSum"):
        whole = b.last
        b.add(operator, np.array([-1], np.int64), keepdims=1)
        b.add("Sub", whole)
    for parts in _halves():
        whole = b.last
        pieces = [b.add("Slice", *part, before=[whole]) for part in parts]
        b.add("Concat", before=pieces[::-1], axis=1)
    b.add("Transpose", perm=[0, 2, 1])
    b.add("Gather", np.arange(0, 20, 3), axis=1)
    b.add("Pad", np.array([0, 1, 0, 0, 1, 0], np.int64))
    return b.model([2, 30, 40]), (2, 30, 40)


def _halves() -> Iterator[list[list[Array]]]:
    for axis, half, end in ((1, 15, 30), (2, 20, 40)):
        yield [[np.array([n], np.int64) for n in (low, high, axis)] for low, high in ((0, half), (half, end))]
