"""What cannot be computed in tiles."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from jaxstyle.config.options import Normalize
from jaxstyle.network.layers import Padding
from jaxstyle.paper.terms import PositionTerm, StatisticTerm, Term

if TYPE_CHECKING:
    from jaxstyle.config.models import Experiment


def sums_over_positions(term: Term) -> bool:
    """Whether tiles can be read one after another: a term that does not read the network need not be asked."""
    return not term.layers or isinstance(term, PositionTerm | StatisticTerm)


def obstacles(experiment: "Experiment") -> Iterator[str]:
    """Yields why an experiment's images cannot go through the network in tiles."""
    if experiment.network.padding is not Padding.ZEROS:
        yield f'network.padding = "{experiment.network.padding}" needs the other side of the image, or its border twice'
    if experiment.loss.normalize is Normalize.GRADIENTS:
        yield 'loss.normalize = "gradients" divides by a sum over the gradient of the whole image'
    names = [term.name for added in experiment.loss.terms for term in added.build() if not sums_over_positions(term)]
    if names:
        yield f"{', '.join(names)} are no sums over positions"


def tile_problems(experiment: "Experiment") -> Iterator[tuple[tuple[str, ...], str]]:
    """Yields what is wrong with the side of tiles that is given."""
    tile = experiment.image.tile
    if isinstance(tile, int) and tile and (found := "; ".join(obstacles(experiment))):
        yield ("image", "tile"), f'found {tile}, but {found}; allowed: 0, "auto"'
