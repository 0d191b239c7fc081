"""Runs of the compiled loop: one alone, or many in the lanes of one program, each with its own history and end.

Lanes share the network's parameters; start, targets, weights and limits are each lane's own. Small images do not fill a
device, so that several together take less time than one after another (docs/notebook.md).
"""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from jaxstyle.devices.sharding import Bands, padded, place, to_host
from jaxstyle.errors import CheckpointError
from jaxstyle.optimizers import device
from jaxstyle.optimizers.base import Iteration, Keep, Observer, Result, Saved, Settings, Status, most_evaluations
from jaxstyle.optimizers.device import STATUSES, LoopState, Step
from jaxstyle.paper.objective import LossFunction, Problem

CHUNK_SECONDS = 0.7
"""About how long one call may take, so that progress is seen and an interruption is answered."""


class Lane(NamedTuple):
    """One run.

    Attributes:
      image: its start, of the same size in every lane.
      problem: its own; the parameters are the same in every lane.
      settings: its own; what decides the program is the same in every lane.
      observe: called now and then with what is new of this run.
      resume: where an earlier optimization of the same stopped, alone or in a lane.
      keep: shown the state now and then.
    """

    image: Float[np.ndarray, "height width 3"]
    problem: Any
    settings: Settings
    observe: Observer = lambda iterations, best: None
    resume: Saved | None = None
    keep: Keep = lambda saved, status: None


def minimize_on_device(
    objective: LossFunction,
    image: np.ndarray,
    problem: Any,
    settings: Settings,
    observe: Observer,
    interrupted: Callable[[], bool],
    resume: Saved | None = None,
    keep: Keep = lambda saved, status: None,
    *,
    chunked: bool | None = None,
) -> Result:
    """`optimizers.minimize` for a method that runs on the device; `chunked` as for `device.is_chunked`."""
    began = time.perf_counter()
    lane = Lane(image, problem, settings, observe, resume, keep)
    method, limits = device.method_of(settings), device.limits_of(settings)
    state = _start(objective, lane)
    device.compiled(objective, method, state, problem, limits, device.is_chunked(chunked))
    run = _Run(lane, None, state, time.perf_counter() - began, objective.bands)
    return _advance(objective, state, problem, limits, [run], interrupted, chunked)[0]


def minimize_lanes(
    objective: LossFunction,
    lanes: Sequence[Lane],
    *,
    width: int | None = None,
    interrupted: Callable[[], bool] = lambda: False,
    chunked: bool | None = None,
) -> list[Result]:
    """`optimizers.minimize` for several runs at once.

    Args:
      objective: what is static about the loss.
      lanes: the runs.
      width: how many lanes the compiled program has, at least as many as runs; those left over do nothing. By default
        as many.
      interrupted: asked between evaluations; true ends all runs with their best images so far.
      chunked: as for `device.is_chunked`.

    Returns:
      Each lane's result, as if it had been alone up to rounding; `run_seconds` are those until it ended.

    Raises:
      CheckpointError: the state that a lane is to resume from is of another optimization.
    """
    began = time.perf_counter()
    width = len(lanes) if width is None else width
    problem = Problem(
        parameters=lanes[0].problem.parameters,
        targets=_stack([lane.problem.targets for lane in lanes], width),
        weights=_stack([lane.problem.weights for lane in lanes], width),
        guides=_stack([lane.problem.guides for lane in lanes], width),
    )
    limits = _stack([device.limits_of(lane.settings) for lane in lanes], width)
    state = _stack([_start(objective, lane) for lane in lanes], width)
    idle = STATUSES.index(Status.BUDGET_SPENT)
    state = state._replace(status=state.status.at[len(lanes) :].set(idle))
    method = device.method_of(lanes[0].settings)
    device.compiled(objective, method, state, problem, limits, device.is_chunked(chunked))
    seconds = time.perf_counter() - began
    runs = [_Run(lane, index, state, seconds, None) for index, lane in enumerate(lanes)]
    return _advance(objective, state, problem, limits, runs, interrupted, chunked)


