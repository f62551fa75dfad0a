"""What may be fed, and what the errors say of the rest; onnxruntime accepts and refuses the same."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import ml_dtypes
import numpy as np
import onnx
import onnxruntime
import pytest

import onnxlite
from onnxlite import InferenceSession, OrtValue
from onnxlite.errors import InvalidArgument, OnnxliteError

GRAPH = "g (float[N, 2] x, int64[3] i) => (float[N, 2] y, int64[3] z) { y = Relu(x) z = Add(i, i) }"
X, INDICES = np.ones((3, 2), np.float32), np.arange(3)

ERRORS: dict[str, tuple[dict[str, Any], str]] = {
    "missing": ({"x": X}, r"Required inputs \(\['i'\]\) are missing from input feed \(\['x'\]\)"),
    "unknown": ({"x": X, "i": INDICES, "q": INDICES}, r"Invalid input name: q; the model's inputs are \['x', 'i'\]"),
    "type": (
        {"x": X.astype(np.float64), "i": INDICES},
        r"Unexpected input data type for input 'x'. Actual: \(tensor\(double\)\), expected: \(tensor\(float\)\)",
    ),
    "rank": ({"x": X[0], "i": INDICES}, r"Invalid rank for input: x Got: 1 Expected: 2; the shape is \[2\]"),
    "dimension": ({"x": X, "i": INDICES[:2]}, r"invalid dimensions for input: i .* index: 0 Got: 2 Expected: 3"),
    "inner dimension": ({"x": X.T, "i": INDICES}, r"invalid dimensions for input: x .* index: 1 Got: 3 Expected: 2"),
    "none": ({"x": None, "i": INDICES}, r"input 'x': expected an array \(float\[N,2\]\), got None"),
    "ragged": ({"x": [[1, 2], [3]], "i": INDICES}, "input 'x': expected numbers that fit float"),
    "no number": ({"x": [["a", "b"]], "i": INDICES}, "input 'x': expected numbers that fit float"),
}


def onnxruntime_session(model: onnx.ModelProto) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    return onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])


@pytest.mark.parametrize(("feeds", "message"), ERRORS.values(), ids=ERRORS)
def test_a_wrong_feed_is_refused_by_both(
    model_of: Callable[..., onnx.ModelProto],
    session_of: Callable[..., InferenceSession],
    feeds: dict[str, Any],
    message: str,
) -> None:
    with pytest.raises(InvalidArgument, match=message) as caught:
        session_of(GRAPH).run(None, feeds)
    assert isinstance(caught.value, ValueError)
    with pytest.raises(Exception, match=r"."):
        onnxruntime_session(model_of(GRAPH)).run(None, feeds)


ACCEPTED: dict[str, dict[str, Any]] = {
    "arrays": {"x": X, "i": INDICES},
    "lists": {"x": [[1, -2.5]], "i": [1, 2, 3]},
    "no rows": {"x": np.empty((0, 2), np.float32), "i": INDICES},
    "gaps": {"x": np.arange(24, dtype=np.float32).reshape(6, 4)[::2, ::2], "i": INDICES[::-1]},
}


@pytest.mark.parametrize("feeds", ACCEPTED.values(), ids=ACCEPTED)
def test_a_right_feed_gives_the_same_in_both(
    model_of: Callable[..., onnx.ModelProto], session_of: Callable[..., InferenceSession], feeds: dict[str, Any]
) -> None:
    ours = session_of(GRAPH).run(None, feeds)
    theirs = onnxruntime_session(model_of(GRAPH)).run(None, feeds)
    for our, their in zip(ours, theirs, strict=True):
        assert our.dtype == their.dtype
        np.testing.assert_array_equal(our, their)


def test_a_feed_is_no_list(session_of: Callable[..., InferenceSession]) -> None:
    with pytest.raises(TypeError, match="a mapping from input names to values, not list"):
        session_of(GRAPH).run(None, [X, INDICES])  # type: ignore[arg-type]


def test_output_names_are_no_text(session_of: Callable[..., InferenceSession]) -> None:
    with pytest.raises(TypeError, match="not the one text 'y'"):
        session_of(GRAPH).run("y", {"x": X, "i": INDICES})


def test_the_other_byte_order_and_scalars_are_converted(session_of: Callable[..., InferenceSession]) -> None:
    session = session_of("g (float x, float[2] s) => (float y) { t = ReduceSum <keepdims = 0> (s) y = Add(x, t) }")
    swapped = np.array([1, 2], ">f4")
    for scalar in (3.0, 3, np.float32(3), np.array(3, np.float32)):
        assert session.run(None, {"x": scalar, "s": swapped})[0] == 6


class Foreign:
    """An array of another library."""

    dtype, shape = "its own", (2, 2)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Any:
        return np.array([[1, 2], [3, 4]], np.float32)


def test_subclasses_and_foreign_arrays_become_arrays(session_of: Callable[..., InferenceSession]) -> None:
    session = session_of("g (float[2, 2] x) => (float[2, 2] y) { y = Mul(x, x) }")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PendingDeprecationWarning)
        matrix = np.matrix([[1, 2], [3, 4]], np.float32)
    for value in (matrix, Foreign(), np.ma.masked_array(np.asarray(matrix))):
        (y,) = session.run(None, {"x": value})
        assert type(y) is np.ndarray
        assert y.tolist() == [[1, 4], [9, 16]]


class Incomplete:
    dtype, shape = "its own", (2, 2)


def test_what_only_looks_like_an_array_is_refused(session_of: Callable[..., InferenceSession]) -> None:
    with pytest.raises(InvalidArgument, match=r"input 'x': expected an array \(float\[N,2\]\), got its own\[2,2\]"):
        session_of(GRAPH).run(None, {"x": Incomplete(), "i": INDICES})


def test_an_ort_value_can_be_fed(session_of: Callable[..., InferenceSession]) -> None:
    y, _ = session_of(GRAPH).run(None, {"x": OrtValue.ortvalue_from_numpy(X), "i": INDICES})
    np.testing.assert_array_equal(y, X)


TEXTS: dict[str, Any] = {
    "unicode array": np.array(["a", "bc"]),
    "objects": np.array(["a", "bc"], object),
    "a list": ["a", "bc"],
    "a mixture": np.array(["a", 3], object),
    "trailing zero": np.array(["a\0", "bc"], object),
}


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_text_arrives_as_in_onnxruntime(
    model_of: Callable[..., onnx.ModelProto], session_of: Callable[..., InferenceSession], text: Any
) -> None:
    graph = "g (string[2] x) => (string[2] y) { y = Identity(x) }"
    (ours,) = session_of(graph).run(None, {"x": text})
    (theirs,) = onnxruntime_session(model_of(graph)).run(None, {"x": text})
    assert ours.dtype == object
    assert ours.tolist() == theirs.tolist()


def test_bytes_are_utf8_and_others_keep_their_value(session_of: Callable[..., InferenceSession]) -> None:
    # onnxruntime reads past the end of the last one.
    session = session_of("g (string[2] x) => (string[2] y) { y = Identity(x) }")
    (y,) = session.run(None, {"x": np.array(["ä".encode(), b"\xff"])})
    assert y[0] == "ä"
    assert y[1].encode("utf-8", "surrogateescape") == b"\xff"


def test_a_number_is_no_text(session_of: Callable[..., InferenceSession]) -> None:
    with pytest.raises(InvalidArgument, match=r"Actual: \(tensor\(float\)\), expected: \(tensor\(string\)\)"):
        session_of("g (string[1] x) => (string[1] y) { y = Identity(x) }").run(None, {"x": np.ones(1, np.float32)})


def test_narrow_types_are_told_apart(session_of: Callable[..., InferenceSession]) -> None:
    session = session_of("g (bfloat16[1] x) => (bfloat16[1] y) { y = Neg(x) }")
    with pytest.raises(InvalidArgument, match=r"Actual: \(tensor\(float16\)\), expected: \(tensor\(bfloat16\)\)"):
        session.run(None, {"x": np.ones(1, np.float16)})
    assert session.run(None, {"x": np.ones(1, ml_dtypes.bfloat16)})[0][0] == -1


SEQUENCE = "g (seq(float[2]) s) => (seq(float[2]) t) { t = Identity(s) }"


def test_sequences_are_lists(session_of: Callable[..., InferenceSession]) -> None:
    session = session_of(SEQUENCE)
    item = np.ones(2, np.float32)
    assert [v.tolist() for v in session.run(None, {"s": [item, [3, 4]]})[0]] == [[1, 1], [3, 4]]
    assert session.run(None, {"s": []})[0] == []
    with pytest.raises(InvalidArgument, match=r"input 's': expected a list for seq\(tensor\(float\)\), got float\[2\]"):
        session.run(None, {"s": item})
    with pytest.raises(InvalidArgument, match="index: 0 Got: 3 Expected: 2"):
        session.run(None, {"s": [np.ones(3, np.float32)]})


OPTIONAL = "g (optional(float[2]) o) => (bool b) { b = OptionalHasElement(o) }"


@pytest.mark.parametrize(
    ("feeds", "expected"), [({}, False), ({"o": None}, False), ({"o": np.ones(2, np.float32)}, True)]
)
def test_optionals_may_be_empty_or_left_out_as_in_onnxruntime(
    model_of: Callable[..., onnx.ModelProto],
    session_of: Callable[..., InferenceSession],
    feeds: dict[str, Any],
    expected: bool,
) -> None:
    assert session_of(OPTIONAL).run(None, feeds)[0] == expected
    assert onnxruntime_session(model_of(OPTIONAL)).run(None, feeds)[0] == expected


def test_maps_are_dicts() -> None:
    types = onnx.helper.make_map_type_proto(onnx.TensorProto.INT64, onnx.helper.make_tensor_type_proto(1, []))
    node = onnx.helper.make_node("DictVectorizer", ["m"], ["y"], domain="ai.onnx.ml", int64_vocabulary=[1, 5])
    output = onnx.helper.make_tensor_value_info("y", 1, None)
    graph = onnx.helper.make_graph([node], "g", [onnx.helper.make_value_info("m", types)], [output])
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("ai.onnx.ml", 1)], ir_version=9)
    session = InferenceSession(model, providers=["ReferenceExecutionProvider"])
    assert session.run(None, {"m": {5: 2.5}})[0].ravel().tolist() == [0, 2.5]
    with pytest.raises(InvalidArgument, match="input 'm': expected a dict"):
        session.run(None, {"m": [2.5]})


def test_feeds_are_not_changed(session_of: Callable[..., InferenceSession]) -> None:
    session = session_of("g (float[2] x) => (float[2] y) { t = Neg(x) y = Add(t, x) }")
    x = np.array([1, 2], np.float32)
    x.flags.writeable = False
    feeds = {"x": x}
    session.run(None, feeds)
    assert list(feeds) == ["x"]
    assert feeds["x"] is x
    assert x.tolist() == [1, 2]


def test_every_error_of_a_feed_is_one_of_ours(session_of: Callable[..., InferenceSession]) -> None:
    session = session_of(GRAPH)
    for value in (object(), {"a": 1}, {1, 2}, b"bytes", np.array([object()]), np.array(["2020"], "M8[D]"), 1 + 2j):
        with pytest.raises(OnnxliteError):
            session.run(None, {"x": value, "i": INDICES})
    assert issubclass(onnxlite.OnnxliteError, Exception)
