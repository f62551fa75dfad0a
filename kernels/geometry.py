"""The geometry of sliding windows: one place for kernel shape, strides, dilations, padding and ceil mode.

Convolutions, pools and Col2Im differ in what they compute inside a window; where the windows lie is the same for all.
A `Windows` says it for any number of spatial axes; the functions below cut an image into its windows, reduce them, or
add them up again.  Images have the layout (N, C, spatial axes...).
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from onnxlite.kernels.arrays import Array, array_namespace

Ints = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Windows:
    """Where the windows of a kernel lie on an image: every field holds one number per spatial axis.

    Window ``o`` reads the positions ``o * stride - begin + k * dilation`` of the image, for ``k`` in ``range(kernel)``.
    Positions outside ``range(image)`` are padding; ``begins`` and ``ends`` are its declared widths.
    """

    image: Ints
    kernel: Ints
    strides: Ints
    dilations: Ints
    begins: Ints
    ends: Ints
    output: Ints

    @property
    def reach(self) -> Ints:
        """How far the last window reaches, counted from the start of the padded image."""
        return tuple((o - 1) * s + span(k, d) for o, s, k, d in self._each("output", "strides", "kernel", "dilations"))

    @property
    def pointwise(self) -> bool:
        """Whether the windows are the image's elements themselves."""
        return self.output == self.image and set(self.kernel + self.strides) <= {1} and not any(self.begins)

    def positions(self, axis: int) -> np.ndarray[Any, Any]:
        """The image positions that the windows read along one axis, shape (output, kernel); outside ones included."""
        starts = np.arange(self.output[axis]) * self.strides[axis] - self.begins[axis]
        return starts[:, None] + np.arange(self.kernel[axis]) * self.dilations[axis]

    def tap(self, axis: int, position: int) -> slice:
        """Along one axis of the padded image, the element at ``position`` of every window."""
        start = position * self.dilations[axis]
        return slice(start, start + (self.output[axis] - 1) * self.strides[axis] + 1, self.strides[axis])

    def _each(self, *names: str) -> Iterator[tuple[int, ...]]:
        return zip(*(getattr(self, name) for name in names), strict=True)


def span(kernel: int, dilation: int) -> int:
    """How many elements a dilated kernel covers from its first to its last."""
    return (kernel - 1) * dilation + 1


