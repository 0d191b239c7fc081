"""Loss reached against evaluations of loss and gradient, and against seconds: ours and the peers.

python benchmarks/optimizers.py --sizes 128 --evaluations 25 50 100 200 500 --content-weight 1e-3 1e-2 1e-1 1

From noise an optimizer's path is chaotic: two methods' losses after a hundred evaluations differ by several percent, to
one side with one noise and to the other with the next. One noise therefore compares nothing; a second table gives each
method's loss as a ratio to SciPy's over all `--seeds`: the geometric mean, with the lowest and the highest.

The peers are SciPy's L-BFGS-B, with as many correction pairs, and `torch-lbfgs`, PyTorch's L-BFGS with steps of 1 on
the same network and losses, which takes part where PyTorch is installed (pip install 'jaxstyle[peers]'). With `--json`
every row is kept as a line of JSON as soon as it is measured, and a row that is there already is not measured again: a
long table can be interrupted, or put together from several calls.
"""

import argparse
import dataclasses
import functools
import importlib.util
import itertools
import math
import statistics
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import common
import numpy as np
from common import Loaded

from jaxstyle.config import BoundsRule
from jaxstyle.optimizers import Iteration, methods
from jaxstyle.synthesis.optimization import optimize

REFERENCE = "scipy-lbfgsb"
"""The method that the others are compared with."""
METHODS = ("lbfgs", REFERENCE, "torch-lbfgs", "adam")
SETTLED = 10
"""The iterations before evaluations per iteration are counted: those in which a line search still finds its measure."""


class Story(NamedTuple):
    """How one method fared: at each evaluation that was accepted, how many until then, its loss, and when.

    `per_iteration` is evaluations per iteration after the first ten, None if there were no more.
    """

    evaluations: np.ndarray
    losses: np.ndarray
    seconds: np.ndarray
    per_iteration: float | None

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
        return Story(counts, losses, seconds, 1.0 if evaluations > SETTLED else None)
    ready = loaded.prepared
    settings = dataclasses.replace(ready.settings, method=methods.load(method)(), iterations=evaluations)
    history = optimize([dataclasses.replace(ready, settings=settings)]).history
    columns = [(iteration.evaluations, iteration.loss, iteration.seconds) for iteration in history]
    counts, losses, seconds = (np.array(column) for column in zip(*columns, strict=True))
    return Story(counts, losses, seconds, evaluations_per_iteration(history))


def evaluations_per_iteration(history: Sequence[Iteration]) -> float | None:
    """Evaluations per iteration after the first ten, None if there were no more."""
    first, last = next((each for each in history if each.iteration >= SETTLED), history[-1]), history[-1]
    if last.iteration == first.iteration:
        return None
    return (last.evaluations - first.evaluations) / (last.iteration - first.iteration)


class Question(NamedTuple):
    """What all methods are given in turn."""

    size: int
    start: str
    seed: int
    content_weight: float
    bounds: str


def questions(
    sizes: Sequence[int], starts: Sequence[str], seeds: Sequence[int], ratios: Sequence[float], bounds: str
) -> Iterator[Question]:
    """Every combination; the seed means nothing to the content, which starts once."""
    for size, start, alpha in itertools.product(sizes, starts, ratios):
        for seed in seeds if start == "noise" else seeds[:1]:
            yield Question(size, start, seed, alpha, bounds)


def measure(question: Question, method: str, marks: Sequence[int]) -> dict[str, Any]:
    """What the table's row says besides what was asked for."""
    told = story(problem(question), method, max(marks))
    losses = {mark: told.best_within(mark) for mark in marks}
    return {
        "losses": [losses[mark] for mark in marks],
        "evaluations_per_iteration": told.per_iteration,
        "seconds_per_evaluation": statistics.median(np.diff(told.seconds) / np.diff(told.evaluations)),
        "seconds_to_last": told.seconds_to(losses[max(marks)]),
        "machine": common.machine(),
    }


