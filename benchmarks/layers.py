"""Every layer's convolution, forward and backward, against the machine's matrix products.

python benchmarks/layers.py --size 512

The limit is the rate of a large float32 matrix product, measured in the same turns. Rates count the products of the
sum that a convolution is; Winograd's algorithm needs fewer and may therefore exceed the limit.
"""

import argparse
from collections.abc import Callable
from typing import Any

import common
import jax
import jax.numpy as jnp
import numpy as np

from jaxstyle.network.layers import FILTERS, INPUTS, KERNEL_SIZE, LAYERS, downsampling
from jaxstyle.network.winograd import convolve, transform_kernel

SIDE = 2048
"""Of the matrices whose product is the limit."""


@jax.jit
def direct(features: jax.Array, kernel: jax.Array) -> jax.Array:
    """XLA's own convolution."""
    return jax.lax.conv_general_dilated(
        features, kernel, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"), precision="highest"
    )


@jax.jit
def product(matrix: jax.Array) -> jax.Array:
    """A large matrix product."""
    return jnp.matmul(matrix, matrix, precision="highest")


def backward(convolution: Callable[..., jax.Array]) -> Callable[..., jax.Array]:
    """The gradient with respect to the features."""

    def pulled(features: jax.Array, kernel: jax.Array, cotangent: jax.Array) -> jax.Array:
        return jax.vjp(lambda x: convolution(x, kernel), features)[1](cotangent)[0]

    return jax.jit(pulled)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=512, help="long side in pixels; the short one is 2/3 of it")
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()
    print(common.machine())
    print(f"{options.size} pixels, {options.rounds} rounds; Gflop/s and, in brackets, the fraction of the limit\n")
    print("| layer | limit | direct forward | direct backward | Winograd forward | Winograd backward |")
    print("|---|---|---|---|---|---|")
    generator = np.random.default_rng(0)

    def random(*shape: int) -> jax.Array:
        return jnp.asarray(generator.standard_normal(shape), jnp.float32)

    matrix = random(SIDE, SIDE)
    fast = jax.jit(convolve)
    for layer in LAYERS[: LAYERS.index("conv5_1") + 1]:
        scale = 2 ** downsampling(layer)
        height, width = options.size * 2 // 3 // scale, options.size // scale
        features, cotangent = random(1, height, width, INPUTS[layer]), random(1, height, width, FILTERS[layer])
        plain = random(KERNEL_SIZE, KERNEL_SIZE, INPUTS[layer], FILTERS[layer])
        transformed = transform_kernel(plain)
        calls: dict[str, tuple[Callable[..., Any], tuple[jax.Array, ...]]] = {
            "limit": (product, (matrix,)),
            "direct forward": (direct, (features, plain)),
            "direct backward": (backward(direct), (features, plain, cotangent)),
            "winograd forward": (fast, (features, transformed)),
            "winograd backward": (backward(convolve), (features, transformed, cotangent)),
        }
        ways = {name: lambda call=call: jax.block_until_ready(call[0](*call[1])) for name, call in calls.items()}
        seconds = {name: common.median(times) for name, times in common.in_turns(ways, options.rounds).items()}
        work = 2 * KERNEL_SIZE**2 * INPUTS[layer] * FILTERS[layer] * height * width
        rates = {name: (2 * SIDE**3 if name == "limit" else work) / seconds[name] / 1e9 for name in calls}
        cells = [f"{rates['limit']:.0f}"]
        cells += [f"{rate:.0f} ({rate / rates['limit']:.2f})" for name, rate in rates.items() if name != "limit"]
        print(f"| {layer} | " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main()
