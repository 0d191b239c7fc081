"""What the members of a sweep will compute, and the compiled programs that they share."""

import functools
import math
from collections.abc import Callable, Collection, Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

from jaxstyle.devices.sharding import Devices
from jaxstyle.errors import JaxstyleError
from jaxstyle.network.weights import Weights
from jaxstyle.optimizers import expected_evaluations
from jaxstyle.sweeps.expansion import Member
from jaxstyle.sweeps.sharing import share
from jaxstyle.synthesis.cache import Cache
from jaxstyle.synthesis.estimates import Outline, outlines
from jaxstyle.synthesis.preparation import read_images
from jaxstyle.synthesis.tiles import Sides


class Program(NamedTuple):
    """A program that will be compiled, and the members of a sweep that share it.

    Attributes:
      outline: what it computes; of the largest style image, where the members' differ in size.
      members: in the sweep's order.
      evaluations: of loss and gradient, expected of all members together.
    """

    outline: Outline
    members: tuple[Member, ...]
    evaluations: int


class OutlinedMember(NamedTuple):
    """A member of a sweep, and what it will compute.

    Attributes:
      member: which.
      outlines: at each scale.
    """

    member: Member
    outlines: list[Outline]


def outline_members(
    members: Sequence[Member],
    load_weights: Callable[[str], Weights],
    *,
    source: str = "",
    finished: Collection[int] = (),
    devices: Devices = 1,
    sides: Mapping[int, Sides] = MappingProxyType({}),
) -> list[OutlinedMember]:
    """Says what the members of a sweep will compute, reading together what they can.

    Args:
      members: of a sweep, or one experiment.
      load_weights: called once for every set of weights.
      source: what to call the sweep in messages.
      finished: the indices of those of which nothing is wanted any more: they are left out, and their images not read.
      devices: over how many an image is spread.
      sides: the tiles of those members that have begun, by their indices.

    Raises:
      JaxstyleError: images or weights of some members cannot be had, or are too small; each problem on a line, with
        the first member that has it.
    """
    load, cache = functools.cache(load_weights), Cache()
    found: list[OutlinedMember] = []
    problems: dict[str, str] = {}
    for member, reads in zip(members, share([member.experiment for member in members]), strict=True):
        experiment = member.experiment
        if member.index in finished:
            continue
        try:
            images, weights = read_images(experiment, cache=cache), load(experiment.network.weights)
            options = {"reads": reads, "cache": cache, "devices": devices, "sides": sides.get(member.index, {})}
            of_scales = outlines(experiment, images, weights, **options)
            found.append(OutlinedMember(member, of_scales))
        except JaxstyleError as error:
            where = f"{source}: member {member.index} ({member.label}): " if member.values else ""
            problems.setdefault(str(error), where)
    if problems:
        raise JaxstyleError("\n".join(f"{where}{problem}" for problem, where in problems.items()))
    return found


def programs(members: Sequence[OutlinedMember]) -> list[Program]:
    """The optimizer's programs that the members need, in the order of their first members."""
    found: dict[Any, Program] = {}
    for member, of_scales in members:
        for outline in of_scales:
            before = found.get(outline.program, Program(outline, (), 0))
            found[outline.program] = Program(
                outline=max(before.outline, outline, key=_largest_style),
                members=(*before.members, member),
                evaluations=before.evaluations + expected_evaluations(outline.settings),
            )
    return list(found.values())


def _largest_style(outline: Outline) -> int:
    return max(map(math.prod, outline.style_sizes), default=0)
