"""Pictures and an experiment → everything that is needed to optimize, at each scale."""

import dataclasses
import functools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float

from jaxstyle.config import Experiment, Padding, ScaleRule, StartMethod, StyleSize
from jaxstyle.config.regions import CONTENT_MASK, STYLE_MASK
from jaxstyle.devices.jax_settings import pinned
from jaxstyle.devices.sharding import Bands, Devices, count_devices, mesh_over, place, replicate
from jaxstyle.errors import JaxstyleError
from jaxstyle.images import Picture, fit_shape, fit_style, gallery, read_picture, resize_to
from jaxstyle.network.vgg import VGG19, check_size, check_tileable, deepest
from jaxstyle.network.weights import Preprocessing, Weights
from jaxstyle.optimizers import Settings
from jaxstyle.paper.objective import Objective, Problem, Targets, measure
from jaxstyle.synthesis.bounds import Bounds, bounds_of
from jaxstyle.synthesis.cache import Cache
from jaxstyle.synthesis.loss_terms import Terms, layers_of, terms_of, weights_of
from jaxstyle.synthesis.noise import standard_normal
from jaxstyle.synthesis.pictures import Pictures, result_shape, style_fit
from jaxstyle.synthesis.recolouring import recolour
from jaxstyle.synthesis.regions import (
    guides_of,
    identity,
    kept_of_result,
    masks_of_result,
    masks_of_style,
    read_masks,
    refuse_lost_masks,
    style_targets,
    with_kept,
)
from jaxstyle.synthesis.scales import Scale, ladder, share
from jaxstyle.units import GREY_LEVEL

MOST_PICTURES = 8
"""How many pictures, and what was measured on how many, are kept for the next member of a sweep."""


class _Seen(NamedTuple):
    """A picture at one size, and what was measured on it."""

    pixels: Float[np.ndarray, "height width 3"]
    targets: Targets


