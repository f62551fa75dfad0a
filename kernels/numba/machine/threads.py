"""One pool of threads for all compiled kernels.

A kernel that divides its work is a loop over a range, and a driver that hands the loop to the pool::

    @jit
    def _relu(start, stop, thread, x, y):
        for i in range(start, stop):
            y[i] = max(x[i], 0)

    @jit
    def relu(pool, x, y):
        parallel_for(pool, _relu, (x, y), x.size, 8192)

``thread`` numbers the threads that take part, from 0, for loops that need memory of their own.  A loop must not raise:
nobody would hear of it.

The range is cut into pieces of a given size, so results do not depend on the number of threads.  Each thread has a
share of neighbouring pieces, the same in every loop of as many: what it wrote in one loop is in its cache in the next.
When it is done with them, it takes what is left of the others' shares.  While a model runs, the threads wait for work
actively and yield the processor when there is none; soon after a run they sleep, until the next one wakes them.  A
kernel that finds the pool in use, by another thread's model or by a loop that it is part of, does its work alone, as
thread 0.

The pool is an array of 64-bit integers (a control block) that compiled code reads and writes atomically; an empty array
means one thread.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import platform
import sys
import threading
import weakref
from pathlib import Path
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from onnxlite.kernels.arrays import Array
from onnxlite.kernels.numba.machine.jit import entry_point, jit

_INT = ir.IntType(64)
_BYTES = ir.IntType(8).as_pointer()
_TASK = ir.FunctionType(ir.VoidType(), [_BYTES, _INT, _INT, _INT])

# The fields of the control block; those that several threads write lie in cache lines of their own.
_GENERATION, _STATE, _OWNER, _RUNS, _BELL = 0, 8, 16, 24, 32
_FUNCTION, _DATA, _COUNT, _PIECE, _THREADS = 48, 49, 50, 51, 52
#: Beside the bell: the number of threads that sleep until it rings, and whether all shall end.
_SLEEPERS, _END = 33, 34
#: The next index of each thread's share, in a cache line of its own.
_NEXT, _LINE = 56, 8

#: How often a thread looks for work before it yields the processor between looks, before it sleeps between them in a
#: run, and before it sleeps until the next run.
_SPINS, _YIELDS, _LINGER = 2_000, 20_000, 4_000

if sys.platform == "win32":
    import ctypes

    import llvmlite.binding as llvm

    _YIELD, _SLEEP, _NAP, _LONG_NAP = "SwitchToThread", "Sleep", 1, 1  # milliseconds
    for _name in (_YIELD, _SLEEP):
        llvm.add_symbol(_name, ctypes.cast(getattr(ctypes.windll.kernel32, _name), ctypes.c_void_p).value)
else:
    _YIELD, _SLEEP, _NAP, _LONG_NAP = "sched_yield", "usleep", 50, 1000  # microseconds

_yield_processor = types.ExternalFunction(_YIELD, types.int32())
_sleep = types.ExternalFunction(_SLEEP, types.int32(types.uint32))

#: The number of Linux's system call futex, with which a thread sleeps until a number in memory changes; elsewhere 0.
_FUTEX = {"x86_64": 202, "aarch64": 98}.get(platform.machine(), 0) if sys.platform == "linux" else 0
_FUTEX_WAIT_PRIVATE, _FUTEX_WAKE_PRIVATE = 128, 129
if _FUTEX:
    _system_call = types.ExternalFunction("syscall", types.int64(*(types.int64,) * 7))


def _element(context: Any, builder: Any, array_type: Any, array: Any, index: Any) -> Any:
    return builder.gep(context.make_array(array_type)(context, builder, array).data, [index])


@intrinsic
def _load(typing_context: Any, block: Any, field: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.load_atomic(_element(context, builder, signature.args[0], *arguments), "seq_cst", 8)

    return types.int64(block, types.intp), generate


@intrinsic
def _store(typing_context: Any, block: Any, field: Any, value: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        block, field, value = arguments
        builder.store_atomic(value, _element(context, builder, signature.args[0], block, field), "seq_cst", 8)
        return context.get_dummy_value()

    return types.void(block, types.intp, types.int64), generate


@intrinsic
def _add(typing_context: Any, block: Any, field: Any, value: Any) -> Any:
    """Add, and return the value before."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        block, field, value = arguments
        return builder.atomic_rmw("add", _element(context, builder, signature.args[0], block, field), value, "seq_cst")

    return types.int64(block, types.intp, types.int64), generate


