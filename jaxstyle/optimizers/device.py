"""The optimizers that run on the device, a chunk of evaluations in one call of one compiled program.

Both spend exactly one evaluation per turn of the loop: a line search is a state that the loop passes through, not a
loop within it. The program therefore contains the loss once, and lanes under `vmap` never wait for each other's search.
"""

import dataclasses
import functools
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Bool, Float, Int

from jaxstyle.objective import LossFunction, Terms
from jaxstyle.optimizers.base import WINDOW, Iteration, Observer, Result, Settings, Status, most_evaluations
from jaxstyle.optimizers.lbfgs import LBFGS
from jaxstyle.sharding import fetch, place, shapes, spread, stored_shape

CHUNK = 64
"""The most evaluations in one call of the compiled loop; how many are made is a traced argument."""
CHUNK_SECONDS = 0.7
"""About how long one call may take, so that progress is seen and an interruption is answered."""

_STATUSES = tuple(Status)
_CODES = {status: code for code, status in enumerate(_STATUSES)}


class Step(NamedTuple):
    """What one evaluation on the device found; `terms` as in the objective."""

    iteration: Int[Array, "*chunk"]
    evaluations: Int[Array, "*chunk"]
    loss: Float[Array, "*chunk"]
    terms: Terms
    gradient_norm: Float[Array, "*chunk"]
    step_size: Float[Array, "*chunk"]
    accepted: Bool[Array, "*chunk"]


class Limits(NamedTuple):
    """The traced settings."""

    iterations: Int[Array, ""]
    tolerance: Float[Array, ""]
    learning_rate: Float[Array, ""]


class LoopState(NamedTuple):
    """What the loop on the device carries from one evaluation to the next.

    Attributes:
      image: the accepted iterate.
      method: the optimizer's own state.
      best_image: where the lowest loss was seen.
      best_loss: that loss.
      window_loss: the lowest loss when the current window began.
      window_start: the iteration at which it began.
      evaluations: so far.
      status: an index into the statuses.
    """

    image: Float[Array, "height width 3"]
    method: Any
    best_image: Float[Array, "height width 3"]
    best_loss: Float[Array, ""]
    window_loss: Float[Array, ""]
    window_start: Int[Array, ""]
    evaluations: Int[Array, ""]
    status: Int[Array, ""]


@dataclasses.dataclass(frozen=True)
class DeviceMethod:
    """The optimizers that run in the compiled loop; hashable, a static argument."""

    name: str
    history_size: int

    def init(self, objective: LossFunction, image: Array) -> Any:
        """The optimizer's own state before anything is evaluated."""
        if self.name == "lbfgs":
            return self._lbfgs(objective).init_state(image)
        return optax.scale_by_adam().init(image), jnp.zeros((), jnp.int32)

    def step(
        self, objective: LossFunction, state: LoopState, problem: Any, limits: Limits
    ) -> tuple[Array, Any, Step, Array, Bool[Array, ""], Bool[Array, ""]]:
        """Spends one evaluation: (image, own state, what was found, where, failed, finite)."""
        evaluations = state.evaluations + 1
        if self.name == "lbfgs":
            image, method, trial = self._lbfgs(objective).try_step(state.image, state.method, problem)
            step = Step(
                method.iteration, evaluations, trial.value, trial.aux, trial.grad_norm, trial.stepsize, trial.accepted
            )
            return image, method, step, trial.params, method.failed, method.trial_finite
        moments, iteration = state.method
        (loss, terms), grad = objective.value_and_grad(state.image, problem)
        updates, moments = optax.scale_by_adam().update(grad, moments)
        finite = jnp.isfinite(loss) & jnp.all(jnp.isfinite(grad))
        rate = limits.learning_rate
        step = Step(iteration, evaluations, loss, terms, jnp.sqrt(jnp.vdot(grad, grad)), rate, finite)
        image = state.image - rate * jnp.asarray(updates)
        return image, (moments, iteration + 1), step, state.image, ~finite, finite

    def _lbfgs(self, objective: LossFunction) -> LBFGS:
        return LBFGS(
            objective.value_and_grad,
            value_and_grad=True,
            has_aux=True,
            history_size=self.history_size,
            filled=objective.bands.filled if objective.bands else 1.0,
        )


