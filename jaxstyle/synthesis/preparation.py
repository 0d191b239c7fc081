"""Images and an experiment → everything that is needed to optimize, at each scale."""

import dataclasses
import functools
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from jaxstyle.config import Experiment, StartMethod, StyleSize
from jaxstyle.config.regions import CONTENT_MASK, STYLE_MASK
from jaxstyle.devices import memory
from jaxstyle.devices.jax_settings import pinned
from jaxstyle.devices.sharding import Devices, count_devices, mesh_over, place, replicate
from jaxstyle.images import LoadedImage, fit_style, gallery, read_image, resize_to
from jaxstyle.network.layers import Layout
from jaxstyle.network.weights import Preprocessing
from jaxstyle.optimizers import Settings
from jaxstyle.paper.objective import Objective, Problem, Targets, compute_targets
from jaxstyle.synthesis.bounds import Bounds, bounds_of
from jaxstyle.synthesis.cache import Cache
from jaxstyle.synthesis.loss_terms import Terms, terms_of
from jaxstyle.synthesis.noise import standard_normal
from jaxstyle.synthesis.objectives import AnyNetwork, build_objective, decisive, filters_of, spread_over, traced_weights
from jaxstyle.synthesis.planning import fitting, plan
from jaxstyle.synthesis.recolouring import recolour
from jaxstyle.synthesis.regions import (
    guides_of,
    identity,
    kept_of_result,
    masks_of_result,
    masks_of_style,
    read_masks,
    style_targets,
    with_kept,
)
from jaxstyle.synthesis.scales import Scale
from jaxstyle.synthesis.sources import SourceImages, result_shape, style_fit
from jaxstyle.synthesis.tiles import Sides, in_tiles
from jaxstyle.units import GREY_LEVEL

MOST_IMAGES = 8
"""How many images, and what was measured on how many, are kept for the next member of a sweep."""
MOST_BYTES = 1 << 29
"""What the images take together that are kept: two of 20 megapixels, or eight of 5."""


class _Measured(NamedTuple):
    """An image at one size, and what was measured on it."""

    pixels: Float[np.ndarray, "height width 3"]
    targets: Targets


@dataclasses.dataclass(frozen=True)
class Prepared:
    """An experiment made ready to optimize at one scale.

    Attributes:
      scale: the long side and the steps.
      objective: what is static about the loss; on one device, and in tiles or not, the same at every scale.
      problem: what is traced about it.
      start: the image to start from at this scale, sRGB in [0, 1].
      settings: the optimizer and its options.
      content: the content image at this scale's size, if there is one.
      styles: the style images as they are measured at this scale.
      keep: what of the content stays unchanged, if anything does, by the guides' names.
    """

    scale: Scale
    objective: Objective
    problem: Problem
    start: Float[np.ndarray, "height width 3"]
    settings: Settings
    content: Float[np.ndarray, "height width 3"] | None
    styles: tuple[Float[np.ndarray, "_ _ 3"], ...] = ()
    keep: Mapping[str, Float[np.ndarray, "height width _"]] = dataclasses.field(default_factory=dict)

    def shown(self, image: Float[np.ndarray, "height width 3"]) -> Float[np.ndarray, "height width 3"]:
        """What an image that is being optimized stands for: with what is kept in its place."""
        return with_kept(image, self.keep)


def read_images(
    experiment: Experiment, given: Mapping[str, LoadedImage] | None = None, *, cache: Cache | None = None
) -> SourceImages:
    """Reads the images that an experiment names.

    Args:
      experiment: names files, images of the registry, or keys of `given`.
      given: images that are there already.
      cache: what other experiments have read.

    Raises:
      JaxstyleError: an image is missing or cannot be read.
    """

    cache = cache or Cache()

    def read(name: str) -> LoadedImage:
        if given and name in given:
            return given[name]
        path = gallery.resolve(name, relative_to=Path.cwd())
        loaded = cache("image", path, lambda: read_image(path), most=MOST_IMAGES, size=_bytes, room=MOST_BYTES)
        note = gallery.scan_note(name, path)
        return dataclasses.replace(loaded, notes=(*loaded.notes, note)) if note else loaded

    image, start = experiment.image, experiment.start.method
    return SourceImages(
        content=read(image.content) if image.content else None,
        style=tuple(read(style.image) for style in image.style),
        start=None if start in list(StartMethod) else read(start),
        masks=read_masks(experiment, read),
    )


