"""What the benchmarks share: pictures that every checkout has, and the machine in a line."""

import os
import platform
from pathlib import Path
from typing import Any

import jax

from jaxstyle import preparation, weights
from jaxstyle.config import experiment_from_mapping
from jaxstyle.preparation import Prepared

ROOT = Path(__file__).resolve().parents[1]


def prepared(size: int, start: str, method: str = "lbfgs", **loss: float) -> Prepared:
    """The cat of scikit-image in the project's own brush strokes, ready to optimize."""
    return prepared_scales(size, "single", {"method": method}, start=start, **loss)[-1]


def prepared_scales(
    size: int, scales: str | list[int], optimizer: dict[str, Any], *, start: str = "noise", **loss: float
) -> tuple[Prepared, ...]:
    """The same at every scale; `optimizer` holds keys of that section."""
    mapping = {
        "image": {
            "content": "skimage:chelsea",
            "style": "experiments/images/brushwork.jpg",
            "size": size,
            "scales": scales,
        },
        "loss": loss,
        "start": {"method": start},
        "optimizer": optimizer,
    }
    experiment = experiment_from_mapping(mapping, source="benchmark", folder=ROOT)
    pictures = preparation.read_pictures(experiment)
    return preparation.prepare(experiment, pictures, weights.load(experiment.network.weights))


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
