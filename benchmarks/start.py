"""Seconds until the command line shows its help, and from `jaxstyle run` to the first iteration, cold and warm.

python benchmarks/start.py --size 512 --rounds 5

Every figure is a process of its own: the real command on the quick start's images. Cold means an empty compilation
cache, warm the one that the cold start has just filled. Medians and, as other work on the machine only ever slows
a process down, the fastest of the rounds.
"""

import argparse
import json
import os
import statistics
import subprocess
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

import common

POLL = 0.005
"""Seconds between looks at the record."""


class Start(NamedTuple):
    """Seconds since the command was given: when the first evaluation began, and when its iteration was recorded.

    The targets, which are computed meanwhile, are done by the latter only.
    """

    begun: float
    recorded: float


def seconds_of_help() -> float:
    began = time.perf_counter()
    subprocess.run([common.COMMAND, "--help"], check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - began


def start_of_run(size: int, cache: Path, folder: Path, settings: list[str]) -> Start:
    """Runs the quick start for one iteration; what its process does after the first evaluation does not count."""
    changes = [f"--set={change}" for change in (f"image.size={size}", "optimizer.iterations=1", *settings)]
    environment = {**os.environ, "JAXSTYLE_COMPILATION_CACHE": str(cache)}
    metrics = folder / "metrics.jsonl"
    began = time.perf_counter()
    with subprocess.Popen(
        [common.COMMAND, "run", str(common.QUICKSTART), "--out", str(folder), *changes],
        cwd=common.ROOT,
        env=environment,
        stdout=subprocess.DEVNULL,
    ) as process:
        while not (metrics.exists() and "\n" in metrics.read_text()):
            if process.poll() is not None:
                raise SystemExit(f"the command ended with status {process.returncode}")
            time.sleep(POLL)
        recorded = time.perf_counter() - began
        first = json.loads(metrics.read_text().splitlines()[0])
    return Start(recorded - first["seconds"], recorded)


def row(name: str, seconds: list[float]) -> str:
    return f"| {name} | {statistics.median(seconds):.2f} | {min(seconds):.2f} | {max(seconds):.2f} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=512, help="long side in pixels")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--set", action="append", default=[], dest="settings", help="another key of the experiment")
    options = parser.parse_args()
    helps, cold, warm = [], [], []
    for _ in range(options.rounds):
        helps.append(seconds_of_help())
        with tempfile.TemporaryDirectory() as scratch:
            cache = Path(scratch) / "cache"
            cold.append(start_of_run(options.size, cache, Path(scratch) / "cold", options.settings))
            warm.append(start_of_run(options.size, cache, Path(scratch) / "warm", options.settings))
    print(common.machine())
    print(f"{options.size} pixels, {options.rounds} rounds, {' '.join(options.settings)}\n")
    print("| from the command to | median s | lowest | highest |")
    print("|---|---|---|---|")
    print(row("`--help`", helps))
    for name, starts in (("cold", cold), ("warm", warm)):
        print(row(f"the first evaluation's beginning, {name}", [start.begun for start in starts]))
        print(row(f"the first iteration, {name}", [start.recorded for start in starts]))


if __name__ == "__main__":
    main()
