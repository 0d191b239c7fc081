"""A sweep against its members one by one: an ablation of 16 members over layers, on two bundled images.

python benchmarks/sweep.py --size 256 --iterations 25 --rounds 3

In turns, in this process, with nothing compiled at the beginning of every sweep: the sweep with one member after
another; the sweep with several side by side (--lanes); and the file as it stands, alone, in a program that is compiled
already: what sixteen of it take is the goal's measure. Everything a run does counts: records, images, metrics.

Then, as often as asked: a process for each member (`jaxstyle run`), whose compiled programs are kept between processes;
and the program pastiche (pip install 'jaxstyle[peers]'), a process for each image too, which has no layers to choose,
with as many steps. Both are scaled to 16.
"""

import argparse
import json
import logging
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import common
import jax
import pastiche_peer

from jaxstyle import images
from jaxstyle.config import Experiment, experiment_from_mapping
from jaxstyle.runs.runner import run
from jaxstyle.sweeps.engines import Batch, Job, Local
from jaxstyle.sweeps.expansion import Member, expand
from jaxstyle.sweeps.lanes import batches
from jaxstyle.sweeps.members import run_members
from jaxstyle.synthesis.preparation import read_images

STYLE = ["conv1_1", "conv2_1", "conv3_1", "conv4_1", "conv5_1"]
SWEEP = {
    "mode": "ablation",
    "loss.style_layers": ["leave-one-out", *(STYLE[first:] for first in (2, 3, 4))],
    "loss.content_layers": [[f"conv{layer}"] for layer in ("1_2", "2_2", "3_2", "4_1", "4_3", "5_1")]
    + [["conv3_2", "conv4_2"]],
}
PROGRAM = "jit(advance_"
"""How the optimizer's programs are called in jax's log."""


class Silent:
    """Watches without a word."""

    def log(self, message: str) -> None:
        """Hears what is done."""

    def plan(self, scales: Sequence[Any]) -> None:
        """Hears the scales."""

    def __call__(self, iterations: Sequence[Any]) -> None:
        """Sees iterations."""


def experiments(size: int, iterations: int) -> tuple[Experiment, Experiment]:
    """The sweep, and the file as it stands."""
    mapping = {
        "image": {"content": "skimage:chelsea", "style": "experiments/images/brushwork.jpg", "size": size},
        "loss": {"style_layers": STYLE},
        "optimizer": {"iterations": iterations},
    }
    read = [
        experiment_from_mapping(it, source="benchmark", folder=common.ROOT)
        for it in (mapping | {"sweep": SWEEP}, mapping)
    ]
    return read[0], read[1]


def side_by_side(lanes: int) -> Local:
    """The engine of one group of members."""

    def schedule(jobs: Sequence[Job]) -> Iterator[Batch]:
        waiting = {job.member.index: job for job in jobs}
        for batch, width in batches([job.member for job in jobs], lanes):
            yield Batch([waiting[member.index] for member in batch], width)

    return Local(schedule)


@contextmanager
def compilations() -> Iterator[list[str]]:
    """Yields a list that grows by every optimizer's program that is compiled."""
    names: list[str] = []

    class Handler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if "Finished XLA compilation" in record.msg and PROGRAM in record.getMessage():
                names.append(record.getMessage())

    logger = logging.getLogger("jax")
    handler, propagate = Handler(), logger.propagate
    logger.addHandler(handler)
    logger.propagate = False
    try:
        with jax.log_compiles():
            yield names
    finally:
        logger.removeHandler(handler)
        logger.propagate = propagate


def seconds_of(do: Callable[[], Any]) -> float:
    """How long something takes."""
    began = time.perf_counter()
    do()
    return time.perf_counter() - began


