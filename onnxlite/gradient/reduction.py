"""Gradient rules of reductions, and of the softmax family, whose gradients are made of them."""

from __future__ import annotations

from typing import Any

from onnxlite.gradient.rules import Forward, rule
from onnxlite.gradient.terms import Term, equal, expanded_like, reshaped_like, size_ratio, where


def _kept(f: Forward, reduced: Term) -> Term:
    """A result of the reduction such that it broadcasts against the input: with the reduced axes of length 1."""
    axes = f.attribute_or_input("axes", 1)
    if f.attribute("keepdims") or axes is None:
        return reduced  # without axes, all are reduced or none is: a scalar broadcasts too
    return f.emit("Unsqueeze", reduced, axes)


def _reduced(f: Forward, operator: str, x: Term) -> Term:
    """Another reduction over the same axes, which it keeps with length 1."""
    noop = f.attribute("noop_with_empty_axes")
    return f.emit(operator, x, f.attribute_or_input("axes", 1), keepdims=1, noop_with_empty_axes=noop)


@rule("ReduceSum")
def reduce_sum(f: Forward, dy: Term) -> Term:
    """The sum."""
    return expanded_like(_kept(f, dy), f.x)


@rule("ReduceMean")
def reduce_mean(f: Forward, dy: Term) -> Term:
    """The mean."""
    return expanded_like(_kept(f, dy) / size_ratio(f.x, f.output()), f.x)


@rule("ReduceMax", "ReduceMin")
def reduce_extreme(f: Forward, dy: Term) -> Term:
    """The gradient goes to the element that is the result, in equal parts where several are."""
    chosen = f.emit("CastLike", equal(f.x, _kept(f, f.output())), f.x)
    return chosen * (_kept(f, dy) / _reduced(f, "ReduceSum", chosen))


@rule("ReduceProd")
def reduce_prod(f: Forward, dy: Term) -> Term:
    """The product: each element's derivative is the product of the others, also where one is zero."""
    zero = equal(f.x, 0)
    zeros = _reduced(f, "ReduceSum", f.emit("CastLike", zero, f.x))
    factors = where(zero, 1, f.x)
    product = _reduced(f, "ReduceProd", factors)
    others = where(zero, where(equal(zeros, 1), product, 0), where(equal(zeros, 0), product / factors, 0))
    return _kept(f, dy) * others


@rule("ReduceL1")
def reduce_l1(f: Forward, dy: Term) -> Term:
    """The sum of the absolute values."""
    return _kept(f, dy) * f.emit("Sign", f.x)


@rule("ReduceL2")
def reduce_l2(f: Forward, dy: Term) -> Term:
    """The root of the sum of the squares; 0 where all are 0."""
    norm = _kept(f, f.output())
    return f.x * where(equal(norm, 0), 0, _kept(f, dy) / where(equal(norm, 0), 1, norm))


@rule("ReduceSumSquare")
def reduce_sum_square(f: Forward, dy: Term) -> Term:
    """The sum of the squares."""
    return 2 * f.x * _kept(f, dy)


@rule("ReduceLogSum")
def reduce_log_sum(f: Forward, dy: Term) -> Term:
    """The logarithm of the sum."""
    return expanded_like(_kept(f, dy) / _reduced(f, "ReduceSum", f.x), f.x)


@rule("ReduceLogSumExp")
def reduce_log_sum_exp(f: Forward, dy: Term) -> Term:
    """The logarithm of the sum of the exponentials: the derivative is a softmax."""
    return _kept(f, dy) * f.emit("Exp", f.x - _kept(f, f.output()))


def _row_sum(x: Term, axis: int) -> Term:
    return x.emit("ReduceSum", x, [axis], keepdims=1)


@rule("Softmax", since=13)
def softmax(f: Forward, dy: Term, *, axis: int) -> Term:
    """y = e^x / sum e^x along an axis."""
    return _softmax_gradient(f.output(), dy, axis)


@rule("LogSoftmax", since=13)
def log_softmax(f: Forward, dy: Term, *, axis: int) -> Term:
    """y = x - log sum e^x along an axis."""
    return _log_softmax_gradient(f.output(), dy, axis)


@rule("Softmax")
def softmax_2d(f: Forward, dy: Term, *, axis: int) -> Term:
    """Before version 13: over all axes from ``axis`` on."""
    return _in_rows(f, dy, axis, _softmax_gradient)


@rule("LogSoftmax")
def log_softmax_2d(f: Forward, dy: Term, *, axis: int) -> Term:
    """Before version 13: over all axes from ``axis`` on."""
    return _in_rows(f, dy, axis, _log_softmax_gradient)


def _softmax_gradient(y: Term, dy: Term, axis: int) -> Term:
    return y * (dy - _row_sum(dy * y, axis))


def _log_softmax_gradient(y: Term, dy: Term, axis: int) -> Term:
    return dy - y.emit("Exp", y) * _row_sum(dy, axis)


def _in_rows(f: Forward, dy: Term, axis: int, gradient: Any) -> Term:
    y, dy = (f.emit("Flatten", term, axis=axis) for term in (f.output(), dy))
    return reshaped_like(gradient(y, dy, 1), f.x)
