"""Coarse to fine against one scale: seconds and work until the same loss at the final size, from noise.

python benchmarks/scales.py --size 192 --evaluations 200 --iterations 200 300

One run at the final size alone sets the losses to reach. Runs with `image.scales = "auto"` (or --scales) follow, one
for each budget of --iterations. Work is counted in evaluations at the final size: one at half its pixels counts half.
Losses at different sizes do not compare, so a loss counts as reached at the final size only.
"""

import argparse
import time
from collections.abc import Iterator, Sequence

import common

from jaxstyle.optimizers import Iteration, Result
from jaxstyle.synthesis.optimization import optimize
from jaxstyle.synthesis.preparation import Prepared

MARKS = (50, 100, 200, 300, 500)


def run(scales: Sequence[Prepared]) -> tuple[Result, float]:
    """The result, and the seconds of everything after preparation, compilation included."""
    began = time.perf_counter()
    return optimize(scales), time.perf_counter() - began


def reached(history: Sequence[Iteration], size: int, loss: float) -> Iteration | None:
    """The first iterate at the final size with this loss or less."""
    return next((iteration for iteration in history if iteration.size == size and iteration.loss <= loss), None)


def work(history: Sequence[Iteration], evaluations: int) -> float:
    """The first so many evaluations of a run, in evaluations at the last size."""
    spent, total, last = 0, 0.0, history[-1].size
    for iteration in history:
        until = min(iteration.evaluations, evaluations)
        total += (until - spent) * (iteration.size / last) ** 2
        spent = until
    return total


def rows(single: Result, coarse: Result, size: int) -> Iterator[str]:
    """How far `coarse` had to go for the losses that `single` had after so many evaluations."""
    before = max((iteration.evaluations for iteration in coarse.history if iteration.size != size), default=0)
    for mark in [mark for mark in MARKS if mark < single.evaluations] + [single.evaluations]:
        until = [iteration for iteration in single.history if iteration.evaluations <= mark]
        found = reached(coarse.history, size, min(iteration.loss for iteration in until))
        if found is None:
            yield f"| {mark} | not reached | | | | | |"
            continue
        done = work(coarse.history, found.evaluations)
        yield (
            f"| {mark} | {found.evaluations} | {found.evaluations - before} | {done:.0f} | {done / mark:.2f} "
            f"| {found.seconds:.1f} | {found.seconds / until[-1].seconds:.2f} |"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=192, help="the final long side in pixels")
    parser.add_argument("--evaluations", type=int, default=200, help="of the run at one scale")
    parser.add_argument("--iterations", type=int, nargs="+", default=[200], help="budgets of the runs with scales")
    parser.add_argument("--scales", type=int, nargs="+", help='long sides in the place of "auto"')
    options = parser.parse_args()
    size = options.size
    print(common.machine())
    single, single_seconds = run(common.loaded(size, optimizer={"iterations": options.evaluations}).scales)
    print(
        f"{size} pixels, one scale: {single.evaluations} evaluations, {single.run_seconds:.1f} s, with compilation "
        f"{single_seconds:.1f} s, loss {single.loss:.6f}",
        flush=True,
    )
    for iterations in options.iterations:
        scales = common.loaded(size, scales=options.scales or "auto", optimizer={"iterations": iterations}).scales
        coarse, seconds = run(scales)
        steps = ", ".join(f"{prepared.scale.iterations} steps at {prepared.scale.size}" for prepared in scales)
        print(
            f"\n{steps}: {coarse.evaluations} evaluations, "
            f"{coarse.run_seconds:.1f} s (ratio {coarse.run_seconds / single.run_seconds:.2f}), with compilation "
            f"{seconds:.1f} s (ratio {seconds / single_seconds:.2f}), loss {coarse.loss:.6f}\n"
        )
        print("| to the loss of | evaluations | of them at the final size | work | ratio | s | ratio |")
        print("|---" * 7 + "|")
        print(*rows(single, coarse, size), sep="\n", flush=True)


if __name__ == "__main__":
    main()
