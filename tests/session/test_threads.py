"""One session, several threads at once."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import onnxlite
from onnxlite import InferenceSession

GRAPH = """g (float[N, 64] x, bool c) => (float[N, 64] y) <float[1] one = {1}> {
  a = Add(x, one) b = Mul(a, a)
  d = If (c) <then_branch = t () => (float[N, 64] p) { p = Sub(b, x) },
              else_branch = e () => (float[N, 64] q) { q = Add(b, x) }>
  y = Relu(d)
}"""
THREADS, ROUNDS = 8, 25


@pytest.mark.parametrize("provider", ["ReferenceExecutionProvider", "CPUExecutionProvider"])
def test_runs_do_not_disturb_each_other(session_of: Callable[..., InferenceSession], provider: str) -> None:
    session = session_of(GRAPH, providers=[provider])
    start = threading.Barrier(THREADS)

    def work(thread: int) -> None:
        start.wait()
        for round_ in range(ROUNDS):
            x = np.full((1 + (thread + round_) % 3, 64), thread * 100 + round_, np.float32)
            flag = bool(round_ % 2)
            names = ["y"] if round_ % 3 else ["d", "y", "b"]
            results = dict(zip(names, session.run(names, {"x": x, "c": np.array(flag)}), strict=True))
            square = (x + 1) ** 2
            np.testing.assert_array_equal(results["y"], square - x if flag else square + x)
            if "b" in results:
                np.testing.assert_array_equal(results["b"], square)

    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(work, range(THREADS)))


def test_results_of_one_thread_are_not_touched_by_another(session_of: Callable[..., InferenceSession]) -> None:
    session = session_of("g (float[4] x) => (float[4] y) { y = Neg(x) }", providers=["CPUExecutionProvider"])
    kept = [session.run(None, {"x": np.full(4, i, np.float32)})[0] for i in range(50)]
    assert [result.tolist() for result in kept] == [[-i] * 4 for i in range(50)]


def test_providers_can_be_changed_while_runs_are_under_way(session_of: Callable[..., InferenceSession]) -> None:
    session = session_of(GRAPH)
    stop = threading.Event()
    errors: list[BaseException] = []

    def work() -> None:
        x = np.ones((1, 64), np.float32)
        try:
            while not stop.is_set():
                assert session.run(None, {"x": x, "c": np.array(True)})[0][0, 0] == 3
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for _ in range(5):
        session.set_providers(["ReferenceExecutionProvider"])
    stop.set()
    for thread in threads:
        thread.join(30)
    assert not errors


def test_sessions_can_be_made_in_several_threads(session_of: Callable[..., InferenceSession]) -> None:
    def work(index: int) -> float:
        session = session_of(GRAPH)
        return float(session.run(None, {"x": np.full((1, 64), index, np.float32), "c": np.array(False)})[0][0, 0])

    with ThreadPoolExecutor(THREADS) as pool:
        assert list(pool.map(work, range(THREADS))) == [(i + 1) ** 2 + i for i in range(THREADS)]


def test_only_the_run_that_was_told_to_stop_stops(session_of: Callable[..., InferenceSession]) -> None:
    session = session_of(GRAPH)
    stopped = onnxlite.RunOptions()
    stopped.terminate = True

    def work(index: int) -> bool:
        options = stopped if index % 2 else onnxlite.RunOptions()
        try:
            session.run(None, {"x": np.ones((1, 64), np.float32), "c": np.array(True)}, options)
        except onnxlite.OnnxliteError:
            return False
        return True

    with ThreadPoolExecutor(THREADS) as pool:
        assert list(pool.map(work, range(40))) == [index % 2 == 0 for index in range(40)]
