"""What the paper's figures came out as: headers, tables and thumbnails of experiments/paper/, from runs' records.

    python benchmarks/figures.py runs/fig4/20260131-120000 --thumbnails    # keeps the numbers, writes everything anew
    python benchmarks/figures.py                                          # writes everything anew

The numbers of a run go into docs/measurements/figures/, so that every table can be made again without the run. What the
device kit has measured (docs/measurements/h200/paper.json) is a row too.
"""

import argparse
import datetime
import json
import re
import sys
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import common
import numpy as np
from tables import markdown

from jaxstyle import images
from jaxstyle.config import Display
from jaxstyle.images import printed
from jaxstyle.reports.images import show
from jaxstyle.reports.records import ENDED_WELL, Recorded, read_runs

PAPER = common.ROOT / "experiments/paper"
KEPT = common.ROOT / "docs/measurements/figures"
KIT = common.ROOT / "docs/measurements/h200"
FREE = {"fig1-content", "fig1-style", "fig3-b", "fig3-c", "fig3-d", "fig3-f", "fig4", "fig6"}
"""Figures and panels whose results may be shown: CC BY 3.0, and paintings in the public domain."""
THUMBNAIL = 256
BEGIN, END = "# Measured, by benchmarks/figures.py:", "# (end of what was measured)"
KIT_PANELS = {"Fig. 3 C": "fig3-c", "Fig. 3 F": "fig3-f"}
METRICS = {
    "fig1-content": ("psnr", "PSNR against the photo, dB", ".1f"),
    "fig1-style": ("loss", "loss", ".3g"),  # a texture has no photo
}
CORRELATION = ("grey_correlation", "grey correlation with the photo", ".3f")


class Measured(NamedTuple):
    """A figure as it was computed once.

    Attributes:
      figure: the experiment file's stem.
      setting: size and iterations in words.
      made: version, machine and date.
      panels: numbers by the panel's name.
    """

    figure: str
    setting: str
    made: str
    panels: Mapping[str, Mapping[str, float]]


def panels_of(figure: str) -> list[printed.Panel]:
    """A figure's printed panels in the order of its experiment file's members."""
    return [panel for panel in printed.panels() if panel.figure == figure]


def of_runs(folder: Path) -> Measured:
    """Reads a figure's sweep, or its only run."""
    runs = read_runs([folder])
    figure = next((name for name in sorted({p.figure for p in printed.panels()}) if is_of(folder, name)), None)
    if figure is None or len(runs) != len(panels_of(figure)):
        sys.exit(f"{folder}: not a run of a whole file of experiments/paper/; their names begin with the figure's")
    if unfinished := [run.label for run in runs if run.status not in (*ENDED_WELL, "stalled")]:
        sys.exit(f"{folder}: not finished: {', '.join(unfinished)}")
    panels = {panel.name: numbers_of(run) for panel, run in zip(panels_of(figure), runs, strict=True)}
    return Measured(figure, setting_of(runs[0]), made_by(runs), panels)


def is_of(folder: Path, figure: str) -> bool:
    """Whether a folder is called `runs/FIGURE/TIME`, as the command names it, or FIGURE."""
    return figure in (folder.name, folder.parent.name)


def numbers_of(run: Recorded) -> dict[str, float]:
    """What is kept of a run."""
    wanted = ("grey_correlation", "psnr", "loss", "iterations", "evaluations", "run_seconds")
    return {name: run.numbers[name] for name in wanted if name in run.numbers}


def setting_of(run: Recorded) -> str:
    """Size, iterations and what else the result depends on, where it is not the file's."""
    settings, image = run.settings, show(run).pixels
    size = f"{image.shape[1]}×{image.shape[0]}" if image is not None else f"{settings['image.size']} pixels"
    fast = settings["image.scales"] == "fast"
    words = [size, "--fast" if fast else f"{settings['optimizer.iterations']} iterations"]
    words += ["coarse to fine"] if settings["image.scales"] not in ("single", "fast") else []
    words += [f"{settings['optimizer.method']}"] if settings["optimizer.method"] != "lbfgs" else []
    words += [settings["network.precision"]] if settings["network.precision"] != "float32" else []
    words += [f"bounds {settings['optimizer.bounds']}"] if settings["optimizer.bounds"] != "paper" else []
    return ", ".join(words)


def made_by(runs: Sequence[Recorded]) -> str:
    """Version, machine and date of a sweep's records."""
    manifest = runs[0].manifest
    versions, device = manifest["versions"], manifest["device"]
    date = datetime.datetime.fromisoformat(max(str(run.manifest["ended"]) for run in runs)).date()
    place = device["kind"] if device["platform"] != "cpu" else f"{device['kind']}, {device['cpu_count']} cores"
    return f"jaxstyle {versions['jaxstyle']}, jax {versions['jax']}, {place}, {date}"


def of_kit(folder: Path) -> Iterator[Measured]:
    """The figures that the device kit has measured with the constant of `paper-figures`."""
    facts = json.loads((folder / "machine.json").read_text(encoding="utf-8"))
    where = f"{facts['card']}, {facts['software'].partition(', PyTorch')[0]}, {facts['date']}"
    panels: dict[str, dict[str, dict[str, float]]] = {}
    for row in json.loads((folder / "paper.json").read_text(encoding="utf-8")):
        for name, run in row.get("runs", {}).items():
            panel, _, rest = name.partition(", κ = 1")
            if name != panel and rest[:1] in ("", ","):
                known = kit_panel(panel, rest)
                numbers = {"grey_correlation": run["correlation"], "psnr": run["psnr"], "loss": run["loss"]}
                panels.setdefault(printed.figure_of(known), {})[known] = numbers
    for figure, found in panels.items():
        yield Measured(figure, "512×384, 2000 iterations, tf32, in lanes", where, found)


