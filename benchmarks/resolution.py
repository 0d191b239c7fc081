"""Seconds and memory of an iteration from 64 to 1024 pixels, ours beside PyTorch's, with the exponents and a plot.

python benchmarks/resolution.py --plot docs/images/resolution.png

The paper's discussion says that the speed depends heavily on resolution. An iteration is one evaluation of loss and
gradient with the step of L-BFGS that it leads to, from the content image; the peer is PyTorch's L-BFGS with steps of
1 on the same network, targets and images, eager, in both memory layouts (pip install 'jaxstyle[peers]'). Every figure
is a process of its own, in turns. Its seconds are the median of its iterations but the first two. Its memory is the
most that it held, less what it held before it read the problem: the libraries do not count, while network, targets,
image, correction pairs and temporaries do. PyTorch's history grows as it goes, and 24 iterations fill its 20 pairs.
Our programs are compiled before, as after `jaxstyle check`. The exponents are slopes of a line through the logarithms
of seconds or bytes against those of pixels, over all sizes and over the two largest.
"""

import argparse
import dataclasses
import functools
import importlib.util
import json
import os
import pickle
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import common
import jax
import numpy as np
from common import Loaded
from matplotlib.axes import Axes
from matplotlib.ticker import LogLocator

from jaxstyle import files, optimizers
from jaxstyle.devices import compilation_cache, memory
from jaxstyle.reports import drawing
from jaxstyle.synthesis.preparation import Prepared

OURS = "ours"
LAYOUTS = ("NCHW", "channels-last")
UNCOUNTED = 2
"""The iterations of each process whose seconds are left out."""
LOSS = {"content_weight": 1e6, "style_weight": 1e6}
"""α and β; with a smaller loss PyTorch finds hardly a pair's curvature worth keeping, and its history stays short."""
COLOURS = {OURS: "#0072b2", "PyTorch": "#d55e00"}
MARKERS = {OURS: "o", "PyTorch": "s"}
"""Colours that are told apart by everyone (Okabe and Ito), and markers for a print without any."""


class Figure(NamedTuple):
    """What one size and one way took, a value for each round."""

    pixels: int
    seconds: list[float]
    bytes: list[int]


def prepare(size: int, folder: Path) -> None:
    """Writes the problem of one size to a folder, for each program what it needs, and compiles ours."""
    loaded = common.loaded(size, start="content", **LOSS)
    ready = loaded.prepared
    run_ours(ready, iterations=1)
    on_host = ready.problem._replace(parameters=None, targets=jax.device_get(ready.problem.targets))
    peers = dataclasses.replace(loaded, scales=(dataclasses.replace(ready, problem=on_host),))
    (folder / "PyTorch").write_bytes(pickle.dumps(peers))
    leaves, structure = jax.tree.flatten(ready.problem)
    with (folder / OURS).open("wb") as file:
        for part in (dataclasses.replace(ready, problem=None), structure, *jax.device_get(leaves)):
            pickle.dump(part, file)


def read_ours(path: Path) -> Prepared:
    """Our problem, its arrays read one by one so that hardly more is held than they take."""
    with path.open("rb") as file:
        ready, structure = pickle.load(file), pickle.load(file)
        leaves = [jax.device_put(pickle.load(file)) for _ in range(structure.num_leaves)]
    return dataclasses.replace(ready, problem=jax.tree.unflatten(structure, leaves))


def read_peers(path: Path) -> Loaded:
    """The problem that PyTorch is given."""
    with path.open("rb") as file:
        return pickle.load(file)


def run_ours(ready: Prepared, iterations: int) -> np.ndarray:
    """Runs ours, and returns the seconds of each evaluation between two accepted ones."""
    settings = dataclasses.replace(ready.settings, iterations=iterations)
    history = optimizers.minimize(ready.objective, ready.start, ready.problem, settings).history
    return np.diff([each.seconds for each in history]) / np.diff([each.evaluations for each in history])


def run_torch(loaded: Loaded, iterations: int, layout: str, device: str) -> np.ndarray:
    """Runs PyTorch, and returns the seconds of each evaluation but the first."""
    import torch_peer

    found = torch_peer.lbfgs(loaded, iterations, torch_peer.layouts()[layout], device)
    return np.diff([each.seconds for each in found])