@dataclasses.dataclass(frozen=True)
class Prepared:
    """An experiment made ready to optimize at one scale.

    Attributes:
      scale: the long side and the steps.
      objective: what is static about the loss; on one device the same at every scale.
      problem: what is traced about it.
      start: the picture to start from at this scale, sRGB in [0, 1].
      settings: the optimizer and its options.
      content: the content picture at this scale's size, if there is one.
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


def read_pictures(
    experiment: Experiment, given: Mapping[str, Picture] | None = None, *, cache: Cache | None = None
) -> Pictures:
    """Reads the pictures that an experiment names.

    Args:
      experiment: names files, pictures of the registry, or keys of `given`.
      given: pictures that are there already.
      cache: what other experiments have read.

    Raises:
      JaxstyleError: a picture is missing or cannot be read.
    """

    cache = cache or Cache()

    def read(name: str) -> Picture:
        if given and name in given:
            return given[name]
        path = gallery.resolve(name, relative_to=Path.cwd())
        picture = cache("picture", path, lambda: read_picture(path), most=MOST_PICTURES)
        note = gallery.scan_note(name, path)
        return dataclasses.replace(picture, notes=(*picture.notes, note)) if note else picture

    image, start = experiment.image, experiment.start.method
    return Pictures(
        content=read(image.content) if image.content else None,
        style=tuple(read(style.image) for style in image.style),
        start=None if start in list(StartMethod) else read(start),
        masks=read_masks(experiment, read),
    )


def coloured(experiment: Experiment, pictures: Pictures) -> Pictures:
    """The pictures with the colours that they are compared in."""
    weights = [style.weight for style in experiment.image.style]
    sources = recolour(experiment.colour, pictures.content, pictures.style, pictures.start, weights)
    return Pictures(*sources, masks=pictures.masks)


def plan(experiment: Experiment, pictures: Pictures) -> tuple[Scale, ...]:
    """The scales at which a picture is optimized, from small to the result's size.

    The ladder of `image.scales = "auto"` begins where every layer has something left, and has no more scales than
    there are iterations.

    Raises:
      JaxstyleError: the result, a listed scale, or a style picture there has nothing left at the deepest layer that
        reads it.
    """
    image, iterations = experiment.image, experiment.optimizer.iterations
    _check_sizes(experiment, pictures, image.size)
    if image.scales is ScaleRule.SINGLE:
        return share(iterations, (image.size,))
    if image.scales is ScaleRule.AUTO:
        sizes = [size for size in ladder(image.size) if _is_large_enough(experiment, pictures, size)]
        return share(iterations, sizes[-iterations:])
    for size in image.scales:
        try:
            _check_sizes(experiment, pictures, size)
        except JaxstyleError as error:
            raise JaxstyleError(f"image.scales: {size}: {error}") from None
    return share(iterations, image.scales)


@pinned()
def prepare(
    experiment: Experiment,
    pictures: Pictures,
    weights: Weights,
    *,
    scales: Sequence[Scale] | None = None,
    reads: Terms | None = None,
    cache: Cache | None = None,
    devices: Devices = 1,
) -> tuple[Prepared, ...]:
    """Computes targets, coefficients and start of every scale, the result's own last.

    The pictures of each scale are resized from the originals; the network is read only as deep as is asked for.

    Args:
      experiment: what to optimize.
      pictures: its pictures.
      weights: its network's parameters.
      scales: those wanted; by default all that `plan` gives.
      reads: what to read besides with weight 0, as other members of a sweep do; by default only what it asks for.
      cache: what other experiments have built and measured.
      devices: over how many to spread the picture, by its rows.

    Raises:
      JaxstyleError: a picture is too small for the deepest layer, or there are not so many devices.
    """
    cache = cache or Cache()
    planned = plan(experiment, pictures)
    pictures = coloured(experiment, pictures)
    reads = fitting(experiment, pictures, planned, reads)
    objective, parameters = cache(
        "network",
        (experiment.network, experiment.loss.convention, weights.sha256, reads, count_devices(devices)),
        lambda: _on_devices(devices, *build_objective(experiment, weights, reads, devices)),
    )

    def prepare_at(scale: Scale) -> Prepared:
        own = spread_over(objective, devices, result_shape(experiment, pictures, scale.size)[0])
        return _prepare_scale(experiment, pictures, own, parameters, weights, cache, scale)

    return tuple(prepare_at(scale) for scale in scales or planned)


def _on_devices(devices: Devices, objective: Objective, parameters: Any) -> tuple[Objective, Any]:
    return objective, replicate(mesh_over(devices), parameters)


def spread_over(objective: Objective, devices: Devices, height: int) -> Objective:
    """The objective of a picture of that height, spread over so many devices."""
    mesh = mesh_over(devices)
    return objective if mesh is None else dataclasses.replace(objective, bands=Bands(mesh, height))


def fitting(experiment: Experiment, pictures: Pictures, scales: Sequence[Scale], reads: Terms | None) -> Terms:
    """What is read: what is shared where the pictures are large enough for it, else what the experiment asks for."""
    if reads and all(_is_large_enough(experiment, pictures, scale.size, reads) for scale in scales):
        return reads
    return terms_of(experiment)


def white_noise(seed: int, size: tuple[int, int], preprocessing: Preprocessing) -> Float[np.ndarray, "height width 3"]:
    """White noise around the network's mean colour, with a standard deviation of one grey level.

    As in Gatys' texture code: normal with σ = 1 in the network's mean-subtracted units of 0–255.
    """
    noise = standard_normal(seed, (*size, 3))
    return noise * np.float32(GREY_LEVEL) + np.asarray(preprocessing.mean_colour, np.float32)


def _prepare_scale(
    experiment: Experiment,
    pictures: Pictures,
    objective: Objective,
    parameters: Any,
    weights: Weights,
    cache: Cache,
    scale: Scale,
) -> Prepared:
    size = result_shape(experiment, pictures, scale.size)
    over_result = masks_of_result(experiment, pictures.masks, size)

    def seen(picture: Picture, objective: Objective, masks: Mapping[str, Any], role: str, **fit: Any) -> _Seen:
        guided = identity(experiment, pictures.masks, role, masks)
        key = (picture.sha256, guided, *fit.values(), objective, experiment.network, weights.sha256)
        see = functools.partial(_see, experiment, picture, objective, parameters, masks, fit)
        return cache("statistics", key, see, most=MOST_PICTURES)

    content = None
    if pictures.content:
        fit = {"height": size[0], "width": size[1], "rule": str(StyleSize.CONTENT)}
        content = seen(pictures.content, objective.only("content"), over_result, CONTENT_MASK, **fit)
    styles = []
    for index, picture in enumerate(pictures.style):
        fit = style_fit(experiment, pictures, index, scale.size)
        masks = masks_of_style(experiment, pictures.masks, index, picture.pixels.shape, **fit)
        styles.append(seen(picture, objective, masks, STYLE_MASK, **fit))
    sources = [source.pixels for source in (content, *styles) if source is not None]
    of_styles = style_targets(experiment, objective, [style.targets for style in styles])
    keep = kept_of_result(pictures.masks, content.pixels if content else None)
    guides = guides_of(experiment, objective.guides, over_result, size)
    return Prepared(
        scale=scale,
        objective=objective,
        problem=Problem(
            parameters=parameters,
            targets={**(content.targets if content else {}), **of_styles},
            weights=replicate(objective.bands and objective.bands.mesh, traced_weights(experiment, objective)),
            guides={name: place(objective.bands, array) for name, array in {**guides, **keep}.items()},
        ),
        start=with_kept(_start(experiment, pictures, size, weights.preprocessing), keep),
        settings=settings_of(experiment, scale, bounds_of(experiment.optimizer.bounds, sources, weights.preprocessing)),
        content=content.pixels if content else None,
        styles=tuple(style.pixels for style in styles),
        keep=keep,
    )


def _see(
    experiment: Experiment,
    picture: Picture,
    objective: Objective,
    parameters: Any,
    masks: Mapping[str, Any],
    fit: Mapping[str, Any],
) -> _Seen:
    pixels = fit_style(picture.pixels, **fit)
    found = guides_of(experiment, objective.guides, masks, pixels.shape[:2])
    guides = {name: place(objective.bands, array) for name, array in found.items()}
    return _Seen(pixels, measure(objective, jnp.asarray(pixels), parameters, guides))


def _check_sizes(experiment: Experiment, pictures: Pictures, size: int, reads: Terms | None = None) -> None:
    """Checks that every picture has something left at the deepest layer that reads it, if the long side is `size`."""
    reads = reads or terms_of(experiment)
    height, width = result_shape(experiment, pictures, size)
    if layers := layers_of(reads):
        check_size(height, width, deepest(layers))
        if experiment.network.padding is Padding.CIRCULAR:
            check_tileable(height, width, deepest(layers))
    refuse_lost_masks(experiment, pictures.masks, reads, masks_of_result(experiment, pictures.masks, (height, width)))
    if not layers_of(reads, "style"):
        return
    for index, picture in enumerate(pictures.style):
        fit = style_fit(experiment, pictures, index, size)
        try:
            check_size(*fit_shape(picture.pixels.shape, **fit), deepest(layers_of(reads, "style")))
        except JaxstyleError as error:
            raise JaxstyleError(f"{picture.path}: {error}") from None
        masks = masks_of_style(experiment, pictures.masks, index, picture.pixels.shape, **fit)
        refuse_lost_masks(experiment, pictures.masks, reads, masks, over=STYLE_MASK)


def _is_large_enough(experiment: Experiment, pictures: Pictures, size: int, reads: Terms | None = None) -> bool:
    try:
        _check_sizes(experiment, pictures, size, reads)
    except JaxstyleError:
        return False
    return True


def build_objective(
    experiment: Experiment, weights: Weights, reads: Terms | None = None, devices: Devices = 1
) -> tuple[Objective, Any]:
    """The objective, and the parameters of the network as deep as is read: by default, as the experiment asks.

    For several devices its convolutions are XLA's own, of which devices exchange a few rows: the tiles of Winograd's
    algorithm do not end where the bands do, so that whole feature maps would be gathered.
    """
    terms = reads or terms_of(experiment)
    network = VGG19(
        weights.parameters,
        weights.preprocessing,
        layers=layers_of(terms),
        pooling=str(experiment.network.pooling),
        padding=str(experiment.network.padding),
        precision=str(experiment.network.precision),
        convolution=None if mesh_over(devices) is None else "direct",
    )
    structure, parameters = nnx.split(network)
    return Objective(network=structure, terms=terms), parameters


def traced_weights(experiment: Experiment, objective: Objective) -> dict[str, Array]:
    """The weights of the objective's terms; 0 for one that the experiment does not ask for."""
    own = {term.name: weight for term, weight in weights_of(experiment).items()}
    return jax.device_put({name: np.float32(own.get(name, 0.0)) for name in objective.names})


def _start(
    experiment: Experiment, pictures: Pictures, shape: tuple[int, int], preprocessing: Preprocessing
) -> Float[np.ndarray, "height width 3"]:
    method = experiment.start.method
    if method == StartMethod.NOISE:
        return white_noise(experiment.start.seed, shape, preprocessing)
    role = method if method in list(StartMethod) else "start"
    return resize_to(pictures.by_role()[role].pixels, *shape)


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
