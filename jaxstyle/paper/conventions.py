"""What one unit of "content weight" and "style weight" multiplies, in the paper and in other programs.

Ten years of style transfer use these words for different multiples of the same two sums. Here each multiple has a name,
and `convert_weights` carries weights from one into another.

With N filters, M positions, features F (of the image) and P (of the content), Gram matrices G and A:

    content term = content_scale(N, M) · Σ (F − P)²
    style term   = style_scale(N) · Σ (G/M − A/M)²

References: Gatys et al., CVPR 2016, Sec. 2, Eqs. 1 and 4; the programs are named in docs/conventions.md.
"""

import dataclasses
from collections.abc import Callable, Mapping

from jaxstyle.errors import JaxstyleError, did_you_mean


@dataclasses.dataclass(frozen=True)
class Formula:
    """What one unit of content weight and of style weight multiplies.

    Attributes:
      content_scale: (N filters, M positions) → the factor of Σ (F − P)².
      style_scale: N filters → the factor of Σ (G/M − A/M)².
      meaning: the two terms in words.
    """

    content_scale: Callable[[int, int], float]
    style_scale: Callable[[int], float]
    meaning: str


def _mean_square(filters: int, positions: int) -> float:
    return 1 / (filters * positions)


FORMULAS: Mapping[str, Formula] = {
    "paper": Formula(
        lambda filters, positions: 1 / 2,
        lambda filters: 1 / (4 * filters**2),
        "½ Σ ΔF² and E = 1/(4N²M²) Σ ΔG², Eqs. 1 and 4 to the letter",
    ),
    "paper-figures": Formula(
        lambda filters, positions: 1 / (2 * filters * positions),
        lambda filters: 1 / (4 * filters**2),
        "½ mean ΔF² and Eq. 4: Eq. 1 divided by its number of terms, which gives the paper's figures",
    ),
    "gatys-normalized": Formula(
        _mean_square,
        lambda filters: 1 / filters**2,
        "mean ΔF² and mean (ΔG/M)², the authors' own settings for the normalized network",
    ),
    "gatys-notebook": Formula(
        _mean_square,
        lambda filters: 1 / filters**4,
        "mean ΔF² and 1/N² · mean (ΔG/M)², the authors' PyTorch notebook",
    ),
    "neural-style": Formula(
        _mean_square,
        lambda filters: 1 / filters**4,
        "mean ΔF² and mean (ΔG/(NM))²",
    ),
    "pystiche": Formula(
        _mean_square,
        lambda filters: 1 / filters**2,
        "mean ΔF² and mean (ΔG/M)²",
    ),
}
"""The named conventions; `jaxstyle.config.Convention` lists the same names."""


def convert_weights(
    *,
    content: Mapping[str, float],
    style: Mapping[str, float],
    source: str,
    target: str,
    shapes: Mapping[str, tuple[int, int, int]],
) -> tuple[dict[str, float], dict[str, float]]:
    """Carries weights from one convention into another, so that the loss stays the same function of the image.

    Args:
      content: each content layer's weight (α times the layer's own) in the convention `source`.
      style: each style layer's weight (β times the layer's own) in the convention `source`.
      source: the convention that the weights are given in, a key of `FORMULAS`.
      target: the convention wanted.
      shapes: each layer's features as (height, width, filters).

    Returns:
      (content, style) weights in the convention `target`.

    Raises:
      JaxstyleError: there is no such convention, the message names the nearest; or a layer has no shape.

    Examples:
      >>> content, style = convert_weights(
      ...     content={"conv4_2": 1.0}, style={"conv1_1": 0.2}, source="paper", target="pystiche",
      ...     shapes={"conv4_2": (8, 8, 512), "conv1_1": (64, 64, 64)})
      >>> content["conv4_2"] == 8 * 8 * 512 / 2, style["conv1_1"] == 0.2 / 4
      (True, True)
    """
    old, new = _formula(source), _formula(target)
    if missing := [layer for layer in (*content, *style) if layer not in shapes]:
        raise JaxstyleError(f"no shape is given for {', '.join(missing)}; given: {', '.join(shapes) or 'none'}")

    def content_ratio(layer: str) -> float:
        height, width, filters = shapes[layer]
        return old.content_scale(filters, height * width) / new.content_scale(filters, height * width)

    def style_ratio(layer: str) -> float:
        filters = shapes[layer][-1]
        return old.style_scale(filters) / new.style_scale(filters)

    return (
        {layer: weight * content_ratio(layer) for layer, weight in content.items()},
        {layer: weight * style_ratio(layer) for layer, weight in style.items()},
    )


def _formula(convention: str) -> Formula:
    if convention in FORMULAS:
        return FORMULAS[convention]
    hint = did_you_mean(convention, FORMULAS) or "."
    raise JaxstyleError(f"unknown convention '{convention}'{hint} Conventions: {', '.join(FORMULAS)}")
