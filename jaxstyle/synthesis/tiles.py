"""An objective whose image goes through the network in tiles: the same loss, gradient and targets, in less memory."""

import dataclasses
from collections.abc import Mapping
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp
from jaxtyping import Array

from jaxstyle.config import Experiment, TileRule
from jaxstyle.config.tiles import obstacles
from jaxstyle.errors import JaxstyleError
from jaxstyle.network.blocks import Maps
from jaxstyle.network.layers import VGGLayout
from jaxstyle.network.tiles import fold
from jaxstyle.network.vgg import VGGFeatures
from jaxstyle.optimizers import Settings, state_bytes
from jaxstyle.paper.objective import Objective, Problem, Targets, Values, gated, weighted
from jaxstyle.paper.terms import Features, Image, PositionTerm, StatisticTerm, Term
from jaxstyle.synthesis.loss_terms import responses_per_pixel
from jaxstyle.terms.guided import Guided, plain

Sides: TypeAlias = Mapping[int, int]
"""The side of the tiles in pixels by a scale's size; 0: the whole image at once."""


@dataclasses.dataclass(frozen=True)
class Tiles:
    """Computes terms that are sums over positions tile by tile, and terms on the pixels at once.

    Attributes:
      side: of the tiles in pixels.
    """

    side: int

    def __str__(self) -> str:
        """Returns `tiles of 256 pixels`."""
        return f"tiles of {self.side} pixels"

    def values(self, objective: Objective, image: Image, problem: Problem) -> Values:
        """The weighted terms."""
        counts = {name: weight != 0 for name, weight in problem.weights.items()}
        read = _Sums(objective.terms, image.shape[:2])
        maps = _maps(objective, problem.guides, problem.targets)
        sums, _ = self._folded(objective, problem.parameters, image, read, maps, counts)
        values: Values = {}
        for term in objective.terms:
            weight, target = problem.weights[term.name], problem.targets.get(term.name)
            if not term.layers:
                values[term.name] = weighted(term, weight, image, {}, target)
                continue
            found, own = sums[term.name], plain(term)
            if isinstance(own, StatisticTerm):
                found = own.distance(own.statistic(found), target)
            values[term.name] = jnp.where(counts[term.name], weight * found, 0.0)
        return values

    def targets(self, objective: Objective, image: Image, parameters: Any, guides: Mapping[str, Array]) -> Targets:
        """The targets that an image gives."""
        read = _Sums(objective.terms, image.shape[:2], measures=True)
        sums, whole = self._folded(objective, parameters, image, read, _maps(objective, guides, {}), None)
        found: Targets = {}
        for term in objective.terms:
            own = plain(term)
            if term.source and not term.layers:
                found[term.name] = term.target(image, {})
            elif isinstance(own, StatisticTerm):
                found[term.name] = own.statistic(sums[term.name])
            elif isinstance(own, PositionTerm):
                found[term.name] = whole[term.name]
        return found

    def _folded(
        self, objective: Objective, parameters: Any, image: Image, read: "_Sums", maps: Mapping[str, Maps], counts: Any
    ) -> tuple[dict[str, Any], dict[str, Array]]:
        if not objective.layers:
            return {}, {}
        network = objective.network
        assert isinstance(network, VGGFeatures)
        return fold(
            network,
            parameters,
            image,
            objective.layers,
            read,
            side=self.side,
            maps=maps,
            given=counts,
            differentiable=not read.measures,
        )


