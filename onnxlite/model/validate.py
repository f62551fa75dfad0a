"""The structural rules of onnx's IR.md that everything after the loader relies on."""

from __future__ import annotations

from collections.abc import Iterable

from onnxlite.errors import InvalidGraph
from onnxlite.kernels.arrays import Array
from onnxlite.model.ir import AttributeReference, Function, Graph, Model, Node
from onnxlite.model.types import SparseTensorType, TensorType, ValueType, type_of

#: The nodes of a model with all calls expanded: functions that call functions can describe a graph exponentially larger
#: than their file.
MAX_NODES = 1_000_000


def validate_model(model: Model) -> None:
    """Check names, definitions and imports.

    Raises:
        InvalidGraph: A value is defined twice or not at all, a node's domain is not imported, an input has no name or
            no type, or functions call each other in a circle.
    """
    where = f"graph '{model.graph.name}'"
    _validate_inputs(model.graph, where)
    _validate_graph(model.graph, frozenset(), where, model)
    for function in model.functions.values():
        where = f"function '{function.domain}.{function.name}'"
        _validate_nodes(function.nodes, set(function.inputs), where, model, in_function=True)
        defined = set(function.inputs).union(*(node.outputs for node in function.nodes))
        missing = [name for name in function.outputs if name not in defined]
        if missing:
            raise InvalidGraph(f"{where}: no node makes the output '{missing[0]}'")
    _validate_calls(model)


def _validate_inputs(graph: Graph, where: str) -> None:
    """The inputs of the main graph state their types, and those that have an initializer are of its type and shape."""
    for value in graph.inputs:
        if value.type is None:
            raise InvalidGraph(f"{where}: the input '{value.name}' has no type")
        array = graph.initializers.get(value.name)
        if array is not None and not _is_of_type(array, value.type):
            raise InvalidGraph(
                f"{where}: the input '{value.name}' is declared as {value.type!r}, "
                f"but its initializer is {type_of(array)}"
            )


def _is_of_type(array: Array, kind: ValueType) -> bool:
    if not isinstance(kind, TensorType | SparseTensorType) or (kind.element and kind.element.dtype != array.dtype):
        return False
    if kind.shape is None:
        return True
    lengths = zip(array.shape, kind.shape, strict=False)
    return len(kind.shape) == array.ndim and all(not isinstance(d, int) or d == length for length, d in lengths)


def _validate_graph(graph: Graph, outer: frozenset[str], where: str, model: Model, in_function: bool = False) -> None:
    names = [value.name for value in graph.inputs]
    if "" in names or len(set(names)) < len(names):
        raise InvalidGraph(f"{where}: an input has {'no name' if '' in names else 'the name of another'}: {names}")
    defined = set(outer) | set(names) | set(graph.initializers)
    _validate_nodes(graph.nodes, defined, where, model, in_function)
    for output in graph.outputs:
        if output.name not in defined:
            raise InvalidGraph(f"{where}: no node makes the output '{output.name}'")


def _validate_attributes(node: Node, here: str) -> None:
    for name, value in node.attributes.items():
        if isinstance(value, AttributeReference):
            raise InvalidGraph(f"{here}: the attribute '{name}' refers to one of a function, but is in none")


def _validate_nodes(
    nodes: Iterable[Node], defined: set[str], where: str, model: Model, in_function: bool = False
) -> None:
    """Check nodes in topological order, and add what they define to ``defined``."""
    for node in nodes:
        here = f"{where}, node '{node.label}' ({node.operator})"
        if not node.op_type:
            raise InvalidGraph(f"{where}: the node '{node.label}' has no operator")
        called = (node.domain, node.op_type, node.overload) in model.functions
        if node.opset < 1 and not called:
            fault = f"is imported in version {node.opset}" if node.domain in model.opset_imports else "is not imported"
            raise InvalidGraph(f"{here}: the domain '{node.domain or 'ai.onnx'}' {fault}")
        for name in node.inputs:
            if name and name not in defined:
                raise InvalidGraph(f"{here} reads '{name}', which is no input, initializer or output of another node")
        if not in_function:
            _validate_attributes(node, here)
        for attribute, graph in node.graphs():
            _validate_graph(graph, frozenset(defined), f"{here}, {attribute}", model, in_function)
        for name in filter(None, node.outputs):
            if name in defined:
                raise InvalidGraph(f"{here} makes '{name}', which is defined already")
            defined.add(name)


def _validate_calls(model: Model) -> None:
    """Functions may not call themselves, directly or through others, nor expand to more nodes than can be run."""
    sizes: dict[tuple[str, str, str], int] = {}

    def expanded(nodes: Iterable[Node], path: tuple[tuple[str, str, str], ...]) -> int:
        return sum(size(model.functions[key], path) if key in model.functions else 1 for key in _calls(nodes))

    def size(function: Function, path: tuple[tuple[str, str, str], ...]) -> int:
        if function.key in path:
            circle = " -> ".join(key[1] for key in (*path[path.index(function.key) :], function.key))
            raise InvalidGraph(f"functions call each other in a circle: {circle}")
        if function.key not in sizes:
            sizes[function.key] = 1 + expanded(function.nodes, (*path, function.key))
        return sizes[function.key]

    for function in model.functions.values():
        size(function, ())
    total = expanded(model.graph.nodes, ())
    if total > MAX_NODES:
        raise InvalidGraph(f"the functions of the model expand to {total} nodes and calls, more than {MAX_NODES}")


def _calls(nodes: Iterable[Node]) -> Iterable[tuple[str, str, str]]:
    for node in nodes:
        yield node.domain, node.op_type, node.overload
        for _, graph in node.graphs():
            yield from _calls(graph.nodes)