def _advance(
    objective: LossFunction,
    state: LoopState,
    problem: Any,
    limits: device.Limits,
    runs: Sequence["_Run"],
    interrupted: Callable[[], bool],
    chunked: bool | None,
) -> list[Result]:
    """Calls the program until every run has ended."""
    chunked = device.is_chunked(chunked)
    program = device.advance_chunk if chunked else device.advance_once
    method = device.method_of(runs[0].lane.settings)
    began, seconds, steps = time.perf_counter(), 0.0, 1
    while any(run.status is Status.RUNNING for run in runs) and not interrupted():
        count = (jnp.asarray(steps, jnp.int32),) if chunked else ()
        state, trace = program(objective, method, state, problem, limits, *count)
        statuses, evaluations, trace = jax.device_get((state.status, state.evaluations, trace))
        now = time.perf_counter() - began
        each = (now - seconds) / max(int(run.own(evaluations)) - run.evaluations for run in runs)
        steps = max(1, min(device.CHUNK, 2 * steps, round(CHUNK_SECONDS / each)))
        for run in runs:
            if run.status is Status.RUNNING:
                wanted = run.add(state, trace, int(run.own(statuses)), int(run.own(evaluations)), each)
                steps = min(steps, wanted or steps)
        seconds = now
    return [run.end(state) for run in runs]


class _Run:
    """What is known of a run while it goes on.

    Attributes:
      lane: the run.
      status: how it stands.
      evaluations: so far.
    """

    def __init__(self, lane: Lane, index: int | None, state: LoopState, compile_seconds: float, bands: Bands | None):
        before = lane.resume or Saved({}, (), 0.0, 0.0)
        self.lane = lane
        self._index, self._bands = index, bands
        self.status = STATUSES[int(self.own(state.status))]
        self.evaluations = int(self.own(state.evaluations))
        self._history = list(before.history)
        self._compile_seconds = before.compile_seconds + compile_seconds
        self._seconds = before.run_seconds

    def own(self, array: Any) -> Any:
        """Of an array of all lanes this run's part."""
        return array if self._index is None else array[..., self._index]

    def add(self, state: LoopState, trace: Step, code: int, evaluations: int, each: float) -> int | None:
        """Adds what a call has found, whose evaluations took `each` seconds; returns what the observer does."""
        done, lane = evaluations - self.evaluations, self.lane
        trace = trace._replace(terms=lane.settings.reported(trace.terms))
        own = jax.tree.map(lambda column: np.atleast_1d(self.own(column)), trace)
        added = accepted(own, done, self._seconds, each, max(lane.image.shape[:2]))
        self.status, self.evaluations = STATUSES[code], evaluations
        self._seconds += done * each
        self._history += added
        wanted = lane.observe(added, lambda: self._fetch(state.best_image))
        lane.keep(lambda: self._saved(state), Status.RUNNING)
        return wanted

    def end(self, state: LoopState) -> Result:
        """The run's result; one that still runs is interrupted."""
        if self.status is Status.RUNNING:
            self.status = Status.INTERRUPTED
        self.lane.keep(lambda: self._saved(state), self.status)
        return Result(
            image=self._fetch(state.best_image),
            loss=float(self.own(state.best_loss)),
            status=self.status,
            history=tuple(self._history),
            evaluations=self.evaluations,
            compile_seconds=self._compile_seconds,
            run_seconds=self._seconds,
        )

    def _fetch(self, stored: Any) -> Any:
        return to_host(self._bands, stored if self._index is None else stored[self._index])

    def _saved(self, state: LoopState) -> Saved:
        """What `_restored` can resume from, on however many devices.

        On the CPU the arrays are views: a buffer that one is held of is not given away, and the next evaluation takes
        another.
        """
        own = state if self._index is None else jax.tree.map(lambda array: array[self._index], state)
        arrays = dict(zip(_names(own), to_host(self._bands, jax.tree.leaves(own)), strict=True))
        return Saved(arrays, tuple(self._history), self._compile_seconds, self._seconds)


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


def _start(objective: LossFunction, lane: Lane) -> LoopState:
    method, bands = device.method_of(lane.settings), objective.bands
    state = device.start_state(objective, method, place(bands, lane.settings.feasible(lane.image)))
    return state if lane.resume is None else restored_state(state, _reopened(lane.resume, lane.settings), bands)


def _reopened(saved: Saved, settings: Settings) -> Mapping[str, np.ndarray]:
    """The arrays of a state; where a smaller budget ended it, and nothing else, it is running."""
    arrays = saved.arrays
    reached = saved.history[-1].iteration if saved.history else 0
    evaluations = arrays.get("evaluations", 0)
    is_left = reached < settings.iterations and evaluations < most_evaluations(settings.iterations)
    if is_left and arrays.get("status") == STATUSES.index(Status.BUDGET_SPENT):
        return {**arrays, "status": np.asarray(STATUSES.index(Status.RUNNING), np.int32)}
    return arrays


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


def _stack(of_each: Sequence[Any], width: int) -> Any:
    """Arrays of every lane as arrays with an axis for the lanes; the last lane's again where there are more."""
    padded = [*of_each, *[of_each[-1]] * (width - len(of_each))]
    return jax.tree.map(lambda *arrays: jnp.stack(arrays), *padded)
