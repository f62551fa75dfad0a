"""Gradient rules of normalisations that have no function body to go through."""

from __future__ import annotations

from onnxlite.gradient.rules import Forward, rule
from onnxlite.gradient.terms import Term, cast_like, equal, joined, lengths, reshaped_like, summed_to, where


@rule("BatchNormalization", since=7)
def batch_normalization(
    f: Forward,
    dy: Term | None,
    *statistics: Term | None,
    epsilon: float,
    spatial: int | None,
    training_mode: int | None,
) -> tuple[Term | None, ...]:
    """y = scale (x - mean) / sqrt(var + epsilon) + bias per channel; in training with the batch's mean and variance."""
    if dy is None or any(statistics):
        raise f.unsupported("with respect to its running statistics")
    if spatial == 0 or (training_mode is None and len(f.node.outputs) > 1):
        raise f.unsupported("with spatial 0, or in training before version 14,")
    parameters = list(f.operands())[1:]
    x, (scale, _, mean, variance) = f.x, (cast_like(term, f.x) for term in parameters)
    axes = [0, *range(2, _rank(f))]
    d_mean = d_variance = None
    if training_mode:
        centred, inverse = _standardized(x, axes, epsilon)
        standard = centred * inverse
        dx = _through_standardization(dy * _per_channel(f, scale), standard, inverse, axes)
    else:
        inverse = 1 / f.emit("Sqrt", variance + epsilon)
        standard = (x - _per_channel(f, mean)) * _per_channel(f, inverse)
        dx = dy * _per_channel(f, scale * inverse)
    d_scale, d_bias = _total(dy * standard, axes), _total(dy, axes)
    if not training_mode:
        d_mean, d_variance = -d_bias * scale * inverse, -0.5 * d_scale * scale * inverse * inverse
    gradients = zip((d_scale, d_bias, d_mean, d_variance), parameters, strict=True)
    return dx, *(None if g is None else cast_like(g, parameter) for g, parameter in gradients)


@rule("InstanceNormalization")
def instance_normalization(f: Forward, dy: Term, *, epsilon: float) -> tuple[Term, Term, Term]:
    """y = scale (x - mean) / sqrt(var + epsilon) + bias, with the mean and variance of each channel of each image."""
    x, scale, _ = f.operands()
    rank = _rank(f)
    centred, inverse = _standardized(x, list(range(2, rank)), epsilon)
    standard = centred * inverse
    dx = _through_standardization(dy * _per_channel(f, scale), standard, inverse, list(range(2, rank)))
    axes = [0, *range(2, rank)]
    return dx, _total(dy * standard, axes), _total(dy, axes)


@rule("LayerNormalization")
def layer_normalization(
    f: Forward, dy: Term | None, *statistics: Term | None, axis: int, epsilon: float, stash_type: int
) -> tuple[Term, ...]:
    """y = scale (x - mean) / sqrt(var + epsilon) + bias, with the mean and variance over all axes from ``axis`` on."""
    if dy is None or any(statistics):
        raise f.unsupported("with respect to its mean or deviation")
    first = axis % _rank(f)
    axes = list(range(first, _rank(f)))
    x, scale, g = (f.emit("Cast", term, to=stash_type) for term in (f.x, f.operand(1), dy))
    centred, inverse = _standardized(x, axes, epsilon)
    standard = centred * inverse
    dx = _through_standardization(g * scale, standard, inverse, axes)
    d_scale, bias = summed_to(g * standard, scale), f.optional(2)
    gradients = (cast_like(dx, f.x), cast_like(d_scale, f.operand(1)))
    return gradients if bias is None else (*gradients, cast_like(summed_to(g, bias), bias))


@rule("LpNormalization")
def lp_normalization(f: Forward, dy: Term, *, axis: int, p: int) -> Term:
    """y = x / |x|_p along an axis; 0 where the norm is 0."""
    y = f.output()
    norm = f.emit("ReduceL1" if p == 1 else "ReduceL2", f.x, [axis], keepdims=1)
    along = f.emit("ReduceSum", dy * y, [axis], keepdims=1)
    direction = f.emit("Sign", f.x) if p == 1 else y
    return where(equal(norm, 0), 0, (dy - direction * along) / where(equal(norm, 0), 1, norm))


@rule("LRN")
def lrn(f: Forward, dy: Term, *, alpha: float, beta: float, bias: float, size: int) -> Term:
    """y = x / d^beta, where d = bias + alpha times the mean of the squares of ``size`` neighbouring channels."""
    x = f.x
    before, after = (size - 1) // 2, size - 1 - (size - 1) // 2
    d = bias + alpha * _channel_mean(x * x, size, before, after)
    through_d = _channel_mean(dy * x * d ** (-beta - 1), size, after, before)
    return dy * d**-beta - 2 * alpha * beta * x * through_d


def _channel_mean(x: Term, size: int, before: int, after: int) -> Term:
    """The mean over windows of channels of (N, C, D...); what lies outside counts as zeros."""
    emit = x.emit
    image = emit("Reshape", x, joined(emit, lengths(x, 0, 1), [1], lengths(x, 1, 2), [-1]))
    pads = (before, 0, after, 0)
    return reshaped_like(emit("AveragePool", image, kernel_shape=(size, 1), pads=pads, count_include_pad=1), x)


def _standardized(x: Term, axes: list[int], epsilon: float) -> tuple[Term, Term]:
    """``x`` minus its mean over the axes, and one over its standard deviation."""
    centred = x - _mean(x, axes)
    return centred, 1 / x.emit("Sqrt", _mean(centred * centred, axes) + epsilon)


def _through_standardization(g: Term, standard: Term, inverse: Term, axes: list[int]) -> Term:
    """The gradient of x from that of (x - mean) / deviation: neither its mean nor its deviation can change."""
    return inverse * (g - _mean(g, axes) - standard * _mean(g * standard, axes))


def _mean(x: Term, axes: list[int]) -> Term:
    return x.emit("ReduceMean", x, axes, keepdims=1)


def _total(x: Term, axes: list[int]) -> Term:
    return x.emit("ReduceSum", x, axes, keepdims=0)


def _per_channel(f: Forward, vector: Term) -> Term:
    """A vector (C) such that it broadcasts against (N, C, D...)."""
    return f.emit("Reshape", vector, [-1] + [1] * (_rank(f) - 2))


def _rank(f: Forward) -> int:
    rank = f.x.rank if f.x.rank is not None else f.output().rank
    if rank is None:
        raise f.unsupported("of an input of unknown rank")
    return rank