def measure(way: str, folder: Path, iterations: int) -> dict[str, Any]:
    """The pixels of a problem, seconds of an iteration and bytes held."""
    on_cuda = jax.default_backend() == "gpu" and way != OURS
    before = 0 if on_cuda else memory.in_use()
    if way == OURS:
        ready = read_ours(folder / OURS)
        seconds = run_ours(ready, iterations)
    else:
        loaded = read_peers(folder / "PyTorch")
        ready = loaded.prepared
        seconds = run_torch(loaded, iterations, way, "cuda" if on_cuda else "cpu")
    peak = _peak_of_torch() if on_cuda else memory.peak() or 0
    height, width, _ = ready.start.shape
    typical = float(np.median(seconds[min(UNCOUNTED, len(seconds) - 1) :]))
    return {"pixels": height * width, "seconds": typical, "bytes": peak - before}


def _peak_of_torch() -> int:
    import torch

    return torch.cuda.max_memory_allocated()


def in_process(*arguments: str, cache: Path) -> str:
    """Calls this benchmark for one step, in a process of its own, and returns what it printed."""
    environment = {
        **os.environ,
        compilation_cache.ENVIRONMENT: str(cache),
        "XLA_PYTHON_CLIENT_PREALLOCATE": "false",  # what is measured is what is needed
    }
    command = [sys.executable, __file__, *arguments]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=environment).stdout


def figures_of(size: int, ways: Sequence[str], rounds: int, iterations: int, rows: common.Rows) -> dict[str, Figure]:
    """Measures every way at one size, in turns."""
    found: dict[str, list[dict[str, Any]]] = {way: [] for way in ways}
    with tempfile.TemporaryDirectory() as scratch:
        folder, cache = Path(scratch), Path(scratch) / "cache"

        def measured(way: str) -> dict[str, Any]:
            if not (folder / OURS).exists():
                in_process("--prepare", str(size), "--folder", str(folder), cache=cache)
            asked = ("--measure", way, "--folder", str(folder), "--iterations", str(iterations))
            return json.loads(in_process(*asked, cache=cache))

        for turn in range(rounds):
            for way in ways:
                asked = {"size": size, "way": way, "round": turn, "iterations": iterations}
                found[way].append(rows.find(asked, functools.partial(measured, way)))
    return {
        way: Figure(of_way[0]["pixels"], [row["seconds"] for row in of_way], [row["bytes"] for row in of_way])
        for way, of_way in found.items()
    }


def best_of(figures: Mapping[str, Figure], name: str) -> tuple[int, list[float]]:
    """The pixels, and the rounds of the best layout, of `seconds` or `bytes`."""
    best = min(figures.values(), key=lambda figure: common.median(getattr(figure, name)))
    return best.pixels, getattr(best, name)


Curve = list[tuple[int, list[float]]]
"""A figure at every size: its pixels and the rounds."""


def curves(table: Sequence[Mapping[str, Figure]], name: str) -> dict[str, Curve]:
    """`seconds` or `bytes` at every size, of ours and of the best of PyTorch's layouts."""
    ours: Curve = [best_of({OURS: figures[OURS]}, name) for figures in table]
    peers = [{way: figure for way, figure in figures.items() if way != OURS} for figures in table]
    return {OURS: ours, **({"PyTorch": [best_of(figures, name) for figures in peers]} if all(peers) else {})}


def exponent(curve: Curve) -> float:
    """The slope of a line through the logarithms."""
    pixels, values = zip(*((pixels, common.median(rounds)) for pixels, rounds in curve), strict=True)
    return float(np.polyfit(np.log(pixels), np.log(values), 1)[0])


def print_rows(figures: Mapping[str, Figure], size: int) -> None:
    """Prints the table's rows of one size."""
    peers = [figure for way, figure in figures.items() if way != OURS]
    for way, (pixels, seconds, held) in figures.items():
        cells = [f"{size}", f"{pixels:,}", way]
        cells += [f"{common.median(seconds):.4f}", f"{min(seconds):.4f}–{max(seconds):.4f}"]
        cells += [f"{common.median(held) / 1e9:.3f}", f"{min(held) / 1e9:.3f}–{max(held) / 1e9:.3f}"]
        for name, values in (("seconds", seconds), ("bytes", held)):
            best = min((common.median(getattr(peer, name)) for peer in peers), default=float("nan"))
            cells.append(f"{best / common.median(values):.2f}" if peers else "")
        print(f"| {' | '.join(cells)} |", flush=True)


