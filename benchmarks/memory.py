"""What `jaxstyle check` estimates before a run against what the run then takes: memory and seconds per evaluation.

python benchmarks/memory.py --sizes 256 512 1024 2048x1536

Every figure is a process of its own: one estimates as `jaxstyle check` does, another runs a few iterations and its
record says what they took. The images are the quick start's, of which the content is three by two; a size such as
2048x1536 is its content brought to that shape.
"""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import common
import tables

from jaxstyle import images
from jaxstyle.config import load_experiment
from jaxstyle.devices import compilation_cache
from jaxstyle.runs import runner
from jaxstyle.synthesis.estimates import estimate_memory, outlines, time_evaluation
from jaxstyle.synthesis.preparation import prepare, read_images


def estimate(settings: list[str]) -> None:
    """Prints an estimate, in a process of its own."""
    compilation_cache.switch_on()
    experiment = load_experiment(common.QUICKSTART, settings)
    inputs = runner.read_inputs(experiment)
    planned = outlines(experiment, *inputs)[-1]
    peak = estimate_memory(planned)
    seconds = time_evaluation(prepare(experiment, *inputs)[-1])
    print(json.dumps({"peak": peak, "seconds": seconds, "size": planned.size}))


def measured(settings: list[str], folder: Path, cache: Path) -> dict[str, float]:
    """What the record of a run says: its peak memory, and the mean of its evaluations' seconds but for the first."""
    changes = [f"--set={setting}" for setting in settings]
    environment = {**os.environ, compilation_cache.ENVIRONMENT: str(cache)}
    arguments = [*common.COMMAND, "run", str(common.QUICKSTART), "--out", str(folder), "--ignore-memory", *changes]
    subprocess.run(arguments, check=True, stdout=subprocess.DEVNULL, env=environment)
    manifest = json.loads((folder / "manifest.json").read_text())
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    first, last = lines[0], lines[-1]
    seconds = (last["seconds"] - first["seconds"]) / (last["evaluations"] - first["evaluations"])
    return {"peak": manifest["peak_memory_bytes"], "seconds": seconds}


def estimated(settings: list[str], cache: Path) -> dict[str, Any]:
    environment = {**os.environ, compilation_cache.ENVIRONMENT: str(cache)}
    arguments = [sys.executable, __file__, "--estimate", *(f"--set={setting}" for setting in settings)]
    return json.loads(subprocess.run(arguments, check=True, capture_output=True, text=True, env=environment).stdout)


def of_size(size: str, folder: Path) -> list[str]:
    """The settings for a size, `1024` or `2048x1536`; the latter writes the content to a folder."""
    if "x" not in size:
        return [f"image.size={size}"]
    width, height = map(int, size.split("x"))
    content = read_images(load_experiment(common.QUICKSTART)).content
    assert content is not None
    path = folder / "content.png"
    images.write_image(path, images.resize_to(content.pixels, height, width))
    return [f"image.size={max(width, height)}", f'image.content="{path}"']


def main() -> None:
    parser = tables.parser_of(__doc__)
    parser.add_argument("--sizes", nargs="+", default=["256", "512", "1024"], help="long sides, or WIDTHxHEIGHT")
    parser.add_argument("--iterations", type=int, default=5)
    parser.add_argument("--set", action="append", default=[], dest="settings", help="another key of the experiment")
    parser.add_argument("--estimate", action="store_true", help="only estimate, and print JSON")
    options = parser.parse_args()
    if options.estimate:
        estimate(options.settings)
        return
    rows = []
    for size in options.sizes:
        with tempfile.TemporaryDirectory() as scratch:
            iterations = f"optimizer.iterations={options.iterations}"
            settings = [*of_size(size, Path(scratch)), iterations, *options.settings]
            cache = Path(scratch) / "cache"
            before = estimated(settings, cache)
            after = measured(settings, Path(scratch) / "run", cache)
        height, width = before.pop("size")
        rows.append({"pixels": f"{width}×{height}", "estimated": before, "measured": after})
        print(rows[-1], flush=True)
    tables.finish("memory", rows, keep=options.keep)


if __name__ == "__main__":
    main()
