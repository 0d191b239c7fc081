"""From the command to the image, ours and what people would use instead: how good the image is, how long it took.

python benchmarks/whole_run.py --size 256 --evaluations 50 200 --rounds 3

Two losses are minimized, each by ours and by others, on the same two files of the final size and the same weights:

- `gatys-notebook`, from the content: beside the program pastiche (pip install 'jaxstyle[peers]') with its own defaults,
  and beside sixty lines of PyTorch, `torch_script.py`.
- `neural-style`, from noise: beside the same lines with neural-style-pt's settings.

Before anything is timed, ours and theirs must give the content image the same loss. Each writes an image of 8 bits, and
our loss function judges all files. Ours is given as many iterations as end within so many evaluations, the others as
many steps. Every run is a process of its own, in turns. `first` is ours with nothing compiled before, `again` with the
programs kept from an earlier run, as every run but the first of its kind finds them.
"""

import functools
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import common
import jax.numpy as jnp
import numpy as np
import pastiche_peer
import tables
import torch

from jaxstyle import images
from jaxstyle.config import load_experiment
from jaxstyle.devices import compilation_cache
from jaxstyle.network import weights
from jaxstyle.paper.objective import evaluate
from jaxstyle.synthesis import preparation
from jaxstyle.synthesis.preparation import Prepared

AGREEMENT = {"float32": 1e-4, "tf32": 2e-3}
"""The losses of the same image by two programs must agree relatively; PyTorch convolves in TF32 on a GPU that can."""
FIRST, AGAIN, PASTICHE, SCRIPT = "ours, first", "ours, again", "pastiche", "PyTorch, 60 lines"
"""The ways from a command to an image."""
LOSSES = {
    "gatys-notebook": ('start.method="content"', *pastiche_peer.LIKE_PASTICHE),
    "neural-style": (
        'start.method="noise"',
        'network.weights="vgg19"',
        'network.pooling="max"',
        'loss.convention="neural-style"',
        "loss.tv_weight=0",
        'loss.terms=[{kind="variation", rule="absolute", weight=1e-3}]',
    ),
}
"""Keys of an experiment by which its loss, and its start, are those of others by default."""


class Contest(NamedTuple):
    """Everything that all programs are given.

    Attributes:
      loss: of `LOSSES`.
      scratch: a folder for what they read and write; the content and the style are there, and the weights.
      size: the long side in pixels.
      settings: our experiment, as changes of the quick start.
      prepared: the experiment, which judges the images.
      pooling: of the network.
    """

    loss: str
    scratch: Path
    size: int
    settings: list[str]
    prepared: Prepared
    pooling: str

    def file(self, name: str) -> Path:
        """The image of that name."""
        return self.scratch / f"{name}.png"

    def loss_of(self, name: str) -> float:
        """Our loss of an image's file."""
        image = jnp.asarray(images.read_image(self.file(name)).pixels)
        (loss, _), _ = evaluate(self.prepared.objective, image, self.prepared.problem)
        return float(loss)

    def run_ours(self, name: str, iterations: int, cache: Path) -> list[dict[str, float]]:
        """Runs our command, leaves its image under a name, and returns the record's lines."""
        folder = self.scratch / "run"
        shutil.rmtree(folder, ignore_errors=True)
        changes = [f"--set={change}" for change in (*self.settings, f"optimizer.iterations={iterations}")]
        environment = {**os.environ, compilation_cache.ENVIRONMENT: str(cache)}
        arguments = [*common.COMMAND, "run", str(common.QUICKSTART), "--out", str(folder), *changes]
        subprocess.run(arguments, check=True, stdout=subprocess.DEVNULL, env=environment)
        (folder / "result.png").replace(self.file(name))
        return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]

    def run_first(self, name: str, iterations: int) -> None:
        """Runs our command with nothing compiled before."""
        with tempfile.TemporaryDirectory() as cache:
            self.run_ours(name, iterations, Path(cache))

    def run_pastiche(self, name: str, steps: int) -> float:
        """Runs pastiche, leaves its image under a name, and returns the loss of the content image."""
        files = (self.file("content"), self.file("style"), self.file(name))
        options = pastiche_peer.loss_options(self.prepared, self.pooling)
        return pastiche_peer.run(*files, size=self.size, steps=steps, options=options).losses[0]

    def run_script(self, name: str, steps: int, *options: str) -> float:
        """Runs the PyTorch script, leaves its image under a name, and returns the loss of its start."""
        files = [str(self.file(each)) for each in ("content", "style", name)]
        script = str(Path(__file__).with_name("torch_script.py"))
        given = ["--weights", str(self.scratch / "vgg19.pth"), "--steps", str(steps), "--like", self.loss, *options]
        done = subprocess.run(
            [sys.executable, script, *files, *given], check=True, stdout=subprocess.PIPE, text=True
        ).stdout
        return float(done.split()[1])

    def peers(self) -> dict[str, Callable[..., float]]:
        """The other programs that minimize this loss."""
        script = {SCRIPT: self.run_script}
        return {PASTICHE: self.run_pastiche, **script} if self.loss == "gatys-notebook" else script


