"""Writes the tables of docs/performance.md and docs/conventions.md from stored measurements.

    PYTHONPATH=benchmarks python -m accelerator.tables docs/measurements/h200 docs/measurements/h100

Everything between `<!-- begin NAME -->` and `<!-- end NAME -->` is replaced. A folder's machine.json says what it was
measured on.
"""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import common
from tables import markdown, replaced

from accelerator.paper import KAPPAS, LOGGED

Rows = list[dict[str, Any]]


def machine(found: dict[str, str]) -> str:
    """Where and when."""
    return f"On {found['card']}, {found['date']}."


def evaluation(rows: Rows) -> str:
    """One loss and gradient beside PyTorch's."""
    lines = []
    for row in rows:
        peer = min((row["PyTorch NCHW ms"], "NCHW"), (row["PyTorch channels-last ms"], "channels-last"))
        ours = f"{row['ours ms']:.1f} ({row['ours range']})"
        lines.append((row["pixels"], row["precision"], ours, f"{peer[0]:.1f} ({peer[1]})", row["speed / best PyTorch"]))
    return markdown(("pixels", "precision", "jaxstyle, ms", "PyTorch, ms (layout)", "speed / PyTorch's"), lines)


def ways(rows: Rows) -> str:
    """Convolutions, and operations that are deterministic or not."""
    columns = ("pixels", "precision", "convolution", "deterministic")
    lines = [
        [*(row[column] for column in columns), f"{row['ours ms']:.1f} ({row['ours range']})", row["compile s"]]
        for row in rows
    ]
    return markdown((*columns, "ms", "compile s"), lines)


def precision(rows: Rows) -> str:
    """The loss that a precision reaches."""
    columns = ("precision", "loss / float32's, geometric mean", "lowest and highest", "optimizing s")
    return markdown(columns, [[row[column] for column in columns] for row in rows])


def memory(rows: Rows) -> str:
    """Large images."""
    columns = ("size", "estimate GB", "peak GB", "s an evaluation")
    return markdown(columns, [[row[column] for column in columns] for row in rows if "estimate GB" in row])


def arrays(rows: Rows) -> str:
    """What the optimizer's step holds, by XLA's account."""
    lines = [(row["pixels"], row["side"] or "whole", f"{row['step'] / 2**30:.2f}") for row in rows]
    return markdown(("pixels", "tiles", "optimizer's step, GiB"), lines)


def right(rows: Rows) -> str:
    """Relative errors against the CPU."""
    of_precision = [row for row in rows if "precision" in row]
    names = [name for name in of_precision[0] if "/" in name or name in ("loss", "gradient")]
    lines = [[name, *(row.get(name) for row in of_precision)] for name in names]
    return markdown(("", *(row["precision"] for row in of_precision)), lines)


def whole(rows: Rows) -> str:
    """Whole runs."""
    columns = (
        "precision",
        "compiled programs",
        "command to image s",
        "compile s",
        "optimizing s",
        "evaluations",
        "loss",
    )
    lines = [[row[column] for column in columns] for row in rows if "size" in row]
    return markdown(columns, lines)


def lanes(rows: Rows) -> str:
    """Images a minute."""
    columns = ("size", "lanes", "ms an evaluation of all", "images a minute")
    measured = sorted((row for row in rows if "lanes" in row), key=lambda row: (row["size"], row["lanes"]))
    return markdown(columns, [[row[column] for column in columns] for row in measured])


def loop(rows: Rows) -> str:
    """The loop's calls."""
    columns = ("what", "size", "compile s", "ms an evaluation", "same twice")
    lines = [[row.get(column, "") for column in columns] for row in rows if "ms an evaluation" in row]
    return markdown(columns, lines)


def of_panels(rows: Rows) -> dict[str, tuple[float, dict[float, Rows]]]:
    """The printed correlation and the runs of every κ, by panel."""
    panels: dict[str, tuple[float, dict[float, Rows]]] = {}
    for row in rows:
        for name, run in row.get("runs", {}).items():
            panel, _, constants = name.partition(", κ = ")
            kappa = float(constants.partition(",")[0])
            panels.setdefault(panel, (run["printed"], {}))[1].setdefault(kappa, []).append(run)
    return panels


