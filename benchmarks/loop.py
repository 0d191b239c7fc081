"""Seconds per evaluation: the loss and gradient alone, one evaluation a call, many evaluations in a call; in turns.

python benchmarks/loop.py --size 256 --rounds 7
"""

import argparse
import statistics
import time
from collections.abc import Callable

import common
import jax
import jax.numpy as jnp

from jaxstyle.objective import evaluate
from jaxstyle.optimizers.device import DeviceMethod, Limits, advance_chunk, advance_once, start_state

CHUNK = 4


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=256, help="long side in pixels")
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()
    ready = common.prepared(options.size, "noise")
    objective, problem, image = ready.objective, ready.problem, jnp.asarray(ready.start)
    method, limits = DeviceMethod("lbfgs", 20), Limits(jnp.asarray(10**6), jnp.float32(0), jnp.float32(0))
    states = {name: start_state(objective, method, image) for name in ("once", "chunk")}

    def alone() -> None:
        jax.block_until_ready(evaluate(objective, image, problem))

    def once() -> None:
        states["once"], _ = jax.block_until_ready(advance_once(objective, method, states["once"], problem, limits))

    def chunk() -> None:
        count = jnp.asarray(CHUNK)
        states["chunk"], _ = jax.block_until_ready(
            advance_chunk(objective, method, states["chunk"], problem, limits, count)
        )

    ways: dict[str, tuple[Callable[[], None], int]] = {
        "loss and gradient alone": (alone, 1),
        "one evaluation a call": (once, 1),
        f"{CHUNK} evaluations a call": (chunk, CHUNK),
    }
    for way, _ in ways.values():
        way()
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(options.rounds):
        for name, (way, evaluations) in ways.items():
            began = time.perf_counter()
            way()
            seconds[name].append((time.perf_counter() - began) / evaluations)
    medians = {name: statistics.median(times) for name, times in seconds.items()}
    height, width, _ = image.shape
    print(common.machine())
    print(f"{width}×{height} pixels, {options.rounds} rounds\n")
    print("| way | median s/evaluation | lowest | highest | ratio |")
    print("|---|---|---|---|---|")
    for name, times in seconds.items():
        ratio = medians[name] / medians["loss and gradient alone"]
        print(f"| {name} | {medians[name]:.3f} | {min(times):.3f} | {max(times):.3f} | {ratio:.2f} |")


if __name__ == "__main__":
    main()
