"""The numbers that devices compute with, 32-bit floating point: what is no number there is refused here."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jaxstyle.config.image import Image
    from jaxstyle.config.models import Loss

SMALLEST, LARGEST = 2.0**-126, (2 - 2.0**-23) * 2.0**127
"""The limits; what is nearer to 0 is 0 on a device."""


def out_of_range(number: float) -> str | None:
    """Returns `1e+40, too large for 32-bit floating point; allowed: at most 3.4e+38`; None for a number that is not."""
    if number == 0 or SMALLEST <= abs(number) <= LARGEST:
        return None
    if abs(number) > LARGEST:
        return f"{number:.6g}, too large for 32-bit floating point; allowed: at most {LARGEST:.2g}"
    return f"{number:.6g}, too small for 32-bit floating point; allowed: at least {SMALLEST:.2g}"


def products_out_of_range(image: "Image", loss: "Loss") -> Iterator[tuple[tuple[str, ...], str]]:
    """Yields the products and quotients of weights that a device could not hold, though it holds each weight."""
    parts = (
        ("content", image.content is not None, loss.content_weight, loss.content_layers),
        ("style", bool(image.style), loss.style_weight, loss.style_layers),
    )
    for part, is_there, weight, layers in parts:
        for layer, own in layers.items() if is_there and weight else ():
            if own and (problem := out_of_range(weight * own)):
                product = f"{layer} = {own:.6g} times loss.{part}_weight = {weight:.6g} is {problem}"
                yield ("loss", f"{part}_layers"), product
    total = sum(style.weight for style in image.style)
    if problem := out_of_range(total):
        yield ("image", "style"), f"the weights' sum is {problem}"
        return
    for style in image.style if total else ():
        if style.weight and (problem := out_of_range(style.weight / total)):
            yield ("image", "style"), f"weight {style.weight:.6g} as a part of their sum is {problem}"
