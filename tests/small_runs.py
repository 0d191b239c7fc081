"""Small images and experiments, on which a whole run takes a moment; for a network of which only the top is there."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from jaxstyle.config import Experiment, experiment_from_mapping
from jaxstyle.images import write_image
from jaxstyle.synthesis.events import Events

CONTENT_SIZE, STYLE_SIZE = (24, 32), (30, 30)
LAYERS = {"content_layers": ["conv2_1"], "style_layers": ["conv1_1", "conv2_1"]}
"""Shallow layers compile quickly and need no deep network."""
EVERY_TERM = """loss.terms=[
    {kind = "histogram", layers = ["conv1_1"]},
    {kind = "means", layers = ["conv2_1"]},
    {kind = "patches", layers = ["conv2_1"], grid = 5},
    {kind = "shifted-gram", layers = ["conv2_1"], shift = 3},
    {kind = "sliced-wasserstein", layers = ["conv1_1"], bins = 50},
    {kind = "variation", weight = 1e-3},
    {kind = "variation", rule = "nine-point"},
    {kind = "laplacian", pool = 2},
    {kind = "moments", layers = ["conv1_1"]},
    {kind = "wasserstein", layers = ["conv1_1"]},
]""".replace("\n", " ")
"""An override that adds every kind of term but those of `[loss]` itself."""


class Heard(Events):
    """Events that go to functions."""

    def __init__(self, **functions: Any):
        self.__dict__.update(functions)


def smooth(height: int, width: int, seed: int) -> np.ndarray:
    """An image of soft coloured blobs; every seed has its own."""
    generator = np.random.default_rng(seed)
    rows, columns = np.linspace(0, 1, height)[:, None, None], np.linspace(0, 1, width)[None, :, None]
    frequencies, phases = generator.uniform(3, 12, (2, 3)), generator.uniform(0, 6, 3)
    return 0.5 + 0.5 * np.sin(frequencies[0] * rows + frequencies[1] * columns + phases)


def write_images(folder: Path) -> None:
    """Puts content.png and style.png into a folder."""
    write_image(folder / "content.png", smooth(*CONTENT_SIZE, seed=1))
    write_image(folder / "style.png", smooth(*STYLE_SIZE, seed=2))


def make(folder: Path, *overrides: str, **sections: Mapping[str, Any]) -> Experiment:
    """An experiment on the folder's two images: 32 pixels, three iterations, shallow layers.

    Args:
      folder: where the images are; they are written if they are not there.
      *overrides: as for `--set`.
      **sections: keys that are laid over those of each section; `image` replaces the images.
    """
    write_images(folder)
    mapping = {
        "image": {"content": "content.png", "style": "style.png"} | {"size": 32},
        "loss": LAYERS,
        "optimizer": {"iterations": 3},
    }
    for name, keys in sections.items():
        mapping[name] = {"size": 32, **keys} if name == "image" else {**mapping.get(name, {}), **keys}
    return experiment_from_mapping(mapping, source="small", folder=folder, overrides=overrides)


def strict_json(text: str) -> Any:
    """Parses JSON as the standard has it: without NaN and infinities."""

    def refuse(name: str) -> None:
        raise AssertionError(f"{name} is not JSON")

    return json.loads(text, parse_constant=refuse)


def read_metrics(folder: Path) -> list[dict[str, Any]]:
    """The lines of a run's metrics; every one is complete."""
    text = (folder / "metrics.jsonl").read_text(encoding="utf-8")
    assert text == "" or text.endswith("\n")
    return [strict_json(line) for line in text.splitlines()]


def read_manifest(folder: Path) -> dict[str, Any]:
    """A run's manifest."""
    return strict_json((folder / "manifest.json").read_text(encoding="utf-8"))
