"""Guides: a region's mask at the size of each layer's features.

References: Gatys et al., CVPR 2017, Sec. 4.1, and SpatialControl.ipynb of NeuralImageSynthesis, which finds the neurons
that a region touches by probing the network with noise; here they follow from the sizes of kernels and poolings.

`scipy.ndimage` is imported where it is needed: it takes a third of a second, and most experiments have no regions.
"""

from collections.abc import Iterable, Mapping

import numpy as np
from jaxtyping import Float

from jaxstyle.config.regions import GuideRule
from jaxstyle.errors import JaxstyleError
from jaxstyle.network.layers import KERNEL_SIZE, LAYERS, Layout, VGGLayout, downsampling

Mask = Float[np.ndarray, "_ _"]
VGG = VGGLayout()
NOTHING = 1e-8
"""A mean square below this is no region."""


def guides(
    mask: Mask, layers: Iterable[str], *, rule: str = "simple", grow: int = 0, layout: Layout = VGG
) -> dict[str, Mask]:
    """A mask at the sizes of layers.

    Args:
      mask: in [0, 1], at the image's size.
      layers: canonical names.
      rule: `simple` resizes the mask by cubic splines; `all` takes the neurons whose receptive field touches what is at
        least ½; `inside` those whose field lies in it entirely. Zeros around the image belong to no region.
      grow: so many neurons more on every side, fewer if it is negative.
      layout: of the network; receptive fields are known of VGG's alone.

    Returns:
      By layer, float64 in [0, 1]; may be 0 throughout.
    """
    wanted = list(layers)
    if rule == GuideRule.SIMPLE:
        found = _resized(mask, {layer: layout.shape(mask.shape, layer)[:2] for layer in wanted})
    elif rule in list(GuideRule) and not isinstance(layout, VGGLayout):
        raise JaxstyleError(f'image.guides: found "{rule}", which needs a VGG\'s receptive fields; allowed: "simple"')
    elif rule == GuideRule.ALL:
        found = _touched(mask >= 0.5, wanted)
    elif rule == GuideRule.INSIDE:
        found = {layer: 1 - touched for layer, touched in _touched(mask < 0.5, wanted).items()}
    else:
        raise JaxstyleError(f"unknown guides '{rule}'. Allowed: {', '.join(GuideRule)}")
    return {layer: _grown(guide, grow) for layer, guide in found.items()}


def normalized(guide: Mask) -> Mask:
    """T / √(mean T²): with mean square 1, so that a statistic does not depend on the region's size; 0 stays 0."""
    square = np.mean(np.square(guide))
    return guide / np.sqrt(square) if square > NOTHING else np.zeros_like(guide)


def refuse_nothing(found: Mapping[str, Mask], *, what: str) -> None:
    """Does nothing if a guide has something left in every layer.

    Raises:
      JaxstyleError: there is a layer without, the message says which, and what may help.
    """
    for layer, guide in found.items():
        if np.mean(np.square(guide)) <= NOTHING:
            height, width = guide.shape
            raise JaxstyleError(
                f"{what} has nothing left at {layer}, whose features are {width}×{height}; allowed: a larger region or "
                'image.size, image.guides = "simple" or "all", image.grow of 0 or more, or shallower layers'
            )


def _resized(mask: Mask, shapes: Mapping[str, tuple[int, int]]) -> dict[str, Mask]:
    from scipy import ndimage

    splines = ndimage.spline_filter(mask, order=3, mode="nearest")
    found = {}
    for layer, shape in shapes.items():
        zoom = [new / old for new, old in zip(shape, mask.shape, strict=True)]
        small = ndimage.zoom(splines, zoom, order=3, mode="nearest", prefilter=False) if shape != mask.shape else mask
        found[layer] = np.clip(small, 0.0, 1.0)
    return found


def _touched(region: np.ndarray, layers: list[str]) -> dict[str, Mask]:
    """Where the receptive field has a pixel of the region: as wide as 3×3 kernels and 2×2 poolings make it."""
    from scipy import ndimage

    found, block = {}, 0
    for layer in LAYERS:
        if len(found) == len({*layers}):
            break
        if downsampling(layer) > block:
            block = downsampling(layer)
            height, width = (side // 2 for side in region.shape)
            region = region[: 2 * height, : 2 * width].reshape(height, 2, width, 2).any(axis=(1, 3))
        region = ndimage.maximum_filter(region, KERNEL_SIZE, mode="constant", cval=0)
        if layer in layers:
            found[layer] = region.astype(np.float64)
    return found


def _grown(guide: Mask, by: int) -> Mask:
    from scipy import ndimage

    if by == 0:
        return guide
    size = 2 * abs(by) + 1
    return ndimage.maximum_filter(guide, size) if by > 0 else ndimage.minimum_filter(guide, size)
