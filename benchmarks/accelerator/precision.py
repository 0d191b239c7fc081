"""What a precision of the features costs in the loss that is reached: several noises, each in every precision."""

import functools
import math
from collections.abc import Iterator

import common
import numpy as np

from accelerator.plan import PRECISIONS, Measurement, Plan, Row, rounded
from jaxstyle.optimizers import Lane, minimize_lanes

RATIOS = (1e-2, 1e-1)
SEEDS = (0, 1, 2, 3)


def measurements(plan: Plan) -> Iterator[Measurement]:
    """Yields a row for each precision; losses are compared with those of the first."""
    reference: list[float] = []
    for precision in plan.pick(PRECISIONS, PRECISIONS[:2]):
        asked = {"size": plan.pick(256, 32), "precision": precision}
        yield Measurement(asked, functools.partial(losses, plan, precision, reference))


def losses(plan: Plan, precision: str, reference: list[float]) -> Row:
    """The losses after 500 iterations, as multiples of those in float32 at the same ratio and noise."""
    if not reference and precision != PRECISIONS[0]:
        losses(plan, PRECISIONS[0], reference)
    size, iterations = plan.pick((256, 500), (32, 3))
    lanes = []
    for ratio in plan.pick(RATIOS, RATIOS[:1]):
        for seed in plan.pick(SEEDS, SEEDS[:2]):
            loaded = plan.load(size, seed=seed, content_weight=ratio, optimizer={"iterations": iterations})
            ready = common.with_network(loaded, precision=precision)
            lanes.append(Lane(ready.start, ready.problem, ready.settings))
    results = minimize_lanes(ready.objective, lanes)
    found = [result.loss for result in results]
    reference.extend(found if not reference else [])
    ratios = np.asarray(found) / np.asarray(reference)
    seconds = max(result.run_seconds for result in results)
    return {
        "lanes": len(lanes),
        "optimizing s": round(seconds, 1),
        "loss / float32's, geometric mean": rounded(math.exp(float(np.mean(np.log(ratios))))),
        "lowest and highest": f"{ratios.min():.3f}–{ratios.max():.3f}",
    }