@intrinsic
def _exchange(typing_context: Any, block: Any, field: Any, expected: Any, value: Any) -> Any:
    """Store the value if the field holds the expected one, and return whether it did."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        block, field, expected, value = arguments
        place = _element(context, builder, signature.args[0], block, field)
        return builder.extract_value(builder.cmpxchg(place, expected, value, "seq_cst", "seq_cst"), 1)

    return types.boolean(block, types.intp, types.int64, types.int64), generate


@intrinsic
def _call(typing_context: Any, function: Any, data: Any, start: Any, stop: Any, thread: Any) -> Any:
    """Call a task by its address."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        function, data, *numbers = arguments
        builder.call(builder.inttoptr(function, _TASK.as_pointer()), [builder.inttoptr(data, _BYTES), *numbers])
        return context.get_dummy_value()

    return types.void(*(types.intp,) * 5), generate


@intrinsic
def _task(typing_context: Any, loop: Any, arguments: Any) -> Any:
    """The addresses of a function that calls the loop, and of its data: the arguments, on the stack.

    The stack is the caller's, so the caller must not return before the task is done.
    """
    inner = loop.get_call_type(typing_context, (*(types.intp,) * 3, *arguments.types), {})

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        loop_type, arguments_type = signature.args
        function = ir.Function(builder.module, _TASK, builder.module.get_unique_name("task"))
        function.linkage = "internal"
        body = ir.IRBuilder(function.append_basic_block("entry"))
        packed = body.load(body.bitcast(function.args[0], context.get_value_type(arguments_type).as_pointer()))
        compiled = loop_type.dispatcher.overloads[inner.args]
        callee = context.declare_function(builder.module, compiled.fndesc)
        given = [*function.args[1:], *cgutils.unpack_tuple(body, packed)]
        context.call_conv.call_function(body, callee, inner.return_type, inner.args, given)
        body.ret_void()
        context.active_code_library.add_linking_library(compiled.library)
        slot = cgutils.alloca_once_value(builder, values[1])
        addresses = [builder.ptrtoint(function, _INT), builder.ptrtoint(slot, _INT)]
        return context.make_tuple(builder, signature.return_type, addresses)

    return types.UniTuple(types.intp, 2)(loop, arguments), generate


@jit(inline=True)
def parallel_for(pool, loop, arguments, count, piece):  # type: ignore[no-untyped-def]
    """Run ``loop(start, stop, thread, *arguments)`` over the range(count), in pieces, on the pool's threads."""
    function, data = _task(loop, arguments)
    _run(pool, function, data, count, piece)


@jit
def _run(pool, function, data, count, piece):  # type: ignore[no-untyped-def]
    if pool.size == 0 or count <= piece or not _exchange(pool, _OWNER, 0, 1):
        for start in range(0, count, piece):
            _call(function, data, start, min(start + piece, count), 0)
        return
    pool[_FUNCTION] = function
    pool[_DATA] = data
    pool[_COUNT] = count
    pool[_PIECE] = piece
    threads = pool[_THREADS]
    for thread in range(threads):
        pool[_NEXT + _LINE * thread] = _share_start(thread, threads, count, piece)
    # The state is twice the number of threads that take part, plus 1 while others may join.
    _store(pool, _STATE, 1)
    _add(pool, _GENERATION, 1)
    _take_pieces(pool, 0)
    _add(pool, _STATE, -1)
    waited = 0
    while _load(pool, _STATE) != 0:
        waited += 1
        if waited > _SPINS:
            _yield_processor()
    _store(pool, _OWNER, 0)


