"""What every method of optimization shares: its interface, its settings, what it reports, and how a run can end."""

import dataclasses
import enum
import importlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, NamedTuple, TypeVar

import numpy as np
from jaxtyping import Array, Bool, Float, Int

from jaxstyle.errors import JaxstyleError
from jaxstyle.optimizers.box import Box, box_of
from jaxstyle.paper.objective import LossFunction, Values

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
      gradient_norm: Euclidean norm of the gradient with respect to the image in [0, 1]; with bounds, of the projected
        gradient.
      step_size: the multiple of the search direction that was taken; Adam's learning rate; for SciPy, which does not
        say, the Euclidean length of the step.
      seconds: since the first evaluation began, compilation not counted. Within one call of the compiled loop the time
        is shared evenly among its evaluations.
      size: the image's long side in pixels; losses compare at one size only.
    """

    iteration: int
    evaluations: int
    loss: float
    terms: dict[str, float]
    gradient_norm: float
    step_size: float
    seconds: float
    size: int


@dataclasses.dataclass(frozen=True, repr=False)
class Result:
    """What an optimization found. In a notebook it shows the image and its losses.

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

    def plot(self, axes: Any = None) -> Any:
        """Draws the loss and its terms against evaluations, on a logarithmic axis.

        Args:
          axes: matplotlib's, to draw in; a new figure's if there are none.

        Returns:
          The axes.

        Raises:
          JaxstyleError: matplotlib is not installed.
        """
        return _drawing().plot_history(self.history, axes)

    def __repr__(self) -> str:
        """How it ended, without the numbers of the image."""
        height, width, _ = self.image.shape
        steps = self.history[-1].iteration if self.history else 0
        return f"Result({width}×{height} pixels, loss {self.loss:.4g}, {self.status} after {steps} iterations)"

    def _repr_html_(self) -> str:
        return _drawing().of_result(self)


def _drawing() -> Any:
    """What draws is a later room's, and nothing that optimizes depends on it: it is imported when it is asked for."""
    return importlib.import_module("jaxstyle.reports.notebook")


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
class Method:
    """A method of optimization: hashable, its fields are its keys in `[optimizer]` and have defaults.

    Inherit `OnDevice` or `OnHost`. A key's limits and description are a pydantic `Field` in its annotation; what else
    must hold is checked in `__post_init__`, by a `JaxstyleError`.

    Attributes:
      name: what `optimizer.method` calls it.
      evaluations_per_iteration: of loss and gradient, as measured; for estimates.
      needs_exact: whether it compares losses, so that it needs their exact gradient (`LossFunction.is_exact`).
    """

    name: ClassVar[str] = ""
    needs_exact: ClassVar[bool] = False
    evaluations_per_iteration: ClassVar[float] = 1.0

    @property
    def program(self) -> "Method":
        """What decides the compiled program: equal for methods that share one."""
        return self


class Move(NamedTuple):
    """What one step of a method found.

    Attributes:
      image: where the next step begins.
      state: the method's own, for the next step.
      point: where loss and gradient were evaluated.
      loss: there.
      terms: there.
      gradient_norm: there, ‖gradient‖₂; with bounds, of the projected gradient.
      step_size: as it is recorded (`Iteration.step_size`).
      iteration: the number of the last accepted iterate; the start is 0.
      accepted: whether `point` is an iterate: finite, and as low as the method wants it.
      failed: whether the method has nothing left to try.
      finite: whether loss and gradient are numbers.
    """

    image: Float[Array, "height width 3"]
    state: Any
    point: Float[Array, "height width 3"]
    loss: Float[Array, ""]
    terms: Values
    gradient_norm: Float[Array, ""]
    step_size: Float[Array, ""]
    iteration: Int[Array, ""]
    accepted: Bool[Array, ""]
    failed: Bool[Array, ""]
    finite: Bool[Array, ""]


@dataclasses.dataclass(frozen=True)
class OnDevice(Method):
    """A method that runs in the compiled loop, an evaluation of loss and gradient a step.

    It is resumed from its state, a tree of arrays that is as large for every image of one size, and runs in lanes.

    Attributes:
      traced: the keys that are arguments of the compiled program, so that members of a sweep may differ in them; the
        others are part of the program.
      descends: whether every accepted step is meant to lower the loss: one that does not for `WINDOW` iterations has
        stalled, where a method that goes up and down goes on.
    """

    traced: ClassVar[tuple[str, ...]] = ()
    descends: ClassVar[bool] = False

    def init(self, objective: LossFunction, image: Array) -> Any:
        """The method's state before anything is evaluated."""
        raise NotImplementedError

    def step(
        self,
        objective: LossFunction,
        image: Array,
        state: Any,
        problem: Any,
        options: Mapping[str, Array],
        box: Box | None,
    ) -> Move:
        """Spends one evaluation; a line search is a state that is passed through, not a loop within a step.

        Args:
          objective: what is minimized; evaluate it once, by `value_and_grad`.
          image: of the step before, or the start.
          state: of the step before, or of `init`.
          problem: for the objective.
          options: the values of the keys in `traced`.
          box: the bounds that every point is to be within, if there are any.
        """
        raise NotImplementedError

    @property
    def program(self) -> "Method":
        """The method without the values of its traced keys."""
        defaults = {field.name: field.default for field in dataclasses.fields(self) if field.name in self.traced}
        return dataclasses.replace(self, **defaults)

    @property
    def options(self) -> dict[str, np.float32]:
        """The values of the traced keys."""
        return {key: np.float32(getattr(self, key)) for key in self.traced}


@dataclasses.dataclass(frozen=True)
class Settings:
    """How to optimize; see the experiment file's `[optimizer]`, whose defaults are the only ones.

    Attributes:
      method: with its own options.
      iterations: accepted steps; evaluations are limited to twice as many and twenty more.
      tolerance: relative decrease of the loss over `WINDOW` iterations below which the run has converged; 0: none.
      bounds: lowest and highest value of each colour channel; None for no bounds.
      terms: the terms of the loss that are reported; None for all.
    """

    method: Method
    iterations: int
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

    @property
    def program(self) -> tuple[Method, bool]:
        """What decides the compiled program."""
        return self.method.program, self.bounds is not None

    def reported(self, terms: Mapping[str, T]) -> dict[str, T]:
        """Those of the loss's terms that are reported."""
        return {name: terms[name] for name in (terms if self.terms is None else self.terms)}


Observer = Callable[[Sequence[Iteration], Callable[[], np.ndarray]], int | None]
"""Called with the iterations that were added, and a function that fetches the best image so far.

May return after how many iterations at most it is to be called again; None leaves that to the device. The function
holds during the call only: its buffer is given to the next evaluation.
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


Keep = Callable[[Callable[[], Saved], Status], None]
"""Called between evaluations with a function that fetches where the optimization stands, and its status.

The function holds during the call only: its buffers are given to the next evaluation.
"""


def most_evaluations(iterations: Any) -> Any:
    """The evaluations of loss and gradient that a budget of iterations allows."""
    return 2 * iterations + 20


@dataclasses.dataclass(frozen=True)
class OnHost(Method):
    """A method that calls the compiled loss and gradient from the host. It keeps its state to itself: no resume."""

    def minimize(
        self,
        objective: LossFunction,
        image: np.ndarray,
        problem: Any,
        settings: Settings,
        observe: Observer,
        interrupted: Callable[[], bool],
    ) -> Result:
        """As `optimizers.minimize`."""
        raise NotImplementedError

    def workspace_bytes(self, image: Any) -> int:
        """What it holds in the host's memory for an image of that shape."""
        raise NotImplementedError
