"""Coarse to fine: at which sizes an image is optimized, and how the steps are shared among them."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import NamedTuple

RATIO = math.sqrt(2)
"""Each scale's long side over that of the one before: twice the pixels."""
SMALLEST = 64
"""No scale of the ladder is smaller: the deepest style layer has four positions across it."""
STEPS, LAST_STEPS = 100, 90
"""Steps of each scale where a run is to be fast, and of those larger than half the last."""


class Scale(NamedTuple):
    """One size at which the image is optimized.

    Attributes:
      size: the long side in pixels.
      iterations: steps of the optimizer at most.
      block: which part of the steps at this size; in each, what terms draw at random is another, and the optimizer
        begins afresh.
      content_factor: what the weights of content are multiplied by at this size.
    """

    size: int
    iterations: int
    block: int = 0
    content_factor: float = 1.0


def ladder(size: int) -> tuple[int, ...]:
    """Long sides that lead up to `size`, each √2 times the one before.

    Examples:
      >>> ladder(512)
      (64, 91, 128, 181, 256, 362, 512)
    """
    steps = max(0, math.floor(math.log(size / SMALLEST, RATIO) + 1e-9))
    return tuple(round(size / RATIO**step) for step in range(steps, -1, -1))


def share(iterations: int, sizes: Sequence[int]) -> tuple[Scale, ...]:
    """Shares steps equally among sizes; those that are left over go to the smallest.

    On the ladder each scale then costs twice as much as the one before, and all together less than twice the last.

    Args:
      iterations: of all scales together, at least as many as there are sizes.
      sizes: long sides, rising.

    Examples:
      >>> [(scale.size, scale.iterations) for scale in share(101, (64, 128))]
      [(64, 51), (128, 50)]
    """
    each, over = divmod(iterations, len(sizes))
    return tuple(Scale(size, each + (index < over)) for index, size in enumerate(sizes))


def fast(iterations: int, sizes: Sequence[int]) -> tuple[Scale, ...]:
    """Scales that give an image in a fraction of the time: about as many steps at each, and more content below.

    Content's weight is inversely as the long side: a small image holds its style more tightly, so that with equal
    weights content is hardly found at all.

    Args:
      iterations: of each scale at most.
      sizes: long sides, rising.

    Examples:
      >>> [(scale.size, scale.iterations, scale.content_factor) for scale in fast(500, (64, 128))]
      [(64, 100, 2.0), (128, 90, 1.0)]
    """
    last = sizes[-1]
    steps = {size: min(iterations, LAST_STEPS if 2 * size > last else STEPS) for size in sizes}
    return tuple(Scale(size, steps[size], content_factor=last / size) for size in sizes)


def in_blocks(scale: Scale, length: int) -> tuple[Scale, ...]:
    """Cuts a scale's steps into as few blocks of at most `length` as there can be, all about as long; 0: one.

    Examples:
      >>> [(part.iterations, part.block) for part in in_blocks(Scale(64, 5), 2)]
      [(2, 0), (2, 1), (1, 2)]
    """
    count = math.ceil(scale.iterations / length) if length else 1
    parts = share(scale.iterations, [scale.size] * count)
    return tuple(scale._replace(iterations=part.iterations, block=block) for block, part in enumerate(parts))


def seconds_left(scales: Sequence[Scale], seen: Mapping[int, int], *, size: int, seconds: float) -> float:
    """How long a run will still take, if an iteration takes as long as its pixels are many.

    Args:
      scales: that the run goes through.
      seen: how many iterations there have been, by the image's size, the starts included.
      size: of the newest.
      seconds: spent so far.

    Examples:
      >>> seconds_left([Scale(64, 9)], {64: 5}, size=64, seconds=10.0)
      10.0
    """
    done = sum(count * long_side**2 for long_side, count in seen.items())
    planned: Counter[int] = Counter()
    for scale in scales:
        planned[scale.size] += 1 + scale.iterations
    ahead = sum(max(0, count - seen.get(each, 0)) * each**2 for each, count in planned.items() if each >= size)
    return seconds * ahead / done if done else 0.0
