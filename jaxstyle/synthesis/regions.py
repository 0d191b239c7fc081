"""An experiment's masks: read, brought to an image's size, and turned into the guides that the terms ask for."""

import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from jaxstyle.config import Experiment
from jaxstyle.config.regions import CONTENT_MASK, KEEP_MASK, STYLE_MASK, mask_names, styles_of_region
from jaxstyle.errors import JaxstyleError
from jaxstyle.images import LoadedImage, fit_mask
from jaxstyle.network.layers import Layout
from jaxstyle.paper.objective import KEEP, KEPT, Objective, Targets
from jaxstyle.paper.statistics import blend
from jaxstyle.paper.terms import Guide, Term
from jaxstyle.synthesis.guides import guides, normalized, refuse_nothing

COLOURED = 0.1
"""Channels of a mask that differ by more are no grey."""
COVERED = 0.995
"""Regions that cover at least so much cover the image."""

Mask = Float[np.ndarray, "_ _"]
Masks = Mapping[str, LoadedImage]
"""By what they are for, as in records."""


def read_masks(experiment: Experiment, read: Callable[[str], LoadedImage]) -> dict[str, LoadedImage]:
    """Reads the masks that an experiment names.

    Raises:
      JaxstyleError: one is missing, is no grey image, or is black throughout.
    """
    found = {role: _checked(role, read(name)) for role, name in mask_names(experiment.image).items()}
    if not experiment.image.regions:
        return found
    first, *others = (role for role in found if role.startswith(CONTENT_MASK))
    covered = grey(found[first])
    for role in others:
        covered = covered + fit_mask(
            grey(found[role]), covered.shape, height=covered.shape[0], width=covered.shape[1], rule="content"
        )
    share = float(np.mean(np.minimum(covered, 1)))
    if share < COVERED:
        note = f"the regions cover {100 * share:.0f} % of the image; the rest has no style of its own"
        found[first] = dataclasses.replace(found[first], notes=(*found[first].notes, note))
    return found


def grey(mask: LoadedImage) -> Mask:
    """A mask's values in [0, 1]."""
    return mask.pixels.mean(axis=-1)


def _checked(role: str, mask: LoadedImage) -> LoadedImage:
    if float(np.max(np.ptp(mask.pixels, axis=-1))) > COLOURED:
        raise JaxstyleError(f"{mask.path}: {role}: has colours; allowed: a grey image, white where the region is")
    if float(grey(mask).max()) < 0.5:
        raise JaxstyleError(f"{mask.path}: {role}: nowhere white; allowed: a grey image, white where the region is")
    return mask


# Over the result, and over a style image


def masks_of_result(experiment: Experiment, masks: Masks, size: tuple[int, int]) -> dict[str, Mask]:
    """Each region's mask at the result's (height, width)."""
    height, width = size
    return {
        name: fit_mask(grey(masks[f"{CONTENT_MASK}{name}"]), size, height=height, width=width, rule="content")
        for name in experiment.image.regions
    }


def masks_of_style(
    experiment: Experiment, masks: Masks, index: int, shape: tuple[int, ...], **fit: Any
) -> dict[str, Mask]:
    """The masks, at its size, of the regions that take their style from a style image.

    Args:
      experiment: says which.
      masks: all that were read.
      index: the style image's place.
      shape: its (height, width) as it was read.
      **fit: as for `fit_mask`.
    """
    found = {}
    for name in experiment.image.regions:
        if serves(experiment, index, name):
            mask = masks.get(f"{STYLE_MASK}{name}")
            found[name] = fit_mask(np.ones(shape[:2], np.float32) if mask is None else grey(mask), shape, **fit)
    return found


def serves(experiment: Experiment, index: int, region: str | None) -> bool:
    """Whether a region takes its style from a style image; the terms of no region take theirs from all."""
    styles = experiment.image.style
    return region is None or any(style is styles[index] for style in styles_of_region(region, styles))


def region_of(term: Term) -> str | None:
    """The region that a term compares, if it is not the whole image."""
    return next((guide.region for guide in term.guides), None)


