"""MatMulNBits: the product with a matrix of a few bits per number, with a scale for each block of a column.

Source: onnxruntime, docs/ContribOperators.md.  The matrix is unpacked to a type of ai.onnx, which is done once where it
is constant, and dequantized in blocks: a pass keeps it narrow until it is multiplied.
"""

from __future__ import annotations

import numpy as np

from onnxlite.contrib.call import Call, constant, function


@function("MatMulNBits", inputs="A B scales zero_points g_idx bias", outputs="Y")
def matmul_n_bits(
    call: Call,
    *,
    K: int,  # noqa: N803
    N: int,  # noqa: N803
    accuracy_level: int = 0,
    bits: int = 4,
    block_size: int,
    weight_prepacked: int = 0,
) -> str:
    """``A @ dequantize(B).T + bias``.

    B (N, blocks, block_size * bits / 8) holds numbers of ``bits`` bits, the first in the lowest bits of a byte; a block
    has a scale and a zero point, which are packed alike or are floats.  ``accuracy_level`` allows less than float32,
    which is not taken up.
    """
    if bits not in (2, 4, 8):
        raise call.decline(f"bits={bits}")
    if weight_prepacked:
        raise call.decline("weights that are packed for a device")
    blocks = -(-K // block_size)
    floats = call.has("zero_points") and call.dtype("zero_points") not in (None, np.dtype(np.uint8))
    if call.has("g_idx") or floats:
        weights = _by_element(call, N, K, blocks, block_size, bits, floats)
    else:
        weights = _in_blocks(call, N, K, blocks, block_size, bits)
    return f"""
        {weights}
        matrix = Transpose<perm = [1, 0]>(rows)
        {"product" if call.has("bias") else "Y"} = MatMul(A, matrix)
        {"Y = Add(product, bias)" if call.has("bias") else ""}
    """


def _in_blocks(call: Call, rows: int, columns: int, blocks: int, block_size: int, bits: int) -> str:
    """``rows``: the matrix, whose integers lie around zero where there are no zero points."""
    code, signed_code = (2, 3) if bits == 8 else (21, 22)  # UINT8 and INT8, UINT4 and INT4
    text = f"""
        {_unpacked("B", rows, blocks * block_size, columns, bits)}
        scales_shape = {constant((rows, blocks))}
        scales_used = Reshape(scales, scales_shape)
    """
    if call.has("zero_points"):
        return f"""
            {text}
            {_unpacked("zero_points", rows, _padded(blocks, bits), blocks, bits)}
            integers = Cast<to = {code}>(B_numbers)
            zeros = Cast<to = {code}>(zero_points_numbers)
            rows = DequantizeLinear<axis = 1, block_size = {block_size}>(integers, scales_used, zeros)
        """
    return f"""
        {text}
        wide = Cast<to = 5>(B_numbers)
        middle = Constant <value = int16 {{{1 << (bits - 1)}}}> ()
        centred = Sub(wide, middle)
        integers = Cast<to = {signed_code}>(centred)
        rows = DequantizeLinear<axis = 1, block_size = {block_size}>(integers, scales_used)
    """


def _by_element(call: Call, rows: int, columns: int, blocks: int, block_size: int, bits: int, float_zeros: bool) -> str:
    """``rows``: the matrix by a scale and zero point for each element; ``g_idx`` names the block of a column."""
    if call.has("g_idx"):
        groups = "groups = Identity(g_idx)"
    else:
        groups = f"""
            start = {constant(0)}
            stop = {constant(columns)}
            step = {constant(1)}
            places = Range(start, stop, step)
            size = {constant(block_size)}
            groups = Div(places, size)
        """
    if not call.has("zero_points"):
        zeros = f"""
            middle = {constant(float(1 << (bits - 1)))}
            zero_of = CastLike(middle, scales)
        """
    else:
        if float_zeros:
            numbers = "zeros = Reshape(zero_points, scales_shape)"
        else:
            numbers = f"""
                {_unpacked("zero_points", rows, _padded(blocks, bits), blocks, bits)}
                zeros = CastLike(zero_points_numbers, scales)
            """
        zeros = f"""
            {numbers}
            zero_of = Gather<axis = 1>(zeros, groups)
        """
    return f"""
        {_unpacked("B", rows, blocks * block_size, columns, bits)}
        scales_shape = {constant((rows, blocks))}
        scales_used = Reshape(scales, scales_shape)
        {groups}
        {zeros}
        scale_of = Gather<axis = 1>(scales_used, groups)
        numbers = CastLike(B_numbers, scales)
        shifted = Sub(numbers, zero_of)
        rows = Mul(shifted, scale_of)
    """


def _padded(count: int, bits: int) -> int:
    """The numbers that a row of bytes has room for."""
    per_byte = 8 // bits
    return -(-count // per_byte) * per_byte


def _unpacked(name: str, rows: int, padded: int, columns: int, bits: int) -> str:
    """``NAME_numbers``: packed numbers as uint8 (rows, columns), of rows that have room for ``padded`` numbers."""
    if bits == 8:
        parts, whole = "", f"{name}_whole = Reshape({name}, {name}_shape)"
    else:
        places = range(0, 8, bits)
        steps = [
            f"""
            {name}_shift{place} = Constant <value = uint8 {{{place}}}> ()
            {name}_moved{place} = BitShift<direction = "RIGHT">({name}_bytes, {name}_shift{place})
            {name}_part{place} = BitwiseAnd({name}_moved{place}, {name}_mask)
            """
            for place in places
        ]
        parts = f"""
            {name}_bytes_shape = {constant((rows, -1, 1))}
            {name}_bytes = Reshape({name}, {name}_bytes_shape)
            {name}_mask = Constant <value = uint8 {{{(1 << bits) - 1}}}> ()
            {"".join(steps)}
            {name}_parts = Concat<axis = 2>({", ".join(f"{name}_part{place}" for place in places)})
        """
        whole = f"{name}_whole = Reshape({name}_parts, {name}_shape)"
    return f"""
        {name}_shape = {constant((rows, padded))}
        {parts}
        {whole}
        {name}_first = {constant((0,))}
        {name}_end = {constant((columns,))}
        {name}_axis = {constant((1,))}
        {name}_numbers = Slice({name}_whole, {name}_first, {name}_end, {name}_axis)
    """
