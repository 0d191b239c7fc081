"""A network of which only the first layers are there, and programs that run with it in processes of their own."""

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

import jaxstyle
from jaxstyle.network.layers import FILTERS, INPUTS, LAYERS
from jaxstyle.network.weights import NETWORKS, Weights

PATIENCE = 240  # seconds for a process on a busy machine
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


COMMAND = """
import sys
from jaxstyle.runs import runner
from tiny_network import tiny_network
runner.load_weights = lambda name, progress: tiny_network()
from jaxstyle.__main__ import main
main()
"""
"""The command `jaxstyle` with this network: a program whose arguments are the command's."""


def environment(**changes: str) -> dict[str, str]:
    """The variables of a process that finds this package and the modules of this folder."""
    path = os.pathsep.join(map(str, [Path(__file__).parent, Path(jaxstyle.__file__).parents[1]]))
    return {**os.environ, "PYTHONPATH": path, **changes}


def python(
    program: str, *arguments: str, options: Sequence[str] = (), cwd: Path, **changes: str
) -> subprocess.CompletedProcess[str]:
    """Runs a program in a process of its own.

    Args:
      program: its text.
      *arguments: its own.
      options: Python's, such as `-W error`.
      cwd: its current folder.
      **changes: variables besides this process's.
    """
    return subprocess.run(
        [sys.executable, *options, "-c", program, *arguments],
        cwd=cwd,
        env=environment(**changes),
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE,
    )
