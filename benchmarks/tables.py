"""The tables of docs/performance.md that are of CPUs, written from what the benchmarks keep in docs/measurements/cpu.

python benchmarks/evaluation.py --size 256 512 --keep   # measures, keeps the rows, and writes the page's table
python benchmarks/tables.py                             # writes all tables again

A file has the rows of one command on one machine. What stands between `<!-- begin NAME -->` and `<!-- end NAME -->` is
replaced; nothing there is typed. How a table looks is said here, for the page and for what a benchmark prints.
"""

import argparse
import datetime
import json
import re
import shlex
import sys
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any, TypeAlias

import common

PAGE = common.ROOT / "docs/performance.md"
KEPT = common.ROOT / "docs/measurements/cpu"
Rows: TypeAlias = Sequence[Mapping[str, Any]]


def markdown(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """A table."""
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines)


def spread(values: Sequence[float], digits: int) -> str:
    """The median, and the range of several.

    Examples:
      >>> spread([1.0, 2.0, 4.0], 1)
      '2.0 (1.0–4.0)'
    """
    middle = f"{median(values):.{digits}f}"
    return f"{middle} ({min(values):.{digits}f}–{max(values):.{digits}f})" if len(values) > 1 else middle


def evaluation(rows: Rows) -> str:
    """Milliseconds of a loss and gradient beside PyTorch's; a row for each size and way."""
    lines = []
    for size in dict.fromkeys(row["pixels"] for row in rows):
        of = {row["way"]: [1e3 * each for each in row["seconds"]] for row in rows if row["pixels"] == size}
        peers = [way for way in of if way.startswith("PyTorch")]
        ours = next(way for way in of if way not in peers)
        best = min(median(of[way]) for way in peers)
        lines.append((size, *(spread(values, 0) for values in of.values()), f"{best / median(of[ours]):.2f}"))
    ways = dict.fromkeys(row["way"] for row in rows)
    return markdown(("pixels", *(f"{way}, ms" for way in ways), "speed / PyTorch's best"), lines)


def start(rows: Rows) -> str:
    """Seconds from a command to what it is awaited for."""
    lines = [
        (row["until"], *(spread(row[kind], 2) if row.get(kind) else "" for kind in ("cold", "warm"))) for row in rows
    ]
    return markdown(("seconds until", "nothing compiled before", "compiled before"), lines)


def memory(rows: Rows) -> str:
    """What `jaxstyle check` says and what a run takes."""
    lines = []
    for row in rows:
        before, after = row["estimated"], row["measured"]
        lines.append(
            (
                row["pixels"],
                *(f"{each['peak'] / 1e9:.2f}" for each in (before, after)),
                f"{before['peak'] / after['peak']:.2f}",
                *(f"{each['seconds']:.2f}" for each in (before, after)),
                f"{before['seconds'] / after['seconds']:.2f}",
            )
        )
    columns = ("pixels", "GB, `check`", "run", "ratio", "s an evaluation, `check`", "run", "ratio")
    return markdown(columns, lines)


def whole(rows: Rows) -> str:
    """From the command to the image, ours and others'; how many times as fast ours is stands in the others' rows."""
    lines = []
    for row in rows:
        same = [it for it in rows if all(it[key] == row[key] for key in ("pixels", "loss of", "evaluations"))]
        ours = next(it for it in same if it["way"] == "ours, again")
        seconds, is_peer = median(row["seconds"]), not row["way"].startswith("ours")
        to_loss = row["ours to this loss"]
        lines.append(
            (
                row["pixels"],
                row["loss of"],
                row["evaluations"],
                row["way"],
                f"{row['loss'] / ours['loss']:.3f}",
                spread(row["seconds"], 1),
                f"{seconds / median(ours['seconds']):.2f}" if is_peer else "",
                f"{to_loss:.1f} ({seconds / to_loss:.2f})" if is_peer and to_loss else "",
            )
        )
    columns = (
        "pixels",
        "loss of",
        "evaluations",
        "way",
        "loss / ours",
        "s from command to image",
        "times as long as ours",
        "s of ours to its loss (times as long)",
    )
    return markdown(columns, lines)