def style_targets(experiment: Experiment, objective: Objective, measured: Sequence[Targets]) -> Targets:
    """The targets of the terms on the style, each blended of the images that it, or its region, takes its style from.

    Args:
      experiment: says which, with what weights.
      objective: whose terms.
      measured: the targets of each style image.
    """
    found: Targets = {}
    terms = objective.only("style").terms if measured else ()
    for region in dict.fromkeys(map(region_of, terms)):
        names = [term.name for term in terms if region_of(term) == region]
        serving = [index for index in range(len(measured)) if serves(experiment, index, region)]
        own = [{name: measured[index][name] for name in names} for index in serving]
        weights = [experiment.image.style[index].weight for index in serving]
        found |= _blended(own, np.asarray(weights, np.float32)) if len(own) > 1 else own[0]
    return found


@jax.jit
def _blended(measured: list[Targets], weights: Float[Array, " images"]) -> Targets:
    return jax.tree.map(lambda *of_each: blend(jnp.stack(of_each), weights), *measured)


def guides_of(
    experiment: Experiment, wanted: Iterable[Guide], masks: Mapping[str, Mask], size: tuple[int, int], layout: Layout
) -> dict[str, Float[np.ndarray, "_ _ 1"]]:
    """The guides that terms ask for, by name; 0 of regions that have no mask over the image.

    Args:
      experiment: says how masks go down the network.
      wanted: of an objective.
      masks: by region, all of one size.
      size: that size, (height, width).
      layout: of the network.
    """
    image, found = experiment.image, {}
    for guide in wanted:
        mask = masks.get(guide.region, np.zeros(size, np.float32)).astype(np.float64)
        (own,) = guides(mask, [guide.layer], rule=image.guides, grow=image.grow, layout=layout).values()
        found[guide.name] = (normalized(own) if guide.normalized else own).astype(np.float32)[..., None]
    return found


def refuse_lost_masks(
    experiment: Experiment,
    masks: Masks,
    terms: Iterable[Term],
    found: Mapping[str, Mask],
    layout: Layout,
    *,
    over: str = CONTENT_MASK,
) -> None:
    """Does nothing if every mask has something left in each layer where a term reads it.

    Args:
      experiment: says how masks go down the network.
      masks: as they were read.
      terms: that read guides.
      found: masks by region at the size of an image.
      layout: of the network.
      over: which image that is.

    Raises:
      JaxstyleError: one has not.
    """
    layers: dict[str, list[str]] = {}
    for guide in (guide for term in terms for guide in term.guides):
        layers.setdefault(guide.region, []).append(guide.layer)
    image = experiment.image
    for region, mask in found.items():
        own = layers.get(region, [])
        at_layers = guides(mask.astype(np.float64), own, rule=image.guides, grow=image.grow, layout=layout)
        role = f"{over}{region}"
        path = masks[role].path if role in masks else "all of the image"
        refuse_nothing(at_layers, what=f"{path}: {role}: the mask")


# What is kept


def kept_of_result(
    masks: Masks, content: Float[np.ndarray, "height width 3"] | None
) -> dict[str, Float[np.ndarray, "height width _"]]:
    """What is to stay as in the content image, at the result's size, as an objective takes it; maybe nothing."""
    if content is None or KEEP_MASK not in masks:
        return {}
    height, width = content.shape[:2]
    mask = fit_mask(grey(masks[KEEP_MASK]), content.shape, height=height, width=width, rule="content")
    return {KEEP: mask[..., None], KEPT: content}


def with_kept(
    image: Float[np.ndarray, "height width 3"], kept: Mapping[str, np.ndarray | Array]
) -> Float[np.ndarray, "height width 3"]:
    """The image with what is kept in its place."""
    if KEEP not in kept:
        return image
    mask, unchanged = np.asarray(kept[KEEP]), np.asarray(kept[KEPT])
    return ((1 - mask) * image + mask * unchanged).astype(np.float32)


def identity(experiment: Experiment, masks: Masks, over: str, regions: Iterable[str]) -> tuple[Any, ...]:
    """All that the guides over an image depend on, besides its size: to keep what was measured with them."""
    roles = [f"{over}{name}" for name in regions]
    return (experiment.image.guides, experiment.image.grow, *((role, _sha256(masks, role)) for role in roles))


def _sha256(masks: Masks, role: str) -> str:
    return masks[role].sha256 if role in masks else ""
