"""Special functions that NumPy lacks, over the array namespace of their argument."""

from __future__ import annotations

import functools
import math

import numpy as np
import numpy.typing as npt

from onnxlite.kernels.arrays import Array, array_namespace

#: erf(x) is 1 in double precision from here on.
_FLAT = 6.0
_NODES_PER_UNIT = 64
#: Taylor terms that carry a step of up to 1/128 from a node to full precision.
_TERMS = {np.dtype(np.float32): 3, np.dtype(np.float64): 7}


def erf(x: Array) -> Array:
    """The error function 2/sqrt(pi) * integral of exp(-t*t) from 0 to x, to within two units in the last place.

    A Taylor series about the nearest of the nodes 0, 1/64, 2/64 ... 6, where function and derivatives are known.

    Args:
        x: float32 or float64 of any shape.
    """
    xp = array_namespace(x)
    table = _taylor_table(x.dtype)
    magnitude = xp.minimum(xp.abs(x), _FLAT)
    # fmin, unlike minimum, makes a valid index of NaN; the step below keeps the NaN.
    node = xp.rint(xp.fmin(magnitude, _FLAT) * _NODES_PER_UNIT)
    step = magnitude - node * (1 / _NODES_PER_UNIT)
    index = node.astype(np.intp)
    result = xp.take(xp.asarray(table[-1]), index)
    for coefficients in table[-2::-1]:
        result *= step
        result += xp.take(xp.asarray(coefficients), index)
    return xp.copysign(result, x)


@functools.cache
def _taylor_table(dtype: np.dtype[np.float32] | np.dtype[np.float64]) -> npt.NDArray[np.float64]:
    """Row n holds the n-th Taylor coefficient of erf at every node.

    The derivatives of exp(-t*t) are exp(-t*t) * p_n(t), where p_0 = 1 and p_(n+1) = -2 t p_n - 2 n p_(n-1).
    """
    nodes = np.arange(int(_FLAT) * _NODES_PER_UNIT + 1) / _NODES_PER_UNIT
    rows = [np.array([math.erf(node) for node in nodes])]
    slope = 2 / math.sqrt(math.pi) * np.exp(-nodes * nodes)
    previous, current = np.zeros_like(nodes), np.ones_like(nodes)
    for n in range(_TERMS[dtype]):
        rows.append(slope * current / math.factorial(n + 1))
        previous, current = current, -2 * nodes * current - 2 * n * previous
    return np.array(rows).astype(dtype)
