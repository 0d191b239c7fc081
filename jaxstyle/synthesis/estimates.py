"""What a run will take, before it starts: memory by its compiled programs, time by a few real evaluations."""

import dataclasses
import functools
import math
from collections.abc import Hashable, Iterable, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxstyle.config import Experiment
from jaxstyle.devices import memory
from jaxstyle.devices.sharding import Devices, count_devices, replicate, shapes, stored_shape
from jaxstyle.errors import JaxstyleError
from jaxstyle.network.weights import Weights
from jaxstyle.optimizers import Iteration, OnHost, Settings, needed_bytes, state_bytes
from jaxstyle.paper.objective import KEEP, KEPT, Objective, Problem, compute_targets
from jaxstyle.synthesis.bounds import WHOLE_RANGE, bounds_of
from jaxstyle.synthesis.cache import Cache
from jaxstyle.synthesis.loss_terms import Terms
from jaxstyle.synthesis.objectives import build_objective, decisive, filters_of, spread_over, traced_weights
from jaxstyle.synthesis.optimization import optimize
from jaxstyle.synthesis.planning import VGG, fitting, plan
from jaxstyle.synthesis.preparation import Prepared, SourceImages, of_size, settings_of
from jaxstyle.synthesis.scales import Scale
from jaxstyle.synthesis.sources import result_shape, style_shapes
from jaxstyle.synthesis.tiles import Sides, side_of

LEFT_BEHIND = 220_000_000
"""What compiling and running keep of this process's memory besides a program's arrays: 130 MB was seen on the CPU
where programs were read from the cache, 460 MB where all were compiled."""
IMAGE = 12
"""Bytes a pixel of an image in the process: at the result's size the content and the start, and each style image."""
TRIALS = 4
"""Iterations that are timed at most; the first evaluation, which touches all its memory anew, does not count."""
PATIENCE = 4.0
"""No evaluation is begun after so many seconds, once there are two."""
ROUND_SIZE = 16
"""The size that would fit is a multiple of this."""
MARGIN = 0.9
"""Of the available memory, what a suggested size may use: per pixel, smaller images need a little more."""
WORTH_NAMING = 0.1
"""The share of a run's memory from which a refusal says what the correction pairs take."""

LIGHT = 0.25
"""Of the available memory, what measuring may take before it is known that a run fits: at 2048 pixels optimizing
takes 2.2 times as much, and with a history of 100 pairs about four times."""

Size = tuple[int, int]


class Outline(NamedTuple):
    """What an experiment will compute at one scale, without a number of it: enough to compile its programs.

    Attributes:
      scale: the long side and the steps.
      objective: what is static about the loss.
      problem: what is traced about it, by shapes.
      size: (height, width) of the result.
      style_sizes: those of the style images as they are measured.
      settings: the optimizer and its options; its bounds, if it has any, are those of images of the whole range.
      in_use: bytes that the process, or the accelerator's allocator, held already.
    """

    scale: Scale
    objective: Objective
    problem: Problem
    size: Size
    style_sizes: tuple[Size, ...]
    settings: Settings
    in_use: int

    @property
    def reads(self) -> Terms:
        """The terms that it computes, those of other members included."""
        return self.objective.terms

    @property
    def program(self) -> Hashable:
        """What decides the optimizer's compiled program: equal for experiments that share one."""
        return self.objective, self.size, self.settings.program, KEEP in self.problem.guides


def outlines(
    experiment: Experiment,
    images: SourceImages,
    weights: Weights,
    *,
    reads: Terms | None = None,
    cache: Cache | None = None,
    devices: Devices = 1,
    sides: Sides = MappingProxyType({}),
) -> list[Outline]:
    """Says what an experiment will compute at each scale; nothing is measured or compiled.

    Args:
      experiment: what will be optimized.
      images: its images.
      weights: its network's parameters.
      reads: as for `prepare`.
      cache: what other experiments have outlined.
      devices: over how many the image is spread.
      sides: as for `prepare`.

    Raises:
      JaxstyleError: an image is too small for the deepest layer, or there are not so many devices.
    """
    cache = cache or Cache()
    in_use = memory.in_use()
    scales = plan(experiment, images, weights.layout)
    reads = fitting(experiment, images, scales, reads, weights.layout)
    objective, parameters = cache(
        "outline",
        (*decisive(experiment), weights.sha256, reads, count_devices(devices)),
        lambda: _shapes(experiment, weights, reads, devices),
    )
    weighed = traced_weights(experiment, objective, weights.layout, result_shape(experiment, images, scales[-1].size))
    bounds = bounds_of(experiment.optimizer.bounds, [WHOLE_RANGE], weights.preprocessing)
    found = []
    for scale in scales:
        size = result_shape(experiment, images, scale.size)
        own = of_size(objective, experiment, size, scale, devices, sides)
        found.append(
            Outline(
                scale=scale,
                objective=own,
                problem=_problem(own, size, parameters, weighed, keeps=experiment.image.keep is not None),
                size=size,
                style_sizes=style_shapes(experiment, images, scale.size),
                settings=settings_of(experiment, scale, bounds),
                in_use=in_use,
            )
        )
    return found


