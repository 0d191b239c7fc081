"""Loss reached against evaluations of loss and gradient: our L-BFGS, SciPy's L-BFGS-B, Adam.

python benchmarks/optimizers.py --size 128 --evaluations 200
"""

import argparse
import dataclasses
import itertools
import statistics

import common

from jaxstyle.optimizers import Iteration
from jaxstyle.synthesis import optimize

METHODS = ("lbfgs", "scipy-lbfgsb", "adam")
MARKS = (25, 50, 100, 200, 500)


def best_within(history: tuple[Iteration, ...], evaluations: int) -> float:
    return min(iteration.loss for iteration in history if iteration.evaluations <= evaluations)


def evaluations_per_iteration(history: tuple[Iteration, ...]) -> float:
    """The average after the first ten iterations."""
    late = [iteration for iteration in history if iteration.iteration >= 10]
    return (late[-1].evaluations - late[0].evaluations) / (late[-1].iteration - late[0].iteration)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=128, help="long side in pixels")
    parser.add_argument("--evaluations", type=int, default=200)
    parser.add_argument("--content-weight", type=float, nargs="+", default=[1e-3, 1e-2], help="α, with β = 1")
    parser.add_argument("--start", nargs="+", default=["noise", "content"])
    options = parser.parse_args()
    marks = [mark for mark in MARKS if mark <= options.evaluations]
    print(common.machine())
    print(f"{options.size} pixels\n")
    print("| start | α/β | method | " + " | ".join(map(str, marks)) + " | evaluations/iteration | s/evaluation |")
    print("|---" * (len(marks) + 5) + "|")
    for start in options.start:
        for alpha in options.content_weight:
            for method in METHODS:
                ready = common.prepared(options.size, start, method, content_weight=alpha)
                settings = dataclasses.replace(ready.settings, iterations=options.evaluations)
                result = optimize([dataclasses.replace(ready, settings=settings)])
                losses = " | ".join(f"{best_within(result.history, mark):.5f}" for mark in marks)
                stamps = [iteration.seconds for iteration in result.history]
                each = statistics.median(after - before for before, after in itertools.pairwise(stamps))
                ratio = evaluations_per_iteration(result.history)
                print(f"| {start} | {alpha:g} | {method} | {losses} | {ratio:.3f} | {each:.3f} |", flush=True)


if __name__ == "__main__":
    main()
