"""Numbers about a finished image, one to a file: what records hold as `metrics`, and `--rank` may name.

A metric is a `Metric`: a function of the result, the content and the styles, and which way is better. Installed
packages add metrics by the entry point group `jaxstyle.metrics`.
"""

import dataclasses
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
from jaxtyping import Float

from jaxstyle.errors import Note
from jaxstyle.registry import Registry

Pixels: TypeAlias = Float[np.ndarray, "_ _ 3"]

BUILT_IN = {
    "grey_correlation": "jaxstyle.metrics.grey_correlation:METRIC",
    "psnr": "jaxstyle.metrics.psnr:METRIC",
    "ssim": "jaxstyle.metrics.ssim:METRIC",
}
"""The metrics in this folder."""


@dataclasses.dataclass(frozen=True)
class Metric:
    """A number about a finished image.

    Attributes:
      value: called as `value(result, content, styles)`, all float32 sRGB in [0, 1]; `content` has the result's size,
        and is None without one. Returns None where the number is not defined.
      higher_is_better: which way is better.
      label: what a report calls it.
      form: what a report writes below an image: a format string such as `"PSNR {:.1f} dB"`; empty for nothing.
    """

    value: Callable[[Pixels, Pixels | None, Sequence[Pixels]], float | None]
    higher_is_better: bool
    label: str
    form: str = ""


_registry: Registry[Metric] = Registry("jaxstyle.metrics", BUILT_IN, what="metric")
names, load, register = _registry.names, _registry.load, _registry.register


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


def flatten(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Returns `{"gram_distance/conv1_1": …}` for nested tables."""
    flat: dict[str, Any] = {}
    for name, value in tree.items():
        flat |= flatten(value, f"{prefix}{name}/") if isinstance(value, Mapping) else {f"{prefix}{name}": value}
    return flat
