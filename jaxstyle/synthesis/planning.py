"""At which sizes an experiment is optimized and in which blocks of steps, and whether its images are large enough."""

from collections.abc import Sequence

from jaxstyle.config import Experiment, Padding, ScaleRule
from jaxstyle.config.regions import STYLE_MASK
from jaxstyle.errors import JaxstyleError
from jaxstyle.images import fit_shape
from jaxstyle.network.layers import Layout, VGGLayout, check_tileable, deepest, refuse_unknown_layers
from jaxstyle.synthesis.loss_terms import Terms, layers_of, terms_of
from jaxstyle.synthesis.regions import masks_of_result, masks_of_style, refuse_lost_masks
from jaxstyle.synthesis.scales import Scale, fast, in_blocks, ladder, share
from jaxstyle.synthesis.sources import SourceImages, result_shape, style_fit

VGG = VGGLayout()


def plan(experiment: Experiment, images: SourceImages, layout: Layout = VGG) -> tuple[Scale, ...]:
    """The scales at which an image is optimized, from small to the result's size, in blocks if a term draws anew.

    The ladder of `image.scales = "auto"` or "fast" begins where every layer has something left; with "auto" it has no
    more scales than there are iterations.

    Args:
      experiment: what to optimize.
      images: its images.
      layout: of its network.

    Raises:
      JaxstyleError: the result, a listed scale, or a style image there has nothing left at the deepest layer that
        reads it.
    """
    length = min((term.block for term in terms_of(experiment) if term.block), default=0)
    return tuple(block for scale in _scales(experiment, images, layout) for block in in_blocks(scale, length))


def _scales(experiment: Experiment, images: SourceImages, layout: Layout) -> tuple[Scale, ...]:
    image, iterations = experiment.image, experiment.optimizer.iterations
    _check_sizes(experiment, images, image.size, layout)
    if image.scales is ScaleRule.SINGLE:
        return share(iterations, (image.size,))
    if isinstance(image.scales, ScaleRule):
        sizes = [size for size in ladder(image.size) if _is_large_enough(experiment, images, size, layout)]
        is_fast = image.scales is ScaleRule.FAST
        return fast(iterations, sizes) if is_fast else share(iterations, sizes[-iterations:])
    for size in image.scales:
        try:
            _check_sizes(experiment, images, size, layout)
        except JaxstyleError as error:
            raise JaxstyleError(f"image.scales: {size}: {error}") from None
    return share(iterations, image.scales)


def fitting(
    experiment: Experiment, images: SourceImages, scales: Sequence[Scale], reads: Terms | None, layout: Layout
) -> Terms:
    """What is read: what is shared where the images are large enough for it, else what the experiment asks for."""
    sizes = {scale.size for scale in scales}
    if reads and all(_is_large_enough(experiment, images, size, layout, reads) for size in sizes):
        return reads
    return terms_of(experiment)


def _check_sizes(
    experiment: Experiment, images: SourceImages, size: int, layout: Layout, reads: Terms | None = None
) -> None:
    """Checks that every image has something left at the deepest layer that reads it, if the long side is `size`."""
    reads = reads or terms_of(experiment)
    height, width = result_shape(experiment, images, size)
    if layers := layers_of(reads):
        refuse_unknown_layers(layout, layers)
        layout.check(height, width, layers)
        if experiment.network.padding is Padding.CIRCULAR:
            check_tileable(height, width, deepest(layers))
    over_result = masks_of_result(experiment, images.masks, (height, width))
    refuse_lost_masks(experiment, images.masks, reads, over_result, layout)
    if not layers_of(reads, "style"):
        return
    for index, image in enumerate(images.style):
        fit = style_fit(experiment, images, index, size)
        try:
            layout.check(*fit_shape(image.pixels.shape, **fit), layers_of(reads, "style"))
        except JaxstyleError as error:
            raise JaxstyleError(f"{image.path}: {error}") from None
        masks = masks_of_style(experiment, images.masks, index, image.pixels.shape, **fit)
        refuse_lost_masks(experiment, images.masks, reads, masks, layout, over=STYLE_MASK)


def _is_large_enough(
    experiment: Experiment, images: SourceImages, size: int, layout: Layout, reads: Terms | None = None
) -> bool:
    try:
        _check_sizes(experiment, images, size, layout, reads)
    except JaxstyleError:
        return False
    return True
