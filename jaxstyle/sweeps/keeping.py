"""Whether the members of a sweep keep their optimizers' states: all of them, or none where that would fill the disk."""

import dataclasses
from collections.abc import Callable, Hashable, Sequence

import jax
import jax.numpy as jnp

from jaxstyle.optimizers import state_bytes
from jaxstyle.sweeps.expansion import Member
from jaxstyle.sweeps.programs import OutlinedMember

SWEEP = 32
"""The states of a sweep may take at most this many times `output.keep_state_mb`, the limit of one."""


def limited(members: Sequence[Member], left: Sequence[OutlinedMember], log: Callable[[str], None]) -> list[Member]:
    """Returns the members, told to keep no state where all states together would take too much.

    Args:
      members: of a sweep.
      left: those that have not finished. Finished ones count as these do on average, so that a sweep that is resumed
        decides as it did at first.
      log: called with a note where no state is kept.
    """
    sizes: dict[Hashable, int] = {}
    kept = [_kept_bytes(outlined, sizes) for outlined in left]
    total = sum(kept) * len(members) / max(len(left), 1)
    limits = {member.experiment.output.keep_state_mb for member in members}
    if total <= 1e6 * SWEEP * max(limits):
        return [*members]
    enough = -(-total // (1e6 * SWEEP))
    log(
        f"no optimizer state is kept: those of {len(members)} members would take {total / 1e9:.1f} GB, and more "
        f"iterations will need a new run; to keep them: output.keep_state_mb={enough:.0f}"
    )
    return [
        dataclasses.replace(
            member,
            experiment=member.experiment.model_copy(
                update={"output": member.experiment.output.model_copy(update={"keep_state_mb": 0.0})}
            ),
        )
        for member in members
    ]


def _kept_bytes(outlined: OutlinedMember, sizes: dict[Hashable, int]) -> int:
    """What a member's state takes once it has finished; 0 where it is not kept."""
    last = outlined.outlines[-1]
    if len(outlined.outlines) > 1:
        return 0
    if last.program not in sizes:
        image = jax.ShapeDtypeStruct((*last.size, 3), jnp.float32)
        sizes[last.program] = state_bytes(last.objective, image, last.settings)
    size = sizes[last.program]
    return size if size <= 1e6 * outlined.member.experiment.output.keep_state_mb else 0
