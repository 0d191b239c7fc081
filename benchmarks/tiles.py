"""Tiles against the whole image, memory and seconds of an evaluation; and what rounded correction pairs cost in loss.

python benchmarks/tiles.py evaluation --sizes 1024x768 --sides 0 128 256 --rounds 3
python benchmarks/tiles.py evaluation --sizes 4096x3072 --sides 256 --rounds 1
python benchmarks/tiles.py pairs --size 128 --iterations 100

A row is a process of its own, with large pages of memory as `jaxstyle run` has them. It is kept in
docs/measurements/tiles.jsonl in the place of an earlier one of the same question; the tables of docs/large-images.md
are made of them. The content and style of an evaluation are noise, and so are its targets: measuring them would take as
long again.
"""

import argparse
import datetime
import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import common
import jax
import jax.numpy as jnp
import numpy as np
from tables import markdown, replaced

from jaxstyle.cli import huge_pages
from jaxstyle.config import Experiment, experiment_from_mapping
from jaxstyle.devices import memory
from jaxstyle.images import image_of
from jaxstyle.network import weights
from jaxstyle.optimizers.device import compile_on_device
from jaxstyle.paper.objective import evaluate
from jaxstyle.synthesis.estimates import outlines
from jaxstyle.synthesis.objectives import build_objective
from jaxstyle.synthesis.optimization import optimize
from jaxstyle.synthesis.preparation import prepare, read_images
from jaxstyle.units import GREY_LEVEL

PAGE = common.ROOT / "docs/large-images.md"
KEPT = common.ROOT / "docs/measurements/tiles.jsonl"
ASKED = (
    *("kind", "machine"),
    *("size", "side", "history", "precision"),
    *("pixels", "iterations", "seed", "history_size", "history_precision"),
)
"""What a row answers: of another row one of these is different."""


