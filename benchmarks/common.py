"""What the benchmarks share: pictures that every checkout has, taking turns, and the machine in a line."""

import dataclasses
import os
import platform
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax

from jaxstyle import synthesis, weights
from jaxstyle.config import experiment_from_mapping
from jaxstyle.synthesis import Prepared
from jaxstyle.weights import Weights

ROOT = Path(__file__).resolve().parents[1]


@dataclasses.dataclass(frozen=True)
class Loaded:
    """A prepared experiment, with what a peer must be given besides."""

    prepared: Prepared
    weights: Weights
    pooling: str


def loaded(size: int, start: str = "noise", method: str = "lbfgs", **loss: float) -> Loaded:
    """The cat of scikit-image in the project's own brush strokes, ready to optimize; `loss` as in `[loss]`."""
    mapping = {
        "image": {"content": "skimage:chelsea", "style": "experiments/images/brushwork.jpg", "size": size},
        "loss": loss,
        "start": {"method": start},
        "optimizer": {"method": method},
    }
    experiment = experiment_from_mapping(mapping, source="benchmark", folder=ROOT)
    parameters = weights.load(experiment.network.weights)
    ready = synthesis.prepare(experiment, synthesis.read_pictures(experiment), parameters)
    return Loaded(ready, parameters, str(experiment.network.pooling))


def in_turns(ways: Mapping[str, Callable[[], Any]], rounds: int) -> dict[str, list[float]]:
    """Seconds of each way, one call each in every round, so that a busy moment of the machine strikes all alike."""
    for way in ways.values():
        way()
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, way in ways.items():
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
