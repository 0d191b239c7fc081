"""What guides cost: seconds of one loss and gradient with two regions, in turns with the same experiment without.

python benchmarks/guides.py --size 512 --rounds 9

The experiment is experiments/controls/regions.toml: a cup and a table with a style each. Without regions the style is a
blend of both.
"""

import argparse
from collections.abc import Callable

import common
import jax
import jax.numpy as jnp

from jaxstyle.config import load_experiment
from jaxstyle.network import weights
from jaxstyle.paper.objective import evaluate
from jaxstyle.synthesis.preparation import prepare, read_images

REGIONS = common.ROOT / "experiments/controls/regions.toml"
PLAIN = 'image.style=["experiments/images/stained_glass.jpg", "experiments/images/brushwork.jpg"]'
MOST = 0.15
"""What two regions may add at 512 pixels."""


def way(size: int, *overrides: str) -> Callable[[], float]:
    """One evaluation that returns the loss."""
    experiment = load_experiment(REGIONS, [f"image.size={size}", *overrides])
    (ready,) = prepare(experiment, read_images(experiment), weights.load(experiment.network.weights))
    image = jnp.asarray(ready.start)
    return lambda: float(jax.block_until_ready(evaluate(ready.objective, image, ready.problem))[0][0])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, nargs="+", default=[512], help="long side in pixels")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--style-layers", nargs="+", metavar="LAYER", help="instead of the paper's five")
    options = parser.parse_args()
    layers = [f"loss.style_layers={options.style_layers}"] if options.style_layers else []
    print(f"{common.machine()}\n")
    for size in options.size:
        ways = {"two regions": way(size, *layers), "none": way(size, "image.regions={}", PLAIN, *layers)}
        times = common.in_turns(ways, options.rounds)
        none = common.median(times["none"])
        print(f"{size} pixels, {options.rounds} rounds\n")
        common.table(times, none, "speed / none")
        cost = common.median(times["two regions"]) / none - 1
        print(
            f"\ntwo regions cost {100 * cost:.1f} % of an evaluation (at most {100 * MOST:.0f} % is the aim at 512)\n"
        )


if __name__ == "__main__":
    main()
