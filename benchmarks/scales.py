"""Coarse to fine against one scale: seconds and work until the same loss at the final size, from noise.

python benchmarks/scales.py --size 192 --evaluations 200 --tries auto:200 fast 68:100,96:100,136:75,192:50:1

One run at the final size alone sets the losses to reach. The tries follow: `auto:STEPS` and `fast` are the rules of
`image.scales`; a list says for each scale its size, its steps and, if wanted, what content's weights are multiplied by
there. Work is counted in evaluations at the final size: one at half its pixels counts half. Losses at different sizes
do not compare, so a loss counts as reached at the final size only. `--figure 1e-2` takes Fig. 4 of the paper at this
ratio, with the bounds of the authors, in the place of the quick start's images.
"""

import argparse
import time
from collections.abc import Iterator, Sequence
from typing import Any

import common
import tables

from jaxstyle.metrics.grey_correlation import grey_correlation
from jaxstyle.optimizers import Iteration, Result
from jaxstyle.synthesis.optimization import optimize
from jaxstyle.synthesis.preparation import Prepared
from jaxstyle.synthesis.scales import Scale, fast, ladder, share

MARKS = (50, 100, 200, 300, 500, 1000)
MOST = 10**6


def planned(words: str, size: int) -> tuple[Scale, ...]:
    """The scales that a try names, the last of this size."""
    if words == "fast":
        return fast(MOST, ladder(size))
    if words.startswith("auto:"):
        return share(int(words.removeprefix("auto:")), ladder(size))
    parts = [part.split(":") for part in words.split(",")]
    return tuple(Scale(int(part[0]), int(part[1]), content_factor=float((*part, 1)[2])) for part in parts)


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


def facts(words: str, result: Result, scales: Sequence[Prepared], seconds: float) -> dict[str, Any]:
    """The table's row of a run, and its iterations at every scale."""
    content = scales[-1].content
    assert content is not None
    return {
        "scales": words,
        "steps": {prepared.scale.size: prepared.scale.iterations for prepared in scales},
        "evaluations": result.evaluations,
        "work": work(result.history, result.evaluations),
        "loss": result.loss,
        "correlation": grey_correlation(result.image, content),
        "seconds": seconds,
    }


def problem(options: argparse.Namespace) -> dict[str, Any]:
    """What `common.loaded` is asked for."""
    if options.figure is None:
        return {"seed": options.seed}
    return {
        "seed": options.seed,
        "content": "paper:neckarfront",
        "style": "paper:composition_vii",
        "content_weight": options.figure,
        "optimizer": {"bounds": "paper"},
    }


def main() -> None:
    parser = tables.parser_of(__doc__)
    parser.add_argument("--size", type=int, default=192, help="the final long side in pixels")
    parser.add_argument("--evaluations", type=int, default=200, help="of the run at one scale, about")
    parser.add_argument("--tries", nargs="+", default=["auto:200", "fast"], metavar="RULE|SIZE:STEPS[:CONTENT],…")
    parser.add_argument("--figure", type=float, metavar="RATIO", help="Fig. 4 at this α/β; needs the paper's images")
    parser.add_argument("--seed", type=int, default=0, help="of the noise")
    options = parser.parse_args()
    size, asked = options.size, problem(options)
    print(common.machine())
    alone = common.loaded(size, planned=[Scale(size, options.evaluations)], **asked).scales
    single, single_seconds = run(alone)
    kept = [facts("single", single, alone, single.run_seconds)]
    print(kept[0], f"with compilation {single_seconds:.1f} s", flush=True)
    for words in options.tries:
        scales = common.loaded(size, planned=planned(words, size), **asked).scales
        coarse, seconds = run(scales)
        found = reached(coarse.history, size, single.loss)
        to_loss = None if found is None else found.seconds
        kept.append({**facts(words, coarse, scales, coarse.run_seconds), "seconds to the loss of one scale": to_loss})
        print(f"\n{kept[-1]} with compilation {seconds:.1f} s (ratio {seconds / single_seconds:.2f})\n")
        print("| to the loss of | evaluations | of them at the final size | work | ratio | s | ratio |")
        print("|---" * 7 + "|")
        print(*rows(single, coarse, size), sep="\n", flush=True)
    tables.finish("scales", kept, keep=options.keep)


if __name__ == "__main__":
    main()
