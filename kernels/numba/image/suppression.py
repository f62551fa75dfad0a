"""NonMaxSuppression: the best boxes that keep clear of each other, per image and class.

The boxes of a class that score enough are a heap, from which the best one is taken again and again: as a rule few of
many boxes are looked at.
"""

from __future__ import annotations

import numpy as np

from onnxlite.kernels.numba.machine.jit import jit
from onnxlite.kernels.numba.machine.threads import parallel_for
from onnxlite.kernels.numba.spec import FLOAT32, ArraySpec, Bound, Declined, Input, Output, Pool, Scratch
from onnxlite.kernels.numba.table import op

_INT64 = np.dtype(np.int64)

#: The boxes that one piece of work looks at, about.
_PIECE = 1 << 12


@jit
def _find_corners(boxes, corners, areas, centered):  # type: ignore[no-untyped-def]
    """The boxes (B, 4) as (y1, x1, y2, x2), the lower corner first, or the same for (x, y, width, height)."""
    for box in range(areas.size):
        for axis in range(2):
            a, b = boxes[box, axis], boxes[box, axis + 2]
            if centered:
                half = b / np.float32(2)
                a, b = a - half, a + half
            else:
                a, b = min(a, b), max(a, b)
            corners[box, axis], corners[box, axis + 2] = a, b
        areas[box] = (corners[box, 2] - corners[box, 0]) * (corners[box, 3] - corners[box, 1])


@jit
def _is_before(scores, a, b):  # type: ignore[no-untyped-def]
    """Whether box a is taken before box b: it scores more, or as much and has the lower number; NaN comes last."""
    first, second = scores[a], scores[b]
    if first != first or second != second:
        return second != second and (first == first or a < b)
    return first > second or (first == second and a < b)


@jit
def _sink(heap, scores, place, count):  # type: ignore[no-untyped-def]
    """Let a box sink to its place in the heap, below it all of which come later."""
    box = heap[place]
    while 2 * place + 1 < count:
        child = 2 * place + 1
        if child + 1 < count and _is_before(scores, heap[child + 1], heap[child]):
            child += 1
        if not _is_before(scores, heap[child], box):
            break
        heap[place] = heap[child]
        place = child
    heap[place] = box


@jit
def _overlaps(corners, areas, a, b, limit):  # type: ignore[no-untyped-def]
    """Whether the intersection of two boxes is more than a part of their union."""
    height = min(corners[a, 2], corners[b, 2]) - max(corners[a, 0], corners[b, 0])
    width = min(corners[a, 3], corners[b, 3]) - max(corners[a, 1], corners[b, 1])
    common = max(height, np.float32(0)) * max(width, np.float32(0))
    union = areas[a] + areas[b] - common
    return common > 0 and areas[a] > 0 and areas[b] > 0 and union > 0 and common / union > limit


@jit
def _select(scores, corners, areas, heap, selected, limit, least, has_least):  # type: ignore[no-untyped-def]
    """Select boxes of one class, and return how many there are."""
    count = 0
    for box in range(scores.size):
        if not has_least or scores[box] > least:
            heap[count] = box
            count += 1
    for place in range(count // 2 - 1, -1, -1):
        _sink(heap, scores, place, count)
    found = 0
    while count > 0 and found < selected.size:
        best = heap[0]
        count -= 1
        heap[0] = heap[count]
        _sink(heap, scores, 0, count)
        clear = True
        for other in range(found):
            if _overlaps(corners, areas, selected[other], best, limit):
                clear = False
                break
        if clear:
            selected[found] = best
            found += 1
    return found


@jit
def _select_classes(start, stop, thread, scores, corners, areas, heaps, selected, found, limit, least, has_least):  # type: ignore[no-untyped-def]
    classes = scores.shape[1]
    for number in range(start, stop):
        image = number // classes
        found[number] = _select(
            scores[image, number % classes], corners[image], areas[image], heaps[thread], selected[number], limit,
            least, has_least,
        )  # fmt: skip


@jit
def suppress(  # type: ignore[no-untyped-def]
    pool, boxes, scores, rows, count, corners, areas, heaps, selected, found, limit, least, has_least, centered, piece
):  # fmt: skip
    """Select the boxes of all classes, and write the rows (image, class, box), best first."""
    for image in range(boxes.shape[0]):
        _find_corners(boxes[image], corners[image], areas[image], centered)
    arguments = (scores, corners, areas, heaps, selected, found, limit, least, has_least)
    parallel_for(pool, _select_classes, arguments, found.size, piece)
    row, classes = 0, scores.shape[1]
    for number in range(found.size):
        for place in range(found[number]):
            rows[row, 0], rows[row, 1], rows[row, 2] = number // classes, number % classes, selected[number, place]
            row += 1
    count[0] = row


@op("NonMaxSuppression", since=10)
def non_max_suppression(
    boxes: ArraySpec,
    scores: ArraySpec,
    max_output_boxes_per_class: ArraySpec | None = None,
    iou_threshold: ArraySpec | None = None,
    score_threshold: ArraySpec | None = None,
    *,
    center_point_box: int = 0,
) -> Bound | Declined:
    """The rows (image, class, box) of the boxes that are selected (ONNX NonMaxSuppression-11)."""
    numbers = (max_output_boxes_per_class, iou_threshold, score_threshold)
    if any(number is not None and (number.value is None or number.size != 1) for number in numbers):
        return Declined("a limit or threshold that is not known before the model runs is not compiled")
    limit, overlap, least = (None if n is None or n.value is None else n.value.item() for n in numbers)
    if boxes.dtype != FLOAT32 or scores.dtype != FLOAT32 or len(boxes.shape) != 3 or len(scores.shape) != 3:
        return Declined("only boxes and scores of float32 are compiled")
    images, count, _ = boxes.shape
    room = min(count, max(0, limit or 0))
    if boxes.shape[2] != 4 or scores.shape[::2] != (images, count) or not 0 <= (overlap or 0) <= 1 or not room:
        return Declined("the boxes, scores or thresholds do not fit, or none are wanted: the reference says how")
    pairs = images * scores.shape[1]
    arguments = (
        *(Pool(), Input(0), Input(1), Output(0), Output(1)),
        *(Scratch((images, count, 4)), Scratch((images, count)), Scratch((count,), _INT64, per_thread=True)),
        *(Scratch((pairs, room), _INT64), Scratch((pairs,), _INT64)),
        *(np.float32(overlap or 0), np.float32(least or 0), least is not None, bool(center_point_box)),
        max(1, _PIECE // max(count, 1)),
    )
    outputs = (ArraySpec((pairs * room, 3), _INT64), ArraySpec((1,), _INT64))
    return Bound(suppress, arguments, outputs, counted=0)