@functools.partial(jax.jit, static_argnames=("objective", "method"))
def start_state(objective: LossFunction, method: DeviceMethod, image: Array) -> LoopState:
    """The loop's state before the first evaluation."""
    infinite = jnp.asarray(jnp.inf, image.dtype)
    zero = jnp.zeros((), jnp.int32)
    running = jnp.asarray(_CODES[Status.RUNNING], jnp.int32)
    state = LoopState(image, method.init(objective, image), image, infinite, infinite, zero, zero, running)
    return spread(objective.bands, jax.tree.map(jnp.copy, state))  # its buffers are donated, so none may occur twice


@functools.partial(jax.jit, static_argnames=("objective", "method"), donate_argnames="state")
def advance_once(
    objective: LossFunction, method: DeviceMethod, state: LoopState, problem: Any, limits: Limits
) -> tuple[LoopState, Step]:
    """Spends one evaluation in one call, as the CPU wants it."""
    return _evaluate_once(objective, method, state, problem, limits)


@functools.partial(jax.jit, static_argnames=("objective", "method"), donate_argnames="state")
def advance_chunk(
    objective: LossFunction,
    method: DeviceMethod,
    state: LoopState,
    problem: Any,
    limits: Limits,
    steps: Int[Array, ""],
) -> tuple[LoopState, Step]:
    """Spends up to `steps` evaluations (at most `CHUNK`) in one call, fewer when the run ends.

    Returns:
      The new state, and what each evaluation found, in arrays of length `CHUNK` whose first entries are filled.
    """

    def body(carry: tuple[Array, LoopState, Step]) -> tuple[Array, LoopState, Step]:
        index, before, trace = carry
        after, step = _evaluate_once(objective, method, before, problem, limits)
        return index + 1, after, jax.tree.map(lambda column, value: column.at[index].set(value), trace, step)

    def going(carry: tuple[Array, LoopState, Step]) -> Bool[Array, ""]:
        index, now, _ = carry
        return (index < steps) & (now.status == _CODES[Status.RUNNING])

    numbers, counts = jnp.zeros(CHUNK, state.image.dtype), jnp.zeros(CHUNK, jnp.int32)
    empty = Step(
        iteration=counts,
        evaluations=counts,
        loss=numbers,
        terms=dict.fromkeys(objective.terms, numbers),
        gradient_norm=numbers,
        step_size=numbers,
        accepted=jnp.zeros(CHUNK, bool),
    )
    _, state, trace = jax.lax.while_loop(going, body, (jnp.zeros((), jnp.int32), state, empty))
    return state, trace


def _evaluate_once(
    objective: LossFunction, method: DeviceMethod, state: LoopState, problem: Any, limits: Limits
) -> tuple[LoopState, Step]:
    image, own, step, point, failed, finite = method.step(objective, state, problem, limits)
    better = finite & (step.loss < state.best_loss)
    best_loss = jnp.where(better, step.loss, state.best_loss)
    window_over = step.accepted & (step.iteration >= state.window_start + WINDOW)
    decrease = state.window_loss - best_loss
    statuses = (  # the last that holds counts
        ((step.accepted & (step.iteration >= limits.iterations)), Status.BUDGET_SPENT),
        ((step.evaluations >= most_evaluations(limits.iterations)), Status.BUDGET_SPENT),
        (window_over & (decrease <= limits.tolerance * jnp.abs(state.window_loss)), Status.CONVERGED),
        (window_over & (decrease <= 0), Status.STALLED),
        (step.accepted & (step.gradient_norm == 0), Status.CONVERGED),
        (failed, Status.STALLED),
        (failed & ~finite, Status.NOT_FINITE),
    )
    status = state.status
    for holds, name in statuses:
        status = jnp.where(holds, _CODES[name], status)
    new_window = window_over | (step.accepted & (step.iteration == 0))
    after = LoopState(
        image=image,
        method=own,
        best_image=jnp.where(better, point, state.best_image),
        best_loss=best_loss,
        window_loss=jnp.where(new_window, best_loss, state.window_loss),
        window_start=jnp.where(new_window, step.iteration, state.window_start),
        evaluations=step.evaluations,
        status=status,
    )
    return spread(objective.bands, after), step  # where `state` lies: the next call is given what this one returns


