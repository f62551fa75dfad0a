"""Models of a function and its gradients, and what finite differences say of them."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from onnx import parser

import onnxlite
from onnxlite.kernels.dtypes import element_type

#: The step of central differences: at 1e-5 truncation and rounding both stay below 1e-9 for functions of size 1.
STEP = 1e-5


def between(low: float, high: float) -> Callable[..., np.ndarray]:
    """Draws arrays of a shape; the numbers are spread over the range, so that none is near a kink at 0."""

    def draw(*shape: int) -> np.ndarray:
        size = int(np.prod(shape))
        spread = low + (high - low) * (np.arange(size) + 0.37) / max(size, 1)
        return np.random.default_rng(size).permutation(spread).reshape(shape)

    return draw


def distinct(*shape: int) -> np.ndarray:
    """Numbers that differ by at least 0.1."""
    size = int(np.prod(shape))
    return np.random.default_rng(size).permutation((np.arange(size) - size / 2 + 0.23) * 0.1).reshape(shape)


def integers(high: int) -> Callable[..., np.ndarray]:
    """Draws arrays of integers below a limit."""
    return lambda *shape: np.random.default_rng(7).integers(0, high, shape)


class Differentiated:
    """``loss = sum(weights * y)`` and its gradients with respect to ``xs``, by default all inputs of float64."""

    def __init__(
        self,
        text: str,
        feeds: Mapping[str, np.ndarray],
        xs: Sequence[str] = (),
        opset: int = 18,
        shapes: str = "known",
    ) -> None:
        self.text, self.opset, self.shapes = text, opset, shapes
        self.feeds = {name: np.asarray(value) for name, value in feeds.items()}
        self.xs = tuple(xs) or tuple(name for name, value in self.feeds.items() if value.dtype == np.float64)

    def session(self) -> onnxlite.InferenceSession:
        """The session of the model, without its weights."""
        weights = "w0" if "w" in self.feeds else "w"
        self.zs = [*(name for name in self.feeds if name not in self.xs), weights]
        self.weights = weights
        gradients = ", ".join(f"d_{x}" for x in self.xs)
        directions = {f"t_{x}": self.feeds[x] for x in self.xs}
        inner = " ".join(f"m_{x} = Mul (d_{x}, t_{x}) s_{x} = ReduceSum <keepdims = 0> (m_{x})" for x in self.xs)
        total = ", ".join(f"s_{x}" for x in self.xs)
        second = ", ".join(f"dd_{x}" for x in self.xs)
        body = f"""
            {self.text}
            weighted = Mul (y, {weights})
            loss = ReduceSum <keepdims = 0> (weighted)
            {gradients} = {self.gradient(self.xs, self.zs, "loss")}
            {inner} directed = Sum ({total})
            {second} = {self.gradient(self.xs, [*self.zs, *directions], "directed")}
        """
        inputs = [self._declared(name, value) for name, value in (self.feeds | directions).items()]
        outputs = ", ".join(f"double[] {name}" for name in ("y", "loss", *gradients.split(", "), "directed",
                                                             *second.split(", ")))  # fmt: skip
        return onnxlite.InferenceSession(
            parser.parse_model(
                f'<ir_version: 8, opset_import: ["": {self.opset}, "ai.onnx.preview.training": 1]> '
                f"g ({', '.join(inputs)}, double[] {weights}) => ({outputs}) {{ {body} }}"
            ),
            providers=["ReferenceExecutionProvider"],
        )

    def gradient(self, xs: Sequence[str], zs: Sequence[str], y: str) -> str:
        """A Gradient node at the tensors that it names."""
        names = ", ".join(f'"{x}"' for x in xs)
        others = ", ".join(f'"{z}"' for z in zs)
        inputs = ", ".join((*xs, *zs))
        return f'ai.onnx.preview.training.Gradient <xs = [{names}], zs = [{others}], y = "{y}"> ({inputs})'

    def check(self) -> None:
        """Compare the gradients with finite differences."""
        self._compare("d", "loss")

    def check_second_order(self) -> None:
        """Compare the gradients of a combination of the gradients with finite differences."""
        self._compare("dd", "directed")

    def _compare(self, prefix: str, y: str) -> None:
        session = self.session()
        generator = np.random.default_rng(zlib.crc32(self.text.encode()))
        directions = {f"t_{x}": generator.standard_normal(self.feeds[x].shape) for x in self.xs}
        feeds = self.feeds | directions
        blank = {self.weights: np.array(1.0)}
        (result,) = session.run(["y"], feeds | blank)
        feeds[self.weights] = generator.standard_normal(np.shape(result))
        wanted = [y] if prefix == "d" else [f"d_{x}" for x in self.xs]
        gradients = session.run([f"{prefix}_{x}" for x in self.xs], feeds)

        def value(changed: Mapping[str, np.ndarray]) -> float:
            results = session.run(wanted, feeds | changed)
            if prefix == "d":
                return float(results[0])
            return sum(float((r * directions[f"t_{x}"]).sum()) for r, x in zip(results, self.xs, strict=True))

        for x, gradient in zip(self.xs, gradients, strict=True):
            assert gradient.dtype == self.feeds[x].dtype
            expected = finite_differences(lambda array, x=x: value({x: array}), self.feeds[x])
            np.testing.assert_allclose(gradient, expected, rtol=1e-5, atol=1e-6, err_msg=f"{y} by {x}")

    def _declared(self, name: str, value: np.ndarray) -> str:
        kind = element_type(value.dtype).onnx
        if self.shapes == "unknown" and value.dtype == np.float64:
            return f"{kind}[] {name}"
        dims = [f"{name}{axis}" if self.shapes == "symbols" else str(n) for axis, n in enumerate(value.shape)]
        return f"{kind}[{','.join(dims)}] {name}" if dims else f"{kind} {name}"


def finite_differences(function: Callable[[np.ndarray], float], x: np.ndarray) -> np.ndarray:
    """The derivative of a function by every element of x, by central differences."""
    result = np.empty(x.shape)
    for index in np.ndindex(x.shape):
        step = np.zeros(x.shape)
        step[index] = STEP
        result[index] = (function(x + step) - function(x - step)) / (2 * STEP)
    return result


def model(text: str) -> onnx.ModelProto:
    """A model from its signature and nodes, with Gradient as ``training.Gradient``."""
    text = text.replace("training.Gradient", "ai.onnx.preview.training.Gradient")
    return parser.parse_model(f'<ir_version: 8, opset_import: ["": 18, "ai.onnx.preview.training": 1]> {text}')


def run(text: str, **feeds: Any) -> list[np.ndarray]:
    """The outputs of such a model."""
    return onnxlite.InferenceSession(model(text)).run(None, feeds)
