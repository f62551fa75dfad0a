"""Signal processing: Fourier transforms, window functions and the mel scale.

ONNX writes a complex tensor as a real one with a last axis of length 2: the real and the imaginary part.
"""

from __future__ import annotations

import math

import numpy as np

from onnxlite.kernels.arrays import Array, array_namespace
from onnxlite.kernels.axes import normalize_axis
from onnxlite.kernels.dtypes import dtype_of
from onnxlite.kernels.numpy.table import op


@op("DFT", since=20, widen=True)
def dft(
    x: Array, dft_length: Array | None = None, axis: Array | None = None, *, inverse: int = 0, onesided: int = 0
) -> Array:
    """The discrete Fourier transform along one axis of a signal (..., 1 or 2) (ONNX DFT-20).

    ``onesided`` gives the first half of the spectrum of a real signal, or, inverted, the real signal of such a half.
    """
    return dft_17(x, dft_length, axis=-2 if axis is None else int(axis.item()), inverse=inverse, onesided=onesided)


@op("DFT", since=17, until=19, widen=True)
def dft_17(x: Array, dft_length: Array | None = None, *, axis: int = 1, inverse: int = 0, onesided: int = 0) -> Array:
    """As version 20, the axis being an attribute (ONNX DFT-17)."""
    xp = array_namespace(x)
    axis = normalize_axis(axis, x.ndim)
    if axis == x.ndim - 1:
        raise ValueError(f"expected an axis of the signal, got {axis}, which holds the real and imaginary parts")
    signal = _to_complex(x)
    halved = bool(inverse and onesided)
    length = 2 * (x.shape[axis] - 1) if halved else x.shape[axis]
    length = length if dft_length is None else int(dft_length.item())
    if length < 1:
        raise ValueError(f"expected a DFT of at least one point, got {length}")
    if halved:
        return xp.fft.irfft(signal, n=length, axis=axis)[..., None].astype(x.dtype)
    if onesided:
        if xp.iscomplexobj(signal):
            raise ValueError(
                "expected a real signal (last axis of length 1) for a one-sided transform, got a complex one"
            )
        return _from_complex(xp.fft.rfft(signal, n=length, axis=axis), x)
    transform = xp.fft.ifft if inverse else xp.fft.fft
    return _from_complex(transform(signal, n=length, axis=axis), x)


