"""One experiment from start to finish: images and network, then each scale's optimization, from small to large."""

import dataclasses
import functools
import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from jaxstyle import optimizers
from jaxstyle.devices.jax_settings import pinned
from jaxstyle.images import carry_to
from jaxstyle.optimizers import Iteration, Keep, Lane, Observer, Result, Saved, Status
from jaxstyle.synthesis.preparation import Prepared
from jaxstyle.synthesis.state import KeepRunState, RunState, counted_on

_LAST = (Status.INTERRUPTED, Status.NOT_FINITE)
"""What ends a run at whatever scale."""


@pinned()
def optimize(
    scales: Sequence[Prepared],
    *,
    log: Callable[[str], None] = lambda message: None,
    observe: Observer = lambda iterations, best: None,
    interrupted: Callable[[], bool] = lambda: False,
    resume: RunState | None = None,
    keep: KeepRunState = lambda state, status: None,
) -> Result:
    """Optimizes at each scale in turn, each from the best image of the one before.

    Nothing is clamped on the way; the result is clipped to [0, 1].

    Args:
      scales: from small to large; the first gives the start, the last the result's size.
      log: called with what is being done.
      observe: called now and then with what is new; its images have the size of their scale.
      interrupted: asked between evaluations; true ends the run with the best image of the scale that it is at,
        brought to the result's size.
      resume: where an earlier call with the same scales stood.
      keep: shown now and then where the run stands, and at the end of each scale.

    Returns:
      The result. `history` tells of all scales, its iterations, evaluations and seconds counted on; `loss` and `status`
      are the last scale's. Losses at different sizes are different functions and do not compare.

    Raises:
      CheckpointError: `resume` is of other scales; nothing has been evaluated.
    """
    reached, progress, saved = resume or (0, _nothing_yet(scales[0]), None)
    for index, prepared in enumerate(scales[reached:], start=reached):
        if index == reached or prepared.scale.size != scales[index - 1].scale.size:
            is_one = len({it.scale.size for it in scales}) == 1
            log("optimizing" if is_one else f"optimizing at {prepared.scale.size} pixels")
        keep_here = functools.partial(_keep_at, index, progress, keep)
        progress = _advance(progress, prepared, observe, interrupted, saved, keep_here)
        saved = None
        if progress.status in _LAST:
            break
    return _finished(progress, scales)


class Track(NamedTuple):
    """One of several experiments that are optimized at once.

    Attributes:
      scales: as for `optimize`; the objective, the sizes and the method are the same in all.
      observe: called now and then with what is new of this one.
      resume: where an earlier call with the same scales stood.
      keep: shown now and then where it stands.
    """

    scales: Sequence[Prepared]
    observe: Observer = lambda iterations, best: None
    resume: RunState | None = None
    keep: KeepRunState = lambda state, status: None


@pinned()
def optimize_together(
    tracks: Sequence[Track], *, lanes: int | None = None, interrupted: Callable[[], bool] = lambda: False
) -> list[Result]:
    """As `optimize`, for several experiments at once, in the lanes of one program at each scale.

    Args:
      tracks: the experiments.
      lanes: how many the compiled programs have; by default as many as experiments.
      interrupted: asked between evaluations; true ends all of them.

    Returns:
      The results, each as if it had been optimized alone.

    Raises:
      CheckpointError: `resume` is of other scales; nothing has been evaluated.
    """
    lanes = len(tracks) if lanes is None else lanes
    stands = [track.resume or (0, _nothing_yet(track.scales[0]), None) for track in tracks]
    for index in range(len(tracks[0].scales)):
        going = [at for at, (scale, before, _) in enumerate(stands) if scale <= index and before.status not in _LAST]
        if not going:
            continue
        found = optimizers.minimize_lanes(
            tracks[going[0]].scales[index].objective,
            [_lane(tracks[at], index, stands[at][1], stands[at][2]) for at in going],
            width=lanes,
            interrupted=interrupted,
        )
        for at, result in zip(going, found, strict=True):
            stands[at] = (index + 1, _after_scale(stands[at][1], result), None)
    return [_finished(progress, track.scales) for (_, progress, _), track in zip(stands, tracks, strict=True)]


def _lane(track: Track, index: int, before: Result, saved: Saved | None) -> Lane:
    prepared = track.scales[index]
    return Lane(
        image=carry_to(before.image, *prepared.start.shape[:2]),
        problem=prepared.problem,
        settings=prepared.settings,
        observe=functools.partial(_observe_after, before, prepared, track.observe),
        resume=saved,
        keep=functools.partial(_keep_at, index, before, track.keep),
    )


def _nothing_yet(prepared: Prepared) -> Result:
    """A run that has the start and has evaluated nothing."""
    return Result(
        image=prepared.start,
        loss=math.inf,
        status=Status.RUNNING,
        history=(),
        evaluations=0,
        compile_seconds=0.0,
        run_seconds=0.0,
    )


def _finished(progress: Result, scales: Sequence[Prepared]) -> Result:
    """The run with its image as it is given away: of the result's size, clipped."""
    last = scales[-1]
    image = last.shown(last.settings.feasible(carry_to(progress.image, *last.start.shape[:2])))
    return dataclasses.replace(progress, image=np.clip(image, 0.0, 1.0))


def _advance(
    progress: Result,
    prepared: Prepared,
    observe: Observer,
    interrupted: Callable[[], bool],
    saved: Saved | None,
    keep: Keep,
) -> Result:
    """The run after one more scale. All that goes from scale to scale is the run so far, its image foremost."""
    found = optimizers.minimize(
        prepared.objective,
        carry_to(progress.image, *prepared.start.shape[:2]),
        prepared.problem,
        prepared.settings,
        observe=functools.partial(_observe_after, progress, prepared, observe),
        interrupted=interrupted,
        resume=saved,
        keep=keep,
    )
    return _after_scale(progress, found)


def _after_scale(progress: Result, found: Result) -> Result:
    """The run so far, and what one more scale has found, as one."""
    spent = {
        "status": found.status,
        "compile_seconds": progress.compile_seconds + found.compile_seconds,
        "run_seconds": progress.run_seconds + found.run_seconds,
    }
    if not found.evaluations:  # what is known of the image is what the scale before found
        return dataclasses.replace(progress, **spent)
    return dataclasses.replace(
        found,
        history=(*progress.history, *counted_on(progress, found.history)),
        evaluations=progress.evaluations + found.evaluations,
        **spent,
    )


def _observe_after(
    progress: Result,
    prepared: Prepared,
    observe: Observer,
    iterations: Sequence[Iteration],
    best: Callable[[], np.ndarray],
) -> int | None:
    return observe(counted_on(progress, iterations), lambda: prepared.shown(best()))


def _keep_at(scale: int, progress: Result, keep: KeepRunState, saved: Callable[[], Saved], status: Status) -> None:
    keep(lambda: RunState(scale, progress, saved()), status)
