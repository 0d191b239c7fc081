"""Where the members of a sweep are carried out: one after another here, or by workers of a Ray cluster.

An engine takes jobs and yields how each ended. With every engine the process that was started writes the records, and
a member gives the same numbers.
"""

from jaxstyle.sweeps.engines.base import Engine, EventsOf, Job, Outcome
from jaxstyle.sweeps.engines.local import Batch, Local

__all__ = ["Batch", "Engine", "EventsOf", "Job", "Local", "Outcome"]
