"""The compiled loop of the methods that run on the device, a chunk of evaluations in one call of one program.

A step spends exactly one evaluation: a line search is a state that the loop passes through, not a loop within it. The
program therefore contains the loss once, and lanes under `vmap` never wait for each other's search.
"""

import functools
from typing import Any, NamedTuple, cast

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from jaxstyle.devices import deterministic
from jaxstyle.devices.sharding import shapes, spread, stored_shape
from jaxstyle.optimizers.base import WINDOW, OnDevice, Settings, Status, most_evaluations
from jaxstyle.optimizers.box import Box
from jaxstyle.paper.objective import LossFunction, Problem, Values

CHUNK = 64
"""The most evaluations in one call of the compiled loop; how many are made is a traced argument."""

LANES = Problem(parameters=None, targets=cast(Any, 0), weights=cast(Any, 0), guides=cast(Any, 0))
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
    options: dict[str, Float[Array, "*lanes"]]
    box: Box | None = None


class LoopState(NamedTuple):
    """What the loop on the device carries from one evaluation to the next; of many lanes, stacked.

    Attributes:
      image: the accepted iterate.
      method: the method's own state.
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


@functools.partial(jax.jit, static_argnames=("objective", "method"))
def start_state(objective: LossFunction, method: OnDevice, image: Array) -> LoopState:
    """The loop's state before the first evaluation."""
    infinite = jnp.asarray(jnp.inf, image.dtype)
    zero = jnp.zeros((), jnp.int32)
    running = jnp.asarray(_CODES[Status.RUNNING], jnp.int32)
    state = LoopState(image, method.init(objective, image), image, infinite, infinite, zero, zero, running)
    return spread(objective.bands, jax.tree.map(jnp.copy, state))  # its buffers are donated, so none may occur twice


@jax.jit(static_argnames=("objective", "method"), donate_argnames="state", compiler_options=deterministic.options())
def advance_once(
    objective: LossFunction, method: OnDevice, state: LoopState, problem: Any, limits: Limits
) -> tuple[LoopState, Step]:
    """Spends one evaluation in one call, as the CPU wants it."""
    return _evaluate(objective, method, state, problem, limits)


@jax.jit(static_argnames=("objective", "method"), donate_argnames="state", compiler_options=deterministic.options())
def advance_chunk(
    objective: LossFunction,
    method: OnDevice,
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
    objective: LossFunction, method: OnDevice, state: LoopState, problem: Any, limits: Limits
) -> tuple[LoopState, Step]:
    """One evaluation of the one run, or of each lane; the lanes share the network's parameters."""
    evaluate = functools.partial(_evaluate_once, objective, method)
    if state.status.ndim:
        evaluate = jax.vmap(evaluate, in_axes=(0, LANES, 0))
    return evaluate(state, problem, limits)


