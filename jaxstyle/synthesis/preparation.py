"""Pictures and an experiment → everything that is needed to optimize, at each scale."""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float

from jaxstyle.config import Experiment, ScaleRule, StartMethod, StyleSize
from jaxstyle.config.words import style_role
from jaxstyle.devices.jax_settings import pinned
from jaxstyle.devices.sharding import Bands, Devices, count_devices, mesh_over, replicate
from jaxstyle.errors import JaxstyleError
from jaxstyle.images import Picture, fit_shape, fit_style, gallery, long_side_shape, read_picture, resize_to
from jaxstyle.network.vgg import VGG19, check_size, deepest
from jaxstyle.network.weights import Preprocessing, Weights
from jaxstyle.optimizers import Settings
from jaxstyle.paper.objective import Objective, Problem, Targets, measure
from jaxstyle.paper.statistics import blend
from jaxstyle.synthesis.bounds import Bounds, bounds_of
from jaxstyle.synthesis.cache import Cache
from jaxstyle.synthesis.loss_terms import Terms, layers_of, terms_of, weights_of
from jaxstyle.synthesis.noise import standard_normal
from jaxstyle.synthesis.scales import Scale, ladder, share
from jaxstyle.units import GREY_LEVEL

MOST_PICTURES = 8
"""How many pictures, and what was measured on how many, are kept for the next member of a sweep."""


@dataclasses.dataclass(frozen=True)
class Pictures:
    """The pictures of an experiment, as they were read."""

    content: Picture | None
    style: tuple[Picture, ...]
    start: Picture | None

    def by_role(self) -> dict[str, Picture]:
        """The pictures by what they are for: `content`, `style`, `style 2`, …, `start`."""
        style = {style_role(index): picture for index, picture in enumerate(self.style)}
        roles = {"content": self.content, **style, "start": self.start}
        return {role: picture for role, picture in roles.items() if picture is not None}


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
    """

    scale: Scale
    objective: Objective
    problem: Problem
    start: Float[np.ndarray, "height width 3"]
    settings: Settings
    content: Float[np.ndarray, "height width 3"] | None
    styles: tuple[Float[np.ndarray, "_ _ 3"], ...] = ()


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
    )


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
    reads = fitting(experiment, pictures, planned, reads)
    objective, parameters = cache(
        "network",
        (experiment.network, experiment.loss.convention, weights.sha256, reads, count_devices(devices)),
        lambda: _on_devices(devices, *build_objective(experiment, weights, reads, devices)),
    )

    def prepare_at(scale: Scale) -> Prepared:
        own = spread_over(objective, devices, result_shape(pictures, scale.size)[0])
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


def result_shape(pictures: Pictures, size: int) -> tuple[int, int]:
    """The (height, width) of a result whose long side is `size`: the content's shape, else the first style's."""
    return long_side_shape((pictures.content or pictures.style[0]).pixels.shape, size)


def style_shapes(experiment: Experiment, pictures: Pictures, size: int) -> tuple[tuple[int, int], ...]:
    """The (height, width) at which each style picture is measured for a result whose long side is `size`."""
    image = experiment.image
    height, width = result_shape(pictures, size)
    return tuple(
        fit_shape(picture.pixels.shape, height=height, width=width, rule=image.style_size, reduction=size / image.size)
        for picture in pictures.style
    )


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
    image = experiment.image
    height, width = result_shape(pictures, scale.size)

    def seen(picture: Picture, objective: Objective, **size: Any) -> _Seen:
        key = (picture.sha256, *size.values(), objective, experiment.network, weights.sha256)
        return cache("statistics", key, lambda: _see(picture, objective, parameters, **size), most=MOST_PICTURES)

    size = {"height": height, "width": width, "rule": str(StyleSize.CONTENT)}
    content = seen(pictures.content, objective.only("content"), **size) if pictures.content else None
    size |= {"rule": str(image.style_size), "reduction": scale.size / image.size}
    styles = [seen(picture, objective, **size) for picture in pictures.style]
    sources = [source.pixels for source in (content, *styles) if source is not None]
    return Prepared(
        scale=scale,
        objective=objective,
        problem=Problem(
            parameters=parameters,
            targets={
                **(content.targets if content else {}),
                **_style_targets(
                    [_of_source(objective, "style", style.targets) for style in styles],
                    [style.weight for style in image.style],
                ),
            },
            weights=replicate(objective.bands and objective.bands.mesh, traced_weights(experiment, objective)),
        ),
        start=_start(experiment, pictures, (height, width), weights.preprocessing),
        settings=settings_of(experiment, scale, bounds_of(experiment.optimizer.bounds, sources, weights.preprocessing)),
        content=content.pixels if content else None,
        styles=tuple(style.pixels for style in styles),
    )


def _see(picture: Picture, objective: Objective, parameters: Any, **size: Any) -> "_Seen":
    pixels = fit_style(picture.pixels, **size)
    return _Seen(pixels, measure(objective, jnp.asarray(pixels), parameters))


def _check_sizes(experiment: Experiment, pictures: Pictures, size: int, reads: Terms | None = None) -> None:
    """Checks that every picture has something left at the deepest layer that reads it, if the long side is `size`."""
    reads = reads or terms_of(experiment)
    height, width = result_shape(pictures, size)
    if layers := layers_of(reads):
        check_size(height, width, deepest(layers))
    if not layers_of(reads, "style"):
        return
    for picture, shape in zip(pictures.style, style_shapes(experiment, pictures, size), strict=True):
        try:
            check_size(*shape, deepest(layers_of(reads, "style")))
        except JaxstyleError as error:
            raise JaxstyleError(f"{picture.path}: {error}") from None


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
        precision=str(experiment.network.precision),
        convolution=None if mesh_over(devices) is None else "direct",
    )
    structure, parameters = nnx.split(network)
    return (
        Objective(network=structure, terms=terms),
        parameters,
    )


def _of_source(objective: Objective, source: str, measured: Targets) -> Targets:
    """Those of an image's targets that are of one source."""
    return {name: measured[name] for name in objective.only(source).names}


def _style_targets(measured: list[Targets], weights: list[float]) -> Targets:
    if len(measured) > 1:
        return _blended(measured, np.asarray(weights, np.float32))
    return measured[0] if measured else {}


@jax.jit
def _blended(measured: list[Targets], weights: Float[Array, " pictures"]) -> Targets:
    return jax.tree.map(lambda *of_each: blend(jnp.stack(of_each), weights), *measured)


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
