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

from jaxstyle.optimizers import device
from jaxstyle.optimizers.base import Keep, Observer, Result, Saved, Settings, Status
from jaxstyle.paper.objective import LossFunction, Problem


class Lane(NamedTuple):
    """One of several runs.

    Attributes:
      image: its start, of the same size in every lane.
      problem: its own; the parameters are the same in every lane.
      settings: its own; the method and its history are the same in every lane.
      observe: called now and then with what is new of this lane.
      resume: where an earlier optimization of the same stood, alone or in a lane.
      keep: shown now and then where the lane stands.
    """

    image: Float[np.ndarray, "height width 3"]
    problem: Problem
    settings: Settings
    observe: Observer = lambda iterations, best: None
    resume: Saved | None = None
    keep: Keep = lambda saved, ends: None


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

    Raises:
      CheckpointError: where a lane is to go on is of another optimization.
    """
    began = time.perf_counter()
    chunked = device.is_chunked(chunked)
    program = device.advance_chunk if chunked else device.advance_once
    width = len(lanes) if width is None else width
    method, problem, limits = _common(lanes, width)
    state = _leave_idle(_stack([_start(objective, method, lane) for lane in lanes], width), len(lanes))
    device.compiled(objective, method, state, problem, limits, chunked)
    compile_seconds = time.perf_counter() - began

    began = time.perf_counter()
    stories = [_Story(lane, index, state, compile_seconds) for index, lane in enumerate(lanes)]
    seconds, steps = 0.0, 1
    while any(story.status is Status.RUNNING for story in stories) and not interrupted():
        count = (jnp.asarray(steps, jnp.int32),) if chunked else ()
        state, trace = program(objective, method, state, problem, limits, *count)
        statuses, evaluations, trace = jax.device_get((state.status, state.evaluations, trace))
        columns = jax.tree.map(lambda column: column.reshape(-1, width), trace)
        now = time.perf_counter() - began
        each = (now - seconds) / max(int(evaluations[story.index]) - story.evaluations for story in stories)
        for story in stories:
            if story.status is Status.RUNNING:
                story.go_on(state, columns, int(statuses[story.index]), int(evaluations[story.index]), each)
        seconds = now
        steps = device.next_steps(steps, each)
    return [story.end(state) for story in stories]


def compile_lanes(
    objective: LossFunction, image: Any, problem: Any, settings: Settings, lanes: int, *, chunked: bool | None = None
) -> jax.stages.Compiled:
    """Compiles what `minimize_lanes` will run with so many lanes; of one lane's arrays, shapes are enough."""

    def wide(array: Any) -> jax.ShapeDtypeStruct:
        return jax.ShapeDtypeStruct((lanes, *array.shape), array.dtype)

    method = device.DeviceMethod(settings.method, settings.history_size)
    state = jax.tree.map(wide, jax.eval_shape(functools.partial(device.start_state, objective, method), image))
    problem = problem._replace(targets=jax.tree.map(wide, problem.targets), weights=jax.tree.map(wide, problem.weights))
    limits = jax.tree.map(wide, device.limits_of(settings))
    return device.compiled(objective, method, state, problem, limits, device.is_chunked(chunked))


class _Story:
    """What is known of a lane while it goes on.

    Attributes:
      index: its place among the lanes.
      status: how it stands.
      evaluations: so far.
    """

    def __init__(self, lane: Lane, index: int, state: device.LoopState, compile_seconds: float):
        before = lane.resume or Saved({}, (), 0.0, 0.0)
        self.index = index
        self.status = device.STATUSES[int(state.status[index])]
        self.evaluations = int(state.evaluations[index])
        self._lane = lane
        self._history = list(before.history)
        self._compile_seconds = before.compile_seconds + compile_seconds
        self._seconds = before.run_seconds

    def go_on(self, state: device.LoopState, columns: device.Step, code: int, evaluations: int, each: float) -> None:
        """Takes down and tells what a call has found, whose evaluations took `each` seconds."""
        done, lane = evaluations - self.evaluations, self._lane
        own = jax.tree.map(lambda column: column[:, self.index], columns)
        own = own._replace(terms=lane.settings.told(own.terms))
        added = device.accepted(own, done, self._seconds, each, max(lane.image.shape[:2]))
        self.status, self.evaluations = device.STATUSES[code], evaluations
        self._seconds += done * each
        self._history += added
        lane.observe(added, lambda: np.asarray(state.best_image[self.index]))
        lane.keep(lambda: self._saved(state), False)

    def end(self, state: device.LoopState) -> Result:
        """The lane's result; one that still runs is interrupted."""
        if self.status is Status.RUNNING:
            self.status = Status.INTERRUPTED
            self._lane.keep(lambda: self._saved(state), True)
        return Result(
            image=np.asarray(state.best_image[self.index]),
            loss=float(state.best_loss[self.index]),
            status=self.status,
            history=tuple(self._history),
            evaluations=self.evaluations,
            compile_seconds=self._compile_seconds,
            run_seconds=self._seconds,
        )

    def _saved(self, state: device.LoopState) -> Saved:
        own = jax.tree.map(lambda array: array[self.index], state)
        return device.saved(own, self._history, self._compile_seconds, self._seconds)


def _start(objective: LossFunction, method: device.DeviceMethod, lane: Lane) -> device.LoopState:
    state = device.start_state(objective, method, jnp.asarray(lane.settings.feasible(lane.image), jnp.float32))
    return state if lane.resume is None else device.restored_state(state, lane.resume.arrays)


def _common(lanes: Sequence[Lane], width: int) -> tuple[device.DeviceMethod, Problem, device.Limits]:
    """The method, and the lanes' problems and limits as one."""
    first = lanes[0]
    problem = Problem(
        parameters=first.problem.parameters,
        targets=_stack([lane.problem.targets for lane in lanes], width),
        weights=_stack([lane.problem.weights for lane in lanes], width),
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
