"""One experiment from start to finish: pictures, network, targets, start, optimization."""

import dataclasses
import hashlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float

from jaxstyle import gallery, optimizers
from jaxstyle.config import Experiment, Image, StartMethod, experiment_from_mapping
from jaxstyle.errors import JaxstyleError
from jaxstyle.images import Picture, fit_style, read_picture, resize_long_side
from jaxstyle.interrupt import interruptible
from jaxstyle.objective import Coefficients, Objective, Problem, Targets, measure
from jaxstyle.optimizers import Observer, Result, Settings
from jaxstyle.statistics import blend
from jaxstyle.units import GREY_LEVEL
from jaxstyle.vgg import VGG19, check_size, deepest
from jaxstyle.weights import Preprocessing, Weights
from jaxstyle.weights import load as load_weights


@dataclasses.dataclass(frozen=True)
class Pictures:
    """The pictures of an experiment, as they were read."""

    content: Picture | None
    style: tuple[Picture, ...]
    start: Picture | None

    def by_role(self) -> dict[str, Picture]:
        """The pictures by what they are for: `content`, `style`, `style 2`, …, `start`."""
        style = {"style" if index == 0 else f"style {index + 1}": it for index, it in enumerate(self.style)}
        roles = {"content": self.content, **style, "start": self.start}
        return {role: picture for role, picture in roles.items() if picture is not None}


@dataclasses.dataclass(frozen=True)
class Prepared:
    """An experiment made ready to optimize.

    Attributes:
      objective: what is static about the loss.
      problem: what is traced about it.
      start: the picture to start from, sRGB in [0, 1].
      settings: the optimizer and its options.
      content: the content picture at the result's size, if there is one.
    """

    objective: Objective
    problem: Problem
    start: Float[np.ndarray, "height width 3"]
    settings: Settings
    content: Float[np.ndarray, "height width 3"] | None


def transfer(
    content: Path | str | np.ndarray | jax.Array | None = None,
    style: Path | str | np.ndarray | jax.Array | None = None,
    *,
    observe: Observer = lambda iterations, best: None,
    **sections: Mapping[str, Any],
) -> Result:
    """Finds a picture with the content of one picture and the style of another.

    Args:
      content: a picture's path, a name such as `paper:neckarfront`, or an array [height, width, 3], uint8 or float in
        [0, 1]; None for texture synthesis.
      style: likewise; None for content reconstruction.
      observe: called now and then with the iterations that are new and a function that gives the best picture.
      **sections: the tables of an experiment file, with the same keys and defaults: `image`, `network`, `loss`,
        `start`, `optimizer`.

    Returns:
      The result: `image` [height, width, 3] in [0, 1], `history`, `status`, `loss`, `evaluations`. Ctrl-C ends the run
      with the best picture so far and the status `interrupted`.

    Raises:
      JaxstyleError: a picture or an option is not what it should be.

    Example:
      >>> import numpy as np
      >>> stripes = np.tile(np.linspace(0, 1, 8), (32, 4))[..., None] * [1.0, 0.6, 0.2]
      >>> dots = np.random.default_rng(0).uniform(size=(32, 32, 3))
      >>> result = transfer(stripes, dots, image={"size": 32}, optimizer={"iterations": 3})
      >>> result.image.shape, str(result.status), len(result.history)
      ((32, 32, 3), 'budget spent', 4)

    References: Gatys et al., CVPR 2016, Sec. 2.3.
    """
    image: dict[str, Any] = dict(sections.pop("image", {}))
    arrays: dict[str, Picture] = {}
    for role, given in (("content", content), ("style", style)):
        if isinstance(given, np.ndarray | jax.Array):
            arrays[f"array:{role}"] = _picture_of_array(np.asarray(given), f"array:{role}")
            image[role] = f"array:{role}"
        elif given is not None:
            image[role] = str(given)
    experiment = experiment_from_mapping({"image": image, **sections}, source="jaxstyle.transfer", folder=Path.cwd())
    pictures = read_pictures(experiment, arrays)
    prepared = prepare(experiment, pictures, load_weights(experiment.network.weights))
    with interruptible() as interrupted:
        return optimize(prepared, observe=observe, interrupted=interrupted)


