"""SciPy's L-BFGS-B on the host, the optimizer of Gatys' texture code, with its bounds on the pixels as an option."""

import dataclasses
import math
import time
from collections.abc import Callable
from typing import Annotated, Any, ClassVar, NamedTuple

import jax
import numpy as np
import scipy.optimize
from pydantic import Field

from jaxstyle.devices.sharding import place, to_host
from jaxstyle.optimizers.base import WINDOW, Iteration, Observer, OnHost, Result, Settings, Status, most_evaluations
from jaxstyle.optimizers.box import Box
from jaxstyle.paper.objective import LossFunction, evaluate


class _Stop(Exception):
    """Leaves SciPy's loop."""


@dataclasses.dataclass(frozen=True)
class ScipyLBFGSB(OnHost):
    """SciPy's L-BFGS-B as Gatys' texture code calls it: no tolerance, optional bounds on the pixels."""

    name: ClassVar[str] = "scipy-lbfgsb"
    needs_exact: ClassVar[bool] = True
    evaluations_per_iteration: ClassVar[float] = 1.02
    history_size: Annotated[
        int,
        Field(ge=1, le=1000, description="The number of correction pairs; each takes two images of memory."),
    ] = 20

    def workspace_bytes(self, image: Any) -> int:
        """In float64 the pairs, and about a dozen images more."""
        return 8 * math.prod(image.shape) * (2 * self.history_size + 16)

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
        began = time.perf_counter()
        jax.block_until_ready(evaluate(objective, place(objective.bands, image), problem))  # compiles; not counted
        compile_seconds = time.perf_counter() - began

        began = time.perf_counter()
        image, box = settings.feasible(np.asarray(image)), settings.box
        trace = _Trace(best_image=image)
        budget = most_evaluations(settings.iterations)

        def value_and_grad(flat: np.ndarray) -> tuple[float, np.ndarray]:
            if interrupted():
                raise _Stop(Status.INTERRUPTED)
            if trace.evaluations >= budget:
                raise _Stop(Status.BUDGET_SPENT)
            point = flat.reshape(image.shape).astype(np.float32)
            (loss, terms), grad = evaluate(objective, place(objective.bands, point), problem)
            loss, terms = jax.device_get((loss, terms))
            gradient = to_host(objective.bands, grad).astype(np.float64).ravel()
            if not (np.isfinite(loss) and np.isfinite(gradient).all()):
                trace.evaluations += 1
                raise _Stop(Status.NOT_FINITE)
            numbers = {name: float(term) for name, term in settings.reported(terms).items()}
            uphill = gradient if box is None else box.projected(point, gradient.reshape(point.shape))
            norm = float(np.linalg.norm(uphill))
            trace.add(_Evaluation(point, float(loss), numbers, norm, time.perf_counter() - began))
            if trace.evaluations == 1:
                trace.accept(observe, settings.tolerance)
            return float(loss), gradient

        status = Status.STALLED
        try:
            outcome = scipy.optimize.minimize(
                value_and_grad,
                np.asarray(image, np.float64).ravel(),
                jac=True,
                method="L-BFGS-B",
                bounds=None if box is None else _pixel_bounds(box, image),
                callback=lambda flat: trace.accept(observe, settings.tolerance),
                options={
                    "maxiter": settings.iterations,
                    "maxfun": budget,
                    "maxcor": self.history_size,
                    "ftol": 0.0,
                    "gtol": 0.0,
                },
            )
            if outcome.status == 1:
                status = Status.BUDGET_SPENT
            elif trace.history[-1].gradient_norm == 0:
                status = Status.CONVERGED
        except _Stop as stop:
            status = stop.args[0]
        return Result(
            image=trace.best_image,
            loss=trace.best_loss,
            status=status,
            history=tuple(trace.history),
            evaluations=trace.evaluations,
            compile_seconds=compile_seconds,
            run_seconds=time.perf_counter() - began,
        )


def _pixel_bounds(box: Box, image: np.ndarray) -> np.ndarray:
    """(lowest, highest) for every number of the flattened image."""
    return np.broadcast_to(np.stack(box, axis=-1).astype(np.float64), (*image.shape, 2)).reshape(-1, 2)


class _Evaluation(NamedTuple):
    """The last evaluation that SciPy asked for."""

    point: np.ndarray
    loss: float
    terms: dict[str, float]
    gradient_norm: float
    seconds: float


@dataclasses.dataclass
class _Trace:
    """What is known of a running SciPy optimization: its callback only says that the last point was accepted."""

    best_image: np.ndarray
    best_loss: float = np.inf
    evaluations: int = 0
    history: list[Iteration] = dataclasses.field(default_factory=list)
    last: _Evaluation | None = None
    accepted: np.ndarray | None = None
    window_loss: float = np.inf

    def add(self, evaluation: _Evaluation) -> None:
        """Adds an evaluation."""
        self.evaluations += 1
        self.last = evaluation
        if evaluation.loss < self.best_loss:
            self.best_loss, self.best_image = evaluation.loss, evaluation.point

    def accept(self, observe: Observer, tolerance: float) -> None:
        """Makes the last evaluation an iterate."""
        if self.last is None:
            return
        moved = self.last.point - (self.last.point if self.accepted is None else self.accepted)
        self.accepted = self.last.point
        self.history.append(
            Iteration(
                iteration=len(self.history),
                evaluations=self.evaluations,
                loss=self.last.loss,
                terms=self.last.terms,
                gradient_norm=self.last.gradient_norm,
                step_size=float(np.linalg.norm(moved)),
                seconds=self.last.seconds,
                size=max(self.last.point.shape[:2]),
            )
        )
        observe(self.history[-1:], lambda: self.best_image)
        if len(self.history) % WINDOW == 1:  # as in the compiled loop
            before, self.window_loss = self.window_loss, self.best_loss
            if len(self.history) > 1 and tolerance > 0 and before - self.best_loss <= tolerance * abs(before):
                raise _Stop(Status.CONVERGED)
