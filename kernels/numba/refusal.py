"""Builders and bad input: the reference kernel is the one that says what is wrong with it."""

from __future__ import annotations

import functools
from collections.abc import Callable

from onnxlite.kernels.numba.spec import ArraySpec, Bound, Declined, View

Answer = Bound | View | Declined


def declines_errors(builder: Callable[..., Answer]) -> Callable[..., Answer]:
    """The builder, declining where it, or a helper of the reference kernels that it calls, raises a ValueError."""

    @functools.wraps(builder)
    def build(*inputs: ArraySpec | None, **attributes: object) -> Answer:
        try:
            return builder(*inputs, **attributes)
        except ValueError as error:
            return Declined(str(error))

    return build