def _bytes(image: LoadedImage) -> int:
    return image.pixels.nbytes


def coloured(experiment: Experiment, images: SourceImages) -> SourceImages:
    """The images with the colours that they are compared in."""
    weights = [style.weight for style in experiment.image.style]
    sources = recolour(experiment.colour, images.content, images.style, images.start, weights)
    return SourceImages(*sources, masks=images.masks)


@pinned()
def prepare(
    experiment: Experiment,
    images: SourceImages,
    weights: AnyNetwork,
    *,
    scales: Sequence[Scale] | None = None,
    reads: Terms | None = None,
    cache: Cache | None = None,
    devices: Devices = 1,
    sides: Sides = MappingProxyType({}),
) -> tuple[Prepared, ...]:
    """Computes targets, coefficients and start of every scale, the result's own last.

    The images of each scale are resized from the originals; the network is read only as deep as is asked for.

    Args:
      experiment: what to optimize.
      images: its images.
      weights: its network.
      scales: those wanted; by default all that `plan` gives.
      reads: what to read besides with weight 0, as other members of a sweep do; by default only what it asks for.
      cache: what other experiments have built and measured.
      devices: over how many to spread the image, by its rows.
      sides: those of the tiles where `image.tile = "auto"` was decided before.

    Raises:
      JaxstyleError: an image is too small for the deepest layer, or there are not so many devices.
    """
    cache = cache or Cache()
    planned = plan(experiment, images, weights.layout)
    images = coloured(experiment, images)
    reads = fitting(experiment, images, planned, reads, weights.layout)
    objective, parameters = cache(
        "network",
        (*decisive(experiment), weights.sha256, reads, count_devices(devices)),
        lambda: _on_devices(devices, *build_objective(experiment, weights, reads, devices)),
    )

    def prepare_at(scale: Scale) -> Prepared:
        own = of_size(objective, experiment, result_shape(experiment, images, scale.size), scale, devices, sides)
        return _prepare_scale(experiment, images, own, parameters, weights, cache, scale)

    return tuple(prepare_at(scale) for scale in scales or planned)


def _on_devices(devices: Devices, objective: Objective, parameters: Any) -> tuple[Objective, Any]:
    return objective, replicate(mesh_over(devices), parameters)


def of_size(
    objective: Objective,
    experiment: Experiment,
    size: tuple[int, int],
    scale: Scale,
    devices: Devices,
    sides: Sides,
) -> Objective:
    """The objective of an image of (height, width) at a scale, spread over so many devices, or in tiles.

    Raises:
      JaxstyleError: there are not so many devices, or tiles are asked for where there cannot be any.
    """
    settings = settings_of(experiment, scale, None)
    spread = spread_over(objective, devices, size[0])
    return in_tiles(spread, experiment, size, settings, memory.in_all(), chosen=sides.get(scale.size))


def white_noise(seed: int, size: tuple[int, int], preprocessing: Preprocessing) -> Float[np.ndarray, "height width 3"]:
    """White noise around the network's mean colour, with a standard deviation of one grey level.

    As in Gatys' texture code: normal with σ = 1 in the network's mean-subtracted units of 0–255.
    """
    noise = standard_normal(seed, (*size, 3))
    return noise * np.float32(GREY_LEVEL) + np.asarray(preprocessing.mean_colour, np.float32)


