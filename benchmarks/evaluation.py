"""Seconds for one loss and gradient, in turns with PyTorch on the same weights, size and losses.

python benchmarks/evaluation.py --size 256 512 --rounds 9

The peer is PyTorch, eager, in both memory layouts (pip install 'jaxstyle[peers]'); losses must agree before anything is
timed. `direct` is XLA's own convolution in every layer. On a GPU, `--precision` compares the precisions of features.
"""

from collections.abc import Callable

import common
import jax
import jax.numpy as jnp
import tables
import torch
import torch_peer
from common import Loaded

from jaxstyle.paper.objective import evaluate

AGREEMENT = 1e-4
"""The losses of all ways must agree relatively; bfloat16 features are exempt."""


def ours(loaded: Loaded, **network: str) -> Callable[[], float]:
    """One loss and gradient, with `network` as options of VGG."""
    ready, image = common.with_network(loaded, **network), jnp.asarray(loaded.prepared.start)
    return lambda: float(jax.block_until_ready(evaluate(ready.objective, image, ready.problem))[0][0])


def ways(size: int, precisions: list[str]) -> tuple[dict[str, Callable[[], float]], str]:
    """What is compared, name → one evaluation that returns the loss; and the image's width × height."""
    device = "cuda" if torch.cuda.is_available() and jax.default_backend() == "gpu" else "cpu"
    loaded = common.loaded(size)
    compared = {f"ours, {precision}": ours(loaded, precision=precision) for precision in precisions}
    if jax.default_backend() == "cpu":
        compared["ours, float32, direct"] = ours(loaded, convolution="direct")
    for layout, memory_format in torch_peer.layouts().items():
        compared[f"PyTorch, {layout}"] = torch_peer.evaluator(loaded, memory_format, device)
    height, width, _ = loaded.prepared.start.shape
    return compared, f"{width}×{height}"


def main() -> None:
    parser = tables.parser_of(__doc__)
    parser.add_argument("--size", type=int, nargs="+", default=[256, 512], help="long side in pixels")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--precision", nargs="+", default=["float32"], choices=["float32", "tf32", "bfloat16"])
    options = parser.parse_args()
    torch.backends.cudnn.benchmark = True
    print(f"{common.machine()}, torch {torch.__version__}", flush=True)
    rows = []
    for size in options.size:
        compared, pixels = ways(size, options.precision)
        losses = {name: way() for name, way in compared.items()}
        reference = losses["ours, float32"] if "ours, float32" in losses else next(iter(losses.values()))
        for name, loss in losses.items():
            assert "bfloat16" in name or abs(loss / reference - 1) < AGREEMENT, losses
        for name, seconds in common.in_turns(compared, options.rounds, settling=1).items():
            rows.append({"pixels": pixels, "way": name, "seconds": seconds})
            print(f"{pixels}, {name}: {common.median(seconds):.3f} s", flush=True)
    tables.finish("evaluation", rows, keep=options.keep, peers=["torch"])


if __name__ == "__main__":
    main()
