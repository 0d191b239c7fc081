"""Images per minute when several go side by side in the lanes of one program."""

import functools
from collections.abc import Iterator

import common

from accelerator.plan import Measurement, Plan, Row, rounded
from jaxstyle.optimizers import Lane, minimize_lanes

ITERATIONS = 150
"""Timed; long enough for the loop's calls to have reached their full length."""
IMAGE = 500
"""The iterations of an image."""
ORDER = ((256, (1, 8, 32)), (128, (1, 32)), (512, (1, 8)), (128, (8, 16)), (256, (4, 16, 2)), (512, (4, 16, 2, 32)))


def measurements(plan: Plan) -> Iterator[Measurement]:
    """Yields sizes and lanes, most telling first."""
    for size, counts in plan.pick(ORDER, ((32, (2,)),)):
        for lanes in counts:
            yield Measurement({"size": size, "lanes": lanes}, functools.partial(throughput, plan, size, lanes))


def throughput(plan: Plan, size: int, lanes: int) -> Row:
    """Images of 500 iterations a minute, from a shorter run of so many noises side by side."""
    iterations = plan.pick(ITERATIONS, 3)
    loaded = plan.load(size, optimizer={"iterations": iterations})
    ready = common.with_network(loaded, precision="float32")
    runs = [Lane(ready.start, ready.problem, ready.settings)] * lanes
    results = minimize_lanes(ready.objective, runs)
    seconds = max(result.run_seconds for result in results)
    evaluations = max(result.evaluations for result in results)
    return {
        "compile s": round(results[0].compile_seconds, 1),
        "ms an evaluation of all": rounded(1000 * seconds / evaluations),
        "images a minute": rounded(60 * lanes / (seconds / iterations * IMAGE), 3),
    }
