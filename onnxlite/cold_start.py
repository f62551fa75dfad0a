"""A session's start where no kernel has been compiled yet: NumPy gives the first answer, before Numba is even loaded.

To load Numba and to make a plan for compiled kernels takes several times as long as a small model's first run in NumPy,
and helps no first answer while the cache of compiled kernels is empty.  Both happen beside the runs that follow it.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterable

from onnxlite.kernels.cache_folder import cache_folder, waits_by_default
from onnxlite.logs import LOGGER
from onnxlite.model import Model
from onnxlite.model.walk import all_nodes
from onnxlite.plan.dependence import draws_numbers

#: The provider that compiles, and the one that answers meanwhile.
COMPILING, ANSWERING = "CPUExecutionProvider", "ReferenceExecutionProvider"


def starts_cold(providers: Iterable[str], model: Model, waits: bool | None) -> bool:
    """Whether the first answer comes sooner without the compiled kernels.

    Args:
        providers: The session's, in order of preference.
        model: Its model; random numbers must come from one plan.
        waits: Whether the session waits for the compiler; None: as the environment says.
    """
    first = next(iter(providers), "")
    if first != COMPILING or "onnxlite.kernels.numba" in sys.modules:
        return False
    if waits_by_default() if waits is None else waits:
        return False
    folder = cache_folder()
    if folder is not None and next(folder.glob("*.kernel"), None) is not None:
        return False
    return not any(map(draws_numbers, all_nodes(model)))


class Later:
    """Work that is done once, beside what starts it, or at once where somebody needs it."""

    def __init__(self, work: Callable[[], None]) -> None:
        self._work = work
        self._lock = threading.Lock()
        self._started = False
        self._done = False

    def start(self) -> None:
        """Do the work in another thread."""
        if not self._started:
            self._started = True
            threading.Thread(target=self._beside, name="onnxlite-binder", daemon=True).start()

    def finish(self) -> None:
        """Return when the work is done.

        Raises:
            Exception: What the work raised, if it is done here.
        """
        with self._lock:
            if not self._done:
                self._started = True
                self._work()
                self._done = True

    def _beside(self) -> None:
        try:
            self.finish()
        except Exception:
            LOGGER.exception("the compiled kernels could not be bound; the session goes on with %s", ANSWERING)
            self._done = True
