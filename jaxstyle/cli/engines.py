"""The options of `--engine`, as an engine."""

from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple

from jaxstyle.cli.show import echo
from jaxstyle.errors import JaxstyleError

if TYPE_CHECKING:
    from jaxstyle.sweeps.engines import Engine


class EngineName(StrEnum):
    """What `--engine` allows."""

    LOCAL = "local"
    RAY = "ray"


class EngineOptions(NamedTuple):
    """The options as they were given."""

    engine: EngineName = EngineName.LOCAL
    address: str | None = None
    cores_per_member: int | None = None
    gpus_per_member: float | None = None


def build_engine(options: EngineOptions, *, source: str, remedy: str | None) -> "Engine":
    """Makes the engine that the options ask for.

    Args:
      options: as they were given.
      source: what to call the experiment in messages.
      remedy: how to run a member that does not fit into memory, for the message that refuses it; None to refuse none.

    Raises:
      JaxstyleError: an option belongs to another engine.
    """
    from jaxstyle.sweeps.engines import Local

    if options.engine is EngineName.LOCAL:
        for name, value in options._asdict().items():
            if name != "engine" and value is not None:
                raise JaxstyleError(f"--{name.replace('_', '-')}: belongs to --engine ray; found --engine local")
        return Local()

    import jax

    from jaxstyle.sweeps.engines.ray import Ray

    # This process only keeps records: jax would take the memory of a GPU that is a worker's.
    jax.config.update("jax_platforms", "cpu")
    return Ray(
        address=options.address,
        cores=options.cores_per_member,
        accelerators=options.gpus_per_member,
        source=source,
        remedy=remedy,
        log=echo,
    )
