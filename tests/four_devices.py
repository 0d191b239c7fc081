"""What tests of several devices share; `test_sharding.py` runs `four_devices_*.py` in processes that have four.

The devices are the CPU's, made by an XLA flag: they prove what is computed and what is exchanged, and no speed.
"""

import re
from pathlib import Path

import jax
import numpy as np
from small_runs import smooth

from jaxstyle.config import Experiment, experiment_from_mapping
from jaxstyle.images import image_of_array
from jaxstyle.network.weights import Weights
from jaxstyle.synthesis.preparation import Prepared, SourceImages, prepare, read_images

COUNT = 4
ONE_POOLING = {"content_layers": ["conv2_1"], "style_layers": ["conv1_1", "conv2_1"], "tv_weight": 1e-3}
TWO_POOLINGS = ONE_POOLING | {"style_layers": ["conv1_1", "conv2_1", "conv3_1"]}


def experiment_on_arrays(size: tuple[int, int], *overrides: str, **loss) -> tuple[Experiment, SourceImages]:
    """An experiment on two images of a size; for no layers in particular, the paper's."""
    arrays = {
        name: smooth(*size, seed).astype(np.float32) for seed, name in enumerate(("array:content", "array:style"))
    }
    mapping = {"image": {"content": "array:content", "style": "array:style", "size": max(size)}, "loss": loss}
    experiment = experiment_from_mapping(mapping, source="here", folder=Path.cwd(), overrides=overrides)
    given = {name: image_of_array(array, name) for name, array in arrays.items()}
    return experiment, read_images(experiment, given)


def on(devices: int, weights: Weights, size: tuple[int, int] = (21, 16), *overrides: str, **loss) -> Prepared:
    """Such an experiment made ready for so many devices."""
    (prepared,) = prepare(*experiment_on_arrays(size, *overrides, **loss), weights, devices=devices)
    assert prepared.start.shape == (*size, 3)
    return prepared


def exchanged(program: jax.stages.Compiled) -> dict[str, list[tuple[int, ...]]]:
    """The shapes that devices send one another, by the kind of exchange; several may travel together."""
    found: dict[str, list[tuple[int, ...]]] = {}
    kinds = "all-gather|all-reduce|all-to-all|collective-permute|reduce-scatter|collective-broadcast"
    for results, kind in re.findall(rf" = (\S+|\(.*?\)) ({kinds})(?:-start)?\(", program.as_text()):
        shapes = [tuple(map(int, filter(None, text.split(",")))) for text in re.findall(r"\w+\[([\d,]*)\]", results)]
        found.setdefault(kind, []).extend(shapes)
    return found
