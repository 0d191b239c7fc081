"""A sweep against its members one by one: an ablation of 16 members over layers, on two bundled images.

python benchmarks/sweep.py --size 64 256 --iterations 25 --rounds 3 --ray 1

In turns, in this process, with nothing compiled at the beginning of every sweep: the sweep with one member after
another; the sweep with several side by side (--lanes); and the file as it stands, alone, in a program that is compiled
already: what sixteen of it take is the goal's measure. Everything a run does counts: records, images, metrics.

Then, as often as asked: the sweep on a Ray cluster of this machine (`--engine ray`, the command from its beginning to
its end, Ray's own included, programs compiled before); a process for each member (`jaxstyle run`), whose compiled
programs are kept between processes; and the program pastiche (pip install 'jaxstyle[peers]'), a process for each image
too, which has no layers to choose, with as many steps. The last two are scaled to 16.
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
import tables

from jaxstyle import images
from jaxstyle.config import Experiment, experiment_from_mapping
from jaxstyle.network import weights
from jaxstyle.runs.runner import run
from jaxstyle.sweeps.engines import Batch, Job, Local
from jaxstyle.sweeps.expansion import Member, expand
from jaxstyle.sweeps.lanes import AUTO, Lanes, batches, choose_lanes
from jaxstyle.sweeps.members import run_members
from jaxstyle.sweeps.programs import outline_members
from jaxstyle.synthesis.events import Events
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


def side_by_side(lanes: Lanes) -> Local:
    """The engine of one group of members."""

    def schedule(jobs: Sequence[Job]) -> Iterator[Batch]:
        members = [job.member for job in jobs]
        group = outline_members(members, weights.load)
        waiting = {job.member.index: job for job in jobs}
        for batch, width in batches(members, choose_lanes(group, lanes)):
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


def run_sweep(sweep: Experiment, members: Sequence[Member], lanes: Lanes) -> tuple[float, int]:
    """Seconds of a sweep with nothing compiled, and the number of the optimizer's programs."""
    jax.clear_caches()
    with tempfile.TemporaryDirectory() as folder, compilations() as compiled:
        seconds = seconds_of(
            lambda: run_members(
                sweep,
                members,
                Path(folder) / "sweep",
                events_of=lambda member: nullcontext(Events()),
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
    command = [*common.COMMAND, "run", str(file), "--out", str(folder / str(index))]
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


def run_command(experiment: Experiment, folder: Path, *options: str) -> float:
    """Seconds of `jaxstyle run` of a whole sweep, with Ray's processes and everything else it begins."""
    folder.mkdir()
    file = folder / "sweep.json"
    file.write_text(json.dumps(experiment.to_json()))
    command = [*common.COMMAND, "run", str(file), "--out", str(folder / "out"), *options]
    return seconds_of(lambda: subprocess.run(command, check=True, stdout=subprocess.DEVNULL))


def measure(size: int, given: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """Yields the table's rows of one size."""
    sweep, single = experiments(size, given.iterations)
    members = expand(sweep)
    count = len(members)
    height, width = single_shape(single)
    same = {"pixels": f"{width}×{height}", "members": count}
    alone: list[float] = []
    swept: dict[Lanes, list[float]] = {lanes: [] for lanes in (1, *given.lanes)}
    programs: dict[Lanes, int] = {}
    for _ in range(given.rounds):
        for lanes, seconds in swept.items():
            took, programs[lanes] = run_sweep(sweep, members, lanes)
            seconds.append(took)
            alone.append(count * run_alone(single))
    yield {**same, "way": f"{count} times the file alone, compiled before", "seconds": alone, "programs": 0}
    for lanes, seconds in swept.items():
        yield {**same, "way": f"the sweep, `--lanes {lanes}`", "seconds": seconds, "programs": programs[lanes]}
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        if given.ray:
            took = [run_command(sweep, place / f"ray{turn}", "--engine", "ray") for turn in range(given.ray + 1)]
            yield {**same, "way": "the sweep, `--engine ray`", "seconds": took[1:], "programs": None}
        chosen = members[:: max(1, count // max(1, given.processes))][: given.processes]
        if chosen:
            took = [count * run_process(member.experiment, place, member.index) for member in chosen]
            way = f"a process for each member ({len(took)} measured)"
            yield {**same, "way": way, "seconds": took, "programs": None}
        if given.peers and pastiche_peer.is_installed():
            took = [count * run_peer(single, place, given.iterations) for _ in range(given.peers)]
            way = f"pastiche, a process for each image ({len(took)} measured)"
            yield {**same, "way": way, "seconds": took, "programs": None}


def single_shape(experiment: Experiment) -> tuple[int, int]:
    """The height and width of the result."""
    return images.long_side_shape(read_images(experiment).by_role()["content"].pixels.shape, experiment.image.size)


def main() -> None:
    """Measures and prints a table."""
    parser = tables.parser_of(__doc__)
    parser.add_argument("--size", type=int, nargs="+", default=[256])
    parser.add_argument("--iterations", type=int, default=25)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--lanes", type=lambda text: text if text == AUTO else int(text), nargs="*", default=[AUTO])
    parser.add_argument("--ray", type=int, default=0, help="sweeps on a cluster of this machine")
    parser.add_argument("--processes", type=int, default=3, help="members that are run in a process each")
    parser.add_argument("--peers", type=int, default=2, help="images by pastiche, where it is installed")
    given = parser.parse_args()
    print(f"{common.machine()}, {given.iterations} iterations of each member", flush=True)
    rows = []
    for size in given.size:
        for row in measure(size, given):
            rows.append(row)
            print(row, flush=True)
    tables.finish("sweep", rows, keep=given.keep, peers=["ray"] if given.ray else [])


if __name__ == "__main__":
    main()