def read_pictures(experiment: Experiment, given: Mapping[str, Picture] | None = None) -> Pictures:
    """Reads the pictures that an experiment names.

    Args:
      experiment: names files, pictures of the registry, or keys of `given`.
      given: pictures that are there already.

    Raises:
      JaxstyleError: a picture is missing or cannot be read.
    """

    def read(name: str) -> Picture:
        if given and name in given:
            return given[name]
        path = gallery.resolve(name, relative_to=Path.cwd())
        picture, note = read_picture(path), gallery.scan_note(name, path)
        return dataclasses.replace(picture, notes=(*picture.notes, note)) if note else picture

    image, start = experiment.image, experiment.start.method
    return Pictures(
        content=read(image.content) if image.content else None,
        style=tuple(read(style.image) for style in image.style),
        start=None if start in list(StartMethod) else read(start),
    )


def prepare(experiment: Experiment, pictures: Pictures, weights: Weights) -> Prepared:
    """Computes targets, coefficients and start; the network is read only as deep as the experiment asks.

    Raises:
      JaxstyleError: a picture is too small for the deepest layer.
    """
    styles = fit_styles(experiment, pictures)
    height, width = result_size(experiment.image, pictures)
    objective, parameters = build_objective(experiment, weights)
    content = (
        fit_style(pictures.content.pixels, height=height, width=width, rule="content") if pictures.content else None
    )
    return Prepared(
        objective=objective,
        problem=Problem(
            parameters=parameters,
            targets=_targets(
                objective, parameters, content, styles, [style.weight for style in experiment.image.style]
            ),
            coefficients=coefficients(experiment, objective),
        ),
        start=_start(experiment, pictures, content, (height, width), weights.preprocessing),
        settings=settings_of(experiment, [*([content] if content is not None else []), *styles]),
        content=content,
    )


def fit_styles(experiment: Experiment, pictures: Pictures) -> list[np.ndarray]:
    """Brings the style pictures to the size at which they are measured.

    Raises:
      JaxstyleError: the result, or a style picture, has nothing left at the deepest layer that reads it.
    """
    loss, image = experiment.loss, experiment.image
    height, width = result_size(image, pictures)
    layers = (*(loss.content_layers if image.content else ()), *(loss.style_layers if image.style else ()))
    check_size(height, width, deepest(layers))
    styles = []
    for picture in pictures.style:
        fitted = fit_style(picture.pixels, height=height, width=width, rule=image.style_size)
        try:
            if loss.style_layers:
                check_size(fitted.shape[0], fitted.shape[1], deepest(loss.style_layers))
        except JaxstyleError as error:
            raise JaxstyleError(f"{picture.path}: {error}") from None
        styles.append(fitted)
    return styles


def optimize(
    prepared: Prepared,
    *,
    observe: Observer = lambda iterations, best: None,
    interrupted: Callable[[], bool] = lambda: False,
) -> Result:
    """Optimizes, and clips the best iterate to [0, 1]; nothing is clamped while it runs."""
    result = optimizers.minimize(
        prepared.objective,
        prepared.start,
        prepared.problem,
        prepared.settings,
        observe=observe,
        interrupted=interrupted,
    )
    return dataclasses.replace(result, image=np.clip(result.image, 0.0, 1.0))


def result_size(image: Image, pictures: Pictures) -> tuple[int, int]:
    """The result's (height, width): the content's shape, else the first style picture's, with `size` as long side."""
    shape_giver = pictures.content or pictures.style[0]
    height, width, _ = resize_long_side(shape_giver.pixels, image.size).shape
    return height, width


def build_objective(experiment: Experiment, weights: Weights) -> tuple[Objective, Any]:
    """The objective, and the parameters of the network as deep as the experiment reads it."""
    loss, image = experiment.loss, experiment.image
    content_layers = tuple(loss.content_layers) if image.content else ()
    style_layers = tuple(loss.style_layers) if image.style else ()
    layers = (*content_layers, *style_layers)
    network = VGG19(weights.parameters, weights.preprocessing, pooling=experiment.network.pooling, layers=layers)
    structure, parameters = nnx.split(network)
    return (
        Objective(
            network=structure,
            content_layers=content_layers,
            style_layers=style_layers,
            convention=str(loss.convention),
            with_tv=loss.tv_weight > 0,
        ),
        parameters,
    )


