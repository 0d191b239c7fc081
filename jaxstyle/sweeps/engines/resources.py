"""What one member takes of a cluster, how many run at once, and which a worker runs next."""

from collections.abc import Hashable, Mapping, Sequence, Set
from typing import Any, NamedTuple

CORES = 4
"""Cores for each member on the CPU by default: between one member with many threads and many with one."""
ACCELERATORS = ("GPU", "TPU")

Resources = Mapping[str, float]
"""What a node has, by Ray's names: `{"CPU": 16, "GPU": 8}`."""


class MemberResources(NamedTuple):
    """What one member takes of a node.

    Attributes:
      cores: CPU cores.
      accelerator: `GPU` or `TPU`; None to compute on the CPU.
      accelerators: how many; 0.5 lets two members share one.
    """

    cores: int
    accelerator: str | None = None
    accelerators: float = 0

    @property
    def resources(self) -> dict[str, float]:
        """By Ray's names."""
        own = {self.accelerator: self.accelerators} if self.accelerator else {}
        return {"CPU": self.cores, **own}

    @property
    def options(self) -> dict[str, Any]:
        """The options of an actor that takes this share."""
        devices = {"GPU": {"num_gpus": self.accelerators}, "TPU": {"resources": {"TPU": self.accelerators}}, None: {}}
        return {
            "num_cpus": self.cores,
            **devices[self.accelerator],
            "runtime_env": {"env_vars": self.environment},
        }

    @property
    def environment(self) -> dict[str, str]:
        """What jax must know before it starts: the number of threads, the device, whether it is shared."""
        if self.accelerator is None:
            return {"JAX_PLATFORMS": "cpu", "NPROC": str(self.cores)}
        return {"XLA_PYTHON_CLIENT_PREALLOCATE": "false"} if self.accelerators < 1 else {}

    def __str__(self) -> str:
        """Returns `4 CPU cores`, or `1 GPU and 1 CPU core`."""
        cores = f"{self.cores} CPU core{'s' if self.cores != 1 else ''}"
        if self.accelerator is None:
            return cores
        return f"{self.accelerators:g} {self.accelerator}{'s' if self.accelerators > 1 else ''} and {cores}"


def choose_resources(
    nodes: Sequence[Resources], cores: int | None = None, accelerators: float | None = None
) -> MemberResources:
    """Returns what a member takes: an accelerator each where the cluster has some, else a few cores.

    Args:
      nodes: the cluster's.
      cores: if they are asked for.
      accelerators: if they are asked for; 0 to compute on the CPU.
    """
    kind = next((kind for kind in ACCELERATORS if any(node.get(kind, 0) >= 1 for node in nodes)), None)
    wanted = accelerators if accelerators is not None else (1 if kind else 0)
    if wanted:
        return MemberResources(cores or 1, kind or ACCELERATORS[0], wanted)
    most = min((int(node["CPU"]) for node in nodes if node.get("CPU", 0) >= 1), default=CORES)
    return MemberResources(cores or min(CORES, most))


def capacity(nodes: Sequence[Resources], share: MemberResources) -> int:
    """How many members the cluster can hold at once, if nobody else uses it."""
    return sum(
        min(int(node.get(kind, 0) / needed) for kind, needed in share.resources.items() if needed) for node in nodes
    )


def choose_next(waiting: Sequence[Hashable], own: Hashable, others: Set[Hashable]) -> int:
    """Returns which of the waiting members a worker runs next, so that it compiles little.

    Args:
      waiting: the programs of the members, in the sweep's order; not empty.
      own: the program that the worker has compiled; None for a new one.
      others: the programs that the other workers have compiled.

    Returns:
      The first member with the worker's own program, else the first whose program nobody has, else the first.
    """
    ranks = [0 if program == own else 1 if program not in others else 2 for program in waiting]
    return ranks.index(min(ranks))
