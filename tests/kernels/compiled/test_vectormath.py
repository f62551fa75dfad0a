"""The vectorised functions against NumPy's and SciPy's in double precision, over samples of all float32 numbers."""

from __future__ import annotations

import functools
import math
import platform
from collections.abc import Callable
from typing import Any

import llvmlite.binding as llvm
import numpy as np
import pytest

from onnxlite.kernels import special
from onnxlite.kernels.cache_folder import CACHE_VARIABLE
from onnxlite.kernels.numba.machine import vectormath
from onnxlite.kernels.numba.machine.jit import jit
from onnxlite.kernels.numba.machine.lanes import load, store

#: For each function: the truth in float64, and the largest error in ULP that its docstring promises.
FUNCTIONS: dict[str, tuple[Callable[..., Any], float]] = {
    "exp": (np.exp, 1.3),
    "expm1": (np.expm1, 1.5),
    "log": (np.log, 0.9),
    "log1p": (np.log1p, 1.5),
    "sigmoid": (lambda x: 1 / (1 + np.exp(-x)), 3.0),
    "tanh": (np.tanh, 2.7),
    "sinh": (np.sinh, 2.4),
    "cosh": (np.cosh, 1.5),
    "softplus": (lambda x: np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x))), 2.1),
    "mish": (lambda x: x * np.tanh(np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x)))), 4.5),
    "erf": (special.erf, 3.2),
    "sin": (np.sin, 1.6),
    "cos": (np.cos, 1.6),
    "tan": (np.tan, 2.5),
    "asin": (np.arcsin, 2.5),
    "acos": (np.arccos, 1.3),
    "atan": (np.arctan, 2.6),
    "asinh": (np.arcsinh, 2.2),
    "acosh": (np.arccosh, 2.2),
    "atanh": (np.arctanh, 2.5),
}
#: Where a promise holds; elsewhere only that the result is close to a number that is next to nothing, or is one at all.
HOLDS: dict[str, Callable[..., Any]] = {
    "sigmoid": lambda x: ~(x < -87),
    "mish": lambda x: ~(x < -87),
    "sin": lambda x: ~(np.abs(x) >= 2**31) | np.isinf(x),
    "cos": lambda x: ~(np.abs(x) >= 2**31) | np.isinf(x),
    "tan": lambda x: ~(np.abs(x) >= 2**31) | np.isinf(x),
}


@pytest.fixture(autouse=True)
def without_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    """The loops below differ in what they call only, and not in name: the cache would take them for one."""
    monkeypatch.setenv(CACHE_VARIABLE, "")


@functools.cache
def loop(name: str) -> Any:
    function = getattr(vectormath, name)

    @jit
    def run(x, y):  # type: ignore[no-untyped-def]
        for i in range(x.size):
            store(y, i, function(load(x, i)))

    return run


def computed(name: str, x: Any) -> Any:
    y = np.empty_like(x)
    loop(name)(x, y)
    return y


def samples() -> Any:
    """Every 16411th float32, NaN of all kinds among them, numbers of ordinary size, and the edges of the functions."""
    everywhere = np.arange(0, 2**32, 16411, dtype=np.uint64).astype(np.uint32).view(np.float32)
    edges = [0.0, 1e-45, 1e-8, 2.0**-126, 0.5, 1.0, 2.4142135, 87.33655, 88.72283, 88.72284, 89.4159, 89.5]
    edges += [103.97208, 103.97209, 3.4028235e38, math.inf, math.nan]
    edges += [-edge for edge in edges]
    bits = np.array([0x7FC00001, 0xFFC00123, 0x7F800001, 0x7FFFFFFF], np.uint32)
    ordinary = [np.linspace(-end, end, 40_001, dtype=np.float32) for end in (1.1, 12.0, 110.0)]
    return np.concatenate([everywhere, np.array(edges, np.float32), bits.view(np.float32), *ordinary])


