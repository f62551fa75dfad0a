"""The table of the operators that run compiled: it is up to date, and complete."""

from __future__ import annotations

import functools

from onnx import defs

from onnxlite.conformance.compiled_operators import _FREE, _REPLACED, PATH, Row, rows, to_markdown


@functools.cache
def table() -> dict[str, Row]:
    return {row.operator: row for row in rows()}


def test_the_page_is_what_the_kernels_say() -> None:
    assert PATH.read_text() == to_markdown(list(table().values())), (
        "run python -m onnxlite.conformance.compiled_operators"
    )


def test_every_operator_of_the_newest_version_has_a_row() -> None:
    expected = {
        f"{schema.domain}.{schema.name}" if schema.domain else schema.name
        for schema in defs.get_all_schemas()
        if schema.domain in ("", "ai.onnx.ml") and not schema.deprecated
    }
    assert set(table()) == expected
    assert set(_FREE) | set(_REPLACED) <= expected


def test_reasons_and_types_are_told() -> None:
    found = table()
    assert found["Relu"].status == "compiled"
    assert "float32" in found["Relu"].types
    assert found["Reshape"].status == "free"
    assert found["StringConcat"].status == "reference"
    assert found["BatchNormalization"].status == "partly"
    assert any("training" in reason for reason in found["BatchNormalization"].declined)
    assert sum(row.status in ("compiled", "partly", "free", "replaced") for row in found.values()) > 150
