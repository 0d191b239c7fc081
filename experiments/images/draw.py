"""Draws this project's own style images: `brushwork` and `stained_glass`.

    python experiments/images/draw.py [NAME ...] [--width 768] [--seed 0] [--out FOLDER]

NumPy and Pillow only, and the same image every time. Everything is drawn at twice the size and then reduced, so that
edges are smooth. Images are float arrays `[height, width, 3]`; points are `x, y` in units of the image's height.
"""

import argparse
from pathlib import Path

import numpy as np
from PIL import Image

ASPECT = 4 / 3
OVERSAMPLING = 2


def hex_colours(text: str) -> np.ndarray:
    """Returns `[n, 3]` in [0, 1] of colours written like `1b2a6b e8b23a`."""
    return np.array([list(bytes.fromhex(word)) for word in text.split()]) / 255


def palettes(text: str) -> list[np.ndarray]:
    """Returns the colours of each group of words between commas."""
    return [hex_colours(group) for group in text.split(",")]


def smooth_noise(key: np.random.Generator, height: int, width: int, cells: float, octaves: int = 3) -> np.ndarray:
    """Returns value noise in about [-1, 1]: random grids, the coarsest `cells` high, enlarged and summed."""
    total = np.zeros((height, width))
    for octave in range(octaves):
        rows = max(2, round(cells * 2**octave))
        grid = key.uniform(-1, 1, (rows, max(2, round(rows * width / height)))).astype(np.float32)
        enlarged = Image.fromarray(grid).resize((width, height), Image.Resampling.BICUBIC)
        total += np.asarray(enlarged) / 2**octave
    return total


