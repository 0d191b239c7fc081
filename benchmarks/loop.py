"""What the optimizer's loop costs beside the evaluations: seconds per evaluation, and seconds of compilation.

python benchmarks/loop.py --size 256 --rounds 7

In turns: the loss and gradient alone; one evaluation a call (as on the CPU); several in one call (as on accelerators);
and the loop around a loss that costs nothing, which is what L-BFGS, records and calls take by themselves.
"""

import argparse
import dataclasses
import time
from collections.abc import Callable
from typing import Any

import common
import jax
import jax.numpy as jnp
from jaxtyping import Array

from jaxstyle.optimizers.device import Limits, advance_chunk, advance_once, start_state
from jaxstyle.optimizers.lbfgs import LimitedMemoryBFGS
from jaxstyle.paper.objective import Values, evaluate

CHUNK = 4


@dataclasses.dataclass(frozen=True)
class Free:
    """A loss that costs nothing: the squared distance from grey."""

    names: tuple[str, ...] = ("grey",)
    bands: None = None
    is_exact: bool = True

    def value_and_grad(self, image: Array, problem: Any) -> tuple[tuple[Array, Values], Array]:
        loss = jnp.sum(jnp.square(image - 0.5))
        return (loss, {"grey": loss}), 2 * (image - 0.5)


def compile_seconds(program: Any, *arguments: Any) -> float:
    """Seconds to compile, XLA's own part and JAX's."""
    began = time.perf_counter()
    program.lower(*arguments).compile()
    return time.perf_counter() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=256, help="long side in pixels")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--layers", nargs="+", metavar="LAYER", help="style layers alone; without, the paper's layers")
    options = parser.parse_args()
    jax.config.update("jax_enable_compilation_cache", False)
    loss = {"content_layers": [], "style_layers": options.layers} if options.layers else {}
    ready = common.loaded(options.size, **loss).prepared
    objective, problem, image = ready.objective, ready.problem, jnp.asarray(ready.start)
    method, limits = LimitedMemoryBFGS(), Limits(jnp.asarray(10**6), jnp.float32(0), {})
    states = {name: start_state(objective, method, image) for name in ("once", "chunk")}
    states["free"] = start_state(Free(), method, image)
    print(common.machine())
    print(f"{image.shape[0]}×{image.shape[1]} pixels, {options.rounds} rounds\n")

    alone_compiles = compile_seconds(evaluate, objective, image, problem)
    once_compiles = compile_seconds(advance_once, objective, method, states["once"], problem, limits)
    ratio = once_compiles / alone_compiles
    print(
        f"compilation: {alone_compiles:.2f} s the loss and gradient, {once_compiles:.2f} s with L-BFGS ({ratio:.2f}×)\n"
    )

    def alone() -> None:
        jax.block_until_ready(evaluate(objective, image, problem))

    def once() -> None:
        states["once"], _ = jax.block_until_ready(advance_once(objective, method, states["once"], problem, limits))

    def chunk() -> None:
        count = jnp.asarray(CHUNK)
        states["chunk"], _ = jax.block_until_ready(
            advance_chunk(objective, method, states["chunk"], problem, limits, count)
        )

    def free() -> None:
        states["free"], _ = jax.block_until_ready(advance_once(Free(), method, states["free"], None, limits))

    ways: dict[str, Callable[[], None]] = {
        "loss and gradient alone": alone,
        "one evaluation a call": once,
        f"{CHUNK} evaluations a call": chunk,
        "the loop around a free loss": free,
    }
    times = common.in_turns(ways, options.rounds)
    times[f"{CHUNK} evaluations a call"] = [seconds / CHUNK for seconds in times[f"{CHUNK} evaluations a call"]]
    common.table(times, common.median(times["loss and gradient alone"]), "speed / alone")
    share = common.median(times["the loop around a free loss"]) / common.median(times["one evaluation a call"])
    print(f"\n{100 * share:.1f} % of a run's step is spent outside the loss and gradient")


if __name__ == "__main__":
    main()
