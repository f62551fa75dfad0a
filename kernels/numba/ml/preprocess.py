"""Features made ready for models (ai.onnx.ml): scaled, replaced, gathered, normalised."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from onnxlite.kernels.expression import Expression, constant, instruction
from onnxlite.kernels.numba.elementwise.elementwise import bind_expression
from onnxlite.kernels.numba.elementwise.term import Unserved
from onnxlite.kernels.numba.machine.jit import jit
from onnxlite.kernels.numba.machine.threads import parallel_for
from onnxlite.kernels.numba.movement.copying import is_movable
from onnxlite.kernels.numba.movement.gather import gather_rows
from onnxlite.kernels.numba.movement.joining import concat
from onnxlite.kernels.numba.spec import FLOAT32, ArraySpec, Bound, Declined, Input, Output, Pool, View
from onnxlite.kernels.numba.table import op
from onnxlite.kernels.numpy.ml_scores import ML

Floats = Sequence[float]
Ints = Sequence[int]

#: The elements in a piece of work.
_PIECE = 1 << 15

_FLOAT, _DOUBLE = 1, 11
_MAX, _L1, _L2 = range(3)
_NORMS = {"MAX": _MAX, "L1": _L1, "L2": _L2}
_NUMBERS = frozenset(map(np.dtype, (np.float32, np.float64, np.int32, np.int64)))


def _expression(x: ArraySpec, expression: Expression, *others: Any) -> Bound | Declined:
    """An expression of x and constants of its type, of one element or of one for each feature."""
    inputs = {0: x}
    for number, values in enumerate(others, 1):
        inputs[number] = ArraySpec(values.shape, values.dtype, values)
    try:
        return bind_expression(expression, inputs)
    except Unserved as reason:
        return Declined(str(reason))


def _per_feature(x: ArraySpec, values: Sequence[Any]) -> bool:
    """Whether there is one value, or one for each feature."""
    return len(values) in (1, x.shape[-1] if x.shape else 1)


@op("Scaler", domain=ML)
def scaler(x: ArraySpec, *, offset: Floats | None = None, scale: Floats | None = None) -> Bound | Declined:
    """``(x - offset) * scale``, each of them one number or one per feature (ai.onnx.ml Scaler-1)."""
    offset, scale = offset or (0.0,), scale or (1.0,)
    if x.dtype not in _NUMBERS or not _per_feature(x, offset) or not _per_feature(x, scale):
        return Declined(f"scaling {x.dtype}{list(x.shape)} by {len(scale)} and {len(offset)} numbers is not compiled")
    wide = x.dtype if x.dtype == FLOAT32 else np.dtype(np.float64)
    steps: Expression = (
        instruction("Cast", 13, ["x0"], {"to": _FLOAT if wide == FLOAT32 else _DOUBLE}),
        instruction("Sub", 7, ["t0", "x1"], {}),
        instruction("Mul", 7, ["t1", "x2"], {}),
        instruction("Cast", 13, ["t2"], {"to": _FLOAT}),
    )
    return _expression(x, steps, np.array(offset, wide), np.array(scale, wide))


@op("Binarizer", domain=ML)
def binarizer(x: ArraySpec, *, threshold: float = 0.0) -> Bound | Declined:
    """1 where ``x > threshold``, else 0 (ai.onnx.ml Binarizer-1)."""
    if x.dtype.kind != "f" or x.dtype not in _NUMBERS:
        return Declined(f"thresholds of {x.dtype} are not compiled")
    steps: Expression = (
        constant(x.dtype.name, threshold),
        instruction("Greater", 7, ["x0", "t0"], {}),
        instruction("Cast", 13, ["t1"], {"to": _FLOAT if x.dtype == FLOAT32 else _DOUBLE}),
    )
    return _expression(x, steps)


@op("Imputer", domain=ML)
def imputer(
    x: ArraySpec,
    *,
    imputed_value_floats: Floats | None = None,
    imputed_value_int64s: Ints | None = None,
    replaced_value_float: float = 0.0,
    replaced_value_int64: int = 0,
) -> Bound | Declined:
    """``x`` with one value (NaN too) replaced, by one value or by one per feature (ai.onnx.ml Imputer-1)."""
    floats = x.dtype.kind == "f"
    values = imputed_value_floats if floats else imputed_value_int64s
    if x.dtype not in _NUMBERS or not values or not _per_feature(x, values):
        return Declined("the imputed values do not fit: the reference says how")
    replaced = replaced_value_float if floats else replaced_value_int64
    if x.dtype == np.int32 and not all(-(1 << 31) <= value < 1 << 31 for value in (replaced, *values)):
        return Declined("values beyond the input's type are not compiled")
    find = ("Equal", ["x0", "t0"]) if replaced == replaced else ("IsNaN", ["x0"])
    steps: Expression = (
        constant(x.dtype.name, replaced if replaced == replaced else 0.0),
        instruction(find[0], 7 if find[0] == "Equal" else 9, find[1], {}),
        instruction("Where", 9, ["t1", "x1", "x0"], {}),
    )
    return _expression(x, steps, np.array(values, x.dtype))


@op("ArrayFeatureExtractor", domain=ML)
def array_feature_extractor(x: ArraySpec, y: ArraySpec) -> Bound | Declined:
    """The elements at the positions ``y`` of the last axis; a vector gives one row (ArrayFeatureExtractor-1)."""
    if y.value is None or not y.size or not x.shape or not is_movable(x.dtype):
        return Declined(f"extracting from {x.dtype}{list(x.shape)} by positions that a run computes is not compiled")
    positions, length = np.array(y.value, np.int64).reshape(-1), x.shape[-1]
    if positions.min() < 0 or positions.max() >= length:
        return Declined("a position is outside the last axis: the reference says which")
    shape = (*(x.shape[:-1] or (1,)), len(positions))
    arguments = (Pool(), Input(0, flat=True), positions, Output(flat=True), length, x.dtype.itemsize)
    return Bound(gather_rows, (*arguments, math.prod(shape), _PIECE), (ArraySpec(shape, x.dtype),))


@op("FeatureVectorizer", domain=ML)
def feature_vectorizer(*inputs: ArraySpec, inputdimensions: Ints | None = None) -> Bound | View | Declined:
    """The features of all inputs side by side (FeatureVectorizer-1)."""
    rows = [x.shape if len(x.shape) == 2 else (1, *x.shape) for x in inputs]
    whole = all(len(shape) == 2 for shape in rows) and len({shape[0] for shape in rows}) == 1
    if (
        not whole
        or any(x.dtype != FLOAT32 for x in inputs)
        or tuple(inputdimensions or ())
        not in (
            (),
            tuple(shape[1] for shape in rows),
        )
    ):
        return Declined("only whole inputs of float32 for as many samples are compiled")
    return concat(*(ArraySpec(shape, FLOAT32) for shape in rows), axis=1)


@jit
def _divisor(x, start, stop, norm):  # type: ignore[no-untyped-def]
    """What a row is divided by: 1 where its norm is 0."""
    total = np.float64(x[start]) if norm == _MAX else 0.0
    for i in range(start, stop):
        value = np.float64(x[i])
        if norm == _L1:
            total += abs(value)
        elif norm == _L2:
            total += value * value
        elif value > total or value != value:
            total = value
    total = np.sqrt(total) if norm == _L2 else total
    return 1.0 if total == 0 else total


@jit
def _normalize(start, stop, thread, x, y, length, norm):  # type: ignore[no-untyped-def]
    for row in range(start, stop):
        divisor = _divisor(x, row * length, (row + 1) * length, norm)
        for i in range(row * length, (row + 1) * length):
            y[i] = np.float64(x[i]) / divisor


@jit
def normalize(pool, x, y, length, norm, rows, piece):  # type: ignore[no-untyped-def]
    """Divide each row by its norm."""
    parallel_for(pool, _normalize, (x, y, length, norm), rows, piece)


@op("Normalizer", domain=ML)
def normalizer(x: ArraySpec, *, norm: str = "MAX") -> Bound | Declined:
    """Each row divided by its maximum, sum of magnitudes or length, unless that is 0 (ai.onnx.ml Normalizer-1)."""
    if norm not in _NORMS or x.dtype not in _NUMBERS or not x.size:
        return Declined(f"the norm {norm} of {x.dtype}{list(x.shape)} is not compiled")
    length = x.shape[-1] if x.shape else 1
    arguments = (Pool(), Input(0, flat=True), Output(flat=True), length, _NORMS[norm])
    in_place = ((0, 0),) if x.dtype == FLOAT32 else ()
    return Bound(
        normalize, (*arguments, x.size // length, max(1, _PIECE // length)), (ArraySpec(x.shape, FLOAT32),), in_place
    )
