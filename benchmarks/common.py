"""What the benchmarks share: images that every checkout has, taking turns, and the machine in a line."""

import dataclasses
import json
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax

from jaxstyle.config import experiment_from_mapping
from jaxstyle.network import weights
from jaxstyle.network.vgg import VGG, split
from jaxstyle.network.weights import Weights
from jaxstyle.synthesis import preparation
from jaxstyle.synthesis.preparation import Prepared
from jaxstyle.synthesis.scales import Scale

ROOT = Path(__file__).resolve().parents[1]
QUICKSTART = ROOT / "experiments/quickstart.toml"
COMMAND = (sys.executable, "-m", "jaxstyle")
"""The command line of this Python."""


@dataclasses.dataclass(frozen=True)
class Loaded:
    """A prepared experiment, with what a peer must be given besides.

    Attributes:
      scales: the experiment at every scale, the last at the full size.
      weights: the network's parameters.
      pooling: how the network pools.
    """

    scales: tuple[Prepared, ...]
    weights: Weights
    pooling: str

    @property
    def prepared(self) -> Prepared:
        """The experiment at the full size."""
        return self.scales[-1]


def loaded(
    size: int,
    *,
    planned: Sequence[Scale] | None = None,
    content: str = "skimage:chelsea",
    style: str = "experiments/images/brushwork.jpg",
    start: str = "noise",
    seed: int = 0,
    optimizer: Mapping[str, Any] | None = None,
    **loss: Any,
) -> Loaded:
    """One image in the style of another, ready to optimize: by default scikit-image's cat in our own brush strokes.

    Args:
      size: the long side in pixels.
      planned: the scales to go through; by default the full size alone.
      content: as `image.content`.
      style: as `image.style`.
      start: as `start.method`.
      seed: as `start.seed`.
      optimizer: keys of `[optimizer]`.
      **loss: keys of `[loss]`.
    """
    mapping = {
        "image": {"content": content, "style": style, "size": size},
        "loss": loss,
        "start": {"method": start, "seed": seed},
        "optimizer": dict(optimizer or {}),
    }
    experiment = experiment_from_mapping(mapping, source="benchmark", folder=ROOT)
    parameters = weights.load(experiment.network.weights)
    images = preparation.read_images(experiment)
    ready = preparation.prepare(experiment, images, parameters, scales=planned)
    return Loaded(tuple(ready), parameters, str(experiment.network.pooling))


def with_network(given: Loaded, **options: str | None) -> Prepared:
    """The experiment at the full size with another network: `convolution`, `precision` of `VGG`."""
    ready = given.prepared
    objective = ready.objective
    network = VGG(
        given.weights.parameters, given.weights.preprocessing, pooling=given.pooling, layers=objective.layers, **options
    )
    features, parameters = split(network)
    return dataclasses.replace(
        ready,
        objective=dataclasses.replace(objective, network=features),
        problem=ready.problem._replace(parameters=parameters),
    )


@dataclasses.dataclass(frozen=True)
class Rows:
    """Figures of a long table, kept as lines of JSON, so that an interrupted one goes on where it was.

    Attributes:
      path: the file; None keeps nothing.
    """

    path: Path | None

    def find(self, asked: Mapping[str, Any], measure: Callable[[], Mapping[str, Any]]) -> dict[str, Any]:
        """The row that answers `asked`: the one in the file, else what `measure` finds, which is added to it."""
        for row in self._read():
            if asked.items() <= row.items():
                return row
        row = {**asked, **measure()}
        if self.path:
            with self.path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(row) + "\n")
        return row

    def _read(self) -> list[dict[str, Any]]:
        """The rows of the file; its end is cut back to the last whole line."""
        if not (self.path and self.path.exists()):
            return []
        whole, _, cut = self.path.read_text(encoding="utf-8").rpartition("\n")
        if cut:
            self.path.write_text(whole + "\n" if whole else "", encoding="utf-8")
        return [json.loads(line) for line in whole.splitlines()]


def in_turns(
    ways: Mapping[str, Callable[[], Any]], rounds: int, *, settling: int = 0, rehearsed: bool = True
) -> dict[str, list[float]]:
    """Seconds of each way, one call each in every round, so that a busy moment of the machine strikes all alike.

    Args:
      ways: by name.
      rounds: timed calls of each.
      settling: calls before each timed one that are not: PyTorch's threads spin for a while after their work, on the
        cores that the next way needs.
      rehearsed: whether each way is called once before any is timed, as what compiles must be.
    """
    for way in ways.values() if rehearsed else ():
        way()
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, way in ways.items():
            for _ in range(settling):
                way()
            began = time.perf_counter()
            way()
            seconds[name].append(time.perf_counter() - began)
    return seconds


def median(times: Sequence[float]) -> float:
    """The middle one."""
    return statistics.median(times)


def table(times: Mapping[str, Sequence[float]], reference: float, ratio: str) -> None:
    """Prints medians, ranges, and how many times faster than the reference each way is."""
    print(f"| way | median s | lowest–highest | {ratio} |")
    print("|---|---|---|---|")
    for name, of_way in times.items():
        spread = f"{min(of_way):.3f}–{max(of_way):.3f}"
        print(f"| {name} | {median(of_way):.3f} | {spread} | {reference / median(of_way):.2f} |", flush=True)


def machine() -> str:
    """Processor, device and versions."""
    model = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        names = [
            line.partition(":")[2].strip() for line in info.read_text().splitlines() if line.startswith("model name")
        ]
        model = names[0] if names else model
    device = jax.devices()[0].device_kind
    return (
        f"{model}, {os.cpu_count()} cores, device {device}, jax {jax.__version__}, python {platform.python_version()}"
    )