def sweep(rows: Rows) -> str:
    """A sweep in several ways; a row for each size and way."""
    lines = []
    for row in rows:
        alone = next(it for it in rows if it["pixels"] == row["pixels"] and it["programs"] == 0)
        ratio = median(row["seconds"]) / median(alone["seconds"])
        minute = 60 * row["members"] / median(row["seconds"])
        programs = "of each" if row["programs"] is None else row["programs"]
        lines.append((row["pixels"], row["way"], spread(row["seconds"], 0), f"{ratio:.2f}", f"{minute:.1f}", programs))
    columns = ("pixels", "way", "seconds", "of the runs alone", "images a minute", "compiled programs")
    return markdown(columns, lines)


def scales(rows: Rows) -> str:
    """Coarse to fine against one scale; the first row is the one scale."""
    one = rows[0]
    lines = []
    for row in rows:
        to_loss = row["seconds"] if row is one else row["seconds to the loss of one scale"]
        lines.append(
            (
                row["scales"].replace(",", ", "),
                row["evaluations"],
                f"{row['work']:.0f}",
                f"{row['loss']:.6f}",
                f"{row['loss'] / one['loss']:.3f}",
                f"{row['correlation']:.3f}",
                f"{row['seconds']:.0f}",
                f"{row['seconds'] / one['seconds']:.2f}",
                "not reached" if to_loss is None else f"{to_loss / one['seconds']:.2f}",
            )
        )
    columns = (
        "`image.scales`",
        "evaluations",
        "work",
        "loss",
        "/ one scale's",
        "grey correlation",
        "s",
        "/ one scale's",
        "to one scale's loss",
    )
    return markdown(columns, lines)


TABLES: dict[str, Callable[[Rows], str]] = {
    "evaluation": evaluation,
    "start": start,
    "memory": memory,
    "whole": whole,
    "whole-neural-style": whole,
    "sweep": sweep,
    "scales": scales,
}
"""How each table is made of its rows, by the name of its file."""


def finish(name: str, rows: Rows, *, keep: bool, peers: Sequence[str] = ()) -> None:
    """Prints a benchmark's table and, if asked, keeps its rows and writes the page.

    Args:
      name: of `TABLES`.
      rows: what was measured.
      keep: whether the documentation is to say so.
      peers: the packages besides ours that took part.
    """
    print(f"\n{TABLES[name](rows)}\n")
    if not keep:
        return
    KEPT.mkdir(parents=True, exist_ok=True)
    given = [word for word in sys.argv[1:] if word != "--keep"]
    facts = {
        "command": shlex.join(["python", f"benchmarks/{Path(sys.argv[0]).name}", *given]),
        "machine": ", ".join([common.machine(), *(f"{peer} {version(peer)}" for peer in peers)]),
        "date": f"{datetime.date.today()}",
    }
    text = json.dumps({**facts, "rows": rows}, indent=1, ensure_ascii=False)
    (KEPT / f"{name}.json").write_text(f"{text}\n", encoding="utf-8")
    write()


def write(page: Path = PAGE) -> None:
    """Replaces the tables whose rows are kept."""
    text = page.read_text(encoding="utf-8")
    for name, make in TABLES.items():
        path = KEPT / f"{name}.json"
        if path.exists():
            kept = json.loads(path.read_text(encoding="utf-8"))
            source = f"    {kept['command']}\n\nOn {kept['machine']}, {kept['date']}."
            text = replaced(text, name, f"{make(kept['rows'])}\n\n{source}")
    page.write_text(text, encoding="utf-8")


def replaced(text: str, name: str, content: str) -> str:
    """A page with another block of that name.

    Raises:
      SystemExit: the page has none, or several.
    """
    pattern = rf"(<!-- begin {name} -->\n).*?(<!-- end {name} -->)"
    text, count = re.subn(pattern, lambda found: f"{found[1]}{content}\n{found[2]}", text, flags=re.S)
    if count != 1:
        sys.exit(f"{count} blocks called {name}; there must be one")
    return text


def parser_of(description: str | None) -> argparse.ArgumentParser:
    """A benchmark's options: `--keep`, and what it adds."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--keep", action="store_true", help="keep the rows in docs/measurements/cpu, write the page")
    return parser


if __name__ == "__main__":
    write()
