"""Many runs of one program side by side: a lane each, evaluated together, every one with its own story and its own end.

The lanes share the network's parameters; start, targets, weights and limits are each lane's own. Small pictures do not
fill a device, so that several together take less time than one after another (docs/performance.md).
"""

import functools
import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from jaxstyle.objective import LossFunction, Problem
from jaxstyle.optimizers import device
from jaxstyle.optimizers.base import Iteration, Observer, Result, Settings, Status


class Lane(NamedTuple):
    """One of several runs.

    Attributes:
      image: its start, of the same size in every lane.
      problem: its own; the parameters are the same in every lane.
      settings: its own; the method and its history are the same in every lane.
      observe: called now and then with what is new of this lane.
    """

    image: Float[np.ndarray, "height width 3"]
    problem: Problem
    settings: Settings
    observe: Observer = lambda iterations, best: None


def minimize_lanes(
    objective: LossFunction,
    lanes: Sequence[Lane],
    *,
    width: int | None = None,
    interrupted: Callable[[], bool] = lambda: False,
    chunked: bool | None = None,
) -> list[Result]:
    """`optimizers.minimize` for several runs at once, by L-BFGS or Adam.

    Args:
      objective: what is static about the loss.
      lanes: the runs.
      width: how many lanes the compiled program has, at least as many as runs; those left over do nothing. By default
        as many.
      interrupted: asked between evaluations; true ends all runs with their best pictures so far.
      chunked: as for `minimize_on_device`.

    Returns:
      Each lane's result, as if it had been alone up to rounding; `run_seconds` are those until it ended.
    """
    began = time.perf_counter()
    chunked = device.is_chunked(chunked)
    program = device.advance_chunk if chunked else device.advance_once
    width = len(lanes) if width is None else width
    method, problem, limits = _common(lanes, width)
    state = device.start_state(
        objective, method, _stack([jnp.asarray(lane.image, jnp.float32) for lane in lanes], width)
    )
    state = _leave_idle(state, len(lanes))
    device.compiled(objective, method, state, problem, limits, chunked)
    compile_seconds = time.perf_counter() - began

    began = time.perf_counter()
    stories = [_Story() for _ in lanes]
    size = max(lanes[0].image.shape[:2])
    seconds, steps = 0.0, 1
    while any(story.status is Status.RUNNING for story in stories):
        if interrupted():
            break
        count = (jnp.asarray(steps),) if chunked else ()
        state, trace = program(objective, method, state, problem, limits, *count)
        statuses, evaluations, trace = jax.device_get((state.status, state.evaluations, trace))
        columns = jax.tree.map(lambda column: column.reshape(-1, width), trace)
        done = max(int(evaluations[lane]) - story.evaluations for lane, story in enumerate(stories))
        now = time.perf_counter() - began
        each = (now - seconds) / done
        for index, (lane, story) in enumerate(zip(lanes, stories, strict=True)):
            if story.status is not Status.RUNNING:
                continue
            own = jax.tree.map(lambda column, index=index: column[:, index], columns)
            own = own._replace(terms=lane.settings.told(own.terms))
            added = device.accepted(own, int(evaluations[index]) - story.evaluations, seconds, each, size)
            story.go_on(device.STATUSES[int(statuses[index])], int(evaluations[index]), added, now)
            lane.observe(added, functools.partial(_picture, state.best_image, index))
        seconds = now
        steps = device.next_steps(steps, each)
    return [
        Result(
            image=_picture(state.best_image, index),
            loss=float(state.best_loss[index]),
            status=Status.INTERRUPTED if story.status is Status.RUNNING else story.status,
            history=tuple(story.history),
            evaluations=story.evaluations,
            compile_seconds=compile_seconds,
            run_seconds=story.seconds,
        )
        for index, story in enumerate(stories)
    ]


def compile_lanes(
    objective: LossFunction, image: Any, problem: Any, settings: Settings, lanes: int, *, chunked: bool | None = None
) -> jax.stages.Compiled:
    """Compiles what `minimize_lanes` will run with so many lanes; of one lane's arrays, shapes are enough."""

    def wide(array: Any) -> jax.ShapeDtypeStruct:
        return jax.ShapeDtypeStruct((lanes, *array.shape), array.dtype)

    method = device.DeviceMethod(settings.method, settings.history_size)
    state = jax.eval_shape(functools.partial(device.start_state, objective, method), wide(image))
    problem = problem._replace(
        targets=jax.tree.map(wide, problem.targets), coefficients=jax.tree.map(wide, problem.coefficients)
    )
    limits = jax.tree.map(wide, device.limits_of(settings))
    return device.compiled(objective, method, state, problem, limits, device.is_chunked(chunked))


class _Story:
    """What is known of a lane while it goes on."""

    def __init__(self) -> None:
        self.status = Status.RUNNING
        self.evaluations = 0
        self.seconds = 0.0
        self.history: list[Iteration] = []

    def go_on(self, status: Status, evaluations: int, added: Sequence[Iteration], seconds: float) -> None:
        self.status, self.evaluations, self.seconds = status, evaluations, seconds
        self.history += added


def _common(lanes: Sequence[Lane], width: int) -> tuple[device.DeviceMethod, Problem, device.Limits]:
    """The method, and the lanes' problems and limits as one."""
    first = lanes[0]
    problem = Problem(
        parameters=first.problem.parameters,
        targets=_stack([lane.problem.targets for lane in lanes], width),
        coefficients=_stack([lane.problem.coefficients for lane in lanes], width),
    )
    method = device.DeviceMethod(first.settings.method, first.settings.history_size)
    return method, problem, _stack([device.limits_of(lane.settings) for lane in lanes], width)


def _stack(of_each: Sequence[Any], width: int) -> Any:
    """Arrays of every lane as arrays with an axis for the lanes; the last lane's again where there are more."""
    padded = [*of_each, *[of_each[-1]] * (width - len(of_each))]
    return jax.tree.map(lambda *arrays: jnp.stack(arrays), *padded)


def _leave_idle(state: device.LoopState, count: int) -> device.LoopState:
    """The state with only the first `count` lanes running."""
    ended = device.STATUSES.index(Status.BUDGET_SPENT)
    return state._replace(status=state.status.at[count:].set(ended))


def _picture(images: jax.Array, index: int) -> np.ndarray:
    return np.asarray(images[index])
