"""Examples by hand, for operators, inputs and outputs that no case of the backend suite uses.

``HAND_WRITTEN`` are plain examples, to be brought to other versions and types like those of the suite.  ``BUILDERS``
make an example for given types, of operators whose attributes or graphs depend on them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, TypeAlias

import ml_dtypes
import numpy as np

from onnxlite.conformance import recipes_control, recipes_ml
from onnxlite.conformance.examples import Argument, Example, example

#: Makes an example for a schema from the types of its variables; the last argument is the variable that is wanted.
Builder: TypeAlias = Callable[[Any, Mapping[str, str], str], Example]


def _ramp(*shape: int, dtype: Any = np.float32) -> Any:
    """Small different numbers of both signs: -1, -0.75, ..."""
    return (np.arange(np.prod(shape)).reshape(shape) / 4 - 1).astype(dtype)


def _integers(*values: int, dtype: Any = np.int64) -> Any:
    return np.array(values, dtype)


_TENSORS = [_ramp(2, 3), _ramp(2, 3) + 1, _ramp(2, 3) * 2]
_LENGTHS = _integers(2, 1, dtype=np.int32)
_IMAGE = _ramp(1, 2, 4, 4)
_ROI = np.array([0, 0, 0.25, 0.25, 1, 1, 0.75, 0.75], np.float32)
_SCALES = np.array([1, 1, 2, 1.5], np.float32)
_QUANTIZED = _integers(1, 2, 3, 4, 5, 6, 7, 8, 9, dtype=np.uint8).reshape(1, 1, 3, 3)


def _recurrent(name: str, gates: int) -> list[Example]:
    """Recurrence with all inputs and outputs, sequence lengths included."""
    state = [_ramp(1, 2, 4) / 2] * (2 if name == "LSTM" else 1)
    weights = [_ramp(1, gates * 4, 3) / 20, _ramp(1, gates * 4, 4) / 20, _ramp(1, 2 * gates * 4) / 20]
    inputs = [_ramp(3, 2, 3) / 4, *weights, _LENGTHS, *state]
    outputs = 3 if name == "LSTM" else 2
    # Version 1 gives the whole sequence only if asked to, and its default direction is spelled wrongly.
    first = example(name, 1, inputs, outputs, hidden_size=4, direction="forward", output_sequence=1)
    return [first, example(name, 7, inputs, outputs, hidden_size=4), example(name, 14, inputs, outputs, hidden_size=4)]


_SLOPES = np.array([0.5, -1, 2], np.float32)
_GEMM = [_ramp(2, 3), _ramp(3, 4), _ramp(2, 4)]
_BATCH_NORMALIZATION = [
    _ramp(2, 3, 2),
    *(np.array(numbers, np.float32) for numbers in ([1, 2, 0.5], [0, 1, -1], [0.5, 0, -1], [1, 4, 0.25])),
]


def _batch_normalized(x: Any, scale: Any, bias: Any, mean: Any, variance: Any) -> Any:
    return np.moveaxis(scale * (np.moveaxis(x, 1, -1) - mean) / np.sqrt(variance + 1e-5) + bias, -1, 1)


_POWERS = 2.0 ** np.arange(-20, 20)

_PLAIN: list[Example] = [
    *_recurrent("GRU", 3),
    *_recurrent("LSTM", 4),
    *_recurrent("RNN", 1),
    example(
        "BatchNormalization",
        1,
        _BATCH_NORMALIZATION,
        expected=[_batch_normalized(*_BATCH_NORMALIZATION)],
        consumed_inputs=[0, 0, 0, 1, 1],
        is_test=1,
    ),
    example(
        "BatchNormalization", 6, _BATCH_NORMALIZATION, expected=[_batch_normalized(*_BATCH_NORMALIZATION)], is_test=1
    ),
    example(
        "CastLike",
        24,
        [np.array([3, 1000, *_POWERS], np.float32), np.ones(0, ml_dtypes.float8_e8m0fnu)],
        expected=[np.array([4, 1024, *_POWERS], ml_dtypes.float8_e8m0fnu)],
    ),
    example(
        "Col2Im",
        18,
        [np.array([[list("ab"), list("cd")]], object), _integers(1, 4), _integers(1, 2)],
        expected=[np.array([[[list("acbd")]]], object)],
        strides=[1, 2],
    ),
    example("ConcatFromSequence", 11, [_TENSORS], axis=1),
    example("Bernoulli", 15, [np.array([[0.25, 0.5], [0.0, 1.0]], np.float32)]),
    example("DFT", 20, [_ramp(1, 6, 1), np.array(4, np.int64), np.array(1, np.int64)]),
    example("DFT", 17, [_ramp(1, 6, 1), np.array(4, np.int64)], axis=1),
    example("Dropout", 1, [_ramp(2, 3)], is_test=1, expected=[_ramp(2, 3)]),
    example("Dropout", 7, [_ramp(2, 3)], 2, expected=[_ramp(2, 3), np.ones((2, 3), np.float32)]),
    example("Dropout", 10, [_ramp(2, 3)], 2, expected=[_ramp(2, 3), np.ones((2, 3), bool)]),
    *(example("Gemm", v, _GEMM, alpha=0.5, expected=[0.5 * _GEMM[0] @ _GEMM[1] + _GEMM[2]]) for v in (1, 6)),
    example(
        "GlobalLpPool", 1, [_ramp(2, 3, 4)], p=2.0, expected=[np.sqrt((_ramp(2, 3, 4) ** 2).sum(-1, keepdims=True))]
    ),
    example("GroupNormalization", 18, [_IMAGE, _ramp(2), _ramp(2) + 1], num_groups=2),
    *[example(name, 1, [_ramp(2, 3, 2)], axis=1) for name in ("Hardmax", "LogSoftmax", "Softmax")],
    example("MaxRoiPool", 22, [_IMAGE, np.array([[0, 0, 0, 3, 3], [0, 1, 1, 2, 3]], np.float32)], pooled_shape=[2, 2]),
    example("Multinomial", 22, [np.log([[0.25, 0.5, 0.25], [0.9, 0.05, 0.05]]).astype(np.float32)], sample_size=5),
    example("OneHot", 9, [_integers(2, 0, 1), np.array(3, np.int64), np.array([-1, 4], np.float32)], axis=1),
    example("Optional", 15, [_ramp(2, 3)], expected=[_ramp(2, 3)]),
    example("Optional", 15, [_TENSORS[:2]], expected=[_TENSORS[:2]]),
    example("OptionalGetElement", 15, [Argument("optional(tensor(float))", _ramp(2, 3))], expected=[_ramp(2, 3)]),
    example("OptionalHasElement", 15, [Argument("optional(tensor(float))", _ramp(2, 3))], expected=[np.array(True)]),
    example(
        "PRelu",
        6,
        [_ramp(2, 3, 2), _SLOPES],
        expected=[np.where(_ramp(2, 3, 2) < 0, _SLOPES[:, None] * _ramp(2, 3, 2), _ramp(2, 3, 2))],
    ),
    example(
        "QLinearConv",
        10,
        [
            *[_QUANTIZED, np.array(0.5, np.float32), np.array(1, np.uint8)],
            *[_QUANTIZED[..., :2, 1:], np.array(0.25, np.float32), np.array(3, np.uint8)],
            *[np.array(2, np.float32), np.array(2, np.uint8), _integers(5, dtype=np.int32)],
        ],
    ),
    example("RandomNormal", 1, [], shape=[3, 4]),
    example("RandomUniform", 1, [], shape=[3, 4], low=2.0, high=3.0),
    example("RandomNormalLike", 1, [_ramp(3, 4)]),
    example("RandomUniformLike", 1, [_ramp(3, 4)], low=2.0, high=3.0),
    example("Resize", 10, [_IMAGE, _SCALES], mode="linear"),
    example("Resize", 11, [_IMAGE, _ROI, _SCALES], mode="linear"),
    example("Resize", 11, [_IMAGE, _ROI, _SCALES], coordinate_transformation_mode="tf_crop_and_resize", mode="linear"),
    example("SequenceAt", 11, [_TENSORS, np.array(-2, np.int64)], expected=[_TENSORS[1]]),
    example("SequenceConstruct", 11, _TENSORS, expected=[_TENSORS]),
    example("SequenceEmpty", 11, [], ["seq(tensor(float))"], expected=[[]]),
    example("SequenceErase", 11, [_TENSORS, np.array(1, np.int64)], expected=[[_TENSORS[0], _TENSORS[2]]]),
    example("SequenceLength", 11, [_TENSORS], expected=[np.array(3, np.int64)]),
    example("SequenceInsert", 11, [_TENSORS[:2], _TENSORS[2], np.array(0, np.int64)]),
    example(
        "Split", 1, [_ramp(4, 3), np.array([1, 3], np.float32)], 2, expected=[_ramp(4, 3)[:1], _ramp(4, 3)[1:]], axis=0
    ),
    example(
        "Tile", 1, [_ramp(2, 3), np.array(2, np.float32), np.array(1, np.float32)], expected=[np.tile(_ramp(2, 3), 2)]
    ),
    example("Upsample", 1, [_IMAGE], height_scale=2.0, width_scale=1.5, mode="bilinear"),
    example(
        "Upsample",
        1,
        [_IMAGE[:, 0:1]],
        expected=[_IMAGE[:, 0:1].repeat(2, axis=2)[..., [0, 0, 1, 2, 2, 3]]],
        height_scale=2.0,
        width_scale=1.5,
    ),
]

HAND_WRITTEN: tuple[Example, ...] = (*_PLAIN, *recipes_ml.EXAMPLES)

BUILDERS: Mapping[tuple[str, str], Builder] = MappingProxyType({**recipes_control.BUILDERS, **recipes_ml.BUILDERS})
