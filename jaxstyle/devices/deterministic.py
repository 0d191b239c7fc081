"""GPUs that repeat themselves to the bit, by XLA's deterministic operations.

By default XLA times several kernels for each operation and takes the fastest, also those that add up in the order in
which their threads happen to end. Without them a run repeats itself, and compiling takes a fifth of the time; an
evaluation takes about a seventh more (docs/performance.md).
"""

import os

FLAGS = "XLA_FLAGS"
NAME = "--xla_gpu_deterministic_ops"


def ask_for() -> None:
    """Asks for deterministic operations where jax has a plugin for a device, before jax computes anything.

    A user's own choice in `XLA_FLAGS` stays: `--xla_gpu_deterministic_ops=false` gives the faster kernels.
    """
    from importlib.metadata import entry_points  # which `--help` does without

    flags = os.environ.get(FLAGS, "")
    if NAME not in flags and entry_points(group="jax_plugins"):
        os.environ[FLAGS] = f"{flags} {NAME}=true".strip()
