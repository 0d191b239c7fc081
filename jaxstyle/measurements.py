"""What is measured on every finished picture, whatever was optimized, so that pictures of all conventions compare."""

from collections.abc import Iterable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from jaxstyle.losses import FORMULAS
from jaxstyle.metrics import grey_correlation, psnr
from jaxstyle.objective import measure
from jaxstyle.preparation import Prepared

REFERENCE = "paper"
"""The convention that loss terms are reported in: the equations to the letter."""


def measure_result(prepared: Prepared, image: Float[np.ndarray, "height width 3"]) -> dict[str, Any]:
    """Measures a result picture.

    Returns:
      `grey_correlation` and `psnr` (dB) against the content at the same size, where there is one;
      `paper_terms`: L_content and E of every layer by Eqs. 1 and 4, without any weight;
      `gram_distance`: ‖G/M − A/M‖ / ‖A/M‖ of every style layer.
    """
    found = measure(prepared.objective, jnp.asarray(image), prepared.problem.parameters)
    targets = prepared.problem.targets
    formula = FORMULAS[REFERENCE]
    terms, distances = {}, {}
    for layer in _asked(prepared, "content", targets.content):
        target = targets.content[layer]
        terms[f"content/{layer}"] = float(formula.content(found.content[layer], target))
    for layer in _asked(prepared, "style", targets.style):
        target = targets.style[layer]
        error = np.asarray(jax.device_get(found.style[layer] - target), np.float64)
        filters = target.shape[0]
        terms[f"style/{layer}"] = float(np.sum(error**2) * formula.style_scale(filters))
        distances[layer] = float(np.linalg.norm(error) / np.linalg.norm(target))
    against_content = {}
    if prepared.content is not None:
        against_content = {
            "grey_correlation": grey_correlation(image, prepared.content),
            "psnr": psnr(image, prepared.content),
        }
    return {**against_content, "paper_terms": terms, "gram_distance": distances}


def _asked(prepared: Prepared, kind: str, layers: Iterable[str]) -> list[str]:
    """The layers whose terms the experiment asks for; the objective may read others for other members of a sweep."""
    asked = prepared.objective.terms if prepared.settings.terms is None else prepared.settings.terms
    return [layer for layer in layers if f"{kind}/{layer}" in asked]
