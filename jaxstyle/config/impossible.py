"""Experiments that no run could carry out, though each of their values is allowed."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from jaxstyle.config.colour import colour_problems
from jaxstyle.config.limits import products_out_of_range
from jaxstyle.config.optimizer import methods_with
from jaxstyle.config.options import Normalize, ScaleRule, StartMethod, StyleSize
from jaxstyle.config.regions import region_problems
from jaxstyle.config.section import Problem
from jaxstyle.config.tiles import tile_problems
from jaxstyle.optimizers import methods

if TYPE_CHECKING:
    from jaxstyle.config.models import Experiment


def impossibilities(experiment: "Experiment") -> Iterator[Problem]:
    """Yields what no run could do."""
    image, start, optimizer = experiment.image, experiment.start, experiment.optimizer
    if image.content is None and not image.style:
        yield ("image",), "no content and no style image; allowed: image.content, image.style, or both"
        return
    if start.method == StartMethod.CONTENT and image.content is None:
        yield ("start", "method"), 'found "content", but there is no image.content; allowed: style, noise, a path'
    if start.method == StartMethod.STYLE and not image.style:
        yield ("start", "method"), 'found "style", but there is no image.style; allowed: content, noise, a path'
    if image.aspect is not None and image.content is not None:
        yield ("image", "aspect"), f"found {image.aspect:g}, but the result has the aspect ratio of image.content"
    if image.style_size is StyleSize.COVER and image.content is None:
        allowed = ", ".join(rule for rule in StyleSize if rule is not StyleSize.COVER)
        yield ("image", "style_size"), f'found "cover", but there is no image.content; allowed: {allowed}'
    if not isinstance(image.scales, ScaleRule):
        if image.scales[-1] != image.size:
            allowed = f"a rising list that ends with image.size, {image.size}"
            yield ("image", "scales"), f"found {list(image.scales)}; allowed: {allowed}"
        if len(image.scales) > optimizer.iterations:
            found = f"found {len(image.scales)} scales with optimizer.iterations = {optimizer.iterations}"
            yield ("image", "scales"), f"{found}; allowed: no more scales than iterations"
    if image.style and not any(style.weight for style in image.style):
        yield (
            ("image", "style"),
            "every image has weight 0; allowed: some above 0 (loss.style_weight = 0 drops style)",
        )
    elif not _has_objective(experiment):
        missing = "nothing to minimize: every term is absent or has weight 0, or none reads the network"
        yield ("loss",), f"{missing}; allowed: some weight above 0, and some layer"
    for index, added in enumerate(experiment.loss.terms):
        first = next(iter(added.build()))
        source = first.source
        if first.one_source and len(image.style) > 1:
            yield ("loss", "terms", index), f'"{added.kind}" compares with one style image; found {len(image.style)}'
        if (source == "content" and image.content is None) or (source == "style" and not image.style):
            yield ("loss", "terms", index), f'"{added.kind}" compares with image.{source}, and there is none'
    names = [term.name for added in experiment.loss.terms for term in added.build()]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        yield ("loss", "terms"), f"{', '.join(twice)} named more than once; allowed: each term once"
    if experiment.loss.normalize is Normalize.GRADIENTS and optimizer.build().needs_exact:
        others = ", ".join(name for name in methods.names() if not methods.load(name).needs_exact)
        yield (
            ("loss", "normalize"),
            f'found "gradients", which are those of no function, with optimizer.method = {optimizer.method}, which '
            f"searches for a lower loss; allowed with: {others}",
        )
    yield from products_out_of_range(image, experiment.loss)
    yield from colour_problems(experiment.colour, image)
    yield from region_problems(image)
    yield from tile_problems(experiment)
    for key, value in optimizer.foreign().items():
        choice = f"optimizer.method = {optimizer.method}, which has none; allowed with: {', '.join(methods_with(key))}"
        yield ("optimizer", key), f"found {str(value).lower()} with {choice}"


def _has_objective(experiment: "Experiment") -> bool:
    image, loss = experiment.image, experiment.loss
    has_content = image.content is not None and loss.content_weight > 0 and any(loss.content_layers.values())
    has_style = bool(image.style) and loss.style_weight > 0 and any(loss.style_layers.values())
    is_positive = has_content or has_style or loss.tv_weight > 0 or any(added.weight > 0 for added in loss.terms)
    reads_network = (
        (image.content is not None and loss.content_layers)
        or (image.style and loss.style_layers)
        or any(term.layers for added in loss.terms for term in added.build())
    )
    return is_positive and bool(reads_network)
