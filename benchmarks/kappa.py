"""Draws what the device kit has measured of the paper's constant: correlation with the photo along the runs.

python benchmarks/kappa.py docs/measurements/h200 docs/images/kappa-curves.png
"""

import json
import sys
from pathlib import Path

from accelerator.paper import KAPPAS, LOGGED
from accelerator.tables import of_panels

from jaxstyle import files
from jaxstyle.reports import drawing

COLORS = ("#0072b2", "#009e73", "#e69f00", "#d55e00")
"""Of the constants from small to large, told apart by everyone (Okabe and Ito)."""


def main() -> None:
    folder, path = map(Path, sys.argv[1:])
    panels = of_panels(json.loads((folder / "paper.json").read_text(encoding="utf-8")))
    figure = drawing.new_figure(drawing.WIDTH, 3.9, layout="constrained")
    grid = figure.subplots(2, 4, sharex=True, sharey=True)
    for axes, (name, (printed, found)) in zip(grid.flat, panels.items(), strict=False):
        for kappa, color in zip(KAPPAS, COLORS, strict=True):
            for run in found[kappa]:
                noted = run["correlation after"]
                at = [iteration for iteration in LOGGED if str(iteration) in noted]
                label = f"κ = {kappa:g}" if run is found[kappa][0] else None
                axes.plot(at, [noted[str(iteration)] for iteration in at], color=color, linewidth=1, label=label)
        axes.axhline(printed, color="0.2", linewidth=0.9, linestyle=(0, (4, 2)), label="printed")
        axes.set_title(name, fontsize=8)
        axes.tick_params(labelsize=6.5)
        axes.spines[["top", "right"]].set_visible(False)
    for axes in grid[-1]:
        axes.set_xlabel("iteration", fontsize=7)
    for axes in grid[:, 0]:
        axes.set_ylabel("grey correlation\nwith the photo", fontsize=7)
    for axes in list(grid.flat)[len(panels) :]:
        axes.set_axis_off()
        axes.legend(*grid.flat[0].get_legend_handles_labels(), loc="center", fontsize=7.5, frameon=False)
    files.write_atomically(path, drawing.encode(figure, "png"))


if __name__ == "__main__":
    main()
