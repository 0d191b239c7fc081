"""What every optimizer shares: its settings, what it reports, and how a run can end."""

import dataclasses
import enum
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, TypeVar

import numpy as np
from jaxtyping import Float

from jaxstyle.errors import JaxstyleError
from jaxstyle.optimizers.box import Box, box_of

T = TypeVar("T")

WINDOW = 20
"""Iterations over which the decrease of the loss is judged."""


class Status(enum.StrEnum):
    """How a run stands."""

    RUNNING = "running"
    BUDGET_SPENT = "budget spent"
    CONVERGED = "converged"
    STALLED = "stalled"
    NOT_FINITE = "not finite"
    INTERRUPTED = "interrupted"


class Iteration(NamedTuple):
    """One accepted iterate, as it is recorded.

    Attributes:
      iteration: 0 for the start.
      evaluations: of loss and gradient, since the start.
      loss: the total.
      terms: what the total is the sum of.
      gradient_norm: Euclidean norm of the gradient with respect to the picture in [0, 1]; with bounds, of the projected
        gradient.
      step_size: the multiple of the search direction that was taken; Adam's learning rate; for SciPy, which does not
        say, the Euclidean length of the step.
      seconds: since the first evaluation began, compilation not counted. Within one call of the compiled loop the time
        is shared evenly among its evaluations.
      size: the picture's long side in pixels; losses compare at one size only.
    """

    iteration: int
    evaluations: int
    loss: float
    terms: dict[str, float]
    gradient_norm: float
    step_size: float
    seconds: float
    size: int


@dataclasses.dataclass(frozen=True)
class Result:
    """What an optimization found.

    Attributes:
      image: the best iterate, [height, width, 3] sRGB, not clipped.
      loss: its loss.
      status: why it ended.
      history: every accepted iterate.
      evaluations: of loss and gradient in all.
      compile_seconds: until the first evaluation could begin.
      run_seconds: spent optimizing.
    """

    image: Float[np.ndarray, "height width 3"]
    loss: float
    status: Status
    history: tuple[Iteration, ...]
    evaluations: int
    compile_seconds: float
    run_seconds: float


def ensure_finite(result: Result) -> None:
    """Does nothing with a result that is one.

    Raises:
      JaxstyleError: the loss or its gradient is beyond the numbers that devices compute with.
    """
    if result.status is not Status.NOT_FINITE:
        return
    where = f"after iteration {result.history[-1].iteration}" if result.history else "at the start"
    remedy = "; smaller steps (optimizer.learning_rate) may help" if result.history else ""
    raise JaxstyleError(
        f"not finite: {where} the loss or its gradient is beyond 32-bit floating point, so there is no result; "
        f"weights nearer to 1 (loss.content_weight, loss.style_weight, loss.tv_weight) give other numbers{remedy}"
    )


@dataclasses.dataclass(frozen=True)
class Settings:
    """How to optimize; see the experiment file's `[optimizer]`, whose defaults are the only ones.

    Attributes:
      method: `lbfgs`, `adam` or `scipy-lbfgsb`.
      iterations: accepted steps; evaluations are limited to twice as many and twenty more.
      history_size: correction pairs of the two L-BFGS.
      learning_rate: Adam's, in units of the picture's [0, 1].
      tolerance: relative decrease of the loss over `WINDOW` iterations below which the run has converged.
      bounds: lowest and highest value of each color channel; None for no bounds.
      terms: the terms of the loss that are told of; None for all.
    """

    method: str
    iterations: int
    history_size: int
    learning_rate: float
    tolerance: float
    bounds: tuple[tuple[float, float], ...] | None = None
    terms: tuple[str, ...] | None = None

    @property
    def box(self) -> Box | None:
        """The bounds as arrays."""
        return None if self.bounds is None else box_of(self.bounds)

    def feasible(self, image: np.ndarray) -> np.ndarray:
        """The image itself, or with bounds the nearest one within them."""
        return image if self.box is None else self.box.project(np.asarray(image, np.float32))

    def told(self, terms: Mapping[str, T]) -> dict[str, T]:
        """Those of the loss's terms that are told of."""
        return {name: terms[name] for name in (terms if self.terms is None else self.terms)}


Observer = Callable[[Sequence[Iteration], Callable[[], np.ndarray]], None]
"""Called with the iterations that were added, and a function that fetches the best picture so far.

The function holds during the call only: its buffer is given to the next evaluation.
"""


class Saved(NamedTuple):
    """Where an optimization stands: all that is needed to go on as though it had never stopped.

    Attributes:
      arrays: the optimizer's whole state, by name.
      history: every accepted iterate so far.
      compile_seconds: as in `Result`.
      run_seconds: as in `Result`.
    """

    arrays: Mapping[str, np.ndarray]
    history: tuple[Iteration, ...]
    compile_seconds: float
    run_seconds: float


Keep = Callable[[Callable[[], Saved], bool], None]
"""Called between evaluations with a function that fetches where the optimization stands, and whether it ends there.

The function holds during the call only: its buffers are given to the next evaluation.
"""


def most_evaluations(iterations: Any) -> Any:
    """The evaluations of loss and gradient that a budget of iterations allows."""
    return 2 * iterations + 20
