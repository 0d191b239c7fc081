"""The terms that an experiment asks for, with their weights."""

import math
from collections.abc import Iterable, Sequence
from typing import TypeAlias

from jaxstyle.config import Experiment
from jaxstyle.config.regions import compares_content_by_region
from jaxstyle.network.layers import FILTERS, INPUTS, KERNEL_SIZE, LAYERS, downsampling
from jaxstyle.network.vgg import deepest
from jaxstyle.paper.terms import Content, LayerTerm, Style, Term, TotalVariation
from jaxstyle.terms.guided import Guided

Terms: TypeAlias = tuple[Term, ...]
"""What a loss is the sum of: all of it that decides the compiled program."""


def weights_of(experiment: Experiment) -> dict[Term, float]:
    """An experiment's own terms with their weights; those that it weighs 0 are among them."""
    loss, image = experiment.loss, experiment.image
    convention = str(loss.convention)
    found: dict[Term, float] = {}
    if image.content:
        found |= {Content(layer, convention): loss.content_weight * own for layer, own in loss.content_layers.items()}
    if image.style:
        found |= {Style(layer, convention): loss.style_weight * own for layer, own in loss.style_layers.items()}
    if loss.tv_weight > 0:
        found[TotalVariation()] = loss.tv_weight
    for added in loss.terms:
        found |= {term: added.weight * own for term, own in added.build().items()}
    return _by_region(experiment, found) if image.regions else found


def _by_region(experiment: Experiment, terms: dict[Term, float]) -> dict[Term, float]:
    """The terms that compare region by region once for each region, by the regions' weights."""
    regions, guided = experiment.image.regions, {str(kind) for kind in experiment.loss.guided}
    total = sum(region.weight for region in regions.values())
    found: dict[Term, float] = {}
    for term, weight in terms.items():
        if isinstance(term, Content) and compares_content_by_region(regions):
            own = {name: 1.0 if it.content_weight is None else it.content_weight for name, it in regions.items()}
        elif isinstance(term, LayerTerm) and term.source == "style" and term.kind in guided:
            own = {name: region.weight / total for name, region in regions.items()}
        else:
            found[term] = weight
            continue
        found |= {Guided(term, name): weight * share for name, share in own.items()}
    return found


def terms_of(experiment: Experiment) -> Terms:
    """An experiment's own terms."""
    return tuple(weights_of(experiment))


def layers_of(terms: Iterable[Term], source: str | None = None) -> tuple[str, ...]:
    """The layers that terms read, each once; of one source, those of its terms alone."""
    wanted = (term for term in terms if source is None or term.source == source)
    return tuple(dict.fromkeys(layer for term in wanted for layer in term.layers))


def products_per_pixel(layers: Sequence[str]) -> float:
    """Products for each pixel of the image on the way to the deepest layer, counted as in the plain sums."""
    if not layers:
        return 0.0
    way = LAYERS[: LAYERS.index(deepest(layers)) + 1]
    return sum(KERNEL_SIZE**2 * INPUTS[layer] * FILTERS[layer] / 4 ** downsampling(layer) for layer in way)


def responses_per_pixel(layers: Sequence[str]) -> int:
    """Responses for each pixel of the image, of all layers on the way to the deepest, rounded up."""
    way = LAYERS[: LAYERS.index(deepest(layers)) + 1] if layers else ()
    return math.ceil(sum(FILTERS[layer] / 4 ** downsampling(layer) for layer in way))
