"""Measures everything: `python -m accelerator --out FOLDER` (`make accelerator`).

Every step is a process of its own with a share of the time, and writes its table after every row, most valuable first:
whoever is cut off loses only what was not measured yet.
"""

import argparse
import importlib
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

from accelerator.plan import KIT, Plan, Row, environment, write_rows

GRACE = 60
"""Seconds that a step may take beyond its share for the row that it has begun."""


class Step(NamedTuple):
    """A table.

    Attributes:
      title: its heading.
      share: of the time.
      module: what measures it, imported by the step's own process.
      starts_others: whether its process starts others that compute on the device, and must leave them memory.
    """

    title: str
    share: float
    module: str
    starts_others: bool = False


STEPS = {
    "right": Step("Does it run, and is it right", 0.12, "right"),
    "evaluation": Step("One evaluation of loss and gradient", 0.20, "speed"),
    "whole": Step("From the command to the image", 0.10, "whole"),
    "lanes": Step("Side by side in lanes", 0.10, "lanes"),
    "limits": Step("The loop's calls, and the largest image", 0.08, "limits", True),
    "paper": Step("The paper's figures by the authors' procedure", 0.30, "paper"),
    "precision": Step("The loss reached in each precision", 0.10, "precision"),
}


def report(out: Path) -> None:
    """Writes all tables that are there as one page."""
    parts = ["# Measured on an accelerator\n"]
    for name, step in STEPS.items():
        path = out / f"{name}.json"
        if path.exists():
            parts += [f"## {step.title}\n", table(json.loads(path.read_text(encoding="utf-8")))]
    (out / "report.md").write_text("\n".join(parts), encoding="utf-8")


def table(rows: list[Row]) -> str:
    """Rows as Markdown; rows without a size, whose columns are their own, as lists."""
    shared = [row for row in rows if "size" in row]
    columns = list(dict.fromkeys(column for row in shared for column in row))
    lines = [f"| {' | '.join(columns)} |", "|---" * len(columns) + "|"] if shared else []
    lines += [f"| {' | '.join(str(row.get(column, '')) for column in columns)} |" for row in shared]
    for row in rows:
        if "size" not in row:
            lines += ["", *(f"- {column}: {json.dumps(value, ensure_ascii=False)}" for column, value in row.items())]
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="the folder for the results, at most eight files")
    parser.add_argument("--kit", type=Path, default=KIT, help="the folder that came along")
    parser.add_argument("--steps", nargs="+", choices=[*STEPS], default=[*STEPS])
    parser.add_argument("--seconds", type=float, default=420, help="for all steps together")
    parser.add_argument("--tiny", action="store_true", help="a rehearsal: tiny images, few layers")
    parser.add_argument("--only", choices=[*STEPS], help=argparse.SUPPRESS)  # a step in this process
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    plan = Plan(options.kit.resolve(), options.out.resolve(), options.tiny)
    if options.only:
        module = importlib.import_module(f"accelerator.{STEPS[options.only].module}")
        write_rows(plan.out / f"{options.only}.json", module.measurements(plan), options.seconds)
        return
    wheels = plan.kit / "wheels"
    offline = environment(PIP_NO_INDEX="1", PIP_FIND_LINKS=str(wheels)) if wheels.is_dir() else environment()
    began, failed = time.perf_counter(), []
    total = sum(STEPS[name].share for name in options.steps)
    for name in options.steps:
        share = options.seconds * STEPS[name].share / total
        print(f"— {name}: {share:.0f} s, {time.perf_counter() - began:.0f} s spent", flush=True)
        command = [sys.executable, "-m", "accelerator", "--only", name, "--seconds", str(share)]
        command += ["--out", str(plan.out), "--kit", str(plan.kit), *(["--tiny"] if plan.tiny else [])]
        memory = {"XLA_PYTHON_CLIENT_PREALLOCATE": "false"} if STEPS[name].starts_others else {}
        try:
            done = subprocess.run(command, timeout=share + GRACE, env={**offline, **memory}, check=False)
            if done.returncode:
                failed.append(name)
        except subprocess.TimeoutExpired:
            failed.append(name)
        report(plan.out)
    sys.exit(f"not finished: {', '.join(failed)}" if failed else 0)


if __name__ == "__main__":
    main()
