"""The losses that Gatys' PyTorch notebook prints, from exact weights: a check that nothing here was tuned to.

    JAXSTYLE_IMAGES=images python benchmarks/notebook.py vgg_conv.pth

The notebook (leongatys/PytorchNeuralStyleTransfer) takes the original network with max pooling, the Neckarfront and The
Starry Night with their short sides at 512 each, the content as start, and PyTorch's L-BFGS without a line search: the
first step along −gradient of length min(1, 1/Σ|g|), every further one of length 1, 100 correction pairs. It prints the
loss every 50 evaluations. This program computes the loss of the start, runs that L-BFGS on our loss and gradient, and
sets its losses beside the printed ones. The first step is so short that rounding decides what the second one is, so the
paths part at once; what must agree is where they come to. The file of weights has no stable address; it is what the
notebook's script downloads.
"""

import argparse
import sys
import tempfile
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from accelerator.tables import markdown
from PIL import Image

from jaxstyle import images
from jaxstyle.config import experiment_from_mapping
from jaxstyle.errors import JaxstyleError
from jaxstyle.images import gallery
from jaxstyle.network import weights
from jaxstyle.synthesis import preparation
from jaxstyle.synthesis.preparation import Prepared

PRINTED = {49: 1388532.5, 99: 707860.75, 499: 368493.8}
"""What the notebook prints, at a short side of 512, by the evaluation that it is of: the notebook counts one more."""
PAIRS = 100
"""PyTorch's default number of correction pairs."""
CURVED = 1e-10
"""PyTorch keeps a pair whose curvature sᵀy is larger."""

Evaluate = Callable[[np.ndarray], tuple[float, np.ndarray]]


def missing(file: Path) -> list[str]:
    """Says what the comparison needs and has not got."""
    lacks = (
        [] if file.is_file() else [f"{file}: the exact weights, vgg_conv.pth, which the notebook's script downloads"]
    )
    for name in ("neckarfront", "starry_night"):
        try:
            gallery.resolve(f"paper:{name}", relative_to=Path.cwd())
        except JaxstyleError as error:
            lacks.append(str(error))
    return lacks


def scaled(name: str, short: int, folder: Path) -> Path:
    """An image as the notebook's `transforms.Scale` makes it: 8 bits, bilinear, the short side as wanted."""
    image = Image.open(gallery.resolve(f"paper:{name}", relative_to=Path.cwd())).convert("RGB")
    ratio = short / min(image.size)
    width, height = (short if side == min(image.size) else int(side * ratio) for side in image.size)
    path = folder / f"{name}.png"
    image.resize((width, height), Image.Resampling.BILINEAR).save(path)
    return path


def prepared(file: Path, short: int, folder: Path) -> Prepared:
    """The notebook's experiment; its weights and images are brought into a folder first."""
    converted = weights.convert(file, folder / "vgg_conv.safetensors")
    content, style = (scaled(name, short, folder) for name in ("neckarfront", "starry_night"))
    size = max(images.read_image(content).pixels.shape)
    mapping = {
        "image": {"content": str(content), "style": str(style), "size": size, "style_size": "own"},
        "network": {"weights": str(converted), "pooling": "max"},
        "loss": {"convention": "gatys-notebook"},
        "start": {"method": "content"},
    }
    experiment = experiment_from_mapping(mapping, source="notebook", folder=folder)
    sources = preparation.read_images(experiment)
    return preparation.prepare(experiment, sources, weights.load(experiment.network.weights))[-1]


def evaluation(ready: Prepared) -> Evaluate:
    """Loss and gradient of mean-subtracted 0–255 values, as the notebook's image is."""

    compiled = jax.jit(ready.objective.value_and_grad)

    def evaluate(values: np.ndarray) -> tuple[float, np.ndarray]:
        image = jnp.asarray(values.reshape(ready.start.shape) / 255, jnp.float32)
        (loss, _), gradient = compiled(image, ready.problem)
        return float(loss), np.asarray(gradient, np.float32).ravel() / 255

    return evaluate


def pytorch_lbfgs(evaluate: Evaluate, start: np.ndarray) -> Iterator[float]:
    """Yields the loss of every evaluation of `torch.optim.LBFGS` with a learning rate of 1 and no line search."""
    point = start.astype(np.float32)
    loss, gradient = evaluate(point)
    yield loss
    pairs: deque[tuple[np.ndarray, np.ndarray]] = deque(maxlen=PAIRS)
    scale, step, direction = 1.0, min(1.0, 1 / float(np.abs(gradient).sum())), -gradient
    while True:
        point = point + step * direction
        loss, new = evaluate(point)
        yield loss
        change, moved, gradient = new - gradient, step * direction, new
        if (curvature := float(change @ moved)) > CURVED:
            pairs.append((moved, change))
            scale = curvature / float(change @ change)
        direction, step = -two_loops(gradient, pairs, scale), 1.0


def two_loops(gradient: np.ndarray, pairs: deque[tuple[np.ndarray, np.ndarray]], scale: float) -> np.ndarray:
    """The inverse Hessian of the pairs times the gradient (Nocedal & Wright, Algorithm 7.4)."""
    result, taken = gradient.copy(), []
    for moved, change in reversed(pairs):
        factor = float(moved @ result) / float(moved @ change)
        taken.append(factor)
        result -= factor * change
    result *= scale
    for (moved, change), factor in zip(pairs, reversed(taken), strict=True):
        result += moved * (factor - float(change @ result) / float(moved @ change))
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("weights", type=Path, help="vgg_conv.pth")
    parser.add_argument("--evaluations", type=int, default=100, help="how far to go; the notebook went to 500")
    parser.add_argument("--short", type=int, default=512, help="the short side; other sizes have no printed losses")
    options = parser.parse_args()
    if lacks := missing(options.weights):
        sys.exit("\n".join(["missing:", *(f"  {line}" for line in lacks)]))
    with tempfile.TemporaryDirectory() as folder:
        ready = prepared(options.weights, options.short, Path(folder))
    losses = pytorch_lbfgs(evaluation(ready), np.asarray(ready.start, np.float32).ravel() * 255)
    rows = []
    for count in range(1, options.evaluations + 1):
        loss = next(losses)
        printed = PRINTED.get(count) if options.short == 512 else None
        if count in (1, 2, 3, 5, 10, 20) or count % 50 == 49:
            rows.append((count, f"{loss:.1f}", printed or "", f"{loss / printed - 1:+.2%}" if printed else ""))
            print(f"{count} {loss:.1f}", file=sys.stderr)
    print(markdown(("evaluations", "loss", "printed", "difference"), rows))


if __name__ == "__main__":
    main()
