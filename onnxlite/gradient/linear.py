"""Gradient rules of matrix products: MatMul, Gemm and Einsum."""

from __future__ import annotations

from onnxlite.gradient.rules import Forward, rule
from onnxlite.gradient.terms import Term, expanded_like, joined, part_of, reshaped_like, summed_to


@rule("MatMul")
def matmul(f: Forward, dy: Term) -> tuple[Term, Term]:
    """Y = A B with broadcast leading axes; a vector is a row A or a column B."""
    a, b = f.operands()
    dy = _product_as_matrices(dy, a, b)
    rows, columns = _as_matrices(a, row=True), _as_matrices(b, row=False)
    da = summed_to(dy @ _transposed(columns), rows)
    if b.rank == 2 and rows.rank is not None:  # one matrix for the whole batch: one product instead of a sum of many
        db = f.emit("Gemm", _flat(rows), _flat(dy), transA=1)
    else:
        db = summed_to(_transposed(rows) @ dy, columns)
    return _in_shape(da, a), _in_shape(db, b)


def _in_shape(gradient: Term, x: Term) -> Term:
    return gradient if x.rank is not None and x.rank >= 2 else reshaped_like(gradient, x)


def _flat(x: Term) -> Term:
    return x if x.rank == 2 else x.emit("Flatten", x, axis=-1)


def _transposed(x: Term) -> Term:
    """The last two axes exchanged."""
    if x.rank is None:
        return x.emit("Einsum", x, equation="...ij->...ji")
    leading = tuple(range(x.rank - 2))
    return x.emit("Transpose", x, perm=(*leading, x.rank - 1, x.rank - 2))


def _as_matrices(x: Term, row: bool) -> Term:
    """``x`` with at least two axes."""
    if x.rank is not None:
        return x if x.rank >= 2 else x.emit("Unsqueeze", x, [0 if row else 1])
    emit, shape = x.emit, x.emit("Shape", x)
    longest = emit("Max", _count(shape), emit.term([2]))
    padded = joined(emit, [1], shape) if row else joined(emit, shape, [1])
    # One more axis of length 1 than needed on the side of the vector's matrix: cut to the rank, or to 2.
    start = emit("Sub", _count(emit.term(padded)), longest) if row else emit.term([0])
    end = _count(emit.term(padded)) if row else longest
    return emit("Reshape", x, emit("Slice", padded, start, end, [0]), allowzero=1)


def _count(vector: Term) -> Term:
    return vector.emit("Shape", vector)


def _product_as_matrices(dy: Term, a: Term, b: Term) -> Term:
    """The gradient of a product with the axes that a vector's product lacks."""
    if a.rank is not None and b.rank is not None:
        axes = [-2] * (a.rank == 1) + [-1] * (b.rank == 1)
        return dy.emit("Unsqueeze", dy, axes) if axes else dy
    emit = dy.emit
    rows, columns = _as_matrices(a, row=True), _as_matrices(b, row=False)
    vectors = [
        emit("Sub", _count(emit("Shape", matrices)), _count(emit("Shape", x)))
        for matrices, x in ((rows, a), (columns, b))
    ]
    leading = emit("Sub", emit("Add", _count(emit("Shape", dy)), emit("Add", *vectors)), [2])
    batch = emit("Slice", emit("Shape", dy), [0], leading, [0])
    last = part_of(emit("Shape", rows), -2, -1), part_of(emit("Shape", columns), -1)
    return emit("Reshape", dy, joined(emit, batch, *last), allowzero=1)


@rule("Gemm", since=7)
def gemm(
    f: Forward,
    dy: Term,
    *,
    alpha: float,
    beta: float,
    transA: int,  # noqa: N803 - ONNX's name
    transB: int,  # noqa: N803 - ONNX's name
) -> tuple[Term | None, ...]:
    """Y = alpha A B + beta C, where A and B may be transposed."""
    a, b, c = f.operand(0), f.operand(1), f.optional(2)
    if transA:
        da = f.emit("Gemm", b, dy, alpha=alpha, transA=transB, transB=1)
    else:
        da = f.emit("Gemm", dy, b, alpha=alpha, transB=1 - transB)
    if transB:
        db = f.emit("Gemm", dy, a, alpha=alpha, transA=1, transB=transA)
    else:
        db = f.emit("Gemm", a, dy, alpha=alpha, transA=1 - transA)
    return da, db, None if c is None else summed_to(dy if beta == 1 else dy * beta, c)


@rule("Einsum")
def einsum(f: Forward, dy: Term, *, equation: str) -> tuple[Term, ...]:
    """Sums of products over indices: each factor's gradient is a sum of products of the others and of dy."""
    terms, result = _parsed(equation)
    if any(len(set(labels)) < len(labels) for labels in (*terms, result)):
        raise f.unsupported(f"with an index twice in one factor ({equation!r})")
    operands = list(f.operands())
    return tuple(_factor_gradient(f, dy, result, terms, operands, index) for index in range(len(terms)))


def _factor_gradient(
    f: Forward, dy: Term, result: list[str], terms: list[list[str]], operands: list[Term], index: int
) -> Term:
    others = [i for i in range(len(terms)) if i != index]
    wanted, x = terms[index], operands[index]
    present = set(result).union(*(terms[i] for i in others))
    found = [label for label in wanted if label in present]
    factors = ",".join("".join(labels) for labels in (result, *(terms[i] for i in others)))
    gradient = f.emit("Einsum", dy, *(operands[i] for i in others), equation=f"{factors}->{''.join(found)}")
    if len(found) < len(wanted):  # an index of this factor alone is summed away: its gradient is the same everywhere
        if "..." in wanted:
            raise f.unsupported("with an ellipsis and an index of one factor alone")
        missing = [axis for axis, label in enumerate(wanted) if label not in present]
        gradient = expanded_like(f.emit("Unsqueeze", gradient, missing), x)
    return summed_to(gradient, x)


def _parsed(equation: str) -> tuple[list[list[str]], list[str]]:
    """The labels of each factor and of the result; an ellipsis is a label."""
    left, arrow, right = equation.replace(" ", "").partition("->")
    terms = [_labels(term) for term in left.split(",")]
    if arrow:
        return terms, _labels(right)
    letters = [label for term in terms for label in term if label != "..."]
    ellipsis = ["..."] if any("..." in term for term in terms) else []
    return terms, ellipsis + sorted(label for label in set(letters) if letters.count(label) == 1)


def _labels(term: str) -> list[str]:
    return ["..." if letter == "." else letter for letter in term.replace("...", ".")]
