"""Numbers about a finished image, one to a file: what records hold as `metrics`, and `--rank` may name.

A metric is a `Metric`: a function of the result, the content and the styles, and which way is better. Installed
packages add metrics by the entry point group `jaxstyle.metrics`.
"""

import dataclasses
import warnings
from collections.abc import Callable, Sequence
from typing import TypeAlias

import numpy as np
from jaxtyping import Float

from jaxstyle.errors import Note
from jaxstyle.registry import Registry

Pixels: TypeAlias = Float[np.ndarray, "_ _ 3"]

OWN = {
    "grey_correlation": "jaxstyle.metrics.grey_correlation:METRIC",
    "psnr": "jaxstyle.metrics.psnr:METRIC",
}
"""The metrics in this folder."""


@dataclasses.dataclass(frozen=True)
class Metric:
    """A number about a finished image.

    Attributes:
      value: of the result, the content at the result's size (None without one) and the style images at theirs; None
        where there is no such number.
      higher_is_better: which way is better.
      label: what a report calls it.
      form: what a report writes below an image, with the number; nothing if empty.
    """

    value: Callable[[Pixels, Pixels | None, Sequence[Pixels]], float | None]
    higher_is_better: bool
    label: str
    form: str = ""


_registry: Registry[Metric] = Registry("jaxstyle.metrics", OWN, what="metric")
names, load = _registry.names, _registry.load


def higher_is_better(name: str) -> bool:
    """Whether more is better of a number in a record; of losses and distances less is, and of what is not known."""
    return name in names() and load(name).higher_is_better


def measure_all(image: Pixels, content: Pixels | None, styles: Sequence[Pixels] = ()) -> dict[str, float]:
    """Every metric that there is of an image; one that fails is left out, with a warning."""
    found: dict[str, float] = {}
    for name in names():
        try:
            number = load(name).value(image, content, styles)
        except Exception as error:  # of another package; the image is worth more
            warnings.warn(f"metric {name}: {type(error).__name__}: {error}", Note, stacklevel=2)
            continue
        if number is not None:
            found[name] = float(number)
    return found