@dataclasses.dataclass(frozen=True)
class _Sums:
    """What terms read of a tile's features.

    Attributes:
      terms: which.
      size: (height, width) of the whole image.
      measures: whether their targets are wanted, not what they compare with targets.
    """

    terms: tuple[Term, ...]
    size: tuple[int, ...]
    measures: bool = False

    def __call__(
        self, features: Features, maps: Maps, counts: Mapping[str, Array] | None
    ) -> tuple[dict[str, Any], dict[str, Array]]:
        """The terms' sums over the tile, and the targets that have positions."""
        sums: dict[str, Any] = {}
        parts: dict[str, Array] = {}
        for term in self.terms:
            own = plain(term)
            if not isinstance(own, PositionTerm | StatisticTerm) or own.layer not in features:
                continue
            responses = _responses(term, features, maps)
            if counts is not None:
                responses = gated(counts[term.name], responses)
            height, width, filters = VGGLayout().shape(self.size, own.layer)
            if isinstance(own, StatisticTerm):
                share = responses.shape[0] * responses.shape[1] / (height * width)
                sums[term.name] = jax.tree.map(lambda array, share=share: share * array, own.means(responses))
            elif self.measures:
                parts[term.name] = responses
            else:
                target = maps[_target(term)]
                sums[term.name] = own.scale(height, width, filters) * own.difference(responses, target)
        return sums, parts


def _responses(term: Term, features: Features, maps: Maps) -> Array:
    """What a term compares of a tile."""
    if isinstance(term, Guided):
        guides = {guide.name: maps[_guide(guide.name)] for guide in term.guides}
        features = term.guided({**features, **guides})
    (layer,) = term.layers
    return features[layer]


def _maps(objective: Objective, guides: Mapping[str, Array], targets: Mapping[str, Any]) -> Mapping[str, Maps]:
    """The guides and the targets that have positions, by layer."""
    found: dict[str, dict[Any, Array]] = {layer: {} for layer in objective.layers}
    for guide in objective.guides:
        found[guide.layer][_guide(guide.name)] = guides[guide.name]
    for term in objective.terms:
        own = plain(term)
        if isinstance(own, PositionTerm) and term.name in targets:
            found[own.layer][_target(term)] = targets[term.name]
    return found


def _guide(name: str) -> tuple[str, str]:
    return "guide", name


def _target(term: Term) -> tuple[str, str]:
    return "target", term.name


WHOLE = 2
"""An evaluation of the whole image holds at most so many times the features of all layers; measured."""
SIDE = 256
"""The side of the tiles in pixels where "auto" uses them."""
MARGIN = 0.9
"""The share of the available memory that the whole image may take, by the rough estimate made here."""


def in_tiles(
    objective: Objective,
    experiment: Experiment,
    size: tuple[int, int],
    settings: Settings,
    available: int | None,
    *,
    chosen: int | None = None,
) -> Objective:
    """The objective for an image of (height, width), in tiles if the experiment asks for them or memory requires it.

    Args:
      objective: of the whole image.
      experiment: `image.tile` says whether.
      size: of the image.
      settings: the optimizer, whose state lies beside the features.
      available: the bytes that there are in all; None where nobody says.
      chosen: the side that "auto" gave before, 0 for the whole image; None if it has not been asked yet.

    Raises:
      JaxstyleError: a side is given, but the image is on several devices, or the network is no VGG.
    """
    tile = experiment.image.tile
    if tile == 0:
        return objective
    missing = []
    if not isinstance(objective.network, VGGFeatures):
        missing.append("the network is a function of your own")
    if objective.bands is not None:
        missing.append("the image is spread over several devices")
    if tile is not TileRule.AUTO:
        if missing:
            raise JaxstyleError(f'image.tile: found {tile}, but {"; ".join(missing)}; allowed: 0, "auto"')
        return dataclasses.replace(objective, parts=Tiles(tile))
    if missing or any(obstacles(experiment)):
        return objective
    if chosen is None:
        fits = available is None or _whole_bytes(objective, size, settings) <= MARGIN * available
        chosen = 0 if fits else SIDE
    return dataclasses.replace(objective, parts=Tiles(chosen) if chosen else None)


def side_of(objective: Objective) -> int:
    """The side of the tiles in pixels; 0 where the image is not in tiles."""
    return objective.parts.side if isinstance(objective.parts, Tiles) else 0


def _whole_bytes(objective: Objective, size: tuple[int, int], settings: Settings) -> int:
    """About what an evaluation of the whole image takes at once, with the optimizer's state."""
    height, width = size
    image = jax.ShapeDtypeStruct((height, width, 3), jnp.float32)
    return WHOLE * 4 * responses_per_pixel(objective.layers) * height * width + state_bytes(objective, image, settings)