def constant(rows: Rows) -> str:
    """Correlation with the photo by κ, and how far from the printed panels each κ is."""
    panels = of_panels(rows)
    means = {panel: {kappa: _mean(runs) for kappa, runs in found.items()} for panel, (_, found) in panels.items()}
    lines: list[list[object]] = [
        [panel, f"{printed:.3f}", *(f"{means[panel][kappa]:.3f}" for kappa in KAPPAS)]
        for panel, (printed, _) in panels.items()
    ]
    for title, summary in (("largest distance", max), ("mean distance", lambda found: sum(found) / len(found))):
        distances = [
            summary([abs(means[panel][kappa] - printed) for panel, (printed, _) in panels.items()]) for kappa in KAPPAS
        ]
        lines.append([title, "", *(f"{distance:.3f}" for distance in distances)])
    return markdown(("panel", "printed", *(f"κ = {kappa:g}" for kappa in KAPPAS)), lines)


def curve(rows: Rows) -> str:
    """Correlation along the runs of κ = 1; a run that ended before has its last."""
    lines = []
    for panel, (printed, found) in of_panels(rows).items():
        runs = found[1.0]
        noted = [sum(_noted(run, at) for run in runs) / len(runs) for at in LOGGED]
        lines.append([panel, *(f"{value:.3f}" for value in noted), f"{printed:.3f}"])
    return markdown(("panel", *map(str, LOGGED), "printed"), lines)


def iterations(rows: Rows) -> str:
    """The mean distance from the printed panels, had every run ended after so many iterations."""
    panels = of_panels(rows)
    lines = []
    for at in LOGGED:
        distances = [
            [abs(sum(_noted(run, at) for run in found[kappa]) / len(found[kappa]) - printed) for kappa in KAPPAS]
            for printed, found in panels.values()
        ]
        lines.append([at, *(f"{sum(column) / len(column):.3f}" for column in zip(*distances, strict=True))])
    return markdown(("iterations", *(f"κ = {kappa:g}" for kappa in KAPPAS)), lines)


def _noted(run: dict[str, Any], at: int) -> float:
    """The correlation after so many iterations; a run that ended before has its last."""
    return run["correlation after"].get(str(at), run["correlation"])


def _mean(runs: Rows) -> float:
    return sum(run["correlation"] for run in runs) / len(runs)


PERFORMANCE: dict[str, tuple[str, Callable[[Any], str]]] = {
    "gpu-evaluation": ("evaluation", evaluation),
    "gpu-right": ("right", right),
    "gpu-whole": ("whole", whole),
    "gpu-lanes": ("lanes", lanes),
    "gpu-loop": ("limits", loop),
    "gpu-memory": ("limits", memory),
    "gpu-arrays": ("arrays", arrays),
    "gpu-ways": ("ways", ways),
    "gpu-precision": ("precision", precision),
}
CONVENTIONS: dict[str, tuple[str, Callable[[Any], str]]] = {
    "kappa": ("paper", constant),
    "kappa-curve": ("paper", curve),
    "kappa-iterations": ("paper", iterations),
}


def fill(page: Path, folder: Path, blocks: dict[str, tuple[str, Callable[[Any], str]]]) -> None:
    """Replaces the blocks of a page whose measurements are there."""
    text = page.read_text(encoding="utf-8")
    for name, (file, make) in blocks.items():
        path = folder / f"{file}.json"
        if path.exists():
            facts = json.loads((folder / "machine.json").read_text(encoding="utf-8"))
            content = f"{make(_complete(json.loads(path.read_text(encoding='utf-8'))))}\n\n{machine(facts)}"
            text = replaced(text, name, content)
    page.write_text(text, encoding="utf-8")


def _complete(rows: Rows) -> Rows:
    """The rows that were measured."""
    return [row for row in rows if not {"error", "left out"} & row.keys()]


def main() -> None:
    for folder in map(Path, sys.argv[1:]):
        fill(common.ROOT / "docs/performance.md", folder, PERFORMANCE)
        fill(common.ROOT / "docs/conventions.md", folder, CONVENTIONS)


if __name__ == "__main__":
    main()