def compile_on_device(
    objective: LossFunction, image: Any, problem: Any, settings: Settings, *, chunked: bool | None = None
) -> jax.stages.Compiled:
    """Compiles what `minimize_on_device` will run, which then finds it compiled; of arrays, shapes are enough."""
    method = DeviceMethod(settings.method, settings.history_size)
    stored = stored_shape(objective.bands, image)
    state = shapes(objective.bands, jax.eval_shape(functools.partial(start_state, objective, method), stored))
    return _compiled(objective, method, state, problem, _limits(settings), _chunked(chunked))


def minimize_on_device(
    objective: LossFunction,
    image: np.ndarray,
    problem: Any,
    settings: Settings,
    observe: Observer,
    interrupted: Callable[[], bool],
    *,
    chunked: bool | None = None,
) -> Result:
    """`optimizers.minimize` for L-BFGS and Adam.

    `chunked` says whether many evaluations are one call. By default they are on accelerators only: on the CPU a call
    costs nothing beside an evaluation, and XLA runs the convolutions slower inside a loop.
    """
    began = time.perf_counter()
    chunked = _chunked(chunked)
    program = advance_chunk if chunked else advance_once
    method, limits = DeviceMethod(settings.method, settings.history_size), _limits(settings)
    state = start_state(objective, method, place(objective.bands, image))
    _compiled(objective, method, state, problem, limits, chunked)
    compile_seconds = time.perf_counter() - began

    began = time.perf_counter()
    history: list[Iteration] = []
    size = max(image.shape[:2])
    seconds, evaluations, steps = 0.0, 0, 1
    status = Status.RUNNING
    while status is Status.RUNNING:
        if interrupted():
            status = Status.INTERRUPTED
            break
        count = (jnp.asarray(steps),) if chunked else ()
        state, trace = program(objective, method, state, problem, limits, *count)
        status = _STATUSES[int(state.status)]
        done = int(state.evaluations) - evaluations
        now = time.perf_counter() - began
        each = (now - seconds) / done
        added = _accepted(jax.tree.map(np.atleast_1d, jax.device_get(trace)), done, seconds, each, size)
        history += added
        seconds, evaluations = now, evaluations + done
        current = state.best_image
        observe(added, lambda current=current: fetch(objective.bands, current))
        steps = max(1, min(CHUNK, 2 * steps, round(CHUNK_SECONDS / each)))
    return Result(
        image=fetch(objective.bands, state.best_image),
        loss=float(state.best_loss),
        status=status,
        history=tuple(history),
        evaluations=evaluations,
        compile_seconds=compile_seconds,
        run_seconds=time.perf_counter() - began,
    )


def _chunked(wanted: bool | None) -> bool:
    return jax.default_backend() != "cpu" if wanted is None else wanted


def _limits(settings: Settings) -> Limits:
    numbers = (np.int32(settings.iterations), np.float32(settings.tolerance), np.float32(settings.learning_rate))
    return Limits(*jax.device_put(numbers))


def _compiled(
    objective: LossFunction, method: DeviceMethod, state: Any, problem: Any, limits: Limits, chunked: bool
) -> jax.stages.Compiled:
    if chunked:
        return advance_chunk.lower(objective, method, state, problem, limits, jnp.asarray(1)).compile()
    return advance_once.lower(objective, method, state, problem, limits).compile()


def _accepted(trace: Step, count: int, seconds: float, each: float, size: int) -> list[Iteration]:
    """The accepted ones among the first `count` entries of a trace, as plain numbers."""
    return [
        Iteration(
            iteration=int(trace.iteration[index]),
            evaluations=int(trace.evaluations[index]),
            loss=float(trace.loss[index]),
            terms={name: float(column[index]) for name, column in trace.terms.items()},
            gradient_norm=float(trace.gradient_norm[index]),
            step_size=float(trace.step_size[index]),
            seconds=seconds + (index + 1) * each,
            size=size,
        )
        for index in range(count)
        if trace.accepted[index]
    ]
