"""GPUs that repeat themselves to the bit, by XLA's deterministic operations.

By default XLA times several kernels for each operation and takes the fastest, also those that add up in the order in
which their threads happen to end. Without them a run repeats itself, and is compiled in seconds: trying the kernels of
Winograd's many matrix products takes more than 50 s at 512 pixels. An evaluation takes about a seventh more
(docs/performance.md).
"""

import os
from importlib.metadata import entry_points

FLAGS = "XLA_FLAGS"
NAME = "xla_gpu_deterministic_ops"


def options() -> dict[str, bool]:
    """Returns what `jax.jit` is given as `compiler_options` of the programs that a run is made of.

    Nothing where jax has no plugin for a device, or where `XLA_FLAGS` has the user's own choice:
    `--xla_gpu_deterministic_ops=false` gives the faster kernels. A program with options is a process's own: jax refuses
    it inside another.
    """
    chosen = NAME in os.environ.get(FLAGS, "")
    return {} if chosen or not entry_points(group="jax_plugins") else {NAME: True}
