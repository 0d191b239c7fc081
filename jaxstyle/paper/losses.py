"""Eqs. 1, 4 and 5: what is compared, as plain functions of features; and total variation, which the paper does not use.

The equations are here to the letter. What other programs multiply them by is in `conventions`.

References: Gatys et al., CVPR 2016, Sec. 2.
"""

from collections.abc import Mapping

import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxstyle.paper.statistics import mean_gram_matrix
from jaxstyle.units import LEVELS


def content_loss(
    features: Float[Array, "height width channels"], target: Float[Array, "height width channels"]
) -> Float[Array, ""]:
    """Half the squared error between the image's and the content's features (Eq. 1): ½ Σ (F − P)².

    Args:
      features: F, responses of one layer to the generated image.
      target: P, responses of the same layer to the content image.

    References: Gatys et al., CVPR 2016, Eq. 1; its gradient with respect to F is Eq. 2.
    """
    return 0.5 * jnp.sum(jnp.square(features - target))


def style_layer_loss(
    features: Float[Array, "height width channels"], target: Float[Array, "channels channels"]
) -> Float[Array, ""]:
    """One layer's contribution to the style loss (Eq. 4): E = 1 / (4 N² M²) Σ (G − A)².

    Args:
      features: F, responses of one layer to the generated image.
      target: A / M_a, the style image's Gram matrix divided by *its own* number of positions. Equal to Eq. 4 when both
        images have the same size, and defined when they do not.

    References: Gatys et al., CVPR 2016, Eq. 4; its gradient with respect to F is Eq. 6.
    """
    filters = features.shape[-1]
    return jnp.sum(jnp.square(mean_gram_matrix(features) - target)) / (4 * filters**2)


def style_loss(
    features: Mapping[str, Float[Array, "_height _width _channels"]],
    targets: Mapping[str, Float[Array, "_channels _channels"]],
    weights: Mapping[str, float],
) -> Float[Array, ""]:
    """The style loss of all layers (Eq. 5): Σ_l w_l E_l.

    Args:
      features: responses to the generated image, by layer.
      targets: by layer, as in `style_layer_loss`.
      weights: w_l, by layer; 1/5 for each of the paper's five.

    References: Gatys et al., CVPR 2016, Eq. 5.
    """
    terms = [weight * style_layer_loss(features[layer], targets[layer]) for layer, weight in weights.items()]
    return jnp.sum(jnp.stack(terms))


def total_variation(image: Float[Array, "height width 3"]) -> Float[Array, ""]:
    """Half the squared differences of neighbouring pixels, in units of 0–255.

    Differs from Gatys et al., who use none. Its gradient is neural-style's `TVLoss`, but for the last row and column,
    which that leaves out; neural-style-pt and others sum absolute differences, which are not smooth and therefore not
    for L-BFGS.

    Args:
      image: sRGB in [0, 1].
    """
    pixels = LEVELS * image
    return 0.5 * (jnp.sum(jnp.square(jnp.diff(pixels, axis=0))) + jnp.sum(jnp.square(jnp.diff(pixels, axis=1))))
