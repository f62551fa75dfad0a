"""Gradient rules of elementwise operators: functions of one variable, broadcast arithmetic, choices and casts."""

from __future__ import annotations

import math
from functools import reduce
from operator import add

from onnxlite.gradient.rules import Forward, derivative, rule
from onnxlite.gradient.terms import Term, equal, summed_to, where


@rule("Neg")
def neg(f: Forward, dy: Term) -> Term:
    """y = -x."""
    return -dy


@derivative("Abs")
def absolute(x: Term, y: Term) -> Term:
    """y = |x|; 0 at 0."""
    return x.emit("Sign", x)


@derivative("Exp")
def exp(x: Term, y: Term) -> Term:
    """y = e^x."""
    return y


@derivative("Log")
def log(x: Term, y: Term) -> Term:
    """y = log x."""
    return 1 / x


@derivative("Sqrt")
def sqrt(x: Term, y: Term) -> Term:
    """y = sqrt(x)."""
    return 0.5 / y


@derivative("Reciprocal")
def reciprocal(x: Term, y: Term) -> Term:
    """y = 1 / x."""
    return -(y * y)


@derivative("Sin")
def sin(x: Term, y: Term) -> Term:
    """y = sin x."""
    return x.emit("Cos", x)


@derivative("Cos")
def cos(x: Term, y: Term) -> Term:
    """y = cos x."""
    return -x.emit("Sin", x)


@derivative("Tan")
def tan(x: Term, y: Term) -> Term:
    """y = tan x."""
    return 1 + y * y


@derivative("Asin")
def asin(x: Term, y: Term) -> Term:
    """y = arcsin x."""
    return 1 / x.emit("Sqrt", 1 - x * x)


@derivative("Acos")
def acos(x: Term, y: Term) -> Term:
    """y = arccos x."""
    return -1 / x.emit("Sqrt", 1 - x * x)


@derivative("Atan")
def atan(x: Term, y: Term) -> Term:
    """y = arctan x."""
    return 1 / (1 + x * x)


@derivative("Sinh")
def sinh(x: Term, y: Term) -> Term:
    """y = sinh x."""
    return x.emit("Cosh", x)


@derivative("Cosh")
def cosh(x: Term, y: Term) -> Term:
    """y = cosh x."""
    return x.emit("Sinh", x)


@derivative("Asinh")
def asinh(x: Term, y: Term) -> Term:
    """y = arsinh x."""
    return 1 / x.emit("Sqrt", x * x + 1)


@derivative("Acosh")
def acosh(x: Term, y: Term) -> Term:
    """y = arcosh x."""
    return 1 / x.emit("Sqrt", x * x - 1)


@derivative("Atanh")
def atanh(x: Term, y: Term) -> Term:
    """y = artanh x."""
    return 1 / (1 - x * x)


@derivative("Erf")
def erf(x: Term, y: Term) -> Term:
    """The error function."""
    return 2 / math.sqrt(math.pi) * x.emit("Exp", -(x * x))


@derivative("Tanh")
def tanh(x: Term, y: Term) -> Term:
    """y = tanh x."""
    return 1 - y * y


@derivative("Sigmoid")
def sigmoid(x: Term, y: Term) -> Term:
    """y = 1 / (1 + e^-x)."""
    return y * (1 - y)


@derivative("Softplus")
def softplus(x: Term, y: Term) -> Term:
    """y = log(1 + e^x)."""
    return x.emit("Sigmoid", x)


@derivative("Softsign")
def softsign(x: Term, y: Term) -> Term:
    """y = x / (1 + |x|)."""
    return 1 / (1 + x.emit("Abs", x)) ** 2


@derivative("LeakyRelu")
def leaky_relu(x: Term, y: Term, *, alpha: float) -> Term:
    """y = x, or alpha x below 0."""
    return where(x < 0, x.like(alpha), 1)


@derivative("Elu")
def elu(x: Term, y: Term, *, alpha: float) -> Term:
    """y = x, or alpha (e^x - 1) below 0."""
    return where(x < 0, y + alpha, 1)


@derivative("Selu")
def selu(x: Term, y: Term, *, alpha: float, gamma: float) -> Term:
    """y = gamma x, or gamma alpha (e^x - 1) up to 0."""
    return where(x > 0, x.like(gamma), y + gamma * alpha)


@derivative("HardSigmoid")
def hard_sigmoid(x: Term, y: Term, *, alpha: float) -> Term:
    """y = alpha x + beta, clipped to 0..1."""
    return where((y > 0) & (y < 1), x.like(alpha), 0)


@rule("Relu")
def relu(f: Forward, dy: Term) -> Term:
    """y = x, or 0 below 0."""
    return where(f.x > 0, dy, 0)


@rule("ThresholdedRelu")
def thresholded_relu(f: Forward, dy: Term, *, alpha: float) -> Term:
    """y = x above alpha, or else 0."""
    return where(f.x > alpha, dy, 0)


