"""Runs one compiled kernel by itself: bound to the shapes of real inputs, called, and nothing else."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import numpy as np

from onnxlite.kernels.arrays import Array
from onnxlite.kernels.numba import COMPILED
from onnxlite.kernels.numba.machine.threads import ThreadPool, thread_pool
from onnxlite.kernels.numba.spec import ArraySpec, Bound, Declined, View
from onnxlite.plan.specialize import call_bound, counted_entries
from onnxlite.plan.weights import as_constant


class KernelDeclined(Exception):
    """A builder's no, where a test wants the compiled kernel."""


def bound_kernel(
    op_type: str,
    version: int,
    *inputs: Array | None,
    constants: Collection[int] = (),
    domain: str = "",
    output_count: int = 1,
    **attributes: Any,
) -> Bound | View:
    """What the builder of an operator version answers for inputs of these shapes and types.

    Args:
        op_type: The operator.
        version: A since_version of the operator.
        *inputs: Arrays; None stands for an absent input.
        constants: The indices of the inputs whose values the builder may see.
        domain: The operator's domain.
        output_count: How many outputs the node declares, for builders that ask.
        **attributes: The node's attributes.

    Raises:
        KernelDeclined: The builder declines; the message is its reason.
        LookupError: No compiled kernel serves the version.
    """
    kernel = COMPILED.find(domain, op_type, version)
    if kernel is None:
        raise LookupError(f"no compiled kernel serves {domain or 'ai.onnx'}.{op_type}, version {version}")
    if "output_count" in kernel.provided:
        attributes["output_count"] = output_count
    specs = [
        None if x is None else ArraySpec(x.shape, x.dtype, as_constant(x) if index in constants else None)
        for index, x in enumerate(inputs)
    ]
    answer: Bound | View | Declined = kernel.function(*specs, **attributes)
    if isinstance(answer, Declined):
        raise KernelDeclined(f"{op_type}-{version}: {answer.reason}")
    return answer


def bind_and_run(
    op_type: str,
    version: int,
    *inputs: Array | None,
    constants: Collection[int] = (),
    threads: int = 1,
    domain: str = "",
    output_count: int = 1,
    **attributes: Any,
) -> tuple[Array, ...]:
    """The outputs of a compiled kernel, which must not decline; see `bound_kernel` for the arguments.

    Every pair of an input and an output that the builder allows to share memory is tried too.

    Raises:
        KernelDeclined: The builder declines; the message is its reason.
        AssertionError: The outputs are others where they share memory with an input.
    """
    answer = bound_kernel(
        op_type, version, *inputs, constants=constants, domain=domain, output_count=output_count, **attributes
    )
    given = [
        x if x is None else as_constant(x) if index in constants else np.array(x, order="C")
        for index, x in enumerate(inputs)
    ]
    if isinstance(answer, View):
        viewed = given[answer.index]
        assert viewed is not None
        return (viewed.reshape(answer.shape),)
    pool = thread_pool(threads)
    results = tuple(np.empty(spec.shape, spec.dtype) for spec in answer.outputs)
    _call(answer, given, results, pool)
    for source, target in answer.in_place:
        if source not in constants:
            _check_sharing(answer, given, results, pool, source, target)
    if answer.counted is None:
        return results
    cut = counted_entries(answer.counted, *results)
    return cut if isinstance(cut, tuple) else (cut,)


def _check_sharing(
    bound: Bound, given: Sequence[Any], results: Sequence[Array], pool: ThreadPool, source: int, target: int
) -> None:
    shared = given[source].copy()
    outputs = [shared if i == target else np.empty_like(result) for i, result in enumerate(results)]
    assert (shared.shape, shared.dtype) == (results[target].shape, results[target].dtype), (
        f"input {source} and output {target} cannot share memory: "
        f"{shared.dtype}{shared.shape}, {results[target].dtype}{results[target].shape}"
    )
    _call(bound, [shared if i == source else x for i, x in enumerate(given)], outputs, pool)
    for output, result in zip(outputs, results, strict=True):
        np.testing.assert_array_equal(output, result, f"output {target} in the memory of input {source}")


def _call(bound: Bound, inputs: Sequence[Any], outputs: Sequence[Array], pool: ThreadPool) -> None:
    with pool:
        call_bound(bound, inputs, outputs, pool)
