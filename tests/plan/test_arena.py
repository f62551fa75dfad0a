"""The places of buffers in one block of memory."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from onnxlite.plan.arena import ALIGNMENT, Arena, Arenas, Lifetime, allocate, plan_offsets

SETTINGS = settings(max_examples=200, deadline=None, derandomize=True)
SIZES = st.one_of(st.integers(0, 300), st.sampled_from([0, 1, 63, 64, 65, 4096, 1 << 20]))


@st.composite
def lifetimes(draw: st.DrawFn) -> list[Lifetime]:
    lives = []
    for _ in range(draw(st.integers(0, 25))):
        first = draw(st.integers(-1, 20))
        lives.append(Lifetime(draw(SIZES), first, first + draw(st.integers(0, 8))))
    return lives


def padded(size: int) -> int:
    return -(-size // ALIGNMENT) * ALIGNMENT


def overlap(one: Lifetime, other: Lifetime) -> bool:
    return one.first <= other.last and other.first <= one.last


def peak(lives: list[Lifetime]) -> int:
    """The most bytes that are in use at one command."""
    moments = {life.first for life in lives}
    return max((sum(padded(x.size) for x in lives if x.first <= m <= x.last) for m in moments), default=0)


@SETTINGS
@given(lifetimes())
def test_buffers_that_live_at_the_same_time_share_no_byte(lives: list[Lifetime]) -> None:
    offsets, total = plan_offsets(lives)
    for i, one in enumerate(lives):
        assert offsets[i] % ALIGNMENT == 0
        assert 0 <= offsets[i] <= offsets[i] + one.size <= total
        for j, other in enumerate(lives[:i]):
            if overlap(one, other):
                assert offsets[i] + one.size <= offsets[j] or offsets[j] + other.size <= offsets[i]


@SETTINGS
@given(lifetimes())
def test_the_block_is_between_the_peak_and_the_sum(lives: list[Lifetime]) -> None:
    _, total = plan_offsets(lives)
    assert peak(lives) <= total <= sum(padded(life.size) for life in lives)


@SETTINGS
@given(st.lists(SIZES, max_size=12))
def test_nested_lifetimes_take_the_peak(sizes: list[int]) -> None:
    lives = [Lifetime(size, depth, 40 - depth) for depth, size in enumerate(sizes)]
    assert plan_offsets(lives)[1] == peak(lives) == sum(map(padded, sizes))


@SETTINGS
@given(st.lists(SIZES, max_size=12))
def test_lifetimes_one_after_the_other_take_the_largest(sizes: list[int]) -> None:
    lives = [Lifetime(size, 2 * i, 2 * i + 1) for i, size in enumerate(sizes)]
    offsets, total = plan_offsets(lives)
    assert offsets == [0] * len(sizes)
    assert total == max(map(padded, sizes), default=0)


def test_a_life_that_ends_where_another_begins_overlaps_it() -> None:
    offsets, total = plan_offsets([Lifetime(64, 0, 1), Lifetime(64, 1, 2)])
    assert offsets[0] != offsets[1]
    assert total == 128


def test_a_gap_between_two_buffers_is_used() -> None:
    lives = [Lifetime(256, 0, 9), Lifetime(128, 0, 4), Lifetime(64, 0, 9), Lifetime(128, 5, 9)]
    offsets, total = plan_offsets(lives)
    assert offsets[3] == offsets[1]
    assert total == 448


def test_the_block_is_aligned_and_writable() -> None:
    for size in (0, 1, 64, 1000):
        block = allocate(size)
        assert block.size == size
        # NumPy may place an array without elements anywhere.
        assert not size or block.ctypes.data % ALIGNMENT == 0
        block[:] = 7
        assert block.dtype == np.uint8


def test_an_arena_is_used_again_and_grows() -> None:
    arenas = Arenas()
    first = arenas.take(100)
    first.admit(1, "ready")
    arenas.give(first)
    again = arenas.take(50)
    assert again is first
    assert again.memory.size == 100
    assert again.tenants == {1: "ready"}
    arenas.give(again)
    grown = arenas.take(1000)
    assert grown.memory.size == 1000
    assert grown.memory.ctypes.data % ALIGNMENT == 0
    assert grown.tenants == {}


def test_runs_at_the_same_time_have_arenas_of_their_own() -> None:
    arenas = Arenas()
    first, second = arenas.take(10), arenas.take(10)
    assert not np.shares_memory(first.memory, second.memory)
    arenas.give(first)
    arenas.give(second)
    assert {arenas.take(10), arenas.take(10)} == {first, second}


def test_the_oldest_of_many_programs_gives_way() -> None:
    arena = Arena()
    for number in range(100):
        arena.admit(number, str(number))
    assert len(arena.tenants) == 32
    assert 99 in arena.tenants
    assert 0 not in arena.tenants
