"""Optimizers behind one interface: a start and an objective in, the best picture and the honest story out.

`minimize` counts *evaluations* of loss and gradient, which is what a run costs, keeps the best iterate, and ends with a
named `Status`. L-BFGS and Adam run on the device, SciPy's L-BFGS-B on the host.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from jaxtyping import Float

from jaxstyle.devices import memory
from jaxstyle.devices.sharding import stored_shape
from jaxstyle.optimizers.base import Iteration, Keep, Observer, Result, Saved, Settings, Status, ensure_finite
from jaxstyle.optimizers.device import compile_on_device, minimize_on_device
from jaxstyle.optimizers.host import minimize_with_scipy, workspace_bytes
from jaxstyle.optimizers.lanes import Lane, compile_lanes, minimize_lanes
from jaxstyle.paper.objective import LossFunction, evaluate

__all__ = [
    "Iteration",
    "Keep",
    "Lane",
    "Observer",
    "Result",
    "Saved",
    "Settings",
    "Status",
    "ensure_finite",
    "expected_evaluations",
    "has_lanes",
    "minimize",
    "minimize_lanes",
    "needed_bytes",
]

EVALUATIONS_PER_ITERATION = {"lbfgs": 1.05, "adam": 1.0, "scipy-lbfgsb": 1.02}
"""As measured (docs/performance.md)."""


def minimize(
    objective: LossFunction,
    image: Float[np.ndarray, "height width 3"],
    problem: Any,
    settings: Settings,
    *,
    observe: Observer = lambda iterations, best: None,
    interrupted: Callable[[], bool] = lambda: False,
    resume: Saved | None = None,
    keep: Keep = lambda saved, ends: None,
) -> Result:
    """Minimizes the objective over the picture.

    Args:
      objective: what is static about the loss.
      image: the start, sRGB in [0, 1].
      problem: what is traced about the loss.
      settings: the optimizer and its options.
      observe: called now and then with what is new.
      interrupted: asked between evaluations; true ends the run with the best picture so far.
      resume: where an earlier call stood, with the same objective, problem and settings; `image` is then not looked at.
      keep: shown where the optimization stands. SciPy keeps its state to itself: it shows nothing, and begins anew.

    Returns:
      The best iterate, with the status and the history, which are those of a call that was never interrupted.

    Raises:
      CheckpointError: `resume` is not a state of this optimizer for a picture of this size.
    """
    if settings.method == "scipy-lbfgsb":
        return minimize_with_scipy(objective, image, problem, settings, observe, interrupted)
    return minimize_on_device(objective, image, problem, settings, observe, interrupted, resume, keep)


def has_lanes(objective: LossFunction, settings: Settings) -> bool:
    """Whether `minimize_lanes` knows the method, and the picture is on one device."""
    return settings.method != "scipy-lbfgsb" and objective.bands is None


def needed_bytes(objective: LossFunction, image: Any, problem: Any, settings: Settings, *, lanes: int = 1) -> int:
    """The memory that `minimize`, or `minimize_lanes`, holds at most on a device, its arguments included.

    Compiles the program that `minimize` will run; nothing is evaluated, so of arrays shapes are enough. On the
    device: `jax.stages.Compiled.memory_analysis`; for SciPy also what the host holds.
    """
    if settings.method == "scipy-lbfgsb":
        stored = stored_shape(objective.bands, image)
        return memory.of_program(evaluate.lower(objective, stored, problem).compile()) + workspace_bytes(
            image, settings
        )
    if lanes > 1:
        return memory.of_program(compile_lanes(objective, image, problem, settings, lanes))
    return memory.of_program(compile_on_device(objective, image, problem, settings))


def expected_evaluations(settings: Settings) -> int:
    """How many evaluations of loss and gradient a run takes that spends all its iterations, the start's included."""
    return 1 + round(settings.iterations * EVALUATIONS_PER_ITERATION[settings.method])
