"""Images from their encoded bytes."""

from __future__ import annotations

import io
from typing import Any

import numpy as np

from onnxlite.kernels.arrays import Array
from onnxlite.kernels.numpy.table import op

#: The formats that the specification names, as Pillow calls them.
_FORMATS = ("BMP", "JPEG", "JPEG2000", "TIFF", "PNG", "WEBP", "PPM")

#: The modes that Pillow converts to, for each pixel format.
_MODES = {"RGB": "RGB", "BGR": "RGB", "Grayscale": "L"}

#: Images with more pixels are refused before they are decoded: a small file can claim any size.
MAX_PIXELS = 1 << 27


@op("ImageDecoder", since=20, host=True)
def image_decoder(encoded: Array, *, pixel_format: str = "RGB") -> Array:
    """The image of a file's bytes as (height, width, channels) of uint8 (ONNX ImageDecoder-20).

    A transparent image loses its transparency, a grey one in RGB has three equal channels.
    """
    mode = _MODES.get(pixel_format)
    if mode is None:
        raise ValueError(f"pixel_format must be RGB, BGR or Grayscale, got {pixel_format!r}")
    if encoded.ndim != 1 or encoded.dtype != np.uint8:
        raise ValueError(f"expected the bytes of a file as a vector of uint8, got {encoded.dtype} of {encoded.shape}")
    image = np.asarray(_decoded(encoded.tobytes(), mode))
    if mode == "L":
        return image[:, :, None]
    return image[:, :, ::-1] if pixel_format == "BGR" else image


def _decoded(data: bytes, mode: str) -> Any:
    from PIL import Image

    try:
        with Image.open(io.BytesIO(data), formats=_FORMATS) as image:
            if image.width * image.height > MAX_PIXELS:
                raise ValueError(f"it has {image.width} x {image.height} pixels, more than {MAX_PIXELS}")
            return _eight_bits(image).convert(mode)
    # What a decoder raises for bytes that it cannot read depends on the format, and is not documented.
    except Exception as error:
        raise ValueError(f"expected a readable image, got {len(data)} bytes that are none: {error}") from error


def _eight_bits(image: Any) -> Any:
    """The image with 8 bits per channel; of 16 the upper ones stay, where Pillow would clip the values."""
    from PIL import Image

    if image.mode == "F":
        raise ValueError("its pixels are floats")
    if not image.mode.startswith("I"):
        return image
    values = np.asarray(image)
    if values.size and not 0 <= values.min() <= values.max() <= 0xFFFF:
        raise ValueError("its pixels have more than 16 bits")
    return Image.fromarray((values >> 8).astype(np.uint8))
