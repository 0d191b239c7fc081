"""What watching costs a run: seconds of an iteration alone, and with the page's server and viewers beside it.

python benchmarks/watching.py --size 512 --iterations 20 --rounds 5 --viewers 2

Runs the same experiment alone and watched in turns, in one process, so that everything is compiled before. While it is
watched it saves images on the way, and viewers, each a process, request every second what the page in a browser does,
the newest image included. While it is alone, server and viewers are paused. Starting the server costs a few seconds of
one core, once, which the ratios do not include. Besides the time, the seconds of processors are counted, the server's
included, which other programs on the machine disturb less.
"""

import argparse
import contextlib
import json
import multiprocessing
import os
import resource
import signal
import statistics
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import common

from jaxstyle.config import Experiment, experiment_from_mapping
from jaxstyle.runs import previews
from jaxstyle.runs.runner import Inputs, read_inputs, run
from jaxstyle.synthesis.cache import Cache
from jaxstyle.watch import serving


def view(address: str) -> None:
    """Requests what the page requests, every second."""

    def ask(path: str) -> bytes:
        with urllib.request.urlopen(address + path) as answer:
            return answer.read()

    os.nice(19)  # a browser may be on another machine
    shown = ""
    while True:
        with contextlib.suppress(OSError):
            overview = json.loads(ask("runs"))
            newest = next((each for group in overview["groups"] for each in group["runs"]), None)
            if newest:
                images = json.loads(ask(f"runs/{newest['id']}"))["images"]
                if images and images[-1]["version"] != shown:
                    shown = images[-1]["version"]
                    ask(f"runs/{newest['id']}/{images[-1]['name']}?v={shown}")
        time.sleep(1)


@contextlib.contextmanager
def watching(folder: Path, viewers: int) -> Iterator[Sequence[int]]:
    """Runs a server and its viewers; yields their process ids."""
    place = serving.listen()
    context = multiprocessing.get_context("spawn")
    with serving.started([folder], place) as server:
        processes = [context.Process(target=view, args=(place.address,), daemon=True) for _ in range(viewers)]
        try:
            for process in processes:
                process.start()
            with urllib.request.urlopen(f"{place.address}runs"):
                yield [server.pid, *(process.pid or 0 for process in processes)]
        finally:
            for process in processes:
                process.kill()
                process.join()
            server.kill()
            server.wait()


@contextlib.contextmanager
def signalled(processes: Sequence[int]) -> Iterator[None]:
    """Lets paused processes run within the block."""
    for process in processes:
        os.kill(process, signal.SIGCONT)
    yield
    for process in processes:
        os.kill(process, signal.SIGSTOP)


def processor_seconds(process: int) -> float:
    """What a process has used so far, on Linux."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return sum(map(int, fields[11:13])) / os.sysconf("SC_CLK_TCK")


def seconds_of_iteration(
    experiment: Experiment, inputs: Inputs, cache: Cache, folder: Path, *, is_watched: bool, server: int
) -> tuple[float, float]:
    """Runs once; returns the seconds from the first iteration to the last, and of processors, over their number."""
    if is_watched:
        folder.mkdir(parents=True)
        previews.mark(folder)
    began = time.process_time() + processor_seconds(server)
    run(experiment, folder, inputs=inputs, cache=cache)
    used = time.process_time() + processor_seconds(server) - began
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    images = [*folder.glob("images/*")]
    assert bool(images) is is_watched, f"{len(images)} images on the way"
    count = lines[-1]["iteration"] or 1
    return (lines[-1]["seconds"] - lines[0]["seconds"]) / count, used / count


def _said(found: tuple[float, float]) -> str:
    return f"{found[0]:.3f} s ({found[1]:.3f} s of processors)"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=512, help="long side in pixels")
    parser.add_argument("--iterations", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--viewers", type=int, default=2)
    options = parser.parse_args()
    mapping: Mapping[str, Mapping[str, object]] = {
        "image": {"content": "skimage:chelsea", "style": "experiments/images/brushwork.jpg", "size": options.size},
        "optimizer": {"iterations": options.iterations},
        "output": {"keep_state_mb": 0},
    }
    experiment = experiment_from_mapping(mapping, source="benchmark", folder=common.ROOT)
    inputs, cache = read_inputs(experiment), Cache()
    times: dict[str, list[float]] = {"alone": [], "watched": []}
    used: dict[str, list[float]] = {"alone": [], "watched": []}
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        few = experiment.model_copy(update={"optimizer": experiment.optimizer.model_copy(update={"iterations": 1})})
        run(few, folder / "compiled", inputs=inputs, cache=cache)
        with watching(folder, options.viewers) as processes:
            time.sleep(3)
            for process in processes:
                os.kill(process, signal.SIGSTOP)
            server = processes[0]
            for turn in range(options.rounds):
                place = folder / f"alone{turn}"
                alone = seconds_of_iteration(experiment, inputs, cache, place, is_watched=False, server=server)
                with signalled(processes):
                    place = folder / f"watched{turn}"
                    watched = seconds_of_iteration(experiment, inputs, cache, place, is_watched=True, server=server)
                for name, found in (("alone", alone), ("watched", watched)):
                    times[name].append(found[0])
                    used[name].append(found[1])
                print(f"round {turn + 1}: {_said(alone)} alone, {_said(watched)} watched", flush=True)
            for process in processes:
                os.kill(process, signal.SIGCONT)
    print(common.machine())
    common.table(times, common.median(times["alone"]), "times faster than alone")
    for name, found in (("seconds", times), ("seconds of processors", used)):
        ratios = [watched / alone for alone, watched in zip(found["alone"], found["watched"], strict=True)]
        spread = f"{min(ratios):.3f}–{max(ratios):.3f}"
        print(f"{name}, watched over alone, pair by pair: median {statistics.median(ratios):.3f}, {spread}")
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    print(f"server and {options.viewers} viewers, in all: {children.ru_utime + children.ru_stime:.1f} s of a processor")


if __name__ == "__main__":
    main()
