"""The optimizers that run on the device, a chunk of evaluations in one call of one compiled program.

Both spend exactly one evaluation per turn of the loop: a line search is a state that the loop passes through, not a
loop within it. The program therefore contains the loss once, and lanes under `vmap` never wait for each other's search.
"""

import dataclasses
import functools
import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, cast

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Bool, Float, Int

from jaxstyle.devices.sharding import Bands, fetch, padded, place, shapes, spread, stored_shape
from jaxstyle.errors import CheckpointError
from jaxstyle.optimizers.base import (
    WINDOW,
    Iteration,
    Keep,
    Observer,
    Result,
    Saved,
    Settings,
    Status,
    most_evaluations,
)
from jaxstyle.optimizers.box import Box
from jaxstyle.optimizers.lbfgs import LBFGS, is_representable
from jaxstyle.paper.objective import LossFunction, Problem, Values

CHUNK = 64
"""The most evaluations in one call of the compiled loop; how many are made is a traced argument."""
CHUNK_SECONDS = 0.7
"""About how long one call may take, so that progress is seen and an interruption is answered."""

LANES = Problem(parameters=None, targets=cast(Any, 0), weights=cast(Any, 0))
"""What of a problem each lane has for itself; parameters are shared."""

STATUSES = tuple(Status)
_CODES = {status: code for code, status in enumerate(STATUSES)}


class Step(NamedTuple):
    """What one evaluation on the device found; `terms` as in the objective."""

    iteration: Int[Array, "*chunk_lanes"]
    evaluations: Int[Array, "*chunk_lanes"]
    loss: Float[Array, "*chunk_lanes"]
    terms: Values
    gradient_norm: Float[Array, "*chunk_lanes"]
    step_size: Float[Array, "*chunk_lanes"]
    accepted: Bool[Array, "*chunk_lanes"]


class Limits(NamedTuple):
    """The traced settings; without bounds the program has nothing of them."""

    iterations: Int[Array, "*lanes"]
    tolerance: Float[Array, "*lanes"]
    learning_rate: Float[Array, "*lanes"]
    box: Box | None = None


class LoopState(NamedTuple):
    """What the loop on the device carries from one evaluation to the next; of many lanes, stacked.

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

    image: Float[Array, "*lanes height width 3"]
    method: Any
    best_image: Float[Array, "*lanes height width 3"]
    best_loss: Float[Array, "*lanes"]
    window_loss: Float[Array, "*lanes"]
    window_start: Int[Array, "*lanes"]
    evaluations: Int[Array, "*lanes"]
    status: Int[Array, "*lanes"]


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
            image, method, trial = self._lbfgs(objective).try_step(state.image, state.method, problem, box=limits.box)
            step = Step(
                method.iteration, evaluations, trial.value, trial.aux, trial.grad_norm, trial.stepsize, trial.accepted
            )
            return image, method, step, trial.params, method.failed, method.trial_finite
        moments, iteration = state.method
        (loss, terms), grad = objective.value_and_grad(state.image, problem)
        updates, moments = optax.scale_by_adam().update(grad, moments)
        finite = is_representable(loss, grad, is_start=iteration == 0)
        rate, box = limits.learning_rate, limits.box
        uphill = grad if box is None else box.projected(state.image, grad)
        step = Step(iteration, evaluations, loss, terms, jnp.sqrt(jnp.vdot(uphill, uphill)), rate, finite)
        image = state.image - rate * jnp.asarray(updates)
        if box is not None:
            image = jnp.where(image == state.image, image, box.project(image))
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
    return _evaluate(objective, method, state, problem, limits)


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
        after, step = _evaluate(objective, method, before, problem, limits)
        return index + 1, after, jax.tree.map(lambda column, value: column.at[index].set(value), trace, step)

    def going(carry: tuple[Array, LoopState, Step]) -> Bool[Array, ""]:
        index, now, _ = carry
        return (index < steps) & jnp.any(now.status == _CODES[Status.RUNNING])

    shape = (CHUNK, *state.status.shape)
    numbers, counts = jnp.zeros(shape, state.image.dtype), jnp.zeros(shape, jnp.int32)
    empty = Step(
        iteration=counts,
        evaluations=counts,
        loss=numbers,
        terms=dict.fromkeys(objective.names, numbers),
        gradient_norm=numbers,
        step_size=numbers,
        accepted=jnp.zeros(shape, bool),
    )
    _, state, trace = jax.lax.while_loop(going, body, (jnp.zeros((), jnp.int32), state, empty))
    return state, trace


def _evaluate(
    objective: LossFunction, method: DeviceMethod, state: LoopState, problem: Any, limits: Limits
) -> tuple[LoopState, Step]:
    """One evaluation of the one run, or of each lane; the lanes share the network's parameters."""
    evaluate = functools.partial(_evaluate_once, objective, method)
    if state.status.ndim:
        evaluate = jax.vmap(evaluate, in_axes=(0, LANES, 0))
    return evaluate(state, problem, limits)