def sides_of(planned: Iterable[Outline | Prepared]) -> dict[int, int]:
    """The tiles at each scale, for whoever computes the same later; nothing of an image over several devices."""
    return {it.scale.size: side_of(it.objective) for it in planned if it.objective.bands is None}


def on_devices(planned: Outline, devices: Devices) -> Outline:
    """The same with its image spread over so many devices."""
    objective = dataclasses.replace(spread_over(planned.objective, devices, planned.size[0]), parts=None)
    keeps = KEEP in planned.problem.guides
    problem = _problem(objective, planned.size, planned.problem.parameters, planned.problem.weights, keeps=keeps)
    return planned._replace(objective=objective, problem=problem)


def _problem(
    objective: Objective, size: Size, parameters: Any, weighed: dict[str, Any], *, keeps: bool = False
) -> Problem:
    """By shapes, what is traced about the loss."""
    bands = objective.bands
    guides = _guides(objective, size)
    targets = compute_targets.eval_shape(objective, _image(size), parameters, guides)
    kept = {KEEP: jax.ShapeDtypeStruct((*size, 1), jnp.float32), KEPT: _image(size)} if keeps else {}
    guides |= jax.tree.map(functools.partial(stored_shape, bands), kept)
    return Problem(
        parameters=replicate(bands and bands.mesh, shapes(None, parameters)),
        targets=shapes(bands, targets),
        weights=shapes(bands, weighed),
        guides=guides,
    )


def _guides(objective: Objective, size: Size) -> dict[str, Any]:
    """By shapes, the guides over an image."""
    shapes_of = {it.name: (*VGG.shape(size, it.layer)[:2], 1) for it in objective.guides}
    guides = {
        name: stored_shape(objective.bands, jax.ShapeDtypeStruct(shape, jnp.float32))
        for name, shape in shapes_of.items()
    }
    return {**guides, **shapes(objective.bands, objective.draws(0, filters_of(objective, VGG, size)))}


def _shapes(experiment: Experiment, weights: Weights, reads: Terms, devices: Devices) -> tuple[Objective, Any]:
    """The objective, and the shapes of its parameters: no kernel is transformed or copied."""
    built: list[Objective] = []

    def build() -> Any:
        objective, parameters = build_objective(experiment, weights, reads, devices)
        built.append(objective)
        return parameters

    parameters = jax.eval_shape(build)
    return built[0], parameters


def estimate_memory(planned: Outline, *, lanes: int = 1) -> int:
    """The most memory that the process, or each accelerator's allocator, will hold, in bytes.

    Compiles the programs that the run will use, which then finds them compiled: what they hold is exact, what the
    process has and keeps besides is not. Images are measured one after another, before and after optimizing.

    Args:
      planned: what will be computed.
      lanes: how many such runs run at once.
    """
    measuring = _measuring_bytes(planned)
    optimizing = needed_bytes(planned.objective, _image(planned.size), planned.problem, planned.settings, lanes=lanes)
    return _peak(planned, max(measuring, optimizing))


def is_light(planned: Outline) -> bool:
    """Whether measuring the images takes so little memory that the run will fit; compiles only what measures."""
    return share_of_memory(_peak(planned, _measuring_bytes(planned))) <= LIGHT


def _measuring_bytes(planned: Outline) -> int:
    """What measuring the largest of the images holds on a device."""
    programs = (
        compute_targets.lower(
            planned.objective, _image(size), planned.problem.parameters, _guides(planned.objective, size)
        ).compile()
        for size in {planned.size, *planned.style_sizes}
    )
    return max(map(memory.of_program, programs))


def _peak(planned: Outline, on_device: int) -> int:
    """What the process, or each accelerator's allocator, holds at most, where a program holds so much on a device."""
    bands = planned.objective.bands
    sharing = bands.count if bands is not None and memory.is_shared() else 1
    return planned.in_use + _left_behind() + _images(planned) + sharing * on_device