def of_noise(size: str, side: int, precision: str, history: int) -> tuple[Experiment, dict[str, Any]]:
    """An experiment of that size on images of noise, and these."""
    width, height = map(int, size.split("x"))
    noise = np.random.default_rng(0).integers(0, 256, (height // 16, width // 16, 3), np.uint8)
    given = {f"array:{role}": image_of(noise, f"array:{role}") for role in ("content", "style")}
    mapping = {
        "image": {"content": "array:content", "style": "array:style", "size": max(width, height), "tile": side},
        "optimizer": {"history_size": history, "history_precision": precision},
    }
    return experiment_from_mapping(mapping, source="benchmark", folder=common.ROOT), given


def evaluation(size: str, side: int, *, rounds: int, history: int, precision: str) -> dict[str, Any]:
    """What the optimizer's step holds, and the seconds of an evaluation of loss and gradient after `rounds` of them."""
    experiment, given = of_noise(size, side, precision, history)
    loaded, images = weights.load(experiment.network.weights), read_images(experiment, given)
    planned = outlines(experiment, images, loaded)[-1]
    objective, problem = planned.objective, planned.problem
    image = jax.ShapeDtypeStruct((*planned.size, 3), jnp.float32)
    step = memory.of_program(compile_on_device(objective, image, problem, planned.settings))
    row = {"size": size, "side": side, "history": history, "precision": precision, "step": step}
    if not rounds:
        return row
    _, parameters = build_objective(experiment, loaded, objective.terms)
    draw = np.random.default_rng(1).random
    targets = jax.tree.map(lambda leaf: jnp.asarray(draw(leaf.shape, np.float32)), problem.targets)
    values = {name: jnp.float32(1 / len(objective.names)) for name in objective.names}
    own = problem._replace(parameters=parameters, targets=targets, weights=values)
    start = jnp.asarray(0.5 + GREY_LEVEL * draw((*planned.size, 3), np.float32))
    program, seconds = evaluate.lower(objective, start, own).compile(), []
    for _ in range(rounds):
        began = time.perf_counter()
        jax.block_until_ready(program(start, own))
        seconds.append(time.perf_counter() - began)
    return {**row, "seconds": seconds, "peak": memory.peak()}


def pairs(size: int, iterations: int, seed: int, method: Mapping[str, Any]) -> dict[str, Any]:
    """The loss that the quick start's images reach."""
    mapping = {
        "image": {"content": "skimage:chelsea", "style": "experiments/images/brushwork.jpg", "size": size},
        "optimizer": {"iterations": iterations, **method},
        "start": {"seed": seed},
    }
    experiment = experiment_from_mapping(mapping, source="benchmark", folder=common.ROOT)
    scales = prepare(experiment, read_images(experiment), weights.load(experiment.network.weights))
    losses = [iteration.loss for iteration in optimize(scales).history]
    return {"pixels": size, "iterations": iterations, "seed": seed, **method, "losses": losses[:: iterations // 4]}


def evaluation_table(rows: list[dict[str, Any]]) -> str:
    """A line for each row: the best of its evaluations, against the whole image of 1024×768."""
    whole = [row for row in rows if row["size"] == "1024x768" and not row["side"] and "seconds" in row]
    lines = []
    for row in sorted(rows, key=lambda row: (*map(int, row["size"].split("x")), row["side"])):
        pixels = np.prod([int(side) for side in row["size"].split("x")])
        each = 1e6 * min(row["seconds"]) / pixels if "seconds" in row else None
        base = min(
            (1e6 * min(it["seconds"]) / (1024 * 768) for it in whole if it["machine"] == row["machine"]), default=None
        )
        pair = f"{row['history']} in {row['precision']}"
        lines.append(
            (
                row["size"].replace("x", "×"),
                row["side"] or "whole",
                f"{row['step'] / 2**30:.2f} ({pair})",
                f"{row['peak'] / 2**30:.2f}" if "peak" in row else "",
                f"{min(row['seconds']):.1f}" if each else "",
                f"{each:.1f}" if each else "",
                f"{each / base:.2f}" if each and base else "",
                row["date"],
            )
        )
    columns = (
        "size",
        "tiles",
        "optimizer's step, GiB (pairs)",
        "evaluating, process at most, GiB",
        "s an evaluation",
        "µs a pixel",
        "× the whole 1024×768",
        "day",
    )
    return markdown(columns, lines)


def pairs_table(rows: list[dict[str, Any]]) -> str:
    """Losses with rounded pairs over those with float32's, at quarters of the iterations."""
    lines = []
    for row in rows:
        like = {key: row[key] for key in ("pixels", "iterations", "seed", "machine", "history_size")}
        (other,) = [it for it in rows if like.items() <= it.items() and it["history_precision"] == "float32"] or [None]
        if other is None or row["history_precision"] == "float32":
            continue
        ratios = [f"{own / of:.3f}" for own, of in zip(row["losses"][1:], other["losses"][1:], strict=True)]
        lines.append((row["pixels"], row["seed"], row["history_size"], *ratios))
    return markdown(("pixels", "noise", "pairs", "25 %", "50 %", "75 %", "all of the iterations"), lines)


def keep(kind: str, row: dict[str, Any]) -> None:
    """Puts a row into the file, and makes the tables anew."""
    new = {"kind": kind, "machine": common.machine(), "date": f"{datetime.date.today()}", **row}
    rows = [json.loads(line) for line in KEPT.read_text(encoding="utf-8").splitlines()] if KEPT.exists() else []
    rows = [row for row in rows if any(row.get(key) != new.get(key) for key in ASKED)] + [new]
    KEPT.parent.mkdir(parents=True, exist_ok=True)
    KEPT.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    write()


def write(page: Path = PAGE) -> None:
    """The tables of the page, from the file."""
    rows = [json.loads(line) for line in KEPT.read_text(encoding="utf-8").splitlines()]
    text = page.read_text(encoding="utf-8")
    for kind, made in {"evaluation": evaluation_table, "pairs": pairs_table}.items():
        own = [row for row in rows if row["kind"] == kind]
        if not own:
            continue
        places = "; ".join(dict.fromkeys(row["machine"] for row in own))
        text = replaced(text, kind, f"{made(own)}\n\nOn {places}.")
    page.write_text(text, encoding="utf-8")


def alone(*arguments: str) -> None:
    """Runs one row in a process of its own."""
    environment = {**os.environ, huge_pages.TUNABLES: huge_pages.SETTING}
    subprocess.run([sys.executable, __file__, "row", *arguments], check=True, env=environment)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kind", choices=["evaluation", "pairs", "row", "tables"])
    parser.add_argument("--sizes", nargs="+", default=["1024x768"], help="WIDTHxHEIGHT")
    parser.add_argument("--sides", nargs="+", type=int, default=[0, 256], help="of tiles; 0: the whole image")
    parser.add_argument("--rounds", type=int, default=2, help="evaluations; 0 only says what the step holds")
    parser.add_argument("--history", type=int, default=20)
    parser.add_argument("--precision", default="float32", choices=["float32", "bfloat16"])
    parser.add_argument("--size", type=int, default=128)
    parser.add_argument("--iterations", type=int, default=100)
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    options = parser.parse_args()
    if options.kind == "tables":
        write()
    elif options.kind == "pairs":
        for seed in options.seeds:
            for precision in ("float32", "bfloat16"):
                method = {"history_size": options.history, "history_precision": precision}
                keep("pairs", pairs(options.size, options.iterations, seed, method))
    elif options.kind == "evaluation":
        shared = ["--rounds", str(options.rounds), "--history", str(options.history), "--precision", options.precision]
        for size in options.sizes:
            for side in options.sides:
                alone("--sizes", size, "--sides", str(side), *shared)
    else:
        own = {"rounds": options.rounds, "history": options.history, "precision": options.precision}
        keep("evaluation", evaluation(options.sizes[0], options.sides[0], **own))


if __name__ == "__main__":
    main()
