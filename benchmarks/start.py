"""Seconds until the command line shows its help, and from `jaxstyle run` to the first iteration, cold and warm.

python benchmarks/start.py --size 512 --rounds 5

Every figure is a process of its own: the real command on the quick start's images. Cold means an empty compilation
cache, warm the one that the cold start has just filled.
"""

import json
import os
import subprocess
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

import common
import tables

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
    subprocess.run([*common.COMMAND, "--help"], check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - began


def start_of_run(size: int, cache: Path, folder: Path, settings: list[str]) -> Start:
    """Runs the quick start for one iteration; what its process does after the first evaluation does not count."""
    changes = [f"--set={change}" for change in (f"image.size={size}", "optimizer.iterations=1", *settings)]
    environment = {**os.environ, "JAXSTYLE_COMPILATION_CACHE": str(cache)}
    metrics = folder / "metrics.jsonl"
    began = time.perf_counter()
    with subprocess.Popen(
        [*common.COMMAND, "run", str(common.QUICKSTART), "--out", str(folder), *changes],
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


def main() -> None:
    parser = tables.parser_of(__doc__)
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
    rows = [
        {"until": "`--help` is shown", "warm": helps},
        {
            "until": "the first evaluation begins",
            "cold": [each.begun for each in cold],
            "warm": [each.begun for each in warm],
        },
        {
            "until": "its iteration is recorded",
            "cold": [each.recorded for each in cold],
            "warm": [each.recorded for each in warm],
        },
    ]
    tables.finish("start", rows, keep=options.keep)


if __name__ == "__main__":
    main()