def _left_behind() -> int:
    return LEFT_BEHIND if jax.default_backend() == "cpu" else 0


def _images(planned: Outline) -> int:
    """What the images take besides where the process's memory is the device's."""
    pixels = 2 * math.prod(planned.size) + sum(map(math.prod, planned.style_sizes))
    return IMAGE * pixels if jax.default_backend() == "cpu" else 0


def share_of_memory(peak_bytes: int) -> float:
    """How much of the available memory a run takes; 0 where the system does not say."""
    most = memory.in_all()
    return 0.0 if most is None else peak_bytes / most


def refuse_too_large(planned: Outline, peak_bytes: int, *, source: str, remedy: str) -> None:
    """Refuses what does not fit into the available memory; does nothing where the system does not say.

    Args:
      planned: what is to be run.
      peak_bytes: its estimated memory.
      source: what to call it in the message.
      remedy: how to run it all the same.

    Raises:
      JaxstyleError: it does not fit; the message says which size would, and how many correction pairs.
    """
    most = memory.in_all()
    if most is None or peak_bytes <= most:
        return
    size, fixed = max(planned.size), planned.in_use + _left_behind()
    fits = _largest(size, MARGIN * (most - fixed) / (peak_bytes - fixed))
    largest = f"the largest size that fits is about {fits}" if fits else "no size fits"
    pairs = pairs_of(planned)
    if pairs and pairs.count * pairs.each > WORTH_NAMING * peak_bytes:
        left = int((MARGIN * most - (peak_bytes - pairs.each * pairs.count)) / pairs.each)
        would = f"with {left} of them it would fit" if 1 <= left < pairs.count else "fewer of them alone do not help"
        largest += f". {pairs}, optimizer.history_size: {would}"
    raise JaxstyleError(
        f"{source}: image.size: {size} needs about {gigabytes(peak_bytes)} of memory, and only "
        f"{gigabytes(most)} is available; {largest}. {remedy}"
    )


@dataclasses.dataclass(frozen=True)
class Pairs:
    """The correction pairs of a method that has such.

    Attributes:
      count: how many.
      each: bytes of one, on each device.
    """

    count: int
    each: int

    def __str__(self) -> str:
        """Returns `20 correction pairs take 6.0 GB of it`."""
        return f"{self.count} correction pairs take {gigabytes(self.count * self.each)} of it"


def pairs_of(planned: Outline) -> Pairs | None:
    """What correction pairs take; None for a method without."""
    method = planned.settings.method
    count = getattr(method, "history_size", None)
    if count is None:
        return None

    def bytes_with(count: int) -> int:
        other = dataclasses.replace(method, history_size=count)  # pyright: ignore[reportCallIssue]
        if isinstance(other, OnHost):
            return other.workspace_bytes(_image(planned.size))
        return state_bytes(planned.objective, _image(planned.size), dataclasses.replace(planned.settings, method=other))

    bands = planned.objective.bands
    return Pairs(count, (bytes_with(2) - bytes_with(1)) // (bands.count if bands else 1))


def _largest(size: int, share: float) -> int:
    """The size whose pixels are this share of `size`'s, rounded down; 0 where that is no image."""
    return int(size * math.sqrt(max(share, 0.0))) // ROUND_SIZE * ROUND_SIZE


def time_evaluation(prepared: Prepared) -> float:
    """Seconds of one evaluation of loss and gradient, from a few iterations of the real optimization."""
    stamps: list[float] = []
    trial = [dataclasses.replace(prepared, settings=dataclasses.replace(prepared.settings, iterations=TRIALS))]

    def observe(iterations: Sequence[Iteration], best: Any) -> None:
        stamps.extend(iteration.seconds for iteration in iterations)

    def interrupted() -> bool:
        return len(stamps) > 1 and stamps[-1] > PATIENCE

    result = optimize(trial, observe=observe, interrupted=interrupted)
    if len(result.history) < 2:
        return result.run_seconds / result.evaluations
    first, last = result.history[0], result.history[-1]
    return (last.seconds - first.seconds) / (last.evaluations - first.evaluations)


def gigabytes(count: int) -> str:
    """Returns `1.4 GB`."""
    return f"{count / 1e9:.1f} GB"


def _image(size: Size) -> Any:
    return jax.ShapeDtypeStruct((*size, 3), jnp.float32)