def run_sweep(sweep: Experiment, members: Sequence[Member], lanes: int) -> tuple[float, int]:
    """Seconds of a sweep with nothing compiled, and the number of the optimizer's programs."""
    jax.clear_caches()
    with tempfile.TemporaryDirectory() as folder, compilations() as compiled:
        seconds = seconds_of(
            lambda: run_members(
                sweep,
                members,
                Path(folder) / "sweep",
                events_of=lambda member: nullcontext(Silent()),
                engine=side_by_side(lanes),
            )
        )
        statuses = [
            json.loads(path.read_text())["status"] for path in (Path(folder) / "sweep/members").glob("*/manifest.json")
        ]
    assert statuses == ["budget spent"] * len(members), statuses
    return seconds, len(compiled)


def run_alone(experiment: Experiment) -> float:
    """Seconds of one run whose programs are compiled already."""

    def once() -> None:
        with tempfile.TemporaryDirectory() as folder:
            run(experiment, Path(folder) / "run")

    once()
    return seconds_of(once)


def run_process(experiment: Experiment, folder: Path, index: int) -> float:
    """Seconds of one member in a process of its own."""
    file = folder / f"{index}.json"
    file.write_text(json.dumps(experiment.to_json()))
    command = [common.COMMAND, "run", str(file), "--out", str(folder / str(index))]
    return seconds_of(lambda: subprocess.run(command, check=True, stdout=subprocess.DEVNULL))


def run_peer(experiment: Experiment, folder: Path, steps: int) -> float:
    """Seconds of one image by pastiche, on files of the final size."""
    loaded = read_images(experiment).by_role()
    shape = images.long_side_shape(loaded["content"].pixels.shape, experiment.image.size)
    for role, image in loaded.items():
        images.write_image(folder / f"{role}.png", images.resize_to(image.pixels, *shape))
    files = [folder / f"{name}.png" for name in ("content", "style", "out")]
    options = ["--pooling", "avg", *pastiche_peer.start_options("noise", 0)]
    return pastiche_peer.run(*files, size=experiment.image.size, steps=steps, options=options).seconds


def show(name: str, seconds: Sequence[float], goal: float, programs: str) -> None:
    """Prints a line of the table."""
    spread = f"{min(seconds):.1f}–{max(seconds):.1f}"
    print(
        f"| {name} | {common.median(seconds):.1f} | {spread} | {common.median(seconds) / goal:.2f} | {programs} |",
        flush=True,
    )


def main() -> None:
    """Measures and prints a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--iterations", type=int, default=25)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--lanes", type=int, nargs="*", default=[4])
    parser.add_argument("--processes", type=int, default=3, help="members that are run in a process each")
    parser.add_argument("--peers", type=int, default=2, help="images by pastiche, where it is installed")
    given = parser.parse_args()

    sweep, single = experiments(given.size, given.iterations)
    members = expand(sweep)
    count = len(members)
    print(
        f"{common.machine()}\n{count} members at {given.size} pixels, {given.iterations} iterations each\n", flush=True
    )
    alone: list[float] = []
    swept: dict[int, list[float]] = {lanes: [] for lanes in (1, *given.lanes)}
    programs: dict[int, int] = {}
    for _ in range(given.rounds):
        for lanes, seconds in swept.items():
            took, programs[lanes] = run_sweep(sweep, members, lanes)
            seconds.append(took)
            alone.append(run_alone(single))

    goal = count * common.median(alone)
    print(f"| way | seconds | lowest–highest | of {count} runs alone | compiled programs |")
    print("|---|---|---|---|---|")
    show(f"{count} times the file alone, compiled before", [count * each for each in alone], goal, "0")
    for lanes, seconds in swept.items():
        show(f"the sweep, {lanes} at a time", seconds, goal, str(programs[lanes]))
    with tempfile.TemporaryDirectory() as folder:
        chosen = members[:: max(1, count // max(1, given.processes))][: given.processes]
        if chosen:
            took = [count * run_process(member.experiment, Path(folder), member.index) for member in chosen]
            show(f"a process for each member ({len(took)} of {count} measured)", took, goal, "of each member")
        if given.peers and pastiche_peer.is_installed():
            took = [count * run_peer(single, Path(folder), given.iterations) for _ in range(given.peers)]
            show(f"pastiche, a process for each image ({len(took)} of {count} measured)", took, goal, "")


if __name__ == "__main__":
    main()