def _evaluate_once(
    objective: LossFunction, method: OnDevice, state: LoopState, problem: Any, limits: Limits
) -> tuple[LoopState, Step]:
    """The state after one evaluation. A lane that has ended is evaluated with the others, but keeps what it found."""
    move = method.step(objective, state.image, state.method, problem, limits.options, limits.box)
    evaluations = state.evaluations + 1
    running = state.status == _CODES[Status.RUNNING]
    better = running & move.finite & ((move.loss < state.best_loss) | (not objective.is_exact))
    best_loss = jnp.where(better, move.loss, state.best_loss)
    window_over = move.accepted & (move.iteration >= state.window_start + WINDOW)
    decrease = state.window_loss - best_loss
    has_converged = (limits.tolerance > 0) & (decrease <= limits.tolerance * jnp.abs(state.window_loss))
    statuses = (  # the last that holds counts
        ((move.accepted & (move.iteration >= limits.iterations)), Status.BUDGET_SPENT),
        ((evaluations >= most_evaluations(limits.iterations)), Status.BUDGET_SPENT),
        (window_over & has_converged & objective.is_exact, Status.CONVERGED),
        (window_over & (method.descends and objective.is_exact) & (decrease <= 0), Status.STALLED),
        (move.accepted & (move.gradient_norm == 0), Status.CONVERGED),
        (move.failed, Status.STALLED),
        (move.failed & ~move.finite, Status.NOT_FINITE),
    )
    status = state.status
    for holds, name in statuses:
        status = jnp.where(running & holds, _CODES[name], status)
    new_window = window_over | (move.accepted & (move.iteration == 0))
    after = LoopState(
        image=move.image,
        method=move.state,
        best_image=jnp.where(better, move.point, state.best_image),
        best_loss=best_loss,
        window_loss=jnp.where(new_window, best_loss, state.window_loss),
        window_start=jnp.where(new_window, move.iteration, state.window_start),
        evaluations=state.evaluations + running,
        status=status,
    )
    step = Step(
        iteration=move.iteration,
        evaluations=evaluations,
        loss=move.loss,
        terms=move.terms,
        gradient_norm=move.gradient_norm,
        step_size=move.step_size,
        accepted=move.accepted,
    )
    return spread(objective.bands, after), step  # where `state` lies: the next call is given what this one returns


def is_chunked(wanted: bool | None) -> bool:
    """Whether many evaluations are one call. By default on accelerators only.

    On the CPU a call costs nothing beside an evaluation, and XLA runs the convolutions slower inside a loop.
    """
    return jax.default_backend() != "cpu" if wanted is None else wanted


def state_bytes(objective: LossFunction, image: Any, settings: Settings) -> int:
    """What the loop's state of one run takes; of the image its shape is enough."""
    start = functools.partial(start_state, objective, method_of(settings))
    state = jax.eval_shape(start, stored_shape(objective.bands, image))
    return sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(state))


def method_of(settings: Settings) -> OnDevice:
    """The static part of a method that runs here."""
    method = settings.method.program
    assert isinstance(method, OnDevice)
    return method


def limits_of(settings: Settings) -> Limits:
    """The traced settings on the device."""
    method = settings.method
    assert isinstance(method, OnDevice)
    numbers = (np.int32(settings.iterations), np.float32(settings.tolerance), method.options)
    return Limits(*jax.device_put(numbers), box=jax.device_put(settings.box))


def compiled(
    objective: LossFunction, method: OnDevice, state: Any, problem: Any, limits: Limits, chunked: bool
) -> jax.stages.Compiled:
    """The program that spends evaluations, compiled; of arrays, shapes are enough."""
    if chunked:
        return advance_chunk.lower(objective, method, state, problem, limits, jnp.asarray(1, jnp.int32)).compile()
    return advance_once.lower(objective, method, state, problem, limits).compile()


def compile_on_device(
    objective: LossFunction,
    image: Any,
    problem: Any,
    settings: Settings,
    *,
    lanes: int | None = None,
    chunked: bool | None = None,
) -> jax.stages.Compiled:
    """Compiles what a run will execute, alone or in so many lanes, which then finds it compiled.

    Of arrays, those of one run, shapes are enough.
    """
    method, limits = method_of(settings), limits_of(settings)
    start = functools.partial(start_state, objective, method)
    if lanes is None:
        state = shapes(objective.bands, jax.eval_shape(start, stored_shape(objective.bands, image)))
        return compiled(objective, method, state, problem, limits, is_chunked(chunked))

    def wide(array: Any) -> jax.ShapeDtypeStruct:
        return jax.ShapeDtypeStruct((lanes, *array.shape), array.dtype)

    state, limits = jax.tree.map(wide, (jax.eval_shape(start, image), limits))
    own = {name: jax.tree.map(wide, getattr(problem, name)) for name in ("targets", "weights", "guides")}
    problem = problem._replace(**own)
    return compiled(objective, method, state, problem, limits, is_chunked(chunked))