def _evaluate_once(
    objective: LossFunction, method: DeviceMethod, state: LoopState, problem: Any, limits: Limits
) -> tuple[LoopState, Step]:
    """The state after one evaluation. A lane that has ended is evaluated with the others, but keeps what it found."""
    image, own, step, point, failed, finite = method.step(objective, state, problem, limits)
    running = state.status == _CODES[Status.RUNNING]
    better = running & finite & (step.loss < state.best_loss)
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
        status = jnp.where(running & holds, _CODES[name], status)
    new_window = window_over | (step.accepted & (step.iteration == 0))
    after = LoopState(
        image=image,
        method=own,
        best_image=jnp.where(better, point, state.best_image),
        best_loss=best_loss,
        window_loss=jnp.where(new_window, best_loss, state.window_loss),
        window_start=jnp.where(new_window, step.iteration, state.window_start),
        evaluations=state.evaluations + running,
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
    return compiled(objective, method, state, problem, limits_of(settings), is_chunked(chunked))


def minimize_on_device(
    objective: LossFunction,
    image: np.ndarray,
    problem: Any,
    settings: Settings,
    observe: Observer,
    interrupted: Callable[[], bool],
    resume: Saved | None = None,
    keep: Keep = lambda saved, ends: None,
    *,
    chunked: bool | None = None,
) -> Result:
    """`optimizers.minimize` for L-BFGS and Adam.

    `chunked` says whether many evaluations are one call. By default they are on accelerators only: on the CPU a call
    costs nothing beside an evaluation, and XLA runs the convolutions slower inside a loop.
    """
    began = time.perf_counter()
    chunked = is_chunked(chunked)
    program = advance_chunk if chunked else advance_once
    method, limits = DeviceMethod(settings.method, settings.history_size), limits_of(settings)
    state = start_state(objective, method, place(objective.bands, settings.feasible(image)))
    before = resume or Saved({}, (), 0.0, 0.0)
    if resume is not None:
        state = restored_state(state, before.arrays, objective.bands)
    compiled(objective, method, state, problem, limits, chunked)
    compile_seconds = before.compile_seconds + time.perf_counter() - began

    seconds = before.run_seconds
    began = time.perf_counter() - seconds
    history = list(before.history)
    size = max(image.shape[:2])
    evaluations, steps = int(state.evaluations), 1
    status = STATUSES[int(state.status)]
    while status is Status.RUNNING and not interrupted():
        count = (jnp.asarray(steps, jnp.int32),) if chunked else ()
        state, trace = program(objective, method, state, problem, limits, *count)
        status = STATUSES[int(state.status)]
        done = int(state.evaluations) - evaluations
        now = time.perf_counter() - began
        each = (now - seconds) / done
        trace = trace._replace(terms=settings.told(trace.terms))
        added = accepted(jax.tree.map(np.atleast_1d, jax.device_get(trace)), done, seconds, each, size)
        history += added
        seconds, evaluations = now, evaluations + done
        current = state.best_image
        observe(added, lambda current=current: fetch(objective.bands, current))
        keep(functools.partial(saved, state, history, compile_seconds, seconds, objective.bands), False)
        steps = next_steps(steps, each)
    if status is Status.RUNNING:
        status = Status.INTERRUPTED
        keep(functools.partial(saved, state, history, compile_seconds, seconds, objective.bands), True)
    return Result(
        image=fetch(objective.bands, state.best_image),
        loss=float(state.best_loss),
        status=status,
        history=tuple(history),
        evaluations=evaluations,
        compile_seconds=compile_seconds,
        run_seconds=time.perf_counter() - began,
    )


def saved(
    state: LoopState,
    history: list[Iteration],
    compile_seconds: float,
    run_seconds: float,
    bands: Bands | None = None,
) -> Saved:
    """What `restored_state` can go on from, on however many devices.

    On the CPU the arrays are views: a buffer that one is held of is not given away, and the next evaluation takes
    another.
    """
    arrays = dict(zip(_names(state), fetch(bands, jax.tree.leaves(state)), strict=True))
    return Saved(arrays, tuple(history), compile_seconds, run_seconds)


def restored_state(like: LoopState, arrays: Mapping[str, np.ndarray], bands: Bands | None = None) -> LoopState:
    """The state that was saved as `arrays`, placed as `like`, the start of the same optimization.

    Raises:
      CheckpointError: other names, shapes or types.
    """
    arrays = {name: padded(bands, array) for name, array in arrays.items()}
    names, (leaves, structure) = _names(like), jax.tree.flatten(like)
    wanted = {name: (leaf.shape, leaf.dtype) for name, leaf in zip(names, leaves, strict=True)}
    found = {name: (array.shape, array.dtype) for name, array in arrays.items()}
    if wanted != found:
        odd = sorted(name for name in {**wanted, **found} if wanted.get(name) != found.get(name))
        raise CheckpointError(f"the checkpoint is not one of this optimization: {', '.join(odd)}")
    placed = [jax.device_put(arrays[name], leaf.sharding) for name, leaf in zip(names, leaves, strict=True)]
    return _own_buffers(jax.tree.unflatten(structure, placed))


@jax.jit
def _own_buffers(state: LoopState) -> LoopState:
    """Copies, so that no buffer that will be donated is memory of the host's arrays."""
    return jax.tree.map(jnp.copy, state)


def _names(state: LoopState) -> list[str]:
    """What the leaves are called: `image`, `method/s_history`."""
    paths, _ = jax.tree_util.tree_flatten_with_path(state)
    return [jax.tree_util.keystr(path, simple=True, separator="/") for path, _ in paths]


def is_chunked(wanted: bool | None) -> bool:
    """Whether many evaluations are one call, unless that is said."""
    return jax.default_backend() != "cpu" if wanted is None else wanted


def next_steps(steps: int, each: float) -> int:
    """How many evaluations the next call makes, after one of `steps` that took `each` seconds an evaluation."""
    return max(1, min(CHUNK, 2 * steps, round(CHUNK_SECONDS / each)))


def limits_of(settings: Settings) -> Limits:
    """The traced settings on the device."""
    numbers = (np.int32(settings.iterations), np.float32(settings.tolerance), np.float32(settings.learning_rate))
    return Limits(*jax.device_put(numbers), box=jax.device_put(settings.box))


def compiled(
    objective: LossFunction, method: DeviceMethod, state: Any, problem: Any, limits: Limits, chunked: bool
) -> jax.stages.Compiled:
    """The program that spends evaluations, compiled; of arrays, shapes are enough."""
    if chunked:
        return advance_chunk.lower(objective, method, state, problem, limits, jnp.asarray(1, jnp.int32)).compile()
    return advance_once.lower(objective, method, state, problem, limits).compile()


def accepted(trace: Step, count: int, seconds: float, each: float, size: int) -> list[Iteration]:
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
