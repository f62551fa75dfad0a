"""The micro-kernels of the product of 8-bit integers, accumulated in int32.

Elements of 32 bits hold several neighbours along the depth: four bytes where the processor has an instruction that
multiplies and adds them (VNNI; the left ones without a sign, the right ones with one), else two 16-bit integers.
"""

from __future__ import annotations

from typing import Any

import llvmlite.binding as llvm
from llvmlite import ir
from numba.core import cgutils

from onnxlite.kernels.numba.machine.jit import jit
from onnxlite.kernels.numba.machine.simd import LANES, TILE_ROWS
from onnxlite.kernels.numba.product.tile import Arithmetic, make_tile

_FEATURES = llvm.get_host_cpu_features()
_WIDTH = 32 * LANES

#: Whether elements hold four bytes.
BYTES = bool(_FEATURES.get("avx512vnni")) and (_WIDTH == 512 or bool(_FEATURES.get("avx512vl")))

#: How many neighbours along the depth an element holds.
GROUP = 4 if BYTES else 2

_INT32 = ir.IntType(32)
_VECTOR = ir.VectorType(_INT32, LANES)
_SHORTS = ir.VectorType(ir.IntType(16), 2 * LANES)


def _four_bytes(builder: Any, a: Any, b: Any, total: Any) -> Any:
    """The left elements without a sign, the right ones with one."""
    function_type = ir.FunctionType(_VECTOR, [_VECTOR] * 3)
    name = f"llvm.x86.avx512.vpdpbusd.{_WIDTH}"
    return builder.call(cgutils.get_or_insert_function(builder.module, function_type, name), [total, a, b])


def _four_bytes_signed_left(builder: Any, a: Any, b: Any, total: Any) -> Any:
    return _four_bytes(builder, b, a, total)


#: x86's instruction that adds the products of pairs of 16-bit integers, by the width of the registers.
_PAIRS = {512: "llvm.x86.avx512.pmaddw.d.512", 256: "llvm.x86.avx2.pmadd.wd", 128: "llvm.x86.sse2.pmadd.wd"}
_HAS_PAIRS = _FEATURES.get({512: "avx512bw", 256: "avx2", 128: "sse2"}[_WIDTH], False)


def _two_shorts(builder: Any, a: Any, b: Any, total: Any) -> Any:
    shorts = [builder.bitcast(x, _SHORTS) for x in (a, b)]
    if _HAS_PAIRS:
        function_type = ir.FunctionType(_VECTOR, [_SHORTS, _SHORTS])
        pairs = cgutils.get_or_insert_function(builder.module, function_type, _PAIRS[_WIDTH])
        return builder.add(total, builder.call(pairs, shorts))
    for first in (0, 1):
        places = ir.Constant(_VECTOR, list(range(first, 2 * LANES, 2)))
        undefined = ir.Constant(_SHORTS, ir.Undefined)
        left, right = (builder.sext(builder.shuffle_vector(x, undefined, places), _VECTOR) for x in shorts)
        total = builder.add(total, builder.mul(left, right))
    return total


def _add(builder: Any, a: Any, b: Any) -> Any:
    return builder.add(a, b)


#: Left elements without a sign, right ones with one.
INTEGERS = Arithmetic(_INT32, _four_bytes if BYTES else _two_shorts, _add)
_SIGNED_LEFT = Arithmetic(_INT32, _four_bytes_signed_left if BYTES else _two_shorts, _add)

_eight_signed, _four_signed, _two_signed, _one_signed = (make_tile(rows, _SIGNED_LEFT) for rows in (8, 4, 2, 1))


@jit
def multiply_signed_left_tile(rows, a, a_row, b, b_step, c, c_row, depth):  # type: ignore[no-untyped-def]
    """The product of up to 8 rows and TILE_COLUMNS columns, the left ones with a sign; lengths in elements."""
    while rows > 0:
        if rows >= 8 and TILE_ROWS > 8:
            height = 8
            _eight_signed(a, a_row, 1, b, b_step, c, c_row, depth, 0)
        elif rows >= 4:
            height = 4
            _four_signed(a, a_row, 1, b, b_step, c, c_row, depth, 0)
        elif rows >= 2:
            height = 2
            _two_signed(a, a_row, 1, b, b_step, c, c_row, depth, 0)
        else:
            height = 1
            _one_signed(a, a_row, 1, b, b_step, c, c_row, depth, 0)
        rows -= height
        a += 4 * height * a_row
        c += 4 * height * c_row
