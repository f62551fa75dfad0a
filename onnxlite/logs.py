"""onnxruntime's log severities on Python's logging: everything goes to the logger ``onnxlite``."""

from __future__ import annotations

import logging
from typing import Any

from onnxlite.errors import Fail

LOGGER = logging.getLogger("onnxlite")

VERBOSE, INFO, WARNING, ERROR, FATAL = range(5)
_LEVELS = (logging.DEBUG, logging.INFO, logging.WARNING, logging.ERROR, logging.CRITICAL)


def set_default_logger_severity(severity: int) -> None:
    """Set what is logged where a session or a run does not say: 0 verbose, 1 info, 2 warning, 3 error, 4 fatal.

    This is the level of the logger ``onnxlite``; where its messages go is for the program's own logging configuration.

    Raises:
        Fail: There is no such severity.
    """
    if severity not in range(len(_LEVELS)):
        raise Fail(f"{severity!r} is no log severity: 0 verbose, 1 info, 2 warning, 3 error, 4 fatal")
    LOGGER.setLevel(_LEVELS[severity])


def set_default_logger_verbosity(verbosity: int) -> None:
    """Accepted as in onnxruntime, where it has an effect in debug builds only."""


def log(severity: int, message: str, *arguments: Any, least: int = -1, logid: str = "") -> None:
    """Log a message.

    Args:
        severity: The message's.
        message: A format string in the style of ``%``.
        arguments: What the format takes.
        least: The least severity that is logged; a negative one leaves it to the logger.
        logid: Put before the message, to tell sessions and runs apart.
    """
    level = _LEVELS[severity]
    if least < 0:
        wanted = LOGGER.isEnabledFor(level)
    else:
        wanted = severity >= least
    if wanted:
        text = f"[{logid}] {message}" if logid else message
        LOGGER.handle(LOGGER.makeRecord(LOGGER.name, level, "onnxlite", 0, text, arguments, None))