@jit(inline=True)
def _share_start(thread, threads, count, piece):  # type: ignore[no-untyped-def]
    """The first index of a thread's share; that of the thread behind the last one is where the last share ends."""
    pieces = (count + piece - 1) // piece
    return min(count, thread * pieces // threads * piece)


@jit
def _take_pieces(pool, thread):  # type: ignore[no-untyped-def]
    """Take the pieces of the thread's own share, then what is left of the others'."""
    count, piece, threads = pool[_COUNT], pool[_PIECE], pool[_THREADS]
    for distance in range(threads):
        owner = (thread + distance) % threads
        end = _share_start(owner + 1, threads, count, piece)
        while True:
            start = _add(pool, _NEXT + _LINE * owner, piece)
            if start >= end:
                break
            _call(pool[_FUNCTION], pool[_DATA], start, min(start + piece, end), thread)


@jit
def _join(pool, thread):  # type: ignore[no-untyped-def]
    """Take part in the work that is offered, if it is still open."""
    while True:
        state = _load(pool, _STATE)
        if state & 1 == 0:
            return
        if _exchange(pool, _STATE, state, state + 2):
            _take_pieces(pool, thread)
            _add(pool, _STATE, -2)
            return


@jit
def _serve(pool, thread):  # type: ignore[no-untyped-def]
    """Work until the pool ends, as the thread of a number."""
    generation, idle = 0, 0
    while _load(pool, _END) == 0:
        newest = _load(pool, _GENERATION)
        if newest != generation:
            generation = newest
            _join(pool, thread)
            idle = 0
            continue
        idle += 1
        if idle > _LINGER and _load(pool, _RUNS) == 0:
            _rest(pool)
            idle = 0
        elif idle > _YIELDS:
            _sleep(_NAP)
        elif idle > _SPINS:
            _yield_processor()


if _FUTEX:

    @jit
    def _rest(pool):  # type: ignore[no-untyped-def]
        """Sleep until the bell rings, unless it just did."""
        bell = _load(pool, _BELL)
        if _load(pool, _RUNS) == 0 and _load(pool, _END) == 0:
            _add(pool, _SLEEPERS, 1)
            _system_call(_FUTEX, pool.ctypes.data + 8 * _BELL, _FUTEX_WAIT_PRIVATE, bell & 0x7FFFFFFF, 0, 0, 0)
            _add(pool, _SLEEPERS, -1)

    @jit
    def _ring(pool):  # type: ignore[no-untyped-def]
        """Wake the threads that sleep."""
        _store(pool, _BELL, (_load(pool, _BELL) + 1) & 0x7FFFFFFF)
        if _load(pool, _SLEEPERS) > 0:
            _system_call(_FUTEX, pool.ctypes.data + 8 * _BELL, _FUTEX_WAKE_PRIVATE, 0x7FFFFFFF, 0, 0, 0)

else:

    @jit
    def _rest(pool):  # type: ignore[no-untyped-def]
        """Sleep until there is a run."""
        while _load(pool, _RUNS) == 0 and _load(pool, _END) == 0:
            _sleep(_LONG_NAP)

    @jit
    def _ring(pool):  # type: ignore[no-untyped-def]
        """Nothing: the threads look by themselves."""


@jit
def _begin(pool):  # type: ignore[no-untyped-def]
    """Note that a run begins; its threads wake."""
    if _add(pool, _RUNS, 1) == 0:
        _ring(pool)


@jit
def _end(pool):  # type: ignore[no-untyped-def]
    """Note that a run is over.  In a process that was forked during one, it is over already."""
    if _add(pool, _RUNS, -1) <= 0:
        _add(pool, _RUNS, 1)


@jit
def _dismiss(pool):  # type: ignore[no-untyped-def]
    """Let the threads end."""
    _store(pool, _END, 1)
    _ring(pool)


class ThreadPool:
    """Threads that serve one control block; awake while at least one model runs, and a moment longer.

    The threads are started when a model first runs.
    """

    def __init__(self, threads: int) -> None:
        self.threads = threads
        self.block = _aligned_block(threads)
        self.reset()
        _POOLS.add(self)

    def reset(self) -> None:
        """Forget the threads: a process that was forked has none of them, though it may run the same models."""
        self.block[:] = 0
        self.block[_THREADS : _THREADS + 1] = self.threads
        self._lock = threading.Lock()
        self._threads: list[threading.Thread] = []
        self._started = self.threads == 1

    def calls(self) -> list[tuple[Any, tuple[Any, ...]]]:
        """The compiled functions that the pool needs before its threads start, with their arguments."""
        if self._started:
            return []
        return [(_begin, (self.block,)), (_end, (self.block,)), (_serve, (self.block, 1))]

    def _start(self) -> None:
        with self._lock:
            if self._started:
                return
            self._begin = entry_point(_begin, (self.block,))
            self._end = entry_point(_end, (self.block,))
            serve = entry_point(_serve, (self.block, 1))
            # Where no more threads can be had, those that there are do the work.
            with contextlib.suppress(RuntimeError):
                for number in range(1, self.threads):
                    thread = threading.Thread(target=serve, args=(self.block, number), name="onnxlite", daemon=True)
                    thread.start()
                    self._threads.append(thread)
            self._started = True

    def __enter__(self) -> Any:
        if not self._started:
            self._start()
        if self.threads > 1:
            self._begin(self.block)
        return self.block

    def __exit__(self, *_: object) -> None:
        if self.threads > 1:
            self._end(self.block)

    def close(self) -> None:
        """End the threads; the next run starts new ones."""
        with self._lock:
            if self._threads:
                entry_point(_dismiss, (self.block,))(self.block)
                for thread in self._threads:
                    thread.join()
                self._threads, self._started = [], False
                self.block[_END : _END + 1] = 0


def _aligned_block(threads: int) -> Array:
    """The control block of a pool; without threads of its own it is empty."""
    if threads == 1:
        return np.zeros(0, np.int64)
    size = _NEXT + _LINE * threads
    memory = np.zeros(size + _LINE, np.int64)
    start = -memory.ctypes.data % 64 // 8
    return memory[start : start + size]


_POOLS: weakref.WeakSet[ThreadPool] = weakref.WeakSet()
_SHARED: dict[int, ThreadPool] = {}


def thread_pool(threads: int) -> ThreadPool:
    """The process's pool of a size; 1 is a pool without threads of its own."""
    return _SHARED.get(threads) or _SHARED.setdefault(threads, ThreadPool(threads))


def default_threads() -> int:
    """The processors that this process may use: its affinity mask, cut by the quota of its cgroup."""
    count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(count, _cgroup_quota() or count))


def _cgroup_quota() -> int | None:
    """The processors' time that the process's cgroup (version 2 or 1) may use, in whole processors; None: all of it."""
    for files in (("cpu.max",), ("cpu/cpu.cfs_quota_us", "cpu/cpu.cfs_period_us")):
        try:
            words = " ".join(Path("/sys/fs/cgroup", file).read_text("ascii") for file in files).split()
            quota, period = int(words[0]), int(words[1])
        except (OSError, ValueError, IndexError):
            continue
        return max(1, round(quota / period)) if quota > 0 else None
    return None


def _after_fork() -> None:
    for pool in list(_POOLS):
        pool.reset()


@atexit.register
def _close_pools() -> None:
    """End the threads before the code that they run is freed."""
    for pool in list(_POOLS):
        pool.close()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
