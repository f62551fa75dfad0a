"""Runs cases in worker processes: an engine that crashes or hangs costs one case, not the run."""

from __future__ import annotations

import contextlib
import multiprocessing
import signal
import time
from collections.abc import Iterable, Iterator
from multiprocessing.connection import Connection, wait

from onnxlite.conformance.cases import Case
from onnxlite.conformance.engines import find_engine
from onnxlite.conformance.runner import Outcome, Result, run_case

#: Workers start afresh: a fork would inherit the threads' locks of whatever the parent has loaded.
_CONTEXT = multiprocessing.get_context("spawn")


class Worker:
    """A process that runs one case after the other, and the case that it is at."""

    def __init__(self, engine: str, provider: str) -> None:
        self.connection, there = _CONTEXT.Pipe()
        self._process = _CONTEXT.Process(target=_serve, args=(there, engine, provider), daemon=True)
        self._process.start()
        there.close()  # so that the end of the process closes the pipe
        try:
            self.connection.recv()  # the worker is ready: starting it is on nobody's time
        except EOFError:
            raise RuntimeError(f"a worker with the engine {engine} did not start; its error is above") from None
        self._case: Case | None = None
        self._deadline = 0.0

    def start(self, case: Case, timeout: float) -> None:
        """Hand over a case, which must be done within ``timeout`` seconds."""
        self._case, self._deadline = case, time.monotonic() + timeout
        with contextlib.suppress(ConnectionError):  # the process is gone, which shows when the result is asked for
            self.connection.send(case)

    def remaining(self) -> float:
        """Seconds until the case at hand is overdue."""
        return max(0.0, self._deadline - time.monotonic())

    def finish(self, timeout: float) -> Result:
        """The result of the case at hand, which is due or overdue; after a crash or a hang the process is gone."""
        assert self._case is not None
        try:
            if self.connection.poll():
                result = self.connection.recv()
                assert isinstance(result, Result)
                return result
            self._process.kill()
            self._process.join()
            return Result(self._case.name, Outcome.FAIL, f"no answer within {timeout:g} seconds")
        except (EOFError, ConnectionError):
            self._process.join()
            return Result(
                self._case.name, Outcome.FAIL, f"the engine ended the process ({_ending(self._process.exitcode)})"
            )

    @property
    def alive(self) -> bool:
        """Whether the process can take another case."""
        return self._process.is_alive()

    def stop(self) -> None:
        """End the process, whatever it is at."""
        self._process.kill()
        self._process.join()
        self.connection.close()


def run_isolated(
    cases: Iterable[Case], engine: str, provider: str, *, jobs: int = 1, timeout: float = 60.0
) -> Iterator[Result]:
    """Run cases in ``jobs`` processes and give each result when it is there.

    Args:
        cases: What to run.
        engine: The engine's name, as `find_engine` takes it; each process looks it up for itself.
        provider: The provider.
        jobs: How many processes run side by side.
        timeout: Seconds that one case may take.
    """
    waiting = iter(cases)
    idle: list[Worker] = []
    busy: dict[Connection, Worker] = {}
    try:
        while True:
            while len(busy) < jobs and (case := next(waiting, None)) is not None:
                worker = idle.pop() if idle else Worker(engine, provider)
                worker.start(case, timeout)
                busy[worker.connection] = worker
            if not busy:
                return
            wait(list(busy), timeout=min(worker.remaining() for worker in busy.values()))
            for worker in [w for w in busy.values() if w.connection.poll() or not w.remaining()]:
                del busy[worker.connection]
                yield worker.finish(timeout)
                if worker.alive:
                    idle.append(worker)
                else:
                    worker.stop()
    finally:
        for worker in (*idle, *busy.values()):
            worker.stop()


def _serve(connection: Connection, engine_name: str, provider: str) -> None:
    engine = find_engine(engine_name)
    connection.send(None)
    while True:
        try:
            case: Case = connection.recv()
        except EOFError:
            return
        connection.send(run_case(case, engine, provider))


def _ending(code: int | None) -> str:
    if code is not None and code < 0:
        return signal.Signals(-code).name
    return f"exit code {code}"