def errors(actual: Any, exact: Any) -> Any:
    """How far float32 results are from float64 ones, in units in the last place; infinite where the kind differs."""
    rounded = exact.astype(np.float32)
    unit = np.maximum(np.spacing(np.abs(rounded)).astype(np.float64), 2.0**-149)
    same = (np.isnan(actual) & np.isnan(rounded)) | ((actual == rounded) & (np.signbit(actual) == np.signbit(rounded)))
    distance = np.abs(actual.astype(np.float64) - exact) / unit
    wrong = np.isnan(distance) | (np.signbit(actual) != np.signbit(rounded))
    return np.where(same, 0, np.where(wrong, math.inf, distance))


@pytest.mark.skipif(
    platform.machine() in ("x86_64", "AMD64") and not llvm.get_host_cpu_features().get("fma"),
    reason="the promises are those for processors with fused multiply-add",
)
@pytest.mark.parametrize("name", FUNCTIONS)
def test_is_as_close_as_promised(name: str) -> None:
    x = samples()
    truth, promised = FUNCTIONS[name]
    with np.errstate(all="ignore"):
        exact = truth(x.astype(np.float64))
        actual = computed(name, x)
        holds = HOLDS.get(name, lambda x: np.ones(x.shape, bool))(x)
        error = np.where(holds, errors(actual, exact), 0)
    worst = int(np.argmax(error))
    assert error[worst] <= promised, f"{name}({x[worst]!r}) = {actual[worst]!r}, not {exact[worst]!r}"
    if name in ("sigmoid", "mish"):
        np.testing.assert_allclose(actual[~holds], exact[~holds], rtol=0, atol=1e-36)
    if name in ("sin", "cos"):
        assert np.all(np.abs(actual[~holds]) <= 1)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_becomes_vector_code(name: str) -> None:
    computed(name, np.zeros(4, np.float32))
    code = "".join(loop(name).inspect_llvm().values())
    assert " x float> @llvm.fma" in code or "fmul contract <" in code


def test_pow_has_the_special_cases_of_c() -> None:
    numbers = [0.0, -0.0, 1.0, -1.0, 2.0, -2.0, 3.0, -3.0, 0.5, -0.5, 1.5, -1.5, math.inf, -math.inf, math.nan]
    numbers += [1e-45, -1e-45, 1e38, -1e38, 2.0**24, 2.0**24 + 2, 1e-3, 0.99999994, 1.0000001]
    x, y = (g.ravel() for g in np.meshgrid(np.array(numbers, np.float32), np.array(numbers, np.float32)))
    assert_power_is_close(x, y)


def test_pow_is_as_close_as_promised() -> None:
    generator = np.random.default_rng(0)
    x = generator.integers(0, 2**31, 50_000, dtype=np.uint32).view(np.float32)
    near_one = np.exp(generator.normal(size=50_000) / 10).astype(np.float32)
    y = generator.uniform(-1, 1, 50_000) * 10 ** generator.uniform(-3, 2.5, 50_000)
    assert_power_is_close(x, y.astype(np.float32))
    assert_power_is_close(near_one, generator.uniform(-900, 900, 50_000).astype(np.float32))
    assert_power_is_close(-x, np.rint(y).astype(np.float32))


def assert_power_is_close(x: Any, y: Any) -> None:
    with np.errstate(all="ignore"):
        exact = np.power(x.astype(np.float64), y.astype(np.float64))
        actual = np.empty_like(x)
        _power(x, y, actual)
        error = errors(actual, exact)
    worst = int(np.argmax(error))
    assert error[worst] <= 0.6, f"pow({x[worst]!r}, {y[worst]!r}) = {actual[worst]!r}, not {exact[worst]!r}"


@jit
def _power(x, y, z):  # type: ignore[no-untyped-def]
    for i in range(x.size):
        store(z, i, vectormath.pow(load(x, i), load(y, i)))