@functools.lru_cache(maxsize=4096)
def windows(
    image: Ints,
    kernel: Ints,
    *,
    strides: Ints | None = None,
    dilations: Ints | None = None,
    pads: Ints | None = None,
    auto_pad: str = "NOTSET",
    ceil_mode: int = 0,
) -> Windows:
    """The windows that the attributes of a convolution or a pool describe on an image of a spatial shape.

    Raises:
        ValueError: An attribute has the wrong length or value, or a window does not fit the padded image.
    """
    rank = len(image)
    kernel = per_axis("kernel_shape", kernel, rank, 1)
    strides = per_axis("strides", strides, rank, 1)
    dilations = per_axis("dilations", dilations, rank, 1)
    begins, ends = explicit_pads(image, kernel, strides, dilations, pads, auto_pad)
    output = []
    for length, k, stride, dilation, begin, end in zip(image, kernel, strides, dilations, begins, ends, strict=True):
        room = length + begin + end - span(k, dilation)
        count = (-(-room // stride) if ceil_mode else room // stride) + 1
        if ceil_mode and (count - 1) * stride >= length + begin:
            count -= 1  # a window must not start in the padding at the end
        if count < 1:
            raise ValueError(
                f"a kernel of {k} with dilation {dilation} covers {span(k, dilation)} elements and does not fit "
                f"an axis of {length} with padding {begin} and {end}"
            )
        output.append(count)
    return Windows(image, kernel, strides, dilations, begins, ends, tuple(output))


def explicit_pads(
    image: Ints, kernel: Ints, strides: Ints, dilations: Ints, pads: Ints | None, auto_pad: str
) -> tuple[Ints, Ints]:
    """The padding before and after each axis that ``pads`` or ``auto_pad`` asks for."""
    rank = len(image)
    if auto_pad in ("NOTSET", ""):
        both = per_axis("pads", pads, 2 * rank, 0, least=0)
        return both[:rank], both[rank:]
    if auto_pad == "VALID":
        return (0,) * rank, (0,) * rank
    # SAME: ceil(length / stride) windows, and what they reach beyond the image is split between both sides.
    totals = tuple(
        max(0, (-(-length // stride) - 1) * stride + span(k, dilation) - length)
        for length, k, stride, dilation in zip(image, kernel, strides, dilations, strict=True)
    )
    return split_padding(totals, auto_pad)


def split_padding(totals: Ints, auto_pad: str) -> tuple[Ints, Ints]:
    """The padding before and after each axis when SAME_UPPER (odd element after) or SAME_LOWER (before) splits it."""
    if auto_pad not in ("SAME_UPPER", "SAME_LOWER"):
        raise ValueError(f"auto_pad must be NOTSET, VALID, SAME_UPPER or SAME_LOWER, not {auto_pad!r}")
    small, large = tuple(t // 2 for t in totals), tuple(t - t // 2 for t in totals)
    return (small, large) if auto_pad == "SAME_UPPER" else (large, small)


def per_axis(name: str, values: Ints | None, count: int, default: int, least: int = 1) -> Ints:
    """An attribute with one number per spatial axis, checked; absent or empty, ``default`` for each."""
    if not values:
        return (default,) * count
    if len(values) != count:
        raise ValueError(f"{name} must have {count} elements for the spatial axes of the input, not {len(values)}")
    if min(values) < least:
        raise ValueError(f"every element of {name} must be at least {least}, got {tuple(values)}")
    return tuple(int(v) for v in values)


def spatial_shape(x: Array, least: int = 1) -> Ints:
    """The spatial shape of an image (N, C, spatial axes...), checked to have at least ``least`` spatial axes."""
    if x.ndim < 2 + least:
        raise ValueError(
            f"the input must have a batch, a channel and at least {least} spatial axes, got shape {x.shape}"
        )
    return tuple(x.shape[2:])


def pad_image(x: Array, w: Windows, value: Any = 0) -> Array:
    """The image with as much padding as its windows read, filled with ``value``; ``x`` itself if that is none."""
    ends = tuple(max(0, reach - b - length) for reach, b, length in zip(w.reach, w.begins, w.image, strict=True))
    if not any(w.begins) and not any(ends):
        return x
    xp = array_namespace(x)
    shape = tuple(b + length + e for b, length, e in zip(w.begins, w.image, ends, strict=True))
    padded = xp.full(x.shape[:2] + shape, value, dtype=x.dtype)
    padded[(..., *(slice(b, b + length) for b, length in zip(w.begins, w.image, strict=True)))] = x
    return padded


def window_view(padded: Array, w: Windows) -> Array:
    """A view (N, C, kernel axes..., output axes...) of a padded image: no element is copied."""
    steps = padded.strides[2:]
    return array_namespace(padded).lib.stride_tricks.as_strided(
        padded,
        padded.shape[:2] + w.kernel + w.output,
        padded.strides[:2]
        + tuple(step * d for step, d in zip(steps, w.dilations, strict=True))
        + tuple(step * s for step, s in zip(steps, w.strides, strict=True)),
    )


def reduce_windows(ufunc: Any, padded: Array, w: Windows) -> Array:
    """Each window reduced by a binary ufunc (``xp.add``, ``xp.maximum``), one axis after the other."""
    lead = (slice(None),) * 2
    for axis in reversed(range(len(w.kernel))):
        index = lead + (slice(None),) * axis
        result = padded[(*index, w.tap(axis, 0))]
        for position in range(1, w.kernel[axis]):
            tap = padded[(*index, w.tap(axis, position))]
            result = ufunc(result, tap, out=result if position > 1 else None)
        padded = result
    return padded


def fold(columns: Array, w: Windows) -> Array:
    """The image that the windows add up to: the transpose of `window_view`.

    Takes (N, C, kernel axes..., output axes...) and gives (N, C, image axes...); what falls on padding is dropped.
    """
    xp = array_namespace(columns)
    shape = tuple(max(r, b + length) for r, b, length in zip(w.reach, w.begins, w.image, strict=True))
    empty = "" if columns.dtype.kind == "O" else 0
    padded = xp.full(columns.shape[:2] + shape, empty, dtype=columns.dtype)
    for position in itertools.product(*map(range, w.kernel)):
        taps = tuple(w.tap(axis, k) for axis, k in enumerate(position))
        padded[(..., *taps)] += columns[(slice(None), slice(None), *position)]
    return padded[(..., *(slice(b, b + length) for b, length in zip(w.begins, w.image, strict=True)))]


def covered(w: Windows, *, with_padding: bool) -> np.ndarray[Any, Any]:
    """How many elements each window holds, shape ``output``: of the image, or of it and its declared padding."""
    counts = np.ones((1,) * len(w.image), np.int64)
    for axis, (length, begin, end) in enumerate(zip(w.image, w.begins, w.ends, strict=True)):
        low, high = (-begin, length + end) if with_padding else (0, length)
        positions = w.positions(axis)
        along = ((positions >= low) & (positions < high)).sum(axis=1)
        counts = counts * along.reshape((-1,) + (1,) * (len(w.image) - 1 - axis))
    return counts
