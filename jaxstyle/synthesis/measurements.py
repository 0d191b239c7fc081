"""What is measured on every finished image, whatever was optimized, so that images of all conventions compare."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from jaxstyle.metrics import measure_all
from jaxstyle.paper.conventions import FORMULAS
from jaxstyle.paper.objective import compute_targets
from jaxstyle.paper.terms import Content, Style
from jaxstyle.synthesis.preparation import Prepared
from jaxstyle.terms.guided import plain

PAPER = FORMULAS["paper"]
"""The convention that loss terms are reported in: the equations to the letter."""


def measure_result(prepared: Prepared, image: Float[np.ndarray, "height width 3"]) -> dict[str, Any]:
    """Measures a result.

    Returns:
      every metric that there is, such as `grey_correlation` and `psnr` (dB) against the content at the same size;
      `paper_terms`: L_content and E of every layer by Eqs. 1 and 4, without any weight;
      `gram_distance`: ‖G/M − A/M‖ / ‖A/M‖ of every style layer, `conv1_1/sky` where there are regions.
    """
    problem = prepared.problem
    found = jax.device_get(compute_targets(prepared.objective, jnp.asarray(image), problem.parameters, problem.guides))
    targets = problem.targets
    asked = prepared.objective.names if prepared.settings.terms is None else prepared.settings.terms
    terms, distances = {}, {}
    for term in prepared.objective.terms:
        of_paper = plain(term)
        if term.name not in asked or not isinstance(of_paper, Content | Style):
            continue
        target = np.asarray(jax.device_get(targets[term.name]), np.float64)
        squares = float(np.sum(np.square(found[term.name] - target)))
        if isinstance(of_paper, Content):
            terms[term.name] = PAPER.content_scale(target.shape[-1], 0) * squares
        else:
            terms[term.name] = PAPER.style_scale(target.shape[-1]) * squares
            distances[term.name.partition("/")[2]] = float(np.sqrt(squares) / np.linalg.norm(target))
    own = measure_all(image, prepared.content, prepared.styles)
    return {**own, "paper_terms": terms, "gram_distance": distances}
