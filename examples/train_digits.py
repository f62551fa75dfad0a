"""Train the digit classifier that ships with onnxlite, with onnxlite: one ONNX graph holds the network, its loss, the
gradient of the loss (ai.onnx.preview.training.Gradient) and the update of the weights (Adam).

    python examples/train_digits.py        # about a minute; writes onnxlite/data/digits.onnx and digits.npz

Needs scikit-learn for the images: "Optical Recognition of Handwritten Digits", E. Alpaydin and C. Kaynak, UCI Machine
Learning Repository, CC BY 4.0.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import numpy_helper, parser
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

import onnxlite

DATA = Path(__file__).resolve().parent.parent / "onnxlite" / "data"
EPOCHS, BATCH, SEED = 30, 64, 7

#: image (N, 1, 8, 8) with values 0..16 -> logits (N, 10)
NETWORK = """
    scale = Constant <value = float {0.0625}> ()
    scaled = Mul (image, scale)
    c1 = Conv <kernel_shape = [3, 3], pads = [1, 1, 1, 1]> (scaled, w1, b1)
    r1 = Relu (c1)
    p1 = MaxPool <kernel_shape = [2, 2], strides = [2, 2]> (r1)
    c2 = Conv <kernel_shape = [3, 3], pads = [1, 1, 1, 1]> (p1, w2, b2)
    r2 = Relu (c2)
    p2 = MaxPool <kernel_shape = [2, 2], strides = [2, 2]> (r2)
    flat = Flatten (p2)
    logits = Gemm <transB = 1> (flat, w3, b3)
"""

#: The weights and their shapes.
SHAPES = {"w1": (16, 1, 3, 3), "b1": (16,), "w2": (32, 16, 3, 3), "b2": (32,), "w3": (10, 128), "b3": (10,)}


def initial_weights(generator: np.random.Generator) -> dict[str, np.ndarray]:
    """He et al., 2015: normal weights of variance 2 / fan-in, zero biases."""
    weights = {}
    for name, shape in SHAPES.items():
        deviation = np.sqrt(2 / np.prod(shape[1:])) if len(shape) > 1 else 0
        weights[name] = (generator.standard_normal(shape) * deviation).astype(np.float32)
    return weights


def inference_model(weights: dict[str, np.ndarray]) -> onnx.ModelProto:
    """image -> probabilities, with the weights inside."""
    model = parser.parse_model(f"""
        <ir_version: 8, opset_import: ["": 17], producer_name: "onnxlite", doc_string: "Handwritten digits, 8 x 8">
        digits (float[N, 1, 8, 8] image) => (float[N, 10] probabilities) {{
            {NETWORK}
            probabilities = Softmax <axis = 1> (logits)
        }}""")
    model.graph.initializer.extend(numpy_helper.from_array(array, name) for name, array in weights.items())
    return model


def training_model() -> onnx.ModelProto:
    """One step: a batch, the weights and Adam's two moments in; the loss and the new weights and moments out."""
    names = list(SHAPES)
    declared = {
        prefix + name: f"float[{','.join(map(str, shape))}] {prefix}{name}"
        for prefix in ("", "v_", "h_")
        for name, shape in SHAPES.items()
    }
    state = ", ".join(declared)
    gradients = ", ".join(f"g_{name}" for name in names)
    new = ", ".join(f"new_{name}" for name in declared)
    results = ", ".join(text.replace("] ", "] new_") for text in declared.values())
    names_text = ", ".join(f'"{name}"' for name in names)
    weights, moments = ", ".join(names), state.removeprefix(", ".join(names) + ", ")
    return parser.parse_model(f"""
        <ir_version: 8, opset_import: ["": 17, "ai.onnx.preview.training": 1]>
        step (float rate, int64 count, float[N, 1, 8, 8] image, int64[N] label, {", ".join(declared.values())})
            => (float loss, {results}) {{
            {NETWORK}
            loss = SoftmaxCrossEntropyLoss (logits, label)
            {gradients} = ai.onnx.preview.training.Gradient <xs = [{names_text}], zs = ["image", "label"], y = "loss">
                ({weights}, image, label)
            {new} = ai.onnx.preview.training.Adam <norm_coefficient = 0.0>
                (rate, count, {weights}, {gradients}, {moments})
        }}""")


def train(images: np.ndarray, labels: np.ndarray, generator: np.random.Generator) -> dict[str, np.ndarray]:
    """Adam (Kingma and Ba, 2015) over shuffled batches, the learning rate falling to zero along a cosine."""
    session = onnxlite.InferenceSession(training_model())
    weights = initial_weights(generator)
    zeros = {f"{prefix}{name}": np.zeros_like(array) for prefix in ("v_", "h_") for name, array in weights.items()}
    state = weights | zeros
    steps = EPOCHS * (len(images) // BATCH)
    for step in range(steps):
        if step % (len(images) // BATCH) == 0:
            order = generator.permutation(len(images))
        batch = order[step * BATCH % (len(images) - BATCH + 1) :][:BATCH]
        rate = np.float32(0.004 * (1 + np.cos(np.pi * step / steps)) / 2)
        feeds = {"rate": rate, "count": np.int64(step), "image": images[batch], "label": labels[batch], **state}
        loss, *new = session.run(None, feeds)
        state = dict(zip(state, new, strict=True))
        if step % 100 == 0:
            print(f"step {step:4} of {steps}   loss {float(loss):.4f}")
    return {name: state[name] for name in SHAPES}


def main() -> None:
    """Train, report the accuracy on the images held back, and write the model and those images."""
    digits = load_digits()
    images = digits.images.astype(np.float32)[:, None]
    split = train_test_split(images, digits.target, test_size=360, random_state=SEED, stratify=digits.target)
    train_images, test_images, train_labels, test_labels = split
    weights = train(train_images, train_labels.astype(np.int64), np.random.default_rng(SEED))
    model = inference_model(weights)
    onnx.checker.check_model(model, full_check=True)
    (probabilities,) = onnxlite.InferenceSession(model).run(None, {"image": test_images})
    print(f"{(probabilities.argmax(1) == test_labels).mean():.2%} of {len(test_labels)} test images are right")
    DATA.mkdir(exist_ok=True)
    onnx.save(model, DATA / "digits.onnx")
    pixels, labels = test_images[:, 0].astype(np.uint8), test_labels.astype(np.uint8)
    np.savez_compressed(DATA / "digits.npz", images=pixels, labels=labels)


if __name__ == "__main__":
    main()
