"""Draws the masks of the regions' experiments: the cup of scikit-image's `coffee` and the table, a sky and a field.

    python experiments/images/masks.py [--out FOLDER]

The cup with its saucer are two ellipses, measured on the photograph; edges are a pixel soft. The sky and the field of
brushwork.jpg are what is above and below its hills.
"""

import argparse
from pathlib import Path

import numpy as np
from PIL import Image

HEIGHT, WIDTH = 400, 600
"""The photograph's size."""
SAUCER, CUP = ((278, 222), (206, 170)), ((291, 113), (122, 99))
"""Centre and half axes, x before y, in pixels."""


PAINTING, SKY, FIELD = (576, 768), 305, 430
"""The painting's height and width, the row at which its sky ends, and the one at which its field begins."""


def ellipse(centre: tuple[int, int], axes: tuple[int, int]) -> np.ndarray:
    """Returns `[height, width]`: 1 inside, 0 outside, and in between across the edge."""
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    distance = np.hypot((x - centre[0]) / axes[0], (y - centre[1]) / axes[1])
    return ((1 - distance) * min(axes) + 0.5).clip(0, 1)


def main() -> None:
    """Draws both masks."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent)
    options = parser.parse_args()
    cup = np.maximum(ellipse(*SAUCER), ellipse(*CUP))
    rows = np.broadcast_to(np.arange(PAINTING[0])[:, None], PAINTING)
    masks = {
        "coffee-cup": cup,
        "coffee-table": 1 - cup,
        "brushwork-sky": rows < SKY,
        "brushwork-field": rows >= FIELD,
    }
    for name, mask in masks.items():
        path = options.out / f"{name}.png"
        Image.fromarray(np.rint(255 * mask).astype(np.uint8)).save(path, optimize=True)
        print(f"{path}: {path.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
