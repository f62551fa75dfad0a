"""The table of reference kernels against the specification: every operator version of the installed onnx is served."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from onnx import defs, helper

from onnxlite.kernels.numpy import REFERENCE
from onnxlite.kernels.op import REQUIRED

SCHEMAS = sorted(
    defs.get_all_schemas_with_history(), key=lambda schema: (schema.domain, schema.name, schema.since_version)
)

#: Names the tensors of the graph around it instead of computing on its inputs: a pass over the graph replaces it by
#: ordinary nodes (onnxlite/gradient), so that no node is left for a kernel.
REPLACED_BY_A_PASS = {("ai.onnx.preview.training", "Gradient")}


#: The domain of operators that are in no model: passes put them into the graph.
PRIVATE = "onnxlite"


def label(schema: Any) -> str:
    return f"{schema.domain or 'ai.onnx'}.{schema.name}-{schema.since_version}"


@pytest.mark.parametrize("schema", SCHEMAS, ids=label)
def test_operator_version(schema: Any) -> None:
    kernel = REFERENCE.find(schema.domain, schema.name, schema.since_version)
    if kernel is None:
        has_body = schema.has_function or schema.has_context_dependent_function
        assert has_body or (schema.domain, schema.name) in REPLACED_BY_A_PASS, "no kernel and no function body"
        return
    expected = {name: default_of(attribute) for name, attribute in schema.attributes.items()}
    if "rng" in kernel.provided:
        expected.pop("seed", None)  # the generator stands for it
    assert sorted(kernel.attributes) == sorted(expected), f"the attributes of {kernel.where}"
    for name, default in kernel.attributes.items():
        assert_same_default(default, expected[name], f"the default of '{name}' in {kernel.where}")


def default_of(attribute: Any) -> Any:
    """A schema's default as Python: REQUIRED, None for an optional attribute without one, or the value."""
    if attribute.required:
        return REQUIRED
    if not attribute.default_value.type:
        return None
    value = helper.get_attribute_value(attribute.default_value)
    if isinstance(value, bytes):
        return value.decode()
    if isinstance(value, int | float | str):
        return value
    return tuple(item.decode() if isinstance(item, bytes) else item for item in value)


def assert_same_default(actual: Any, expected: Any, where: str) -> None:
    assert type(actual) is type(expected), f"{where}: {actual!r}, the specification has {expected!r}"
    if isinstance(expected, float):
        actual, expected = np.float32(actual), np.float32(expected)
    elif isinstance(expected, tuple) and any(isinstance(item, float) for item in expected):
        actual, expected = np.float32(actual).tolist(), np.float32(expected).tolist()
    assert actual == expected, where


def test_kernels_are_operators_of_the_specification() -> None:
    known = {(schema.domain, schema.name) for schema in SCHEMAS}
    assert sorted(entry for entry in set(REFERENCE.operators()) - known if entry[0] != PRIVATE) == []


def test_kernels_serve_versions_that_exist() -> None:
    versions: dict[tuple[str, str], set[int]] = {}
    for schema in SCHEMAS:
        versions.setdefault((schema.domain, schema.name), set()).add(schema.since_version)
    for operator in versions.keys() & set(REFERENCE.operators()):
        for kernel in REFERENCE.kernels(*operator):
            served = {version for version in versions[operator] if REFERENCE.find(*operator, version) is kernel}
            assert served, f"{kernel.where} (since {kernel.since}, until {kernel.until}) serves no version"


def test_names_of_the_specification_are_unique_here() -> None:
    labels = list(map(label, SCHEMAS))
    assert len(labels) == len(set(labels))
