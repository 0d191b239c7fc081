"""What the steps share: how large everything is, what a measurement is, and files that hold it at once."""

import dataclasses
import json
import os
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import common

KIT = common.ROOT / ".accelerator"
"""The folder that `fill.py` fills and that travels to the machine with the accelerator."""
REFERENCE = "reference.npz"
PRECISIONS = ("float32", "tf32", "bfloat16")
TINY_LOSS = {"content_layers": ["conv2_1"], "style_layers": ["conv1_1", "conv2_1"]}

Row = dict[str, Any]


class Measurement(NamedTuple):
    """One row of a table.

    Attributes:
      asked: what is measured, by column.
      measure: measures it; returns the other columns.
    """

    asked: Row
    measure: Callable[[], Row]


@dataclasses.dataclass(frozen=True)
class Plan:
    """How much is measured.

    Attributes:
      kit: the folder that came along.
      out: the folder that the results go to.
      tiny: whether this is a rehearsal: tiny images, few layers, few iterations.
    """

    kit: Path
    out: Path
    tiny: bool = False

    def pick(self, real: Any, tiny: Any) -> Any:
        """What is measured, or what is rehearsed."""
        return tiny if self.tiny else real

    def load(self, size: int, **options: Any) -> common.Loaded:
        """The benchmarks' experiment, with few layers in a rehearsal."""
        return common.loaded(size, **{**(TINY_LOSS if self.tiny else {}), **options})


def write_rows(path: Path, measurements: Iterable[Measurement], seconds: float) -> None:
    """Measures one row after another and writes all of them after each; what fails is a row that says why.

    Rows that the file has from a sitting before are kept, and measured again only if they failed.

    Args:
      path: the file, JSON; replaced as a whole.
      measurements: most valuable first.
      seconds: no row is begun later than this.
    """
    stored = json.loads(path.read_text(encoding="utf-8")) if path.exists() else []
    rows: list[Row] = [row for row in stored if "error" not in row and "left out" not in row]
    began = time.perf_counter()
    for asked, measure in measurements:
        if any(asked.items() <= row.items() for row in rows):
            continue
        if (spent := time.perf_counter() - began) > seconds:
            rows.append({"left out": f"from {asked} on: {spent:.0f} s were spent"})
            write_json(path, rows)
            return
        try:
            found = measure()
        except Exception as error:  # a row that fails must not cost the rows after it
            found = {"error": f"{type(error).__name__}: {error}"[:500]}
        rows.append({**asked, **found, "took": round(time.perf_counter() - began - spent, 1)})
        write_json(path, rows)
        print(json.dumps(rows[-1], ensure_ascii=False), flush=True)


def write_json(path: Path, content: Any) -> None:
    """Replaces a file at once, so that whoever is cut off leaves a whole one."""
    scratch = path.with_suffix(".part")
    scratch.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    os.replace(scratch, path)


def rounded(value: float, digits: int = 4) -> float:
    """A number with so many significant digits."""
    return float(f"{value:.{digits}g}")


def last_line(text: str) -> str:
    """The last line that says something."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1][:300] if lines else ""


def environment(**changes: str) -> Mapping[str, str]:
    """This process's environment, changed."""
    return {**os.environ, **changes}