def kit_panel(panel: str, rest: str) -> str:
    """`Fig. 4, 0.001` → `fig4-1e-3`; `Fig. 6 C` and `, noise 0` → `fig6-c1`."""
    if panel.startswith("Fig. 4, "):
        return f"fig4-1e-{round(-np.log10(float(panel.rpartition(' ')[2])))}"
    return KIT_PANELS.get(panel) or f"fig6-c{int(rest.rpartition(' ')[2]) + 1}"


def keep(measured: Measured) -> Path:
    """Writes the numbers beside the others."""
    name = re.sub(r"[^\w]+", "-", f"{measured.figure} {measured.setting}".replace("×", "x"))
    KEPT.mkdir(parents=True, exist_ok=True)
    path = KEPT / f"{name}.json"
    path.write_text(json.dumps(measured._asdict(), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return path


def kept() -> list[Measured]:
    """All that has been measured, the kit's first."""
    files = sorted(KEPT.glob("*.json"))
    return [*of_kit(KIT), *(Measured(**json.loads(path.read_text(encoding="utf-8"))) for path in files)]


def rows(figure: str, found: Sequence[Measured]) -> list[tuple[str, list[str], str]]:
    """What was measured, the panels' numbers, and where: the printed panels first."""
    metric, _, form = METRICS.get(figure, CORRELATION)
    fields = {"psnr": "psnr", "grey_correlation": "correlation"}
    known = [getattr(panel, fields.get(metric, ""), None) for panel in panels_of(figure)]
    lines = [("printed", [format(value, form) if value is not None else "" for value in known], "the paper's PDF")]
    for measured in found:
        numbers = [measured.panels.get(panel.name, {}).get(metric) for panel in panels_of(figure)]
        written = [format(number, form).replace("-", "−") if number is not None else "" for number in numbers]
        lines.append((measured.setting, written, measured.made))
    return lines if any(lines[0][1]) else lines[1:]


def write_header(figure: str, found: Sequence[Measured]) -> None:
    """Replaces what was measured in an experiment file's header."""
    path = PAPER / f"{figure}.toml"
    metric = METRICS.get(figure, CORRELATION)[1]
    found_rows = [
        f"{setting}: {' '.join(value or '–' for value in values)}; {made}"
        for setting, values, made in rows(figure, found)
    ]
    texts = [f"{metric}, in the order of the members:", *found_rows] if found_rows else ["nothing yet"]
    lines = [textwrap.fill(text, 118, initial_indent="#   ", subsequent_indent="#     ") for text in texts]
    block = "\n".join([BEGIN, *lines, END])
    replace(path, rf"{re.escape(BEGIN)}\n.*?{re.escape(END)}", block)


def write_table(figure: str, found: Sequence[Measured]) -> None:
    """Replaces a figure's table in experiments/paper/README.md."""
    names = [panel.name.removeprefix(figure).lstrip("-") or "panel" for panel in panels_of(figure)]
    found_rows = rows(figure, found)
    table = markdown(("", *names, "made with"), [(setting, *values, made) for setting, values, made in found_rows])
    metric = METRICS.get(figure, CORRELATION)[1]
    body = f"{metric[0].upper()}{metric[1:]}:\n\n{table}" if found_rows else "Not measured yet."
    block = f"<!-- begin {figure} -->\n{body}\n<!-- end {figure} -->"
    replace(PAPER / "README.md", rf"<!-- begin {figure} -->\n.*?<!-- end {figure} -->", block)


def replace(path: Path, pattern: str, block: str) -> None:
    """Replaces the one place of a file that a pattern finds."""
    text, count = re.subn(pattern, lambda _: block, path.read_text(encoding="utf-8"), flags=re.S)
    if count != 1:
        sys.exit(f"{path}: {count} places for what was measured; there must be one")
    path.write_text(text, encoding="utf-8")


def write_thumbnails(figure: str, folder: Path) -> None:
    """The results that may be shown, side by side."""
    pairs = zip(panels_of(figure), read_runs([folder]), strict=True)
    pixels = [show(run, Display.IMAGE).pixels for panel, run in pairs if {figure, panel.name} & FREE]
    shown = [images.resize_long_side(each, THUMBNAIL) for each in pixels if each is not None]
    if shown:
        images.write_image(PAPER / f"images/{figure}.jpg", np.concatenate(shown, axis=1), quality=85)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="*", type=Path, help="folders of runs of experiments/paper/")
    parser.add_argument("--thumbnails", action="store_true", help="also write the images of these runs")
    options = parser.parse_args()
    for folder in options.runs:
        measured = of_runs(folder)
        print(keep(measured))
        if options.thumbnails:
            write_thumbnails(measured.figure, folder)
    everything = kept()
    for figure in dict.fromkeys(panel.figure for panel in printed.panels()):
        found = [measured for measured in everything if measured.figure == figure]
        write_header(figure, found)
        write_table(figure, found)


if __name__ == "__main__":
    main()
