"""Methods of optimization behind one interface: a start and an objective in, the best image and its history out.

`minimize` counts *evaluations* of loss and gradient, which is what a run costs, keeps the best iterate, and ends with a
named `Status`. What methods there are is in `methods`.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from jaxtyping import Float

from jaxstyle.devices import memory
from jaxstyle.devices.sharding import stored_shape
from jaxstyle.optimizers import device
from jaxstyle.optimizers.base import (
    Iteration,
    Keep,
    Observer,
    OnDevice,
    OnHost,
    Result,
    Saved,
    Settings,
    Status,
    ensure_finite,
)
from jaxstyle.optimizers.device import compile_on_device
from jaxstyle.optimizers.loop import Lane, minimize_lanes, minimize_on_device
from jaxstyle.paper.objective import LossFunction, evaluate

__all__ = [
    "Iteration",
    "Keep",
    "Lane",
    "Observer",
    "OnDevice",
    "OnHost",
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
    "state_bytes",
]


def minimize(
    objective: LossFunction,
    image: Float[np.ndarray, "height width 3"],
    problem: Any,
    settings: Settings,
    *,
    observe: Observer = lambda iterations, best: None,
    interrupted: Callable[[], bool] = lambda: False,
    resume: Saved | None = None,
    keep: Keep = lambda saved, status: None,
) -> Result:
    """Minimizes the objective over the image.

    Args:
      objective: what is static about the loss.
      image: the start, sRGB in [0, 1].
      problem: what is traced about the loss.
      settings: the method and its options.
      observe: called now and then with what is new.
      interrupted: asked between evaluations; true ends the run with the best image so far.
      resume: the state in which an earlier call stopped, with the same objective, problem and settings, or ended, with
        fewer iterations; `image` is then not looked at. A method on the host has no such state: it begins anew.
      keep: shown the state now and then.

    Returns:
      The best iterate, with the status and the history, which are those of a call that was never interrupted.

    Raises:
      CheckpointError: `resume` is not a state of this method for an image of this size.
    """
    if isinstance(settings.method, OnHost):
        return settings.method.minimize(objective, image, problem, settings, observe, interrupted)
    return minimize_on_device(objective, image, problem, settings, observe, interrupted, resume, keep)


def has_lanes(objective: LossFunction, settings: Settings) -> bool:
    """Whether `minimize_lanes` can run it: the method is on the device, and the image on one device."""
    return isinstance(settings.method, OnDevice) and objective.bands is None


def needed_bytes(objective: LossFunction, image: Any, problem: Any, settings: Settings, *, lanes: int = 1) -> int:
    """The memory that `minimize`, or `minimize_lanes`, holds at most on a device, its arguments included.

    Compiles the program that will run; nothing is evaluated, so of arrays shapes are enough. On the device:
    `jax.stages.Compiled.memory_analysis`; for a method on the host also what the host holds.
    """
    if isinstance(settings.method, OnHost):
        stored = stored_shape(objective.bands, image)
        on_device = memory.of_program(evaluate.lower(objective, stored, problem).compile())
        return on_device + settings.method.workspace_bytes(image)
    program = compile_on_device(objective, image, problem, settings, lanes=lanes if lanes > 1 else None)
    return memory.of_program(program)


def state_bytes(objective: LossFunction, image: Any, settings: Settings) -> int:
    """What a `Saved` takes for an image of that shape; 0 for a method on the host, which has none."""
    return 0 if isinstance(settings.method, OnHost) else device.state_bytes(objective, image, settings)


def expected_evaluations(settings: Settings) -> int:
    """How many evaluations of loss and gradient a run takes that spends all its iterations, the start's included."""
    return 1 + round(settings.iterations * settings.method.evaluations_per_iteration)
