"""The loop's calls, XLA's command buffers, and the largest image that fits."""

import dataclasses
import functools
import json
import subprocess
import sys
from collections.abc import Iterator

import common
import numpy as np

from accelerator.plan import TINY_LOSS, Measurement, Plan, Row, environment, last_line, rounded
from jaxstyle.config import experiment_from_mapping
from jaxstyle.devices import memory
from jaxstyle.network import weights
from jaxstyle.optimizers.loop import minimize_on_device
from jaxstyle.synthesis import preparation
from jaxstyle.synthesis.estimates import estimate_memory, outlines
from jaxstyle.synthesis.optimization import optimize

COMMAND_BUFFERS = "--xla_gpu_enable_command_buffer=+WHILE,+CONDITIONAL"
CHANGING = "--xla_gpu_deterministic_ops=false"
LARGE = (2048, 4096, 6144, 8192)


def measurements(plan: Plan) -> Iterator[Measurement]:
    """Yields the loop's ways, then larger and larger images."""
    for size in plan.pick((256, 512), (32,)):
        for chunked in (True, False):
            asked = {"what": "loop" if chunked else "single calls", "size": size}
            yield Measurement(asked, functools.partial(loop, plan, size, chunked))
    if not plan.tiny:
        for what, flags in (("command buffers with WHILE", COMMAND_BUFFERS), ("changing kernels", CHANGING)):
            asked = {"what": f"loop, {what}", "size": 256}
            yield Measurement(asked, functools.partial(loop_with, flags, plan, 256))
    for size in plan.pick(LARGE, (32,)):
        yield Measurement({"what": "memory", "size": size}, functools.partial(largest, plan, size))


def loop(plan: Plan, size: int, chunked: bool) -> Row:
    """Milliseconds an evaluation of a run by L-BFGS, and whether a second one gives the same image."""
    ready = plan.load(size, optimizer={"iterations": plan.pick(200, 3)}).prepared
    first, second = (
        minimize_on_device(
            ready.objective,
            ready.start,
            ready.problem,
            ready.settings,
            lambda iterations, best: None,
            lambda: False,
            chunked=chunked,
        )
        for _ in range(2)
    )
    return {
        "compile s": round(first.compile_seconds, 1),
        "ms an evaluation": rounded(1000 * first.run_seconds / first.evaluations),
        "same twice": bool(np.array_equal(first.image, second.image)),
    }


def loop_with(flags: str, plan: Plan, size: int) -> Row:
    """The loop in a process of its own, with other flags for XLA."""
    places = f"Path({str(plan.kit)!r}), Path({str(plan.out)!r})"
    code = (
        "import json; from pathlib import Path; from accelerator import limits, plan; "
        f"print(json.dumps(limits.loop(plan.Plan({places}), {size}, True)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment(XLA_FLAGS=flags), capture_output=True, text=True
    )
    if done.returncode:
        raise RuntimeError(last_line(done.stderr))
    return json.loads(last_line(done.stdout))


def largest(plan: Plan, size: int) -> Row:
    """What the estimate says of an image, and what a few iterations of it then take."""
    image = {"content": "skimage:chelsea", "style": "experiments/images/brushwork.jpg", "size": size}
    mapping = {"image": image, "loss": plan.pick({}, TINY_LOSS), "optimizer": {"iterations": 3}}
    experiment = experiment_from_mapping(mapping, source="accelerator", folder=common.ROOT)
    images = preparation.read_images(experiment)
    parameters = weights.load(experiment.network.weights)
    estimate = estimate_memory(outlines(experiment, images, parameters)[-1])
    available = memory.available()
    row = {"estimate GB": round(estimate / 1e9, 2), "available GB": available and round(available / 1e9, 2)}
    if available is not None and estimate > memory.in_use() + available:
        return row | {"result": "would be refused"}
    scales = preparation.prepare(experiment, images, parameters)
    found = optimize([dataclasses.replace(scales[-1])])
    peak = memory.peak() or 0
    first, last = found.history[0], found.history[-1]
    each = (last.seconds - first.seconds) / max(1, last.evaluations - first.evaluations)
    return row | {
        "peak GB": round(peak / 1e9, 2),
        "estimate / peak": rounded(estimate / peak, 3),
        "s an evaluation": rounded(each, 3),
        "status": str(found.status),
    }
