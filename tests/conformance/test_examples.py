"""How examples are brought to other versions and types, and that what they find is not lost."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from onnx import defs, helper

from onnxlite.conformance import coverage
from onnxlite.conformance.adapt import adapted
from onnxlite.conformance.compare import MismatchError
from onnxlite.conformance.examples import Argument, Example, example, suite_examples
from onnxlite.conformance.judges import judged
from onnxlite.conformance.operators import Operator
from onnxlite.conformance.recast import recast
from onnxlite.conformance.retype import binding_of, coupled, retyped
from onnxlite.conformance.slots import Slot, exercises, schema_of, slots, trial
from onnxlite.conformance.typed_model import Output, feeds_of, model_of, outputs_of
from onnxlite.kernels.dtypes import ELEMENT_TYPES

X = np.array([[-1.5, 0.25, 2.0], [0.0, -3.0, 100.0]], np.float32)


def schema(name: str, version: int) -> Any:
    return defs.get_schema(name, version, "")


def values(example: Example | None) -> dict[str, Any]:
    assert example is not None
    return {name: helper.get_attribute_value(attribute) for name, attribute in example.attributes.items()}


class TestAdapted:
    def test_an_input_becomes_an_attribute(self) -> None:
        newer = example("ReduceSum", 13, [X, np.array([1], np.int64)], keepdims=0)
        older = adapted(newer, schema("ReduceSum", 11))
        assert values(older) == {"axes": [1], "keepdims": 0}
        assert older is not None
        assert len(older.inputs) == 1

    def test_a_former_name(self) -> None:
        older = adapted(example("TopK", 11, [X, np.array([2], np.int64)], 2), schema("TopK", 1))
        assert values(older)["k"] == 2

    def test_another_default_is_stated(self) -> None:
        newer = example("GridSample", 22, [X[None, None], np.zeros((1, 1, 1, 2), np.float32)])
        assert values(adapted(newer, schema("GridSample", 16)))["mode"] == b"linear"

    def test_an_attribute_of_another_type(self) -> None:
        newer = example("Cast", 25, [X], to=int(onnx.TensorProto.INT64))
        assert values(adapted(newer, schema("Cast", 1))) == {"to": b"INT64"}

    @pytest.mark.parametrize(
        ("newer", "version"),
        [
            (example("Softmax", 13, [X], axis=1), 11),  # another meaning
            (example("ArgMax", 13, [X], axis=0, select_last_index=1), 11),  # an attribute that is not there
            (example("Mod", 28, [X, X + 200]), 13),  # floats without fmod
            (example("Unsqueeze", 13, [X, np.array([-1], np.int64)]), 1),  # axes from the end
            (example("Add", 14, [X, X[0]]), 6),  # shapes that only later versions broadcast
            (example("DFT", 17, [X[..., None]], axis=1), 20),  # an attribute that became an input
            (example("QLinearMatMul", 21, [X.astype(np.uint8), np.float16([1]), np.uint8([0])] * 2), 10),
        ],
    )
    def test_what_a_version_cannot_say(self, newer: Example, version: int) -> None:
        assert adapted(newer, schema(newer.name, version)) is None


@pytest.mark.parametrize("row", ELEMENT_TYPES, ids=lambda row: row.onnx)
def test_values_of_every_type_fit(row: Any) -> None:
    kind = f"tensor({row.onnx})"
    made = recast(X, kind)
    assert made.dtype == row.dtype
    assert made.shape == X.shape
    if row.onnx != "string":
        wide = made.astype(np.complex128)
        assert np.all(np.isfinite(wide))
        assert len(np.unique(wide)) > 1
        assert np.all(made.astype(np.complex128) == recast(made, kind).astype(np.complex128))
    (element,) = recast(made, f"optional(seq({kind}))")[:1]
    assert element.dtype == row.dtype


def test_text_keeps_the_order_of_digits_and_empty_text_is_0() -> None:
    assert recast(np.array(["", "0", "7", "-3"], object), "tensor(int64)").tolist() == [0, 1, 8, -3]
    assert recast(np.array([0, 7]), "tensor(string)").tolist() == ["0", "7"]


class TestRetyped:
    def test_outputs_and_attributes_follow(self) -> None:
        one = example("ConstantOfShape", 25, [np.array([2], np.int64)], ["tensor(float)"], value=_tensor([0.5]))
        other = retyped(one, {"T1": "tensor(int64)", "T2": "tensor(uint8)"})
        assert other.outputs == ("tensor(uint8)",)
        assert other.attributes["value"].t.data_type == onnx.TensorProto.UINT8

    def test_containers_follow_their_elements(self) -> None:
        sequence_at = schema("SequenceAt", 11)
        assert coupled({"S": "seq(tensor(int8))", "T": "tensor(float)", "I": "tensor(int64)"}, sequence_at, {"S"}) == {
            "S": "seq(tensor(int8))",
            "T": "tensor(int8)",
            "I": "tensor(int64)",
        }

    def test_the_type_of_an_output_is_stated(self) -> None:
        wanted = Slot("T2", "tensor(double)")
        made = trial(schema("EyeLike", 22), wanted)
        assert values(made)["dtype"] == onnx.TensorProto.DOUBLE
        assert outputs_of(made)[0].kind == wanted.kind
        assert exercises(made, wanted)
        assert not exercises(made, Slot("T2", "tensor(int8)"))


def test_a_slot_for_every_type_of_every_variable() -> None:
    assert [str(slot) for slot in slots(schema("Where", 9))][:2] == ["B=tensor(bool)", "T=tensor(uint8)"]
    assert len(slots(schema("Where", 9))) == 1 + 15
    assert slots(schema("NonMaxSuppression", 11)) == [Slot("", "")]
    assert {slot.variable for slot in slots(schema("Tile", 1))} == {"T"}  # T1 has no parameter


def test_the_suite_has_examples_with_their_values() -> None:
    (small, *_) = suite_examples()["", "Abs"]
    assert binding_of(small) == {"T": "tensor(float)"}
    assert small.expected is not None
    assert small.origin == "test_abs"


class TestFindings:
    """A wrong type, shape or value is not covered, whoever judges."""

    OUTPUT = Output("y", "tensor(float)", (2, 3))

    def test_type_and_shape(self) -> None:
        coverage.check([X], [self.OUTPUT])
        with pytest.raises(MismatchError, match=r"expected tensor\(float\), got float64"):
            coverage.check([X.astype(np.float64)], [self.OUTPUT])
        with pytest.raises(MismatchError, match=r"says \(2, 3\), got the shape \(3, 2\)"):
            coverage.check([X.T], [self.OUTPUT])
        with pytest.raises(MismatchError, match="expected 1 outputs, got 2"):
            coverage.check([X, X], [self.OUTPUT])
        sequence = Output("y", "optional(seq(tensor(float)))", None)
        coverage.check([None], [sequence])
        coverage.check([[X]], [sequence])
        with pytest.raises(MismatchError, match="got int64"):
            coverage.check([[X, np.array(1)]], [sequence])

    @pytest.mark.parametrize(
        ("one", "variable"),
        [
            (example("Abs", 13, [X], expected=[np.abs(X)]), "T"),  # the example itself judges
            (example("Abs", 13, [X]), "T"),  # onnxruntime
            (example("Abs", 13, [recast(X, "tensor(bfloat16)")]), "T"),  # a wider evaluation
            (example("SequenceAt", 11, [[X, X + 1], np.array(1, np.int64)]), "S"),
        ],
    )
    def test_values(self, one: Example, variable: str) -> None:
        model = model_of(one, outputs_of(one)).SerializeToString()
        (right,) = coverage.run(one, model)
        judged(one, variable, model, [right])
        wrong = right.copy()
        wrong[0, 0] += 1
        with pytest.raises(MismatchError, match=r"1 of 6 elements differ; at \[0, 0\]"):
            judged(one, variable, model, [wrong])

    def test_an_engine_that_fails(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def fail(one: Example, model: bytes, provider: str) -> list[Any]:
            raise RuntimeError(f"no {one.name} today")

        monkeypatch.setattr(coverage, "run", fail)
        row = coverage.examine(Operator("ai.onnx", "Not", 1))
        assert row.allowed == 1
        assert row.covered == 0
        assert {verdict.reason for verdict in row.failures} == {"RuntimeError: no Not today"}
        assert len(row.failures) == 1 + len(row.cases) > 1


def test_outer_values_are_inputs_of_the_model() -> None:
    made = trial(schema_of(Operator("ai.onnx", "If", 25)), Slot("V", "tensor(int8)"))
    assert set(feeds_of(made)) == {"x0", "a", "b"}
    assert isinstance(made.outer["a"], Argument)


def _tensor(numbers: list[float]) -> onnx.TensorProto:
    return onnx.numpy_helper.from_array(np.array(numbers, np.float32))