def _prepare_scale(
    experiment: Experiment,
    images: SourceImages,
    objective: Objective,
    parameters: Any,
    weights: AnyNetwork,
    cache: Cache,
    scale: Scale,
) -> Prepared:
    size, layout = result_shape(experiment, images, scale.size), weights.layout
    filters = filters_of(objective, layout, size)
    over_result = masks_of_result(experiment, images.masks, size)

    def measure(image: LoadedImage, objective: Objective, masks: Mapping[str, Any], role: str, **fit: Any) -> _Measured:
        guided = identity(experiment, images.masks, role, masks)
        draws = objective.draws(scale.block, filters)
        block = scale.block if draws else 0
        key = (image.sha256, guided, *fit.values(), objective, experiment.network, weights.sha256, block)
        measured = functools.partial(_measured, experiment, image, objective, parameters, masks, fit, draws, layout)
        return cache("statistics", key, measured, most=MOST_IMAGES)

    content = None
    if images.content:
        fit = {"height": size[0], "width": size[1], "rule": str(StyleSize.CONTENT)}
        content = measure(images.content, objective.only("content"), over_result, CONTENT_MASK, **fit)
    styles = []
    for index, image in enumerate(images.style):
        fit = style_fit(experiment, images, index, scale.size)
        masks = masks_of_style(experiment, images.masks, index, image.pixels.shape, **fit)
        styles.append(measure(image, objective, masks, STYLE_MASK, **fit))
    sources = [source.pixels for source in (content, *styles) if source is not None]
    of_styles = style_targets(experiment, objective, [style.targets for style in styles])
    keep = kept_of_result(images.masks, content.pixels if content else None)
    guides = guides_of(experiment, objective.guides, over_result, size, layout)
    guides |= objective.draws(scale.block, filters)
    weighed = traced_weights(experiment, objective, layout, size, scale.content_factor)
    return Prepared(
        scale=scale,
        objective=objective,
        problem=Problem(
            parameters=parameters,
            targets={**(content.targets if content else {}), **of_styles},
            weights=replicate(objective.bands and objective.bands.mesh, weighed),
            guides={name: place(objective.bands, array) for name, array in {**guides, **keep}.items()},
        ),
        start=with_kept(_start(experiment, images, size, weights.preprocessing), keep),
        settings=settings_of(experiment, scale, bounds_of(experiment.optimizer.bounds, sources, weights.preprocessing)),
        content=content.pixels if content else None,
        styles=tuple(style.pixels for style in styles),
        keep=keep,
    )


def _measured(
    experiment: Experiment,
    image: LoadedImage,
    objective: Objective,
    parameters: Any,
    masks: Mapping[str, Any],
    fit: Mapping[str, Any],
    draws: Mapping[str, np.ndarray],
    layout: Layout,
) -> _Measured:
    pixels = fit_style(image.pixels, **fit)
    found = guides_of(experiment, objective.guides, masks, pixels.shape[:2], layout)
    guides = {name: place(objective.bands, array) for name, array in {**found, **draws}.items()}
    return _Measured(pixels, compute_targets(objective, jnp.asarray(pixels), parameters, guides))


def _start(
    experiment: Experiment, images: SourceImages, shape: tuple[int, int], preprocessing: Preprocessing
) -> Float[np.ndarray, "height width 3"]:
    method = experiment.start.method
    if method == StartMethod.NOISE:
        return white_noise(experiment.start.seed, shape, preprocessing)
    role = method if method in list(StartMethod) else "start"
    return resize_to(images.by_role()[role].pixels, *shape)


def settings_of(experiment: Experiment, scale: Scale, bounds: Bounds | None) -> Settings:
    """The optimizer and its options at one scale.

    Args:
      experiment: says what they are.
      scale: says how many steps.
      bounds: what its rule makes of the source images at that scale.
    """
    chosen = experiment.optimizer
    return Settings(
        method=chosen.build(),
        iterations=scale.iterations,
        tolerance=chosen.tolerance,
        bounds=bounds,
        terms=tuple(term.name for term in terms_of(experiment)),
    )
