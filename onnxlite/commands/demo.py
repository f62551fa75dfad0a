"""``onnxlite demo``: real images, a real model, its answers beside the true labels."""

from __future__ import annotations

import argparse
import sys
from importlib import resources
from typing import Any

import numpy as np
from rich.columns import Columns
from rich.console import Console
from rich.panel import Panel
from rich.text import Text

from onnxlite.session import InferenceSession

#: From white to black, in characters that fonts have; the second for terminals without Unicode.
_SHADES = " ░▒▓█"
_ASCII_SHADES = " .:+#"

#: The darkest pixel value of the images.
_DEPTH = 16


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    parser.add_argument("--count", type=int, default=12, metavar="N", help="how many images to show (default: 12)")
    parser.add_argument(
        "--provider", action="append", metavar="NAME", help="an execution provider, in order of preference"
    )


def main(options: argparse.Namespace) -> int:
    """Classify the images and print them with the answers."""
    images, labels = load_samples()
    session = InferenceSession(_resource("digits.onnx"), providers=options.provider)
    (probabilities,) = session.run(None, {"image": images.astype(np.float32)[:, None]})
    answers = probabilities.argmax(axis=1)
    shown = max(0, min(options.count, len(images)))
    unicode = "utf" in (sys.stdout.encoding or "").lower()
    panels = [
        _panel(image, int(answer), float(chances[answer]), int(label), unicode)
        for image, answer, chances, label in zip(images[:shown], answers, probabilities, labels, strict=False)
    ]
    console = Console()
    console.print(Columns(panels))
    right = int((answers == labels).sum())
    console.print(
        f"{right} of {len(labels)} test images are classified correctly, on {', '.join(session.get_providers())}."
    )
    return 0


def load_samples() -> tuple[Any, Any]:
    """The test images that ship with the package: uint8 (N, 8, 8) in 0..16, and their labels (N,)."""
    with resources.files("onnxlite").joinpath("data", "digits.npz").open("rb") as file, np.load(file) as data:
        return data["images"], data["labels"]


def _resource(name: str) -> bytes:
    return resources.files("onnxlite").joinpath("data", name).read_bytes()


def _panel(image: Any, answer: int, probability: float, label: int, unicode: bool) -> Panel:
    verdict = Text(f"{answer}  {probability:6.1%}\n", style="bold green" if answer == label else "bold red")
    verdict.append(f"truth: {label}", style="dim")
    return Panel(Text(_picture(image, unicode)) + Text("\n") + verdict, width=20, safe_box=not unicode)


def _picture(image: Any, unicode: bool) -> str:
    """The image as text, each pixel two characters wide so that it looks square."""
    shades = _SHADES if unicode else _ASCII_SHADES
    levels = np.asarray(image, np.int64) * (len(shades) - 1) // _DEPTH
    return "\n".join("".join(shades[level] * 2 for level in row) for row in levels)
