"""Weights are let go of once kernels hold them packed, and made or read again when another program needs them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import onnxlite
from onnxlite.errors import Fail
from onnxlite.kernels.mapped import mapped_file
from onnxlite.plan import weights as module

RANDOM = np.random.default_rng(0)


def network(layers: int = 3, width: int = 192) -> onnx.ModelProto:
    """Convolutions whose weights a pass makes, by folding a normalization into them, and an embedding."""
    nodes, arrays = [], {"table": RANDOM.standard_normal((4096, 8), np.float32)}
    nodes.append(helper.make_node("Gather", ["table", "ids"], ["rows"]))
    before = "x"
    for layer in range(layers):
        arrays[f"w{layer}"] = RANDOM.standard_normal((width, width, 3, 3), np.float32) / 40
        for name, low in (("scale", 0.5), ("bias", -1), ("mean", -1), ("variance", 0.5)):
            arrays[f"{name}{layer}"] = RANDOM.uniform(low, 2, width).astype(np.float32)
        nodes.append(helper.make_node("Conv", [before, f"w{layer}"], [f"c{layer}"], pads=[1] * 4))
        given = [f"c{layer}", *(f"{name}{layer}" for name in ("scale", "bias", "mean", "variance"))]
        nodes.append(helper.make_node("BatchNormalization", given, [f"n{layer}"]))
        before = f"n{layer}"
    graph = helper.make_graph(
        nodes,
        "network",
        [
            helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, width, "h", "w"]),
            helper.make_tensor_value_info("ids", TensorProto.INT64, ["n"]),
        ],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in (before, "rows")],
        [numpy_helper.from_array(array, name) for name, array in arrays.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)])


def feeds(size: int, width: int = 192) -> dict[str, np.ndarray]:
    x = np.random.default_rng(size).standard_normal((1, width, size, size), np.float32)
    return {"x": x, "ids": np.arange(size, dtype=np.int64) * 7}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "network.onnx"
    path.write_bytes(network().SerializeToString())
    return path


@pytest.fixture(autouse=True)
def waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    """Kernels are there from the start, and everything large is worth letting go of."""
    monkeypatch.setenv("ONNXLITE_COMPILE", "wait")
    monkeypatch.setattr(module, "_LEAST_TOTAL", 1)


def session(source: Path | bytes) -> onnxlite.InferenceSession:
    path_or_bytes = str(source) if isinstance(source, Path) else source
    return onnxlite.InferenceSession(path_or_bytes, providers=["CPUExecutionProvider"])


def expected(source: Path, size: int) -> list[np.ndarray]:
    reference = onnxlite.InferenceSession(str(source), providers=["ReferenceExecutionProvider"])
    return reference.run(None, feeds(size))


def large(values: list[object]) -> list[np.ndarray]:
    return [value for value in values if isinstance(value, np.ndarray) and value.nbytes >= 1 << 16]


def close(results: list[np.ndarray], wanted: list[np.ndarray]) -> bool:
    return all(np.allclose(a, b, rtol=1e-3, atol=1e-3) for a, b in zip(results, wanted, strict=True))


def test_only_what_runs_read_is_left_of_made_weights(path: Path) -> None:
    runner = session(path)
    assert len([a for a in large(runner.plan.template) if mapped_file(a) is None]) == 3
    assert close(runner.run(None, feeds(9)), expected(path, 9))
    assert [a for a in large(runner.plan.template) if mapped_file(a) is None] == []


def test_other_shapes_and_outputs_find_the_weights_again(path: Path) -> None:
    runner = session(path)
    for size in (9, 12, 9, 5):
        assert close(runner.run(None, feeds(size)), expected(path, size))
    assert close(runner.run(["n2"], feeds(9)), expected(path, 9)[:1])
    assert runner.run(["c0"], feeds(4))[0].shape == (1, 192, 4, 4)


def test_packed_weights_are_shared_between_programs(path: Path) -> None:
    runner = session(path)
    for size in (40, 41):
        runner.run(None, feeds(size))
    first, second = runner.plan.programs.programs()  # type: ignore[union-attr]

    def packed(program: object) -> list[int]:
        bounds = [command.bound for command in program.commands if command.bound]  # type: ignore[attr-defined]
        arrays = large([argument for bound in bounds for argument in bound.arguments])
        return sorted(array.ctypes.data for array in arrays)

    assert set(packed(first)) & set(packed(second))


def test_programs_read_no_file(path: Path) -> None:
    runner = session(path)
    wanted = expected(path, 9)
    runner.run(None, feeds(9))
    path.write_bytes(b"")  # reading the file as it was would end the process
    assert close(runner.run(None, feeds(9)), wanted)
    with pytest.raises(Fail, match="was changed"):
        runner.run(None, feeds(10))


def test_a_model_in_memory_has_nothing_to_read_again(path: Path) -> None:
    runner = session(path.read_bytes())
    wanted = expected(path, 9), expected(path, 6)
    path.unlink()
    assert close(runner.run(None, feeds(9)), wanted[0])
    assert close(runner.run(None, feeds(6)), wanted[1])


def test_a_deleted_file_stays_readable(path: Path) -> None:
    wanted = expected(path, 9), expected(path, 6)
    runner = session(path)
    path.unlink()
    assert close(runner.run(None, feeds(9)), wanted[0])
    assert close(runner.run(None, feeds(6)), wanted[1])
