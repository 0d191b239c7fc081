"""An experiment's terms, and which terms the members of a sweep compute together so that they share compiled programs.

A member computes a term of the union that it has not asked for with weight 0.
"""

from collections.abc import Iterable, Sequence
from typing import Any

from jaxstyle.config import Experiment
from jaxstyle.config.options import Normalize
from jaxstyle.network.layers import LAYERS
from jaxstyle.paper.terms import Content, Style, Term, TotalVariation
from jaxstyle.synthesis.loss_terms import Terms, layers_of, products_per_pixel, terms_of

MOST_EXTRA = 0.05
"""Members share a program if that adds no more than this to the work of all of them, …"""
COMPILING = 2e11
"""… or no more products than are made in the time that compiling takes: 4 s on a CPU (docs/notebook.md)."""


def share(experiments: Sequence[Experiment]) -> list[Terms]:
    """What each experiment is to compute so that few programs serve all of them, at little extra work.

    Only experiments of one network, one convention and the same kinds of images can share a program. Of those, the ones
    that read deep take in the next shallower ones as long as computing these as deep costs little (`MOST_EXTRA`,
    `COMPILING`).

    Args:
      experiments: without sweeps.

    Returns:
      For each experiment the union of its group's terms.
    """
    families: dict[Any, list[int]] = {}
    for index, experiment in enumerate(experiments):
        families.setdefault(_family(experiment), []).append(index)
    found: dict[int, Terms] = {}
    for family in families.values():
        for group in _groups(family, experiments):
            found |= dict.fromkeys(group, _union(terms_of(experiments[index]) for index in group))
    return [found[index] for index in range(len(experiments))]


def _family(experiment: Experiment) -> Any:
    """What experiments that share a program have in common; a term's name stands for one term only."""
    image, network = experiment.image, experiment.network
    added = frozenset(term for of_kind in experiment.loss.terms for term in of_kind.build())
    images = bool(image.content), bool(image.style), tuple(image.regions), image.keep is not None
    of_loss = experiment.loss.convention, experiment.loss.normalize is Normalize.GRADIENTS, added
    return images, network.pooling, network.padding, network.precision, of_loss


def _groups(family: Sequence[int], experiments: Sequence[Experiment]) -> list[list[int]]:
    """Members that are to share what they compute; those that read equally deep always do."""
    levels: dict[float, list[int]] = {}
    for index in family:
        levels.setdefault(products_per_pixel(layers_of(terms_of(experiments[index]))), []).append(index)
    groups: list[list[int]] = []
    for _, level in sorted(levels.items(), reverse=True):
        if groups and _is_worth([experiments[index] for index in (*groups[-1], *level)]):
            groups[-1] += level
        else:
            groups.append(level)
    return groups


def _is_worth(experiments: Sequence[Experiment]) -> bool:
    """Whether to compute all experiments as deep as the deepest of them."""
    products = [products_per_pixel(layers_of(terms_of(experiment))) for experiment in experiments]
    pixels = [experiment.image.size**2 * experiment.optimizer.iterations for experiment in experiments]
    alone = sum(each * count for each, count in zip(products, pixels, strict=True))
    return max(products) * sum(pixels) - alone <= max(MOST_EXTRA * alone, COMPILING)


def _union(group: Iterable[Terms]) -> Terms:
    """All terms, in an order that does not depend on the members': by kind, then by layer."""
    kinds = (Content.kind, Style.kind, TotalVariation.kind)

    def place(term: Term) -> Any:
        rank = kinds.index(term.kind) if term.kind in kinds else len(kinds)
        return rank, term.kind, [LAYERS.index(layer) for layer in term.layers], term.name

    return tuple(sorted({term for terms in group for term in terms}, key=place))
