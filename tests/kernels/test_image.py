"""Images that Pillow encodes, decoded again; and bytes that are no image."""

from __future__ import annotations

import io
import struct
import zlib
from typing import Any

import numpy as np
import pytest
from PIL import Image

from onnxlite.conformance.differential import assert_same, kernel_outputs


def pixels(height: int = 12, width: int = 17, channels: int = 3) -> np.ndarray:
    ramp = np.linspace(0, 255, height * width * channels).reshape(height, width, channels)
    return ramp.astype(np.uint8)


def encoded(image: Image.Image, kind: str, **options: Any) -> np.ndarray:
    with io.BytesIO() as file:
        image.save(file, kind, **options)
        return np.frombuffer(file.getvalue(), dtype=np.uint8)


def decode(data: np.ndarray, pixel_format: str = "RGB") -> np.ndarray:
    (image,) = kernel_outputs("ImageDecoder", 20, data, pixel_format=pixel_format)
    return image


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("BMP", {}),
        ("PNG", {}),
        ("TIFF", {}),
        ("PPM", {}),
        ("WEBP", {"lossless": True}),
        ("JPEG2000", {"irreversible": False}),
    ],
)
def test_lossless_formats_give_back_their_pixels(kind: str, options: dict[str, Any]) -> None:
    image = pixels()
    data = encoded(Image.fromarray(image), kind, **options)
    assert_same(decode(data), image)
    assert_same(decode(data, "BGR"), image[:, :, ::-1])
    assert_same(decode(data, "Grayscale"), np.asarray(Image.fromarray(image).convert("L"))[:, :, None])


def test_jpeg_is_near() -> None:
    image = pixels()
    y = decode(encoded(Image.fromarray(image), "JPEG", quality=95))
    assert y.shape == image.shape
    assert y.dtype == np.uint8
    assert np.abs(y.astype(int) - image).mean() < 4


def test_grey_images_have_three_equal_channels() -> None:
    grey = pixels(channels=1)[:, :, 0]
    y = decode(encoded(Image.fromarray(grey), "PNG"))
    assert_same(y, np.repeat(grey[:, :, None], 3, axis=2))


@pytest.mark.parametrize("mode", ["1", "P", "RGBA", "LA", "CMYK"])
def test_every_mode_becomes_three_channels(mode: str) -> None:
    image = Image.fromarray(pixels()).convert(mode)
    kind = "TIFF" if mode == "CMYK" else "PNG"
    assert_same(decode(encoded(image, kind)), np.asarray(image.convert("RGB")))


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "PPM"])
def test_images_of_16_bits_keep_their_upper_half(kind: str) -> None:
    deep = np.linspace(0, 65535, 200).reshape(10, 20).astype(np.uint16)
    y = decode(encoded(Image.fromarray(deep), kind), "Grayscale")
    assert_same(y[:, :, 0], (deep >> 8).astype(np.uint8))


@pytest.mark.parametrize("value", [np.float32(0.5), np.int32(70000)])
def test_images_of_more_bits_are_errors(value: Any) -> None:
    with pytest.raises(ValueError, match="its pixels"):
        decode(encoded(Image.fromarray(np.full((4, 4), value)), "TIFF"))


def test_unreadable_bytes_are_errors() -> None:
    png = encoded(Image.fromarray(pixels()), "PNG")
    jpeg = encoded(Image.fromarray(pixels()), "JPEG")
    gif = encoded(Image.fromarray(pixels()), "GIF")
    flipped = png.copy()
    flipped[len(png) // 2] ^= 0xFF
    for data in (
        png[:0],
        png[:20],
        png[: len(png) // 2],
        flipped,
        jpeg[: len(jpeg) // 3],
        gif,
        np.arange(50, dtype=np.uint8),
    ):
        with pytest.raises(ValueError, match="expected a readable image"):
            decode(data)


def test_an_image_that_claims_too_many_pixels_is_an_error() -> None:
    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = struct.pack(">IIBBBBB", 30000, 30000, 8, 2, 0, 0, 0)
    png = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")
    with pytest.raises(ValueError, match="pixels"):
        decode(np.frombuffer(png, np.uint8))


def test_inputs_that_do_not_fit_are_errors() -> None:
    data = encoded(Image.fromarray(pixels()), "PNG")
    with pytest.raises(ValueError, match="pixel_format"):
        decode(data, "YUV")
    with pytest.raises(ValueError, match="vector of uint8"):
        decode(data[None])
    with pytest.raises(ValueError, match="vector of uint8"):
        decode(data.astype(np.int32))
