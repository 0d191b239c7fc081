"""Does it run, and is it right: numbers against the CPU's, statuses, resume."""

import dataclasses
import functools
import subprocess
from collections.abc import Iterator
from typing import Any

import common
import jax
import jax.numpy as jnp
import numpy as np

from accelerator.plan import PRECISIONS, REFERENCE, Measurement, Plan, Row, rounded
from jaxstyle.optimizers import Result, methods
from jaxstyle.paper.objective import evaluate
from jaxstyle.paper.statistics import mean_gram_matrix
from jaxstyle.synthesis.loss_terms import layers_of
from jaxstyle.synthesis.optimization import optimize
from jaxstyle.synthesis.preparation import Prepared

ITERATIONS = 20
"""Of the L-BFGS whose losses are compared with the CPU's."""


def measurements(plan: Plan) -> Iterator[Measurement]:
    """Yields what is checked, most valuable first."""
    yield Measurement({"what": "machine"}, lambda: machine())
    for precision in plan.pick(PRECISIONS, PRECISIONS[:1]):
        asked = {"what": "against the CPU in float32, relative", "precision": precision}
        yield Measurement(asked, functools.partial(errors, plan, precision))
    yield Measurement({"what": "statuses"}, lambda: statuses(plan))
    yield Measurement({"what": "resume"}, lambda: resume(plan))


def size_of(plan: Plan) -> int:
    """The long side of what is compared."""
    return plan.pick(128, 32)


def numbers(ready: Prepared) -> dict[str, np.ndarray]:
    """Features, Gram matrices, loss, gradient at the start, and the losses of a short run, by name."""
    image = jnp.asarray(ready.start)
    features = jax.jit(ready.objective.features)(image, ready.problem.parameters)
    (loss, _), gradient = evaluate(ready.objective, image, ready.problem)
    of_style = layers_of(ready.objective.terms, "style")
    grams = {layer: jax.jit(mean_gram_matrix)(features[layer]) for layer in of_style}
    short = dataclasses.replace(ready, settings=dataclasses.replace(ready.settings, iterations=ITERATIONS))
    found = {f"features/{layer}": of_layer for layer, of_layer in features.items()}
    found |= {f"gram/{layer}": gram for layer, gram in grams.items()}
    found |= {"loss": loss, "gradient": gradient, "losses": losses(optimize([short]))}
    return {name: np.asarray(array, np.float32) for name, array in found.items()}


def losses(result: Result) -> list[float]:
    """The loss of every iteration."""
    return [iteration.loss for iteration in result.history]


def reference(plan: Plan) -> dict[str, np.ndarray]:
    """The same numbers by XLA's plain convolutions in float32, for the CPU."""
    return numbers(common.with_network(plan.load(size_of(plan)), convolution="direct"))


def errors(plan: Plan, precision: str) -> Row:
    """‖found − CPU's‖ / ‖CPU's‖ of everything, and the loss's ratio after a few and after all iterations."""
    with np.load(plan.kit / REFERENCE) as stored:
        expected = {name: stored[name] for name in stored.files}
    found = numbers(common.with_network(plan.load(size_of(plan)), precision=precision))
    relative = {
        name: rounded(float(np.linalg.norm(found[name] - array) / np.linalg.norm(array)), 2)
        for name, array in expected.items()
        if name != "losses"
    }
    steps = sorted({1, ITERATIONS // 4, ITERATIONS})
    ratios = {
        f"loss after {step} / CPU's": rounded(found["losses"][step] / expected["losses"][step], 6) for step in steps
    }
    return {**relative, **ratios}


def machine() -> Row:
    """Device, driver, versions."""
    device = jax.devices()[0]
    statistics = device.memory_stats() or {}
    query = ["nvidia-smi", "--query-gpu=name,memory.total,driver_version", "--format=csv,noheader"]
    try:
        card = subprocess.run(query, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        card = "no nvidia-smi"
    return {
        "platform": jax.default_backend(),
        "kind": device.device_kind,
        "card": card,
        "memory limit": statistics.get("bytes_limit"),
        "software": common.machine(),
    }


def statuses(plan: Plan) -> Row:
    """How runs end that must end in a known way."""
    ready = plan.load(size_of(plan), optimizer={"iterations": 30}).prepared

    def ends(prepared: Prepared = ready, interrupted: bool = False, **settings: Any) -> str:
        changed = dataclasses.replace(prepared, settings=dataclasses.replace(prepared.settings, **settings))
        return str(optimize([changed], interrupted=lambda: interrupted).status)

    return {
        "lbfgs": ends(),
        "adam": ends(method=methods.load("adam")()),
        "scipy-lbfgsb": ends(method=methods.load("scipy-lbfgsb")()),
        "tolerance 0.9": ends(iterations=100, tolerance=0.9),
        "start not finite": ends(dataclasses.replace(ready, start=np.full_like(ready.start, np.nan))),
        "interrupted": ends(interrupted=True),
    }


def resume(plan: Plan) -> Row:
    """Whether a run gives the same numbers twice, and after it was stopped and resumed."""
    ready = plan.load(size_of(plan), optimizer={"iterations": plan.pick(60, 12)}).prepared
    standings: list[Any] = []

    def keep(standing: Any, ends: bool) -> None:
        standings.append(standing())

    whole, again = optimize([ready]), optimize([ready])
    stopped = optimize([ready], keep=keep, interrupted=lambda: len(standings) >= 3)
    resumed = optimize([ready], resume=standings[-1])
    return {
        "stopped after": stopped.evaluations,
        "of evaluations": whole.evaluations,
        "twice: losses equal": losses(whole) == losses(again),
        "twice: pixels equal": bool(np.array_equal(whole.image, again.image)),
        "resumed: losses equal": losses(whole) == losses(resumed),
        "resumed: pixels equal": bool(np.array_equal(whole.image, resumed.image)),
        "resumed: last loss / whole's": losses(resumed)[-1] / losses(whole)[-1],
    }
