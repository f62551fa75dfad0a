"""The cases of onnx's own backend test suite as plain records: a model, its data, and how close is close enough.

The suite comes with the installed onnx package.  Its single-node cases are generated when they are imported, which
takes some seconds; the others are files.  Nothing is downloaded and nothing is written.
"""

from __future__ import annotations

import functools
import warnings
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
import onnx
from onnx import numpy_helper
from onnx.backend.test import loader
from onnx.backend.test.case.test_case import TestCase

from onnxlite.conformance.operators import Operator, operators_of

#: The suite's kinds of cases, in the order in which they are listed and run.
KINDS = ("node", "simple", "pytorch-operator", "pytorch-converted", "real")


class DataSet(NamedTuple):
    """Inputs in the order of the graph's inputs, and the outputs that they must give.

    Tensors are arrays (strings: object arrays), sequences are lists, maps are dicts, an empty optional is None.
    """

    inputs: tuple[Any, ...]
    outputs: tuple[Any, ...]


class Source(Protocol):
    """Where a case's model and data come from; both are read when they are asked for."""

    def model(self) -> onnx.ModelProto: ...  # noqa: D102

    def data_sets(self) -> tuple[DataSet, ...]: ...  # noqa: D102


@dataclass(frozen=True)
class Case:
    """One case of the suite."""

    name: str
    kind: str
    rtol: float
    atol: float
    source: Source = field(repr=False, compare=False)

    @property
    def model(self) -> onnx.ModelProto:
        """The model, parsed."""
        return self.source.model()

    @property
    def model_bytes(self) -> bytes:
        """The model, serialized."""
        return bytes(self.model.SerializeToString())

    @property
    def data_sets(self) -> tuple[DataSet, ...]:
        """The inputs to run, and what must come out."""
        return self.source.data_sets()

    @functools.cached_property
    def operators(self) -> frozenset[Operator]:
        """The operator versions that the model calls."""
        return operators_of(self.model)


@functools.lru_cache(maxsize=1)
def load_cases() -> tuple[Case, ...]:
    """Every case of the installed onnx package, ordered by kind, then by name."""
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")  # the generators overflow and divide by zero on purpose
        found = [test for kind in KINDS for test in loader.load_model_tests(kind=kind)]
    return tuple(map(_case, sorted(found, key=lambda test: (KINDS.index(test.kind), test.name))))


def _case(test: TestCase) -> Case:
    return Case(name=test.name, kind=test.kind, rtol=test.rtol, atol=test.atol, source=_source(test))


def _source(test: TestCase) -> Source:
    if test.model is not None:
        return Generated(test.model, test.data_sets)
    if test.model_dir is not None:
        return Folder(Path(test.model_dir))
    assert test.url is not None
    # The url of a light model is a path below the folder that holds the package.
    return LightModel(Path(loader.DATA_DIR).parents[3] / test.url)


@dataclass(frozen=True)
class Generated:
    """A single-node case, made in memory when its module was imported."""

    proto: onnx.ModelProto
    data: Any

    def model(self) -> onnx.ModelProto:
        """The model as it was generated."""
        return self.proto

    def data_sets(self) -> tuple[DataSet, ...]:
        """The generated data, some of which the suite keeps as protobuf tensors."""
        return tuple(DataSet(tuple(map(_plain, inputs)), tuple(map(_plain, outputs))) for inputs, outputs in self.data)


@dataclass(frozen=True)
class Folder:
    """A case in files: ``model.onnx`` beside folders ``test_data_set_N`` with ``input_N.pb`` and ``output_N.pb``."""

    path: Path

    def model(self) -> onnx.ModelProto:
        """The model in the folder."""
        return onnx.load(self.path / "model.onnx")

    def data_sets(self) -> tuple[DataSet, ...]:
        """The data of every data folder; a value's type in the graph says which message its file holds."""
        graph = self.model().graph
        folders = sorted(self.path.glob("test_data_set_*"))
        return tuple(
            DataSet(_read_values(folder, "input", graph.input), _read_values(folder, "output", graph.output))
            for folder in folders
        )


@dataclass(frozen=True)
class LightModel:
    """A whole published model with constant weights, and its output for a ramp from 0 to 1."""

    path: Path

    def model(self) -> onnx.ModelProto:
        """The model in the file."""
        return onnx.load(self.path)

    def data_sets(self) -> tuple[DataSet, ...]:
        """One data set: a ramp for each input, and the output that lies beside the model."""
        graph = self.model().graph
        constant = {initializer.name for initializer in graph.initializer}
        inputs = tuple(_ramp(value) for value in graph.input if value.name not in constant)
        files = [self.path.with_name(f"{self.path.stem}_output_{i}.pb") for i in range(len(graph.output))]
        outputs = [_read_value(file, value.type) for file, value in zip(files, graph.output, strict=True)]
        return (DataSet(inputs, tuple(outputs)),)


def _ramp(value: onnx.ValueInfoProto) -> np.ndarray[Any, Any]:
    shape = tuple(dim.dim_value if dim.HasField("dim_value") else 1 for dim in value.type.tensor_type.shape.dim)
    size = np.prod(shape)
    return np.asarray((np.arange(size).reshape(shape) / size).astype(np.float32))


def _read_values(folder: Path, role: str, values: Any) -> tuple[Any, ...]:
    count = len(list(folder.glob(f"{role}_*.pb")))
    return tuple(_read_value(folder / f"{role}_{i}.pb", values[i].type) for i in range(count))


def _read_value(path: Path, declared: onnx.TypeProto) -> Any:
    message, to_value = _MESSAGES[declared.WhichOneof("value")]
    return _plain(to_value(message.FromString(path.read_bytes())))


_MESSAGES: dict[str, tuple[Any, Any]] = {
    "tensor_type": (onnx.TensorProto, numpy_helper.to_array),
    "sequence_type": (onnx.SequenceProto, numpy_helper.to_list),
    "optional_type": (onnx.OptionalProto, numpy_helper.to_optional),
    "map_type": (onnx.MapProto, numpy_helper.to_dict),
}


def _plain(value: Any) -> Any:
    """A value as an engine takes and gives it: NumPy scalars become arrays, all strings object arrays."""
    if isinstance(value, onnx.TensorProto):
        value = numpy_helper.to_array(value)
    if isinstance(value, list | tuple):
        return [_plain(element) for element in value]
    if value is None or isinstance(value, dict):
        return value
    array = np.asarray(value)
    return array.astype(object) if array.dtype.kind in "US" else array
