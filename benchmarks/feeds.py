"""Random inputs: the same for the same seed, whatever the engine."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, TypedDict

import numpy as np

#: The key of a model's metadata that holds the recipes of its inputs, as JSON.
FEEDS_KEY = "random_feeds"


class Recipe(TypedDict, total=False):
    """How one input is fed, as far as its declaration does not tell.

    ``shape`` is its shape, ``limit`` what integers are below (50 by default), ``value`` what all elements are.
    """

    shape: Sequence[int]
    limit: int
    value: float


_DTYPES = {
    "tensor(float)": np.float32,
    "tensor(double)": np.float64,
    "tensor(float16)": np.float16,
    "tensor(int8)": np.int8,
    "tensor(uint8)": np.uint8,
    "tensor(int32)": np.int32,
    "tensor(int64)": np.int64,
    "tensor(bool)": np.bool_,
}
_LIMITS = {np.int8: 128, np.uint8: 256, np.bool_: 2}


def random_feeds(session: Any, recipes: Mapping[str, Recipe], seed: int) -> dict[str, Any]:
    """Feeds for a session of either engine: floats are standard normal; dimensions that are left open are 1.

    Recipes in the model's metadata count where none are given.

    Raises:
        ValueError: An input is of a type that nothing is made up for.
    """
    recorded = session.get_modelmeta().custom_metadata_map.get(FEEDS_KEY, "{}")
    known: Mapping[str, Recipe] = {**json.loads(recorded), **recipes}
    generator = np.random.default_rng(seed)
    feeds = {}
    for argument in session.get_inputs():
        if argument.type not in _DTYPES:
            raise ValueError(f"no random values for the input '{argument.name}' of type {argument.type}")
        recipe: Recipe = {
            "shape": [length if isinstance(length, int) and length > 0 else 1 for length in argument.shape],
            **known.get(argument.name, {}),
        }
        feeds[argument.name] = random_array(_DTYPES[argument.type], recipe, generator)
    return feeds


def nudged(feeds: Mapping[str, Any], seed: int) -> dict[str, Any]:
    """The feeds with every float changed by about one millionth of itself, some units in its last place."""
    generator = np.random.default_rng(seed)
    return {
        name: value * (1 + 1e-6 * generator.standard_normal(value.shape)).astype(value.dtype)
        if value.dtype.kind == "f"
        else value
        for name, value in feeds.items()
    }


def random_array(dtype: type[np.generic], recipe: Recipe, generator: np.random.Generator) -> Any:
    """An array of the recipe's shape."""
    shape = tuple(recipe["shape"])
    if "value" in recipe:
        return np.full(shape, recipe["value"], dtype)
    if issubclass(dtype, np.floating):
        return generator.standard_normal(shape, np.float32).astype(dtype)
    return generator.integers(0, recipe.get("limit", _LIMITS.get(dtype, 50)), shape).astype(dtype)
