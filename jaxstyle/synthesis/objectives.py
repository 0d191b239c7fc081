"""The loss of an experiment: what is static about it, how deep the network is read, and the weights that are traced."""

import dataclasses
from typing import Any, TypeAlias

import jax
import numpy as np
from jaxtyping import Array

from jaxstyle.config import Experiment
from jaxstyle.config.options import Normalize
from jaxstyle.devices.sharding import Bands, Devices, mesh_over
from jaxstyle.network.feature_network import FeatureNetwork
from jaxstyle.network.layers import Layout
from jaxstyle.network.vgg import VGG, split
from jaxstyle.network.weights import Weights
from jaxstyle.paper.objective import Objective
from jaxstyle.paper.terms import Content, Style, Term
from jaxstyle.synthesis.loss_terms import Terms, layers_of, terms_of, weights_of
from jaxstyle.terms.guided import plain

AnyNetwork: TypeAlias = Weights | FeatureNetwork
"""What gives features: weights of a VGG, or a network of one's own."""


def build_objective(
    experiment: Experiment, weights: AnyNetwork, reads: Terms | None = None, devices: Devices = 1
) -> tuple[Objective, Any]:
    """The objective, and the parameters of the network as deep as is read: by default, as the experiment asks.

    For several devices its convolutions are XLA's own, of which devices exchange a few rows: the tiles of Winograd's
    algorithm do not end where the bands do, so that whole feature maps would be gathered.
    """
    terms = reads or terms_of(experiment)
    normalizes = experiment.loss.normalize is Normalize.GRADIENTS
    if isinstance(weights, FeatureNetwork):
        return Objective(weights.static, terms, normalizes=normalizes), weights.parameters
    network = VGG(
        weights.parameters,
        weights.preprocessing,
        layers=layers_of(terms),
        pooling=str(experiment.network.pooling),
        padding=str(experiment.network.padding),
        precision=str(experiment.network.precision),
        convolution=None if mesh_over(devices) is None else "direct",
    )
    features, parameters = split(network)
    return Objective(features, terms, normalizes=normalizes), parameters


def decisive(experiment: Experiment) -> tuple[Any, ...]:
    """What of an experiment decides its objective, besides the terms."""
    return experiment.network, experiment.loss.convention, experiment.loss.normalize is Normalize.GRADIENTS


def filters_of(objective: Objective, layout: Layout, size: tuple[int, int]) -> dict[str, int]:
    """How many channels the layers have that an objective reads, of an image of that size."""
    return {layer: layout.shape(size, layer)[-1] for layer in objective.layers}


def traced_weights(
    experiment: Experiment, objective: Objective, layout: Layout, size: tuple[int, int], of_content: float = 1.0
) -> dict[str, Array]:
    """The weights of the objective's terms, those of content times `of_content`; 0 where the experiment asks for none.

    With `loss.normalize = "weights"` those of content and style are divided by the longest side of their targets: of a
    Gram matrix the number of filters, of features the largest of filters, height and width.
    """

    def longest(term: Term) -> int:
        if experiment.loss.normalize is not Normalize.WEIGHTS or not isinstance(plain(term), Content | Style):
            return 1
        shape = layout.shape(size, *term.layers)
        return shape[-1] if isinstance(plain(term), Style) else max(shape)

    def times(term: Term) -> float:
        return of_content if term.source == "content" else 1.0

    own = {term.name: weight * times(term) / longest(term) for term, weight in weights_of(experiment).items()}
    return jax.device_put({name: np.float32(own.get(name, 0.0)) for name in objective.names})


def spread_over(objective: Objective, devices: Devices, height: int) -> Objective:
    """The objective of an image of that height, spread over so many devices."""
    mesh = mesh_over(devices)
    return objective if mesh is None else dataclasses.replace(objective, bands=Bands(mesh, height))