@op("STFT", since=17, widen=True)
def stft(
    signal: Array,
    frame_step: Array,
    window: Array | None = None,
    frame_length: Array | None = None,
    *,
    onesided: int = 1,
) -> Array:
    """The Fourier transforms of windowed frames of a signal (batch, length, 1 or 2) (ONNX STFT-17).

    The result is (batch, frames, bins, 2); one-sided, bins is ``frame_length // 2 + 1``.
    """
    xp = array_namespace(signal)
    samples = signal if signal.ndim == 2 else _to_complex(signal)
    step = int(frame_step.item())
    default = samples.shape[1] if window is None else window.shape[0]
    length = default if frame_length is None else int(frame_length.item())
    if window is not None and window.shape != (length,):
        raise ValueError(f"expected a window of {length} samples, the frame's length, got the shape {window.shape}")
    if step < 1 or not 1 <= length <= samples.shape[1]:
        raise ValueError(
            f"expected a step of at least 1 and frames of 1 to {samples.shape[1]} samples, got {step} and {length}"
        )
    starts = xp.arange(0, samples.shape[1] - length + 1, step)
    frames = samples[:, starts[:, None] + xp.arange(length)]
    if window is not None:
        frames = frames * window
    if onesided and not xp.iscomplexobj(frames):
        return _from_complex(xp.fft.rfft(frames, axis=-1), signal)
    spectrum = xp.fft.fft(frames, axis=-1)
    return _from_complex(spectrum[..., : length // 2 + 1] if onesided else spectrum, signal)


@op("HannWindow", since=17)
def hann_window(size: Array, *, output_datatype: int = 1, periodic: int = 1) -> Array:
    """``0.5 - 0.5 cos(2 pi n / N)`` (ONNX HannWindow-17)."""
    return _cosine_window(size, (0.5, -0.5), output_datatype, bool(periodic))


@op("HammingWindow", since=17)
def hamming_window(size: Array, *, output_datatype: int = 1, periodic: int = 1) -> Array:
    """``25/46 - 21/46 cos(2 pi n / N)`` (ONNX HammingWindow-17)."""
    return _cosine_window(size, (25 / 46, -21 / 46), output_datatype, bool(periodic))


@op("BlackmanWindow", since=17)
def blackman_window(size: Array, *, output_datatype: int = 1, periodic: int = 1) -> Array:
    """``0.42 - 0.5 cos(2 pi n / N) + 0.08 cos(4 pi n / N)`` (ONNX BlackmanWindow-17)."""
    return _cosine_window(size, (0.42, -0.5, 0.08), output_datatype, bool(periodic))


@op("MelWeightMatrix", since=17)
def mel_weight_matrix(
    num_mel_bins: Array,
    dft_length: Array,
    sample_rate: Array,
    lower_edge_hertz: Array,
    upper_edge_hertz: Array,
    *,
    output_datatype: int = 1,
) -> Array:
    """Triangular filters (dft_length // 2 + 1, num_mel_bins), evenly spaced on the mel scale (ONNX MelWeightMatrix-17).

    The mel scale is ``2595 log10(1 + hertz / 700)``; a filter rises from 0 to 1 and falls back to 0.
    """
    xp = array_namespace(num_mel_bins)
    bands, length = int(num_mel_bins.item()), int(dft_length.item())
    low, high = (2595 * math.log10(1 + float(edge.item()) / 700) for edge in (lower_edge_hertz, upper_edge_hertz))
    edges_mel = low + xp.arange(bands + 2) * ((high - low) / (bands + 2))
    edges_hertz = 700 * (10 ** (edges_mel / 2595) - 1)
    edges = xp.floor((length + 1) * edges_hertz / int(sample_rate.item()))
    left, centre, right = edges[:-2], edges[1:-1], edges[2:]
    bins = xp.arange(length // 2 + 1, dtype=np.float64)[:, None]
    rising = xp.where((left <= bins) & (bins < centre), (bins - left) / (centre - left), 0)
    falling = xp.where((centre < bins) & (bins < right), (right - bins) / (right - centre), 0)
    return xp.where(bins == centre, 1, rising + falling).astype(dtype_of(output_datatype))


def _to_complex(x: Array) -> Array:
    """The signal without its last axis: real where that has length 1, complex where it has length 2."""
    if x.ndim < 2 or x.shape[-1] not in (1, 2):
        raise ValueError(
            f"expected a signal with a last axis of length 1 (real) or 2 (complex), got the shape {tuple(x.shape)}"
        )
    if x.shape[-1] == 1:
        return x[..., 0]
    # Assigning the parts, since x + 1j * y makes NaN of an infinite y.
    signal = array_namespace(x).empty(x.shape[:-1], dtype=np.result_type(x.dtype, np.complex64))
    signal.real, signal.imag = x[..., 0], x[..., 1]
    return signal


def _from_complex(spectrum: Array, like: Array) -> Array:
    return array_namespace(spectrum).stack((spectrum.real, spectrum.imag), axis=-1).astype(like.dtype)


def _cosine_window(size: Array, coefficients: tuple[float, ...], output_datatype: int, periodic: bool) -> Array:
    """The sum of ``c[k] cos(2 pi k n / N)``; N is the size, or one less for a symmetric window."""
    xp = array_namespace(size)
    length = int(size.item())
    if length < 0:
        raise ValueError(f"expected a window of at least 0 samples, got {length}")
    if length == 1 and not periodic:
        return xp.ones(1, dtype=dtype_of(output_datatype))
    angles = xp.arange(length) * (2 * math.pi / max(length if periodic else length - 1, 1))
    window = sum(c * xp.cos(k * angles) for k, c in enumerate(coefficients))
    dtype = dtype_of(output_datatype)
    if dtype.kind in "iu":  # the 1 in the middle must not be cut to 0 because float64 makes it 0.999...
        window = window.astype(np.float32)
    return window.astype(dtype)
