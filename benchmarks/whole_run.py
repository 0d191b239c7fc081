"""From the command to the image, ours and pastiche's: how good the image is, and how long it took.

python benchmarks/whole_run.py --size 256 --evaluations 25 50 100 200 --rounds 3

Both programs (pip install 'jaxstyle[peers]') are given the same two files, already of the final size, and minimize the
same loss on the same weights; pastiche's own defaults decide which (see pastiche_peer.py), and the losses of the start
must agree before anything is timed. Each writes an image of 8 bits, and our loss function judges both files. Ours is
given as many iterations as end within so many evaluations, pastiche as many steps as evaluations. Every run is a
process of its own, in turns. `first` is ours with nothing compiled before, `again` with the programs kept from an
earlier run, as every run but the first of its kind finds them.
"""

import argparse
import functools
import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

import common
import jax.numpy as jnp
import pastiche_peer

from jaxstyle import images
from jaxstyle.config import load_experiment
from jaxstyle.devices import compilation_cache
from jaxstyle.network import weights
from jaxstyle.paper.objective import evaluate
from jaxstyle.synthesis import preparation
from jaxstyle.synthesis.preparation import Prepared

AGREEMENT = 1e-4
"""The two programs' losses of the same image must agree relatively."""
FIRST, AGAIN, PEER = "ours, first", "ours, again", "pastiche"
"""The three ways from a command to an image."""


class Contest(NamedTuple):
    """Everything that both programs are given.

    Attributes:
      scratch: a folder for what they read and write.
      size: the long side in pixels.
      settings: our experiment, as changes of the quick start.
      loss: pastiche's command line for the same loss.
      start: likewise for the start.
      prepared: the experiment, which judges the images.
    """

    scratch: Path
    size: int
    settings: list[str]
    loss: list[str]
    start: list[str]
    prepared: Prepared

    def image(self, name: str) -> Path:
        return self.scratch / f"{name}.png"

    def loss_of(self, name: str) -> float:
        """Our loss of an image's file."""
        image = jnp.asarray(images.read_image(self.image(name)).pixels)
        (loss, _), _ = evaluate(self.prepared.objective, image, self.prepared.problem)
        return float(loss)

    def run_ours(self, name: str, iterations: int, cache: Path) -> list[dict[str, float]]:
        """Runs our command, leaves its image under a name, and returns the record's lines."""
        folder = self.scratch / "run"
        shutil.rmtree(folder, ignore_errors=True)
        changes = [f"--set={change}" for change in (*self.settings, f"optimizer.iterations={iterations}")]
        environment = {**os.environ, compilation_cache.ENVIRONMENT: str(cache)}
        arguments = [common.COMMAND, "run", str(common.QUICKSTART), "--out", str(folder), *changes]
        subprocess.run(arguments, check=True, stdout=subprocess.DEVNULL, env=environment)
        (folder / "result.png").replace(self.image(name))
        return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]

    def run_first(self, name: str, iterations: int) -> None:
        """Runs our command with nothing compiled before."""
        with tempfile.TemporaryDirectory() as cache:
            self.run_ours(name, iterations, Path(cache))

    def run_peer(self, name: str, steps: int, start: Sequence[str]) -> pastiche_peer.Run:
        """Runs pastiche and leaves its image under a name."""
        return pastiche_peer.run(
            self.image("content"),
            self.image("style"),
            self.image(name),
            size=self.size,
            steps=steps,
            options=[*self.loss, *start],
        )


def contest(size: int, start: str, seed: int, scratch: Path) -> Contest:
    """Writes both images at the final size and prepares the experiment on these files."""
    loaded = preparation.read_images(load_experiment(common.QUICKSTART)).by_role()
    files = {role: scratch / f"{role}.png" for role in ("content", "style")}
    shape = images.long_side_shape(loaded["content"].pixels.shape, size)
    for role, path in files.items():
        images.write_image(path, images.resize_to(loaded[role].pixels, *shape))
    settings = [
        *(f'image.{role}="{path}"' for role, path in files.items()),
        f"image.size={size}",
        f'start.method="{start}"',
        f"start.seed={seed}",
        *pastiche_peer.LIKE_PASTICHE,
    ]
    experiment = load_experiment(common.QUICKSTART, settings)
    parameters = weights.load(experiment.network.weights)
    prepared = preparation.prepare(experiment, preparation.read_images(experiment), parameters)[-1]
    return Contest(
        scratch=scratch,
        size=size,
        settings=settings,
        loss=pastiche_peer.loss_options(prepared, str(experiment.network.pooling)),
        start=pastiche_peer.start_options(start, seed),
        prepared=prepared,
    )


def check_agreement(given: Contest) -> None:
    """Checks that both programs find the same loss of the content image, from which pastiche takes one step here."""
    theirs, ours = given.run_peer(PEER, 1, start=()).losses[0], given.loss_of("content")
    assert abs(theirs / ours - 1) < AGREEMENT, f"the loss of the content: pastiche says {theirs}, ours is {ours}"


def iterations_within(given: Contest, evaluations: Sequence[int], cache: Path) -> dict[int, int]:
    """How many of our iterations end within so many evaluations, for each number of them."""
    lines = given.run_ours(AGAIN, max(evaluations), cache)
    return {mark: int(max(line["iteration"] for line in lines if line["evaluations"] <= mark)) for mark in evaluations}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=256, help="long side in pixels")
    parser.add_argument("--evaluations", type=int, nargs="+", default=[25, 50, 100, 200])
    parser.add_argument("--start", choices=["content", "noise"], default="content")
    parser.add_argument("--seed", type=int, default=1, help="of the noise")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    if not pastiche_peer.is_installed():
        raise SystemExit("pastiche is not installed: pip install 'jaxstyle[peers]'")
    print(f"{common.machine()}, torch {version('torch')}, pastiche {version('pastiche')}")
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        cache = scratch / "cache"
        given = contest(options.size, options.start, options.seed, scratch)
        check_agreement(given)
        print(f"{options.size} pixels from the {options.start}, {options.rounds} rounds\n")
        print("| evaluations | way | loss of the image | / pastiche's | median s | lowest–highest | speed / pastiche |")
        print("|---" * 7 + "|")
        for mark, iterations in iterations_within(given, options.evaluations, cache).items():
            ways = {
                FIRST: functools.partial(given.run_first, FIRST, iterations),
                AGAIN: functools.partial(given.run_ours, AGAIN, iterations, cache),
                PEER: functools.partial(given.run_peer, PEER, mark, given.start),
            }
            times = common.in_turns(ways, options.rounds)
            for name, seconds in times.items():
                loss, median = given.loss_of(name), common.median(seconds)
                print(
                    f"| {mark} | {name} | {loss:.4g} | {loss / given.loss_of(PEER):.3f} "
                    f"| {median:.2f} | {min(seconds):.2f}–{max(seconds):.2f} "
                    f"| {common.median(times[PEER]) / median:.2f} |",
                    flush=True,
                )


if __name__ == "__main__":
    main()
