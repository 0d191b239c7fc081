"""Which layers the members of a sweep read together, so that they share compiled programs.

A member reads a layer of the union that it has not asked for with weight 0.
"""

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from jaxstyle.config import Experiment
from jaxstyle.layers import FILTERS, INPUTS, KERNEL_SIZE, LAYERS, downsampling
from jaxstyle.vgg import deepest

MOST_EXTRA = 0.05
"""Members share a program if that adds no more than this to the work of all of them, …"""
COMPILING = 2e11
"""… or no more products than are made in the time that compiling takes: 4 s on a CPU (docs/performance.md)."""


class Reads(NamedTuple):
    """What of a picture a loss looks at; with the convention, all of the loss that decides the compiled program.

    Attributes:
      content: layers of the content term.
      style: layers of the style term.
      tv: whether the total variation is looked at.
    """

    content: tuple[str, ...]
    style: tuple[str, ...]
    tv: bool

    @property
    def layers(self) -> tuple[str, ...]:
        """All layers, those of the content first."""
        return *self.content, *self.style

    @property
    def terms(self) -> tuple[str, ...]:
        """The names of the loss's terms."""
        content = tuple(f"content/{layer}" for layer in self.content)
        style = tuple(f"style/{layer}" for layer in self.style)
        return content + style + (("tv",) if self.tv else ())


def reads_of(experiment: Experiment) -> Reads:
    """What an experiment asks for itself; layers that it weighs 0 are among them."""
    loss, image = experiment.loss, experiment.image
    return Reads(
        content=tuple(loss.content_layers) if image.content else (),
        style=tuple(loss.style_layers) if image.style else (),
        tv=loss.tv_weight > 0,
    )


def share(experiments: Sequence[Experiment]) -> list[Reads]:
    """What each experiment is to read so that few programs serve all of them, at little extra work.

    Only experiments of one network, one convention and the same kinds of pictures can share a program. Of those, the
    ones that read deep take in the next shallower ones as long as computing these as deep costs little
    (`MOST_EXTRA`, `COMPILING`).

    Args:
      experiments: without sweeps.

    Returns:
      For each experiment the union of what its group reads.
    """
    families: dict[Any, list[int]] = {}
    for index, experiment in enumerate(experiments):
        families.setdefault(_family(experiment), []).append(index)
    found: dict[int, Reads] = {}
    for family in families.values():
        for group in _groups(family, experiments):
            found |= dict.fromkeys(group, _union(reads_of(experiments[index]) for index in group))
    return [found[index] for index in range(len(experiments))]


def _family(experiment: Experiment) -> Any:
    image, network = experiment.image, experiment.network
    return bool(image.content), bool(image.style), network.pooling, network.precision, experiment.loss.convention


def _groups(family: Sequence[int], experiments: Sequence[Experiment]) -> list[list[int]]:
    """Members that are to share what they read; those that read equally deep always do."""
    levels: dict[float, list[int]] = {}
    for index in family:
        levels.setdefault(products_per_pixel(reads_of(experiments[index])), []).append(index)
    groups: list[list[int]] = []
    for _, level in sorted(levels.items(), reverse=True):
        if groups and _is_worth([experiments[index] for index in (*groups[-1], *level)]):
            groups[-1] += level
        else:
            groups.append(level)
    return groups


def _is_worth(experiments: Sequence[Experiment]) -> bool:
    """Whether to compute all experiments as deep as the deepest of them."""
    products = [products_per_pixel(reads_of(experiment)) for experiment in experiments]
    pixels = [experiment.image.size**2 * experiment.optimizer.iterations for experiment in experiments]
    alone = sum(each * count for each, count in zip(products, pixels, strict=True))
    return max(products) * sum(pixels) - alone <= max(MOST_EXTRA * alone, COMPILING)


def products_per_pixel(reads: Reads) -> float:
    """Products for each pixel of the picture on the way to the deepest layer, counted as in the plain sums."""
    if not reads.layers:
        return 0.0
    way = LAYERS[: LAYERS.index(deepest(reads.layers)) + 1]
    return sum(KERNEL_SIZE**2 * INPUTS[layer] * FILTERS[layer] / 4 ** downsampling(layer) for layer in way)


def _union(group: Iterable[Reads]) -> Reads:
    content, style, tv = zip(*group, strict=True)
    return Reads(_in_order(content), _in_order(style), any(tv))


def _in_order(subsets: Iterable[Sequence[str]]) -> tuple[str, ...]:
    wanted = {layer for subset in subsets for layer in subset}
    return tuple(layer for layer in LAYERS if layer in wanted)