def print_exponents(table: Sequence[Mapping[str, Figure]]) -> None:
    """Prints how seconds and bytes grow with the pixels, if there are two sizes."""
    if len(table) < 2:
        return
    print("| grows as pixels to the power of | over all sizes | over the two largest |")
    print("|---|---|---|")
    for name, words in (("seconds", "seconds"), ("bytes", "memory")):
        for way, curve in curves(table, name).items():
            print(f"| {words}, {way} | {exponent(curve):.2f} | {exponent(curve[-2:]):.2f} |")


def draw(table: Sequence[Mapping[str, Figure]], sizes: Sequence[int], path: Path) -> None:
    """Draws seconds and memory against pixels, on logarithmic axes."""
    figure = drawing.new_figure(drawing.WIDTH, 3.1, layout="constrained")
    panels = {"seconds": ("seconds per iteration", 1.0), "bytes": ("memory held, GB", 1e9)}
    for axes, (name, (title, unit)) in zip(figure.subplots(1, len(panels)), panels.items(), strict=True):
        _draw_panel(axes, curves(table, name), unit)
        axes.set_title(title, fontsize=9, loc="left")
        axes.set_xlabel("long side in pixels (the image is three by two)", fontsize=8)
        axes.set_xticks([figures[OURS].pixels for figures in table], [str(size) for size in sizes])
    files.write_atomically(path, drawing.encode(figure, "png"))


def _draw_panel(axes: Axes, drawn: Mapping[str, Curve], unit: float) -> None:
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_axisbelow(True)
    axes.grid(color="#dedad2", linewidth=0.5)
    axes.minorticks_off()
    axes.tick_params(labelsize=8, width=0.5, length=2)
    axes.spines[["top", "right"]].set_visible(False)
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_major_formatter("{x:g}")
    labelled = min(len(curve) for curve in drawn.values()) // 2
    highest = max(drawn, key=lambda name: common.median(drawn[name][labelled][1]))
    for name, curve in drawn.items():
        pixels, rounds = zip(*curve, strict=True)
        middle = np.array([common.median(values) for values in rounds]) / unit
        ends = np.array([(min(values), max(values)) for values in rounds]) / unit
        look = {"color": COLOURS[name], "linewidth": 1.6}
        axes.plot(pixels, middle, marker=MARKERS[name], markersize=4.5, **look)
        axes.vlines(pixels, *ends.T, **look)
        above = name == highest
        axes.annotate(
            f"{name}, pixels$^{{{exponent(curve):.2f}}}$" if len(curve) > 1 else name,
            (pixels[labelled], middle[labelled]),
            xytext=(-5, 4) if above else (5, -5),
            textcoords="offset points",
            ha="right" if above else "left",
            va="bottom" if above else "top",
            fontsize=8.5,
            color=COLOURS[name],
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=[64, 128, 256, 512, 1024], help="long sides in pixels")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--iterations", type=int, default=24)
    parser.add_argument("--plot", type=Path, help="the image to write, a PNG")
    parser.add_argument("--json", type=Path, help="keep every figure here, and measure none that is there already")
    for step in ("--prepare", "--measure", "--folder"):  # what the benchmark asks of its own processes
        parser.add_argument(step, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.prepare or options.measure:
        answer(options)
        return
    with_torch = importlib.util.find_spec("torch") is not None
    ways = (OURS, *LAYOUTS) if with_torch else (OURS,)
    print(common.machine() + ("" if with_torch else "; PyTorch is not installed, so ours is alone"))
    print(f"{options.rounds} rounds of {options.iterations} iterations\n")
    print(
        "| long side | pixels | way | median s | lowest–highest | GB | lowest–highest | speed / best PyTorch ", end=""
    )
    print("| best PyTorch's memory / this |")
    print("|---" * 9 + "|")
    table = []
    for size in sorted(options.sizes):
        table.append(figures_of(size, ways, options.rounds, options.iterations, common.Rows(options.json)))
        print_rows(table[-1], size)
    print()
    print_exponents(table)
    if options.plot:
        draw(table, sorted(options.sizes), options.plot)


def answer(options: argparse.Namespace) -> None:
    """Does one step in this process."""
    folder = Path(options.folder)
    compilation_cache.switch_on()
    if options.prepare:
        prepare(int(options.prepare), folder)
    else:
        print(json.dumps(measure(options.measure, folder, options.iterations)))


if __name__ == "__main__":
    main()
