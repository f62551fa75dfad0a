"""What every kernel needs of its arrays: their namespace, and arithmetic in float32 for the narrow floats."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np

from onnxlite.kernels.dtypes import NARROW_FLOATS

#: An array of whatever namespace a kernel is handed: ``numpy.ndarray``, ``cupy.ndarray`` or a stand-in.
Array: TypeAlias = Any


def array_namespace(*arrays: Any) -> Any:
    """The array module of the arguments (numpy or cupy): the one of the first that is an array.

    ``None``, scalars and Python containers are passed over; without any array the answer is numpy.
    """
    for array in arrays:
        if type(array) is np.ndarray or array is None:
            if array is not None:
                return np
        elif not isinstance(array, np.generic) and hasattr(array, "__array_namespace__"):
            return array.__array_namespace__()
    return np


def is_array(value: Any) -> bool:
    """Whether a value is a tensor (of any namespace), not a container or an absent input."""
    return hasattr(value, "dtype") and hasattr(value, "shape")


def widen(array: Array) -> Array:
    """The array in float32 if its type is a narrower float, else the array itself."""
    return array.astype(np.float32) if is_array(array) and array.dtype in NARROW_FLOATS else array


def widened(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function computing in float32 where an input is a narrower float, its float32 results rounded back.

    The results take the type of the first narrow input.  A function with a float32 result that stays float32 (a scale,
    a saved mean) calls `widen` itself.
    """

    @functools.wraps(function)
    def call(*inputs: Any, **attributes: Any) -> Any:
        narrow = next((x.dtype for x in inputs if is_array(x) and x.dtype in NARROW_FLOATS), None)
        if narrow is None:
            return function(*inputs, **attributes)
        results = function(*map(widen, inputs), **attributes)
        if isinstance(results, tuple):
            return tuple(_round(result, narrow) for result in results)
        return _round(results, narrow)

    return call


def _round(result: Any, dtype: np.dtype[Any]) -> Any:
    return result.astype(dtype) if is_array(result) and result.dtype == np.float32 else result