@rule("PRelu", since=7)
def prelu(f: Forward, dy: Term) -> tuple[Term, Term]:
    """y = x, or slope x below 0."""
    x, slope = f.operands()
    negative = x < 0
    return where(negative, dy * slope, dy), summed_to(where(negative, dy * x, 0), slope)


@rule("Clip")
def clip(f: Forward, dy: Term) -> tuple[Term | None, ...]:
    """y = x between the bounds; a bound has the gradient where it is the result."""
    inside = equal(f.x, f.output())
    low, high = f.optional(1), f.optional(2)
    return (
        where(inside, dy, 0),
        summed_to(where(inside, 0, dy) * _as_number(f.x < low, dy), low) if low else None,
        summed_to(where(inside, 0, dy) * _as_number(f.x > high, dy), high) if high else None,
    )


def _as_number(condition: Term, like: Term) -> Term:
    return condition.emit("CastLike", condition, like)


def _pair(f: Forward) -> tuple[Term, Term]:
    """The two operands, which broadcast as in NumPy."""
    if f.attribute("broadcast"):
        raise f.unsupported("with the broadcasting of opsets before 7")
    return f.operand(0), f.operand(1)


@rule("Add")
def add_(f: Forward, dy: Term) -> tuple[Term, Term]:
    """y = a + b."""
    a, b = _pair(f)
    return summed_to(dy, a), summed_to(dy, b)


@rule("Sub")
def sub(f: Forward, dy: Term) -> tuple[Term, Term]:
    """y = a - b."""
    a, b = _pair(f)
    return summed_to(dy, a), summed_to(-dy, b)


@rule("Mul")
def mul(f: Forward, dy: Term) -> tuple[Term, Term]:
    """y = a b."""
    a, b = _pair(f)
    return summed_to(dy * b, a), summed_to(dy * a, b)


@rule("Div")
def div(f: Forward, dy: Term) -> tuple[Term, Term]:
    """y = a / b."""
    a, b = _pair(f)
    return summed_to(dy / b, a), summed_to(-dy * f.output() / b, b)


@rule("Pow")
def power(f: Forward, dy: Term) -> tuple[Term, Term]:
    """y = a^b, with a derivative of 0 for a^0, and for 0^b by b."""
    a, b = _pair(f)
    exponent = b.emit("CastLike", b, a)
    by_base = where(equal(exponent, 0), 0, exponent * a ** (exponent - 1))
    by_exponent = where(equal(a, 0), 0, f.output() * a.emit("Log", where(equal(a, 0), 1, a)))
    return summed_to(dy * by_base, a), summed_to(dy.emit("CastLike", dy * by_exponent, b), b)


@rule("Mod")
def mod(f: Forward, dy: Term) -> tuple[Term, Term]:
    """y = a - trunc(a / b) b, the only meaning that Mod has for floats."""
    a, b = f.operands()
    return summed_to(dy, a), summed_to(dy * (f.output() - a) / b, b)


@rule("Sum")
def sum_(f: Forward, dy: Term) -> tuple[Term, ...]:
    """y = a + b + ..."""
    return tuple(summed_to(dy, x) for x in f.operands())


@rule("Mean")
def mean(f: Forward, dy: Term) -> tuple[Term, ...]:
    """y = (a + b + ...) / n."""
    return tuple(summed_to(dy / len(f.node.inputs), x) for x in f.operands())


@rule("Max", "Min")
def extreme(f: Forward, dy: Term) -> tuple[Term, ...]:
    """The gradient goes to the input that is the result, in equal parts where several are."""
    chosen = [_as_number(equal(x, f.output()), dy) for x in f.operands()]
    share = dy / reduce(add, chosen)
    return tuple(summed_to(share * mask, x) for mask, x in zip(chosen, f.operands(), strict=True))


@rule("Where")
def where_(f: Forward, dy: Term) -> tuple[None, Term, Term]:
    """y = a where the condition holds, or else b."""
    condition, a, b = f.operands()
    return None, summed_to(where(condition, dy, 0), a), summed_to(where(condition, 0, dy), b)


@rule("Identity")
def identity(f: Forward, dy: Term) -> Term:
    """y = x."""
    return dy


@rule("Cast", "CastLike")
def cast(f: Forward, dy: Term) -> Term:
    """y = x in another floating-point type; the gradient goes back to the first."""
    return dy.emit("CastLike", dy, f.x)


@rule("Dropout", since=7)
def dropout(f: Forward, dy: Term) -> Term:
    """y = x where the mask is set, divided by 1 - ratio; Dropout changes x in training mode only."""
    training, ratio = f.optional(2), f.optional(1)
    if training is None:
        return dy
    kept = 1 - (dy.like(0.5) if ratio is None else dy.emit("CastLike", ratio, dy))
    return where(f.output(1), dy * where(training, 1 / kept, 1), 0)
