"""What the benchmarks share: pictures that every checkout has, and the machine in a line."""

import dataclasses
import os
import platform
from pathlib import Path

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


def prepared(size: int, start: str, method: str = "lbfgs", **loss: float) -> Prepared:
    """The cat of scikit-image in the project's own brush strokes, ready to optimize."""
    return loaded(size, start, method, **loss).prepared


def loaded(size: int, start: str, method: str = "lbfgs", **loss: float) -> Loaded:
    """As `prepared`, with the weights."""
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
