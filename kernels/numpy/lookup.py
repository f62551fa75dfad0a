"""Where the elements of a tensor stand in a vector of keys."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from onnxlite.kernels.arrays import Array
from onnxlite.kernels.numpy.identity_cache import remembered


@remembered
def finder(keys: Array, preferred: str) -> Callable[[Array], Array]:
    """A function that finds where each element stands among the keys, "first" or "last"; -1 if it does not.

    Strings are found among strings and numbers among numbers; NaN equals NaN.
    """
    strings = keys.dtype == object
    position = np.arange(len(keys)) if preferred == "first" else np.arange(len(keys))[::-1]
    place = dict(zip(keys[position[::-1]], position[::-1].tolist(), strict=True)) if strings else {}
    distinct, first = (keys, position) if strings else np.unique(keys[position], return_index=True)

    def find(x: Array) -> Array:
        if (x.dtype == object) != strings:
            raise ValueError(f"expected elements of the type of the keys, {keys.dtype}, got {x.dtype}")
        if strings:
            return np.array([place.get(element, -1) for element in x.ravel()], dtype=np.int64).reshape(x.shape)
        if not len(keys):
            return np.full(x.shape, -1)
        near = np.minimum(np.searchsorted(distinct, x), len(distinct) - 1)
        same = (distinct[near] == x) | ((distinct[near] != distinct[near]) & (x != x))
        return np.where(same, position[first[near]], -1)

    return find