def blur(image: np.ndarray, radius: float) -> np.ndarray:
    """Blurs by reducing and enlarging again, which is close enough to a Gaussian of `radius` pixels."""
    height, width = image.shape[:2]
    small = (max(1, round(width / radius)), max(1, round(height / radius)))
    blurred = np.empty((height, width, image.size // (height * width)))
    for i, channel in enumerate(np.moveaxis(image.reshape(blurred.shape).astype(np.float32), -1, 0)):
        reduced = Image.fromarray(np.ascontiguousarray(channel)).resize(small, Image.Resampling.BOX)
        blurred[..., i] = np.asarray(reduced.resize((width, height), Image.Resampling.BICUBIC))
    return blurred.reshape(image.shape)


def relief(height_map: np.ndarray, depth: float) -> np.ndarray:
    """Returns how much light a surface lit from the upper left gives back, 1 where it is flat."""
    down, right = np.gradient(height_map * depth)
    return (1 + 0.8 * right + 0.97 * down) / np.sqrt(1 + right**2 + down**2)


# Brushwork: strokes along a turning flow, suns over hills and a field

SUNS = np.array([[1.02, 0.20, 0.075], [0.33, 0.30, 0.055], [0.70, 0.09, 0.03], [0.10, 0.08, 0.032], [1.27, 0.40, 0.03]])
EDDIES = np.array([[0.66, 0.36, 0.13, 1.6], [0.9, 0.5, 0.07, -1], [0.16, 0.5, 0.08, 1], [0.47, 0.12, 0.07, -1.1]])
"""x, y and size; eddies have a strength too."""

PIGMENTS = {
    "sun": hex_colours("fff3b0 ffe066 fbc531 f79d1e fdf6d8"),
    "halo": hex_colours("f6c945 f2e29b e98a2b bfd8a0 f9efc0"),
    "light": hex_colours("8fc9d6 5fb0c9 c9e2d0 74b8a8 e6ecc4"),
    "sky": hex_colours("1f4fa3 2a6cbf 17377f 3f8ccb 4a5fb5 1a8a9a"),
    "night": hex_colours("0f1f5c 1a2d78 2b2468 0b3a6e 3a2f80"),
    "hill": hex_colours("12304f 1d4a5c 24305f 2f5d4e 3b2a56 0e2238"),
    "ridge": hex_colours("3f7f6a 5c9a6a 2f6f8a 7fae6e 6a5aa0"),
    "wheat": hex_colours("e9b23c d98a26 f3d06a c4621f b8902f f7e3a0"),
    "earth": hex_colours("8a2f1c b5451f 5e2340 c96a2a 3f5a2a"),
    "poppy": hex_colours("d8261c ef4a23 b3123a"),
}


BRUSHES = [(0.030, 0.17, 0.042), (0.018, 0.12, 0.025), (0.0140, 0.085, 0.016)]
"""Spacing, length and width of the strokes, from a broad brush to a fine one."""


def ridge_line(x: np.ndarray, row: int) -> np.ndarray:
    """The height of one of three ridges, the last of which is the edge of the field."""
    base, sway, shift = [(0.60, 0.055, 0.3), (0.66, 0.045, 2.2), (0.74, 0.03, 4.0)][row]
    return base + sway * np.sin(x * 4.6 + shift) + 0.35 * sway * np.sin(x * 11 + 2 * shift)


def flow(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The direction of the strokes at points: around suns and eddies in the sky, along the ridges, up the field."""
    right, down = np.full_like(x, 0.55), 0.25 * np.sin(3.5 * x + 5 * y)
    for cx, cy, size, strength in [*((*sun[:2], 1.9 * sun[2], 2.6) for sun in SUNS), *EDDIES]:
        dx, dy = x - cx, y - cy
        distance = np.hypot(dx, dy) + 1e-6
        pull = strength * np.exp(-((distance / (1.35 * size)) ** 2) / 2)
        right, down = right - pull * dy / distance, down + pull * dx / distance
    for row in range(3):
        slope = (ridge_line(x + 0.01, row) - ridge_line(x - 0.01, row)) / 0.02
        below = y > ridge_line(x, row)
        right, down = np.where(below, 1.0, right), np.where(below, slope * (1.1 - 0.3 * row), down)
    field = y > ridge_line(x, 2)
    right = np.where(field, 1.1 * (x - 0.62) + 0.30 * np.sin(9 * y + 5 * x), right)
    down = np.where(field, -0.55 - 0.2 * np.sin(6 * x), down)
    length = np.hypot(right, down) + 1e-9
    return right / length, down / length


def pigments(key: np.random.Generator, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Picks the colours of strokes that begin at points."""
    first, second, field = (ridge_line(x, row) for row in range(3))
    sun = np.min([np.hypot(x - cx, y - cy) / size for cx, cy, size in SUNS], axis=0) + key.normal(0, 0.12, x.shape)
    rings = [((np.hypot(x - cx, y - cy) - size) / (0.3 * size)) ** 2 for cx, cy, size, _ in EDDIES]
    eddy, chance = np.exp(-np.min(rings, axis=0)), key.random(x.shape)
    crest = np.where(y > second, y - second, y - first) < 0.022 + key.normal(0, 0.006, x.shape)
    dark = 0.22 + 0.45 * (y < 0.14) + 0.3 * (np.sin(7 * x + 9 * y) > 0.4)
    cases = [
        ("poppy", (y > field) & (chance < 0.08)),
        ("earth", (y > field) & (chance < 0.25 + 0.4 * (np.sin(14 * x + 6 * y) > 0.5))),
        ("wheat", y > field),
        ("ridge", (y > first) & crest),
        ("hill", y > first),
        ("sun", sun < 1.0),
        ("halo", sun < 1.8),
        ("light", (sun < 2.5) | (chance < 0.8 * eddy)),
        ("night", chance > 1 - dark),
        ("sky", np.full(x.shape, True)),
    ]
    which = np.argmax([case for _, case in cases], axis=0)
    palette = [PIGMENTS[name][key.integers(len(PIGMENTS[name]), size=x.shape)] for name, _ in cases]
    chosen = np.take_along_axis(np.array(palette), which[None, :, None], axis=0)[0]
    return (chosen * key.normal(1, 0.05, (x.size, 1)) + key.normal(0, 0.02, chosen.shape)).clip(0, 1)


def trace(x: np.ndarray, y: np.ndarray, length: np.ndarray, nodes: int = 12) -> np.ndarray:
    """Follows the flow from points; returns `[strokes, nodes, 2]`."""
    path = [np.stack([x, y], axis=-1)]
    for _ in range(nodes - 1):
        right, down = flow(*path[-1].T)
        path.append(path[-1] + np.stack([right, down], axis=-1) * (length / (nodes - 1))[:, None])
    return np.stack(path, axis=1)


def pull_brush(key: np.random.Generator, canvas: np.ndarray, path: np.ndarray, width: float, inks: np.ndarray) -> None:
    """Pulls a brush of many bristles along a path, into `canvas`: colour and, last, thickness.

    Two half-mixed inks streak across the brush; towards the end it runs dry, and lets the ground through.
    """
    length = np.linalg.norm(np.diff(path, axis=0), axis=1).sum()
    along = np.linspace(0, 1, max(8, int(1.6 * length)))
    across = np.linspace(-1, 1, max(5, int(1.8 * width)))
    spine = np.stack([np.interp(along, np.linspace(0, 1, len(path)), path[:, i]) for i in range(2)], axis=-1)
    tangent = np.gradient(spine, axis=0)
    normal = tangent[:, ::-1] * [-1, 1] / (np.linalg.norm(tangent, axis=1, keepdims=True) + 1e-9)
    taper = np.minimum(1, 6 * along + 0.45) * np.minimum(1, 5 * (1 - along) + 0.35)
    points = spine[:, None] + normal[:, None] * (across[:, None] * taper[:, None, None] * width / 2)

    hairs = max(5, int(width / 1.9))
    bristles = np.interp(across, np.linspace(-1, 1, hairs), key.normal(0, 1, hairs))
    grain = bristles[None, :] + 0.35 * key.normal(0, 1, along.size)[:, None].cumsum(axis=0) / along.size**0.5
    mixed = 1 / (1 + np.exp(-2.2 * grain - key.normal(0, 0.8)))
    colour = inks[0] + (inks[1] - inks[0]) * mixed[..., None]
    colour = (colour * (1 + 0.12 * grain[..., None])).clip(0, 1)
    covers = grain + 1.3 * (1 - along[:, None] ** 3) - 1.2 * np.abs(across) ** 6 > -1.4 + 2.0 * along[:, None] ** 4
    thickness = 0.6 + 0.22 * grain + 0.3 * np.abs(across) ** 3 + 0.4 * np.exp(-(((along[:, None] - 0.97) / 0.05) ** 2))

    column, row = np.rint(points).astype(int).transpose(2, 0, 1)
    covers &= (row >= 0) & (row < canvas.shape[0]) & (column >= 0) & (column < canvas.shape[1])
    row, column = row[covers], column[covers]
    canvas[row, column, :3] = 0.06 * canvas[row, column, :3] + 0.94 * colour[covers]
    canvas[row, column, 3] = 0.35 * canvas[row, column, 3] + thickness[covers]


def brushwork(key: np.random.Generator, height: int, width: int) -> np.ndarray:
    """Thousands of strokes of several brushes on a warm ground; lit, so that the paint stands up."""
    canvas = np.dstack([np.full((height, width, 3), hex_colours("6b3f2a")[0]), np.zeros((height, width))])
    for spacing, stroke_length, stroke_width in BRUSHES:
        rows, columns = np.mgrid[-0.04:1.04:spacing, -0.04 : width / height + 0.04 : spacing]
        jitter = key.uniform(-0.8, 0.8, (2, rows.size)) * spacing
        y, x = rows.ravel() + jitter[0], columns.ravel() + jitter[1]
        paths = trace(x, y, stroke_length * key.uniform(0.55, 1.25, x.size)) * height
        inks = np.stack([pigments(key, x, y), pigments(key, x, y)], axis=1)
        widths = stroke_width * key.uniform(0.7, 1.3, x.size) * height
        for stroke in key.permutation(x.size):
            pull_brush(key, canvas, paths[stroke], widths[stroke], inks[stroke])
    light = relief(blur(canvas[..., 3], 1.5), depth=0.7)
    shine = np.maximum(light - 1.12, 0)[..., None] * 0.5
    return (canvas[..., :3] * (0.35 + 0.65 * light)[..., None] + shine).clip(0, 1)


# Stained glass: a sun in rings over rows of waves, coloured panes between lead

SUN = np.array([0.80, 0.40])
RINGS = palettes("""
    fff6c8 ffe98a, ffd447 ffb01f, ff8a1e f2551d ffc23d, e0242c c01530 ff6a2b, d03a6a 8a1f7a f0566a,
    6a3fd0 8f4ad8 3a4fd0 d668c4, 2a66e0 2f94e8 2445b0 6cc8f0, 1f56c8 1b3aa0 2a90d0 5a6ce0 8fd8ee,
    163a9a 2462c8 4a3fb8 1b86b0, 1a4ab0 2f7ad0 6a4ac0 f2b84a 1f9ab8
""")
"""The colours of the rings, from the sun outwards."""
WAVES = palettes("""
    5fd8c0 2fb8b0, 17a090 0f88a8, 8fe0d0 3fc0c8, 1478c0 0f60a8, 3fc8a0 1fa890,
    1a58b8 1240a0, 58c8d8 2a98c8, 0f8a88 0f5f90
""")
"""The colours of the rows, from the horizon downwards."""
GLITTER = hex_colours("ffe27a ffc04a ff9a4a fff2c0")
HORIZON = 0.665


def panes(key: np.random.Generator, aspect: float) -> tuple[np.ndarray, np.ndarray]:
    """Returns the panes' centres `[n, 2]` and their colours `[n, 3]`."""
    centres, colours = [], []

    def add(x: float, y: float, choice: np.ndarray) -> None:
        centres.append((x, y))
        colours.append(choice[key.integers(len(choice))])

    radius = 0.0
    for ring in range(17):
        count = 6 + 5 * ring if ring else 1
        turns = (np.arange(count) + key.uniform(0, 1)) / count + key.normal(0, 0.016 / (ring + 1), count)
        for angle in 2 * np.pi * turns:
            x, y = SUN + (radius + key.normal(0, 0.004)) * np.array([np.cos(angle), np.sin(angle)])
            if -0.1 < x < aspect + 0.1 and -0.1 < y < HORIZON + 0.024 * np.sin(6 * x) - 0.02:
                add(x, y, RINGS[min(ring, len(RINGS) - 1)])
        radius += 0.056 + 0.0022 * ring
    for row in range(10):
        step = 0.085 + 0.008 * row
        for x in np.arange(-0.1 + (row % 2) * step / 2, aspect + 0.1, step):
            glitter = key.random() < 0.8 * np.exp(-(((x - SUN[0]) / (0.06 + 0.02 * row)) ** 2))
            y = HORIZON + 0.02 + 0.0405 * row + 0.024 * np.sin(6 * x + 0.9 * row) + key.normal(0, 0.003)
            add(x + key.normal(0, 0.010), y, GLITTER if glitter else WAVES[row % len(WAVES)])
    return np.array(centres), np.array(colours)


def nearest_panes(x: np.ndarray, y: np.ndarray, centres: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Returns each point's pane, and how far off the pane's border and the second nearest border are."""
    block, count = 8, min(14, len(centres))
    coarse = np.stack([x[::block, ::block], y[::block, ::block]], axis=-1)
    order = np.argsort(((coarse[:, :, None] - centres) ** 2).sum(-1).astype(np.float32), axis=-1)[..., :count]
    near = order.repeat(block, axis=0).repeat(block, axis=1)[: x.shape[0], : x.shape[1]]
    squared = (x[..., None] - centres[near, 0]) ** 2 + (y[..., None] - centres[near, 1]) ** 2
    first = np.argmin(squared, axis=-1)[..., None]
    pane = np.take_along_axis(near, first, axis=-1)
    apart = np.linalg.norm(centres[near] - centres[pane], axis=-1)
    border = (squared - np.take_along_axis(squared, first, axis=-1)) / (2 * np.maximum(apart, 1e-9))
    np.put_along_axis(border, first, np.inf, axis=-1)
    border.partition(1, axis=-1)
    return pane[..., 0], border[..., 0], border[..., 1]


def stained_glass(key: np.random.Generator, height: int, width: int) -> np.ndarray:
    """Panes of hand-blown glass with the light behind them, held by lead."""
    aspect = width / height
    y, x = np.mgrid[0 : 1 : height * 1j, 0 : aspect : width * 1j]
    x = x + 0.010 * smooth_noise(key, height, width, 7, 2)
    y = y + 0.010 * smooth_noise(key, height, width, 7, 2)
    centres, colours = panes(key, aspect)
    pane, border, corner = nearest_panes(x, y, centres)

    turn = key.uniform(0, 2 * np.pi, len(centres))[pane]
    ramp = ((x - centres[pane, 0]) * np.cos(turn) + (y - centres[pane, 1]) * np.sin(turn)) / 0.04
    streaks = smooth_noise(key, height, width, 26, 3)
    swirl = np.sin(2.4 * streaks + 40 * (x * np.sin(turn) + y * np.cos(turn)) + 6 * turn)
    ripple = relief(height / 1150 * (9 * streaks + 2.2 * smooth_noise(key, height, width, 95, 2)), depth=0.45)
    glow = 0.82 + 0.35 * np.exp(-((x - SUN[0]) ** 2 + (y - SUN[1]) ** 2) / 0.22)
    light = glow * (1 + 0.22 * ramp + 0.10 * swirl) * (0.55 + 0.45 * ripple) * (1 - 0.4 * np.exp(-border / 0.006))
    tone = colours[pane] ** (1.15 - 0.25 * ramp.clip(-1, 1))[..., None]  # the thick side of a pane is more saturated
    glass = (tone * light[..., None] * key.uniform(0.82, 1.12, len(centres))[pane][..., None]).clip(0, 1.3)

    half = 0.0045 + 0.0010 * smooth_noise(key, height, width, 9, 2) + 0.0035 * np.exp(-corner / 0.006)
    hammered = np.sqrt((1 - (border / half) ** 2).clip(0, 1)) * (1 + 0.10 * smooth_noise(key, height, width, 60, 2))
    metal = 0.10 * relief(hammered * height / 190, depth=0.8).clip(0.2, None) ** 1.6
    opaque = ((half - border) * height / 1.5 + 0.5).clip(0, 1)[..., None]
    window = glass * (1 - opaque) + metal[..., None] * [0.95, 1.0, 1.12] * opaque
    bloom = blur(np.maximum(window - 0.45, 0), height / 45) * 0.55 + blur(window, height / 18) * 0.10
    return (window + bloom).clip(0, 1)


DRAWINGS = {"brushwork": brushwork, "stained_glass": stained_glass}


def draw(name: str, *, width: int, seed: int = 0) -> np.ndarray:
    """Returns an image `[height, width, 3]`, uint8, of the aspect ratio 4:3."""
    height = round(width / ASPECT)
    key = np.random.default_rng([seed, *name.encode()])
    large = DRAWINGS[name](key, height * OVERSAMPLING, width * OVERSAMPLING)
    image = Image.fromarray(np.rint(large * 255).astype(np.uint8))
    return np.asarray(image.resize((width, height), Image.Resampling.LANCZOS))


def main() -> None:
    """Draws the images that are named on the command line, all by default."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", default=sorted(DRAWINGS), metavar="NAME", help=", ".join(sorted(DRAWINGS)))
    parser.add_argument("--width", type=int, default=768)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent)
    options = parser.parse_args()
    for name in options.names:
        path = options.out / f"{name}.jpg"
        Image.fromarray(draw(name, width=options.width, seed=options.seed)).save(path, quality=90, optimize=True)
        print(f"{path}: {path.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