def contest(loss: str, size: int, precision: str, scratch: Path) -> Contest:
    """Writes both images at the final size and the weights, and prepares the experiment on these files."""
    loaded = preparation.read_images(load_experiment(common.QUICKSTART)).by_role()
    files = {role: scratch / f"{role}.png" for role in ("content", "style")}
    shape = images.long_side_shape(loaded["content"].pixels.shape, size)
    for role, path in files.items():
        images.write_image(path, images.resize_to(loaded[role].pixels, *shape))
    given = (f'image.{role}="{path}"' for role, path in files.items())
    settings = [*given, f"image.size={size}", "start.seed=1", f'network.precision="{precision}"', *LOSSES[loss]]
    experiment = load_experiment(common.QUICKSTART, settings)
    found = weights.load(experiment.network.weights)
    torch.save(
        {
            layer: [torch.from_numpy(np.array(array)) for array in (of["kernel"].transpose(3, 2, 0, 1), of["bias"])]
            for layer, of in found.parameters.items()
            if layer <= "conv5_1"
        },
        scratch / "vgg19.pth",
    )
    prepared = preparation.prepare(experiment, preparation.read_images(experiment), found)[-1]
    return Contest(loss, scratch, size, settings, prepared, str(experiment.network.pooling))


def check_agreement(given: Contest, tolerance: float) -> None:
    """Checks that all programs find the same loss of the content image."""
    ours = given.loss_of("content")
    for name, run in given.peers().items():
        theirs = run(name, 1, *(["--start", "content"] if name == SCRIPT else []))
        assert abs(theirs / ours - 1) < tolerance, f"the loss of the content: {name} says {theirs}, ours is {ours}"


def iterations_within(given: Contest, evaluations: Sequence[int], cache: Path) -> dict[int, int]:
    """How many of our iterations end within so many evaluations, for each number of them."""
    lines = given.run_ours(AGAIN, max(evaluations), cache)
    return {mark: int(max(line["iteration"] for line in lines if line["evaluations"] <= mark)) for mark in evaluations}


def compare(given: Contest, evaluations: int, iterations: int, rounds: int, cache: Path) -> list[dict[str, Any]]:
    """The table's rows of one loss and number of evaluations."""
    lines: list[dict[str, float]] = []

    def again() -> None:
        lines[:] = given.run_ours(AGAIN, iterations, cache)

    ways: dict[str, Callable[[], Any]] = {
        FIRST: functools.partial(given.run_first, FIRST, iterations),
        AGAIN: again,
        **{name: functools.partial(run, name, evaluations) for name, run in given.peers().items()},
    }
    seconds = common.in_turns(ways, rounds, rehearsed=False)
    height, width, _ = given.prepared.start.shape
    losses = {name: given.loss_of(name) for name in ways}
    eight_bits = losses[AGAIN] / min(line["loss"] for line in lines)
    around = seconds[AGAIN][-1] - lines[-1]["seconds"]
    rows = []
    for name in ways:
        as_good = (line["seconds"] for line in lines if eight_bits * line["loss"] <= losses[name])
        found = None if name in (FIRST, AGAIN) else next(as_good, None)
        rows.append(
            {
                "pixels": f"{width}×{height}",
                "loss of": given.loss,
                "evaluations": evaluations,
                "way": name,
                "loss": losses[name],
                "seconds": seconds[name],
                "ours to this loss": None if found is None else around + found,
            }
        )
        print(rows[-1], flush=True)
    return rows


def main() -> None:
    parser = tables.parser_of(__doc__)
    parser.add_argument("--size", type=int, nargs="+", default=[256], help="long sides in pixels")
    parser.add_argument("--evaluations", type=int, nargs="+", default=[50, 200])
    parser.add_argument("--losses", nargs="+", choices=list(LOSSES), default=list(LOSSES))
    parser.add_argument("--precision", choices=list(AGREEMENT), default="float32", help="of our network")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    if not pastiche_peer.is_installed():
        raise SystemExit("pastiche is not installed: pip install 'jaxstyle[peers]'")
    print(f"{common.machine()}, torch {version('torch')}, pastiche {version('pastiche')}", flush=True)
    rows = []
    for size in options.size:
        for loss in options.losses:
            with tempfile.TemporaryDirectory() as folder:
                given, cache = contest(loss, size, options.precision, Path(folder)), Path(folder) / "cache"
                check_agreement(given, AGREEMENT[options.precision])
                for evaluations, iterations in iterations_within(given, options.evaluations, cache).items():
                    rows += compare(given, evaluations, iterations, options.rounds, cache)
    name = "whole" if options.losses != ["neural-style"] else "whole-neural-style"
    tables.finish(name, rows, keep=options.keep, peers=["torch", "pastiche"])


if __name__ == "__main__":
    main()
