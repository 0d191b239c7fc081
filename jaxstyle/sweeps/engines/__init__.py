"""Where the members of a sweep are carried out: one after another here, or by workers of a Ray cluster.

An engine is given jobs and yields how each ended. Whatever the engine, records are written by the process that was
started, and a member gives the same numbers.
"""

from jaxstyle.sweeps.engines.base import Engine, Job, Outcome, Watcher
from jaxstyle.sweeps.engines.local import Batch, Local

__all__ = ["Batch", "Engine", "Job", "Local", "Outcome", "Watcher"]
