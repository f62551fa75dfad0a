"""Transposition of matrices with 2 to 4 rows or columns, such as channels of images: vectors dealt out or joined."""

from __future__ import annotations

import functools
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from onnxlite.kernels.numba.machine.jit import jit
from onnxlite.kernels.numba.machine.memory import address
from onnxlite.kernels.numba.machine.simd import LANES
from onnxlite.kernels.numba.machine.threads import parallel_for
from onnxlite.kernels.numba.movement.copying import copy_elements

#: The numbers of rows or columns that are transposed this way.
NARROW = (2, 3, 4)

#: The places along the long side that one piece of work moves.
CHUNK = 1 << 13

_INT = ir.IntType(64)
_INDEX = ir.IntType(32)


@functools.cache
def riffle_of(size: int, count: int, joins: bool) -> Any:
    """``f(target, source, step, places)`` deals elements out in turn to ``count`` rows, or joins the rows again.

    The rows lie ``step`` bytes apart, the other side has no gaps.  Returns how many of the places were done: none if
    they do not fill a vector.
    """
    lanes = LANES * 4 // size
    vector = ir.VectorType(ir.IntType(8 * size), lanes)

    @intrinsic
    def riffle(typing_context: Any, target: Any, source: Any, step: Any, places: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            target, source, step, places = arguments
            zero, width = ir.Constant(_INT, 0), ir.Constant(_INT, lanes)

            def move(place: Any) -> None:
                offset = builder.mul(place, ir.Constant(_INT, size))

                def row(start: Any, number: int) -> Any:
                    there = builder.add(start, builder.mul(step, ir.Constant(_INT, number)))
                    return builder.inttoptr(builder.add(there, offset), vector.as_pointer())

                def dense(start: Any, number: int) -> Any:
                    there = builder.add(start, builder.mul(offset, ir.Constant(_INT, count)))
                    there = builder.add(there, ir.Constant(_INT, number * lanes * size))
                    return builder.inttoptr(there, vector.as_pointer())

                read, write = (row, dense) if joins else (dense, row)
                vectors = [builder.load(read(source, number), align=1) for number in range(count)]
                for number, mixed in enumerate(_mixed(builder, vectors, lanes, count, joins)):
                    builder.store(mixed, write(target, number), align=1)

            whole = builder.sub(places, builder.srem(places, width))
            with cgutils.for_range_slice(builder, zero, whole, width, inc=True) as (place, _):
                move(place)
            last = builder.sub(places, width)
            with builder.if_then(builder.icmp_signed(">=", last, zero)):
                # Moved back to end with the last place, it does some places twice.
                move(last)
            return builder.select(builder.icmp_signed(">=", last, zero), places, zero)

        return types.intp(*(types.intp,) * 4), generate

    return riffle


def _mixed(builder: Any, vectors: list[Any], lanes: int, count: int, joins: bool) -> list[Any]:
    """The elements of vectors in the order that joining or dealing out puts them in."""
    results = []
    for number in range(count):
        wanted = [number * lanes + lane if joins else lane * count + number for lane in range(lanes)]
        # Which vector, and which of its lanes.
        sources = [(i % count, i // count) if joins else divmod(i, lanes) for i in wanted]
        mixed = ir.Constant(vectors[0].type, ir.Undefined)
        for given, vector in enumerate(vectors):
            order = [lanes + place if source == given else lane for lane, (source, place) in enumerate(sources)]
            mixed = builder.shuffle_vector(mixed, vector, ir.Constant(ir.VectorType(_INDEX, lanes), order))
        results.append(mixed)
    return results


@functools.cache
def narrow_transposer(size: int, count: int, joins: bool) -> Any:
    """``f(pool, x, y, matrices, places, pieces)`` transposes matrices of elements of a size.

    Matrices have ``count`` columns and ``places`` rows or, with ``joins``, the other way round; a piece of work is a
    chunk of the places.
    """
    riffle = riffle_of(size, count, joins)

    def move_chunks(start, stop, thread, target, source, places):  # type: ignore[no-untyped-def]
        chunks, step = -(-places // CHUNK), places * size
        for chunk in range(start, stop):
            first = chunk % chunks * CHUNK
            here = min(CHUNK, places - first)
            narrow = chunk // chunks * step * count + first * size
            dense = chunk // chunks * step * count + first * size * count
            to, of = (target + dense, source + narrow) if joins else (target + narrow, source + dense)
            done = riffle(to, of, step, here)
            for row in range(count):
                rest, between, along = here - done, row * step + done * size, (done * count + row) * size
                if joins:
                    copy_elements(to + along, count * size, of + between, size, rest, size)
                else:
                    copy_elements(to + between, size, of + along, count * size, rest, size)

    kind = f"{'join' if joins else 'deal'}_{count}_of_{size}"
    move_chunks.__name__ = move_chunks.__qualname__ = f"{kind}_chunks"
    move_chunks = jit(move_chunks)

    def transpose_narrow(pool, x, y, matrices, places):  # type: ignore[no-untyped-def]
        arguments = (address(y, 0), address(x, 0), places)
        parallel_for(pool, move_chunks, arguments, matrices * -(-places // CHUNK), 1)

    transpose_narrow.__name__ = transpose_narrow.__qualname__ = kind
    return jit(transpose_narrow)
