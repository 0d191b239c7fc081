"""Loss reached against evaluations of loss and gradient, and against seconds: ours and the peers.

python benchmarks/optimizers.py --size 128 --evaluations 200

`torch-lbfgs`, PyTorch's L-BFGS with steps of 1 on the same network and losses, takes part where PyTorch is installed
(pip install 'jaxstyle[peers]').
"""

import argparse
import dataclasses
import importlib.util
import statistics
from typing import NamedTuple

import common
import numpy as np
from common import Loaded

from jaxstyle.synthesis import optimize

METHODS = ("lbfgs", "scipy-lbfgsb", "torch-lbfgs", "adam")
MARKS = (25, 50, 100, 200, 500)


class Story(NamedTuple):
    """How one method fared: at each evaluation that was accepted, how many until then, its loss, and when."""

    evaluations: np.ndarray
    losses: np.ndarray
    seconds: np.ndarray
    per_iteration: float

    def best_within(self, evaluations: int) -> float:
        """The lowest loss among the first so many evaluations."""
        return float(np.nanmin(self.losses[self.evaluations <= evaluations]))

    def seconds_to(self, loss: float) -> float:
        """Seconds until a loss as low as this, infinite if it was never seen."""
        reached = self.losses <= loss
        return float(self.seconds[np.argmax(reached)]) if reached.any() else float("inf")


def story(loaded: Loaded, method: str, evaluations: int) -> Story:
    """Runs one method for so many evaluations."""
    if method == "torch-lbfgs":
        import torch_peer

        found = torch_peer.lbfgs(loaded, evaluations, torch_peer.layouts()["channels-last"])
        counts, losses, seconds = (np.array(column) for column in zip(*found, strict=True))
        return Story(counts, losses, seconds, 1.0)
    ready = loaded.prepared
    settings = dataclasses.replace(ready.settings, method=method, iterations=evaluations)
    history = optimize([dataclasses.replace(ready, settings=settings)]).history
    late = [iteration for iteration in history if iteration.iteration >= 10]
    per_iteration = (late[-1].evaluations - late[0].evaluations) / (late[-1].iteration - late[0].iteration)
    columns = [(iteration.evaluations, iteration.loss, iteration.seconds) for iteration in history]
    counts, losses, seconds = (np.array(column) for column in zip(*columns, strict=True))
    return Story(counts, losses, seconds, per_iteration)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=128, help="long side in pixels")
    parser.add_argument("--evaluations", type=int, default=200)
    parser.add_argument("--content-weight", type=float, nargs="+", default=[1e-3, 1e-2], help="α, with β = 1")
    parser.add_argument("--start", nargs="+", default=["noise", "content"])
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=list(METHODS))
    options = parser.parse_args()
    marks = [mark for mark in MARKS if mark <= options.evaluations]
    methods = [name for name in options.methods if name != "torch-lbfgs" or importlib.util.find_spec("torch")]
    print(common.machine())
    print(f"{options.size} pixels; the lowest loss within so many evaluations, and the seconds to it for the last\n")
    print("| start | α/β | method | " + " | ".join(map(str, marks)) + " | evaluations/iteration | s/evaluation | s |")
    print("|---" * (len(marks) + 6) + "|")
    for start in options.start:
        for alpha in options.content_weight:
            loaded = common.loaded(options.size, start=start, content_weight=alpha)
            for method in methods:
                told = story(loaded, method, options.evaluations)
                losses = [told.best_within(mark) for mark in marks]
                each = statistics.median(np.diff(told.seconds) / np.diff(told.evaluations))
                columns = [f"{loss:.5f}" for loss in losses]
                columns += [f"{told.per_iteration:.3f}", f"{each:.3f}", f"{told.seconds_to(losses[-1]):.1f}"]
                print(f"| {start} | {alpha:g} | {method} | {' | '.join(columns)} |", flush=True)


if __name__ == "__main__":
    main()