@functools.lru_cache(maxsize=1)
def problem(question: Question) -> Loaded:
    """What a question asks to minimize."""
    return common.loaded(
        question.size,
        start=question.start,
        seed=question.seed,
        content_weight=question.content_weight,
        optimizer={"bounds": question.bounds},
    )


def ratios_to_reference(losses: Mapping[tuple[Question, str], Sequence[float]]) -> Iterator[tuple[str, ...]]:
    """Lines of the second table: each method's losses over the reference's, all noises of a problem together."""
    together: dict[tuple[Question, str], list[list[float]]] = {}
    for (question, method), found in losses.items():
        reference = losses.get((question, REFERENCE))
        if reference and method != REFERENCE:
            ratios = [loss / other for loss, other in zip(found, reference, strict=True)]
            together.setdefault((question._replace(seed=0), method), []).append(ratios)
    for (question, method), rows in together.items():
        cells = [str(question.size), question.start, f"{question.content_weight:g}", method, str(len(rows))]
        yield *cells, *(_mean_and_range(column) for column in zip(*rows, strict=True))


def _mean_and_range(ratios: Sequence[float]) -> str:
    mean = math.exp(statistics.fmean(map(math.log, ratios)))
    return f"{mean:.3f}" if len(ratios) == 1 else f"{mean:.3f} ({min(ratios):.3f}–{max(ratios):.3f})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=[128], help="long sides in pixels")
    parser.add_argument("--evaluations", type=int, nargs="+", default=[25, 50, 100, 200], help="the table's columns")
    parser.add_argument(
        "--content-weight", type=float, nargs="+", default=[1e-3, 1e-2, 1e-1, 1.0], help="α, with β = 1"
    )
    parser.add_argument("--start", nargs="+", choices=["noise", "content"], default=["noise", "content"])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3], help="of the noise")
    parser.add_argument("--bounds", choices=list(BoundsRule), default="none", help="as optimizer.bounds")
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=list(METHODS))
    parser.add_argument("--json", type=Path, help="keep every row here, and measure none that is there already")
    options = parser.parse_args()
    marks, rows = sorted(options.evaluations), common.Rows(options.json)
    has_torch = importlib.util.find_spec("torch") and options.bounds == BoundsRule.NONE  # PyTorch's has no bounds
    methods = [name for name in options.methods if name != "torch-lbfgs" or has_torch]
    print(common.machine())
    print(
        "The lowest loss within so many evaluations; evaluations per iteration after the first ten; the seconds to the"
    )
    print("last loss\n")
    columns = " | ".join(map(str, marks))
    print(f"| size | start | seed | α/β | method | {columns} | evaluations/iteration | s/evaluation | s |")
    print("|---" * (len(marks) + 8) + "|")
    losses: dict[tuple[Question, str], Sequence[float]] = {}
    asked = questions(options.sizes, options.start, options.seeds, options.content_weight, options.bounds)
    for question, method in itertools.product(asked, methods):
        wanted = {**question._asdict(), "method": method, "evaluations": marks}
        row = rows.find(wanted, functools.partial(measure, question, method, marks))
        losses[question, method] = row["losses"]
        per_iteration = row["evaluations_per_iteration"]
        seed = str(question.seed) if question.start == "noise" else ""
        cells = [str(question.size), question.start, seed, f"{question.content_weight:g}", method]
        cells += [f"{loss:.5f}" for loss in row["losses"]]
        cells += ["" if per_iteration is None else f"{per_iteration:.3f}"]
        cells += [f"{row['seconds_per_evaluation']:.3f}", f"{row['seconds_to_last']:.1f}"]
        print(f"| {' | '.join(cells)} |", flush=True)
    print(f"\nThe loss over that of {REFERENCE}: geometric mean over the noises (lowest–highest)\n")
    print(f"| size | start | α/β | method | noises | {columns} |")
    print("|---" * (len(marks) + 5) + "|")
    for cells in ratios_to_reference(losses):
        print(f"| {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
