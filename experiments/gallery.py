"""Makes docs/gallery.md and its images from runs of the experiment files.

python experiments/gallery.py --run      # runs what is not finished in runs/gallery, then writes everything
python experiments/gallery.py            # writes the page, and the images whose runs are finished
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

from PIL import Image

ROOT = Path(__file__).resolve().parents[1]
PAGE, IMAGES = ROOT / "docs/gallery.md", ROOT / "docs/images"
HEIGHT, GAP, COLUMNS = 224, 6, 4
"""Of an image in a strip, between two, and how many stand side by side; in pixels."""


class Show(NamedTuple):
    """Images side by side, and how they come about.

    Attributes:
      name: of the image file, and of the section.
      title: the section's heading.
      text: what there is to see, from left to right.
      files: experiment files in the order in which they are run, under experiments/.
      panels: which images: a file's stem, with the member's number behind a slash if it is a sweep.
      settings: what is set besides, by the file's stem.
    """

    name: str
    title: str
    text: str
    files: tuple[str, ...]
    panels: tuple[str, ...]
    settings: dict[str, str] = {}  # noqa: RUF012  (never changed)


SHOWS = (
    Show(
        "gallery-colour",
        "Whose colours",
        "Above: the style's own (2016); the content's by luminance, with the style's mean and deviation matched, its "
        "mean alone, and exchanged afterwards. Below: colours matched before the transfer by Cholesky factors, PCA and "
        "optimal transport; and the content in the style's colours.",
        ("controls/colour.toml",),
        tuple(f"colour/{member}" for member in range(8)),
    ),
    Show(
        "gallery-regions",
        "Where the style goes",
        "Stained glass on the cup and brush strokes on the table; a painting's field on the cup and its sky on the "
        "table; the cup kept as it was.",
        ("controls/regions.toml", "controls/regions-one-style.toml", "controls/keep.toml"),
        ("regions", "regions-one-style", "keep"),
    ),
    Show(
        "gallery-sizes",
        "At which scale",
        "The same glass at a half, once and twice the size.",
        ("controls/scale.toml",),
        ("scale/0", "scale/1", "scale/2"),
    ),
    Show(
        "gallery-scale",
        "Two scales of two styles, and a texture that tiles",
        "The brush's fine strokes in the glass's coarse shapes; a cat in that style; a texture, four of the result.",
        ("controls/scale-mix-1.toml", "controls/scale-mix-2.toml", "controls/tileable.toml"),
        ("scale-mix-1", "scale-mix-2", "tileable"),
        {"scale-mix-2": "image.style=runs/gallery/scale-mix-1/result.png"},
    ),
    Show(
        "gallery-statistics",
        "With which statistic",
        "Gram matrices (2016), histograms, means, means and deviations; then patches, shifted Gram matrices, sliced "
        "Wasserstein, Gaussian Wasserstein; below Gram matrices and histograms together.",
        ("ablations/statistics.toml",),
        tuple(f"statistics/{member}" for member in range(9)),
    ),
)
TILED = ("tileable",)
"""Panels that are shown as two by two of themselves."""


def commands(show: Show) -> list[list[str]]:
    """What is run for the images, in order, as arguments of `jaxstyle`."""
    found = []
    for file in show.files:
        stem = Path(file).stem
        settings = ["--set", show.settings[stem]] if stem in show.settings else []
        found.append(["run", f"experiments/{file}", "--out", f"runs/gallery/{stem}", *settings])
    return found


def page() -> str:
    """The text of docs/gallery.md, with the shows whose images are there."""
    sections = [
        "# Gallery",
        "<!-- made by experiments/gallery.py -->",
        "Every image here is made by the command below it, from images that every checkout has, at 256 pixels: "
        "photographs are scikit-image's, styles and masks are drawn by the scripts of "
        "[experiments/images](../experiments/images/draw.py). What the keys do is in [control.md](control.md) and "
        "[terms.md](terms.md); the paper's own figures are in [experiments/paper](../experiments/paper/README.md).",
    ]
    for show in (show for show in SHOWS if (IMAGES / f"{show.name}.jpg").exists()):
        links = ", ".join(f"[{Path(file).name}](../experiments/{file})" for file in show.files)
        lines = "\n".join(f"    jaxstyle {' '.join(command)}" for command in commands(show))
        sections += [f"## {show.title}", f"![{show.title}](images/{show.name}.jpg)", f"{show.text} ({links})", lines]
    return "\n\n".join(sections) + "\n"


def result(runs: Path, panel: str) -> Path:
    """Where a panel's run has its image."""
    stem, _, member = panel.partition("/")
    return runs / stem / (f"members/{member}" if member else "") / "result.png"


def is_finished(runs: Path, panel: str) -> bool:
    """Whether a panel's image is a finished run's."""
    manifest = result(runs, panel).with_name("manifest.json")
    ended = manifest.exists() and json.loads(manifest.read_text(encoding="utf-8"))["status"] not in (
        "running",
        "failed",
    )
    return ended and result(runs, panel).exists()


def strip(runs: Path, show: Show) -> Image.Image:
    """A show's panels, of one height, in rows."""
    panels = []
    for name in show.panels:
        panel = Image.open(result(runs, name)).convert("RGB")
        if name in TILED:
            panel = tiled(panel)
        width = round(panel.width * HEIGHT / panel.height)
        panels.append(panel.resize((width, HEIGHT), Image.Resampling.LANCZOS))
    rows = [panels[first : first + COLUMNS] for first in range(0, len(panels), COLUMNS)]
    widest = max(sum(panel.width + GAP for panel in row) - GAP for row in rows)
    whole = Image.new("RGB", (widest, len(rows) * (HEIGHT + GAP) - GAP), "white")
    for number, row in enumerate(rows):
        x = 0
        for panel in row:
            whole.paste(panel, (x, number * (HEIGHT + GAP)))
            x += panel.width + GAP
    return whole


def tiled(image: Image.Image) -> Image.Image:
    """Two by two of an image."""
    whole = Image.new("RGB", (2 * image.width, 2 * image.height))
    for x in (0, image.width):
        for y in (0, image.height):
            whole.paste(image, (x, y))
    return whole


def main() -> None:
    """Runs what is asked for, and writes page and images."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", action="store_true", help="run what is not finished")
    options = parser.parse_args()
    runs = ROOT / "runs/gallery"
    for show in SHOWS:
        unfinished = {panel.partition("/")[0] for panel in show.panels if not is_finished(runs, panel)}
        for command in commands(show) if options.run else ():
            if Path(command[1]).stem in unfinished:
                subprocess.run([sys.executable, "-m", "jaxstyle", *command], cwd=ROOT, check=True)
        missing = [panel for panel in show.panels if not is_finished(runs, panel)]
        if missing:
            print(f"{show.name}: not finished: {', '.join(missing)}")
            continue
        path = IMAGES / f"{show.name}.jpg"
        strip(runs, show).save(path, quality=85, optimize=True)
        print(f"{path}: {path.stat().st_size:,} bytes")
    PAGE.write_text(page(), encoding="utf-8")
    print(PAGE)


if __name__ == "__main__":
    main()