def _targets(
    objective: Objective, parameters: Any, content: np.ndarray | None, styles: list[np.ndarray], weights: list[float]
) -> Targets:
    content_targets = {}
    if content is not None:
        content_targets = measure(objective.content_alone(), jnp.asarray(content), parameters).content
    measured = [measure(objective, jnp.asarray(style), parameters).style for style in styles]
    if len(measured) > 1:
        return Targets(content_targets, _blended(measured, np.asarray(weights, np.float32)))
    return Targets(content_targets, measured[0] if measured else {})


@jax.jit
def _blended(measured: list[dict[str, Array]], weights: Float[Array, " pictures"]) -> dict[str, Array]:
    return jax.tree.map(lambda *of_each: blend(jnp.stack(of_each), weights), *measured)


def coefficients(experiment: Experiment, objective: Objective) -> Coefficients:
    """The weights of the experiment's terms."""
    loss = experiment.loss
    content = {layer: loss.content_weight * loss.content_layers[layer] for layer in objective.content_layers}
    style = {layer: loss.style_weight * loss.style_layers[layer] for layer in objective.style_layers}
    return Coefficients(*jax.device_put(jax.tree.map(np.float32, (content, style, loss.tv_weight))))


def _start(
    experiment: Experiment,
    pictures: Pictures,
    content: np.ndarray | None,
    size: tuple[int, int],
    preprocessing: Preprocessing,
) -> Float[np.ndarray, "height width 3"]:
    method = experiment.start.method
    if method == StartMethod.NOISE:
        return white_noise(experiment.start.seed, size, preprocessing)
    if method == StartMethod.CONTENT and content is not None:
        return content
    picture = pictures.start or pictures.style[0]
    return fit_style(picture.pixels, height=size[0], width=size[1], rule="content")


def white_noise(seed: int, size: tuple[int, int], preprocessing: Preprocessing) -> Float[np.ndarray, "height width 3"]:
    """White noise around the network's mean colour, with a standard deviation of one grey level.

    As in Gatys' texture code: normal with σ = 1 in the network's mean-subtracted units of 0–255.
    """
    noise = np.asarray(jax.random.normal(jax.random.key(seed), (*size, 3)))
    return noise * np.float32(GREY_LEVEL) + np.asarray(preprocessing.mean_colour, np.float32)


def settings_of(experiment: Experiment, sources: Sequence[np.ndarray] = ()) -> Settings:
    """The optimizer and its options.

    Args:
      experiment: says what they are.
      sources: the content and style pictures, whose range keeps the pixels in bounds if that is asked for.
    """
    chosen = experiment.optimizer
    return Settings(
        method=str(chosen.method),
        iterations=chosen.iterations,
        history_size=chosen.history_size,
        learning_rate=chosen.learning_rate,
        tolerance=chosen.tolerance,
        bounds=_range_of_channels(sources) if chosen.bounds and sources else None,
    )


def _range_of_channels(pictures: Sequence[np.ndarray]) -> tuple[tuple[float, float], ...]:
    channels = np.concatenate([pixels.reshape(-1, 3) for pixels in pictures])
    return tuple(zip(channels.min(axis=0).tolist(), channels.max(axis=0).tolist(), strict=True))


def _picture_of_array(array: np.ndarray, name: str) -> Picture:
    if array.ndim != 3 or array.shape[-1] != 3 or 0 in array.shape:
        raise JaxstyleError(f"{name}: an array of shape {array.shape}; pictures are [height, width, 3]")
    if array.dtype == np.uint8:
        pixels = array / np.float32(255)
    elif np.issubdtype(array.dtype, np.floating):
        pixels = array.astype(np.float32)
    else:
        raise JaxstyleError(f"{name}: an array of type {array.dtype}; allowed: uint8, or float in [0, 1]")
    if not (np.isfinite(pixels).all() and pixels.min() >= 0 and pixels.max() <= 1):
        raise JaxstyleError(f"{name}: values from {pixels.min()} to {pixels.max()}; float pictures are in [0, 1]")
    digest = hashlib.sha256(pixels.tobytes()).hexdigest()
    return Picture(pixels=pixels, path=name, sha256=digest, notes=())
