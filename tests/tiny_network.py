"""A network of which only the first layers are there, and programs that run with it in processes of their own."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np

import jaxstyle
from jaxstyle.layers import FILTERS, INPUTS, LAYERS
from jaxstyle.weights import NETWORKS, Weights

TINY_LAYERS = LAYERS[:5]  # conv1_1 … conv3_1: two poolings, 0.6 million numbers


def tiny_network() -> Weights:
    """Random weights, He-scaled so that responses neither vanish nor explode."""
    generator = np.random.default_rng(0)
    parameters = {}
    for layer in TINY_LAYERS:
        spread = np.sqrt(2 / (9 * INPUTS[layer]))
        kernel = spread * generator.standard_normal((3, 3, INPUTS[layer], FILTERS[layer]))
        bias = generator.standard_normal(FILTERS[layer])
        parameters[layer] = {"kernel": kernel.astype(np.float32), "bias": bias.astype(np.float32)}
    return Weights("tiny", "oxford", parameters, NETWORKS["oxford"].preprocessing, sha256="", path=Path("tiny"))


def python(program: str, *options: str, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Runs a program in a process of its own, which finds this package and the modules of this folder.

    Args:
      program: its text.
      *options: Python's, such as `-W error`.
      cwd: its current folder.
      **environment: variables besides this process's.
    """
    path = os.pathsep.join(map(str, [Path(__file__).parent, Path(jaxstyle.__file__).parents[1]]))
    return subprocess.run(
        [sys.executable, *options, "-c", program],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": path, **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )
