"""The thread pool: who does what part of a loop, whoever else uses the pool, in forked processes, and when it rests."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from onnxlite.kernels.arrays import Array
from onnxlite.kernels.numba.machine import threads as module
from onnxlite.kernels.numba.machine.jit import jit
from onnxlite.kernels.numba.machine.threads import ThreadPool, default_threads, parallel_for, thread_pool

SETTINGS = settings(max_examples=60, deadline=None, derandomize=True)


@jit
def _count(start, stop, thread, visits, owners, lengths):  # type: ignore[no-untyped-def]
    lengths[start] = stop - start
    for i in range(start, stop):
        visits[i] += 1
        owners[i] = thread


@jit
def count(pool, visits, owners, lengths, piece):  # type: ignore[no-untyped-def]
    parallel_for(pool, _count, (visits, owners, lengths), visits.size, piece)


@jit
def _work(start, stop, thread, owners, numbers):  # type: ignore[no-untyped-def]
    for i in range(start, stop):
        owners[i] = thread
        for _ in range(20_000):
            numbers[i] = numbers[i] * 1.0000001 + 1e-9


@jit
def work(pool, owners, numbers):  # type: ignore[no-untyped-def]
    """A loop whose pieces take some time, so that other threads find some left."""
    parallel_for(pool, _work, (owners, numbers), owners.size, 1)


@jit
def _rows(start, stop, thread, pool, visits):  # type: ignore[no-untyped-def]
    for row in range(start, stop):
        line = visits[row]
        parallel_for(pool, _count, (line, np.empty_like(line), np.empty_like(line)), line.size, 3)


@jit
def count_rows(pool, visits):  # type: ignore[no-untyped-def]
    """A loop in a loop."""
    parallel_for(pool, _rows, (pool, visits), visits.shape[0], 1)


@jit
def _add_up(start, stop, thread, x, sums, piece):  # type: ignore[no-untyped-def]
    total = np.float32(0)
    for i in range(start, stop):
        total += x[i]
    sums[start // piece] = total


@jit
def add_up(pool, x, sums, piece):  # type: ignore[no-untyped-def]
    """Sums of pieces, whose rounding shows where they were cut."""
    parallel_for(pool, _add_up, (x, sums, piece), x.size, piece)


def counted(pool: ThreadPool, size: int, piece: int) -> tuple[Array, Array, Array]:
    visits, owners, lengths = (np.zeros(size, np.int64) for _ in range(3))
    with pool:
        count(pool.block, visits, owners, lengths, piece)
    return visits, owners, lengths


@SETTINGS
@given(st.sampled_from([1, 2, 3, 4]), st.integers(0, 300), st.integers(1, 320))
def test_every_index_is_visited_once_in_pieces_of_the_given_size(threads: int, size: int, piece: int) -> None:
    visits, owners, lengths = counted(thread_pool(threads), size, piece)
    np.testing.assert_array_equal(visits, np.ones(size))
    assert set(owners) <= set(range(threads))
    expected = [min(piece, size - start) for start in range(0, size, piece)]
    np.testing.assert_array_equal(lengths[::piece], expected)
    assert lengths.sum() == size


@pytest.mark.parametrize("threads", [2, 3, 4])
def test_runs_follow_each_other_without_losing_a_piece(threads: int) -> None:
    pool = thread_pool(threads)
    size = 64
    visits, owners, lengths = (np.zeros(size, np.int64) for _ in range(3))
    highest = 0
    with pool:
        for run in range(1, 3001):
            count(pool.block, visits, owners, lengths, 1)
            assert (visits == run).all(), f"in run {run}"
            highest = max(highest, int(owners.max()))
    assert highest < threads


def workers(pool: ThreadPool) -> set[int]:
    """The threads that took part in some work, until all did or some seconds have passed."""
    owners, seen, deadline = np.zeros(50, np.int64), {0}, time.monotonic() + 20
    while len(seen) < pool.threads and time.monotonic() < deadline:
        with pool:
            work(pool.block, owners, np.ones(50, np.float32))
        seen.update(owners.tolist())
    return seen


def test_the_threads_of_the_pool_take_part() -> None:
    assert workers(thread_pool(3)) == {0, 1, 2}


def test_waking_and_resting_over_and_over_loses_no_piece() -> None:
    pool = thread_pool(3)
    for _ in range(500):
        visits, _, _ = counted(pool, 30, 2)
        assert (visits == 1).all()


@pytest.mark.parametrize("threads", [1, 2, 4])
def test_a_loop_in_a_loop_visits_every_element_once(threads: int) -> None:
    pool = thread_pool(threads)
    with pool:
        for run in range(1, 20):
            visits = np.zeros((17, 23), np.int64)
            count_rows(pool.block, visits)
            assert (visits == 1).all(), f"in run {run}"


def test_results_do_not_depend_on_the_number_of_threads() -> None:
    x = np.random.default_rng(0).standard_normal(10_001).astype(np.float32)
    results = []
    for threads in (1, 2, 4):
        pool, sums = thread_pool(threads), np.zeros(101, np.float32)
        with pool:
            add_up(pool.block, x, sums, 100)
        results.append(sums)
    for result in results[1:]:
        np.testing.assert_array_equal(result, results[0])


@pytest.mark.parametrize("threads", [2, 4])
def test_several_python_threads_use_one_pool_at_once(threads: int) -> None:
    pool = thread_pool(threads)
    barrier = threading.Barrier(4)

    def run_many(seed: int) -> int:
        barrier.wait()
        wrong = 0
        for run in range(150):
            visits, owners, _ = counted(pool, 50 + (seed * 31 + run) % 40, 1 + run % 7)
            wrong += int((visits != 1).any()) + int(owners.max() >= threads)
        return wrong

    with ThreadPoolExecutor(4) as executor:
        assert list(executor.map(run_many, range(4))) == [0] * 4


def test_a_pool_that_nobody_runs_uses_no_processor_time() -> None:
    pool = thread_pool(4)
    for _ in range(3):
        counted(pool, 1000, 1)
    before = time.process_time()
    time.sleep(0.3)
    assert time.process_time() - before < 0.05


def test_threads_that_wait_long_within_a_run_mostly_sleep() -> None:
    pool = thread_pool(2)
    with pool:
        counted(pool, 100, 1)
        time.sleep(0.3)  # the first looks for work are busy ones
        before = time.process_time()
        time.sleep(0.4)
        used = time.process_time() - before
    assert used < 0.3


def test_threads_are_started_when_they_are_first_needed_and_then_kept() -> None:
    before = threading.active_count()
    pool = ThreadPool(3)
    assert threading.active_count() == before
    for _ in range(3):
        counted(pool, 10, 1)
        assert threading.active_count() == before + 2


def test_a_pool_that_cannot_start_threads_works_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    visits, owners, _ = counted(ThreadPool(4), 100, 3)
    assert (visits == 1).all()
    assert set(owners) == {0}


def test_pools_of_one_size_are_one() -> None:
    assert thread_pool(2) is thread_pool(2)
    assert thread_pool(2) is not thread_pool(3)
    assert thread_pool(1).block.size == 0


@pytest.mark.skipif(not hasattr(os, "fork"), reason="processes are not forked here")
def test_a_forked_process_uses_the_pools_of_its_parent() -> None:
    pool = thread_pool(2)
    counted(pool, 100, 1)
    # Forked while the pool is awake, as by another thread of a program that runs a model.
    with pool:
        child = os.fork()
        if child == 0:
            status = 1
            try:
                good = all((counted(pool, 100, 1)[0] == 1).all() for _ in range(5))
                status = 0 if good and workers(pool) == {0, 1} else 2
            finally:
                os._exit(status)
        _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 0
    assert (counted(pool, 100, 1)[0] == 1).all()


def test_a_process_with_waiting_threads_ends() -> None:
    program = (
        "from onnxlite.kernels.numba.machine.threads import thread_pool\n"
        "pool = thread_pool(4)\n"
        "with pool: pass\n"
        "pool.__enter__()\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)


def test_the_number_of_processors_is_that_of_the_affinity_mask() -> None:
    allowed = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else None
    assert 1 <= default_threads() <= (len(allowed) if allowed else os.cpu_count() or 1)


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"cpu.max": "150000 100000\n"}, 2),
        ({"cpu.max": "max 100000\n", "cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}, None),
        ({"cpu/cpu.cfs_quota_us": "300000\n", "cpu/cpu.cfs_period_us": "100000\n"}, 3),
        ({"cpu.max": "1000 100000\n"}, 1),
        ({"cpu.max": "\n"}, None),
        ({}, None),
    ],
)
def test_the_quota_of_the_cgroup_is_read(
    files: dict[str, str], expected: int | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, content in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(content)
    real = Path
    monkeypatch.setattr(module, "Path", lambda folder, file: real(tmp_path, file))
    assert module._cgroup_quota() == expected
