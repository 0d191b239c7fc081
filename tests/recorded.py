"""Records of runs and sweeps, written by hand as a run would leave them, and what a report's page is checked with."""

import csv
import hashlib
import html.parser
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from jaxstyle.images import write_image
from jaxstyle.reports import Report
from jaxstyle.runs.record import write_json

HOSTILE = "<script>alert('x')</script> & \"quotes\" $\\alpha$ $ ελ 中文 \ud800 \x07 </style> =1+1"
EXPERIMENT = {
    "title": "A title",
    "image": {"content": "photo.png", "style": [{"image": "paint.png", "weight": 1.0}], "size": 32},
    "loss": {"content_weight": 1e-3, "style_layers": {"conv1_1": 1.0}},
}
METRICS = {
    "grey_correlation": 0.123456789012345,
    "psnr": 12.25,
    "paper_terms": {"content/conv4_2": 194641.0625, "style/conv1_1": 0.005120982707406999},
    "gram_distance": {"conv1_1": 0.033570217572631796},
}
ENDED = {
    "loss": 0.0006712735048495233,
    "evaluations": 5,
    "iterations": 3,
    "run_seconds": 2.5,
    "compile_seconds": 0.5,
    "peak_memory_bytes": 10**9,
}


def line(iteration: int, loss: Any) -> dict[str, Any]:
    terms = {"content/conv4_2": 0.25 / (iteration + 1) if iteration else 0.0, "style/conv1_1": 0.75 / (iteration + 1)}
    return {
        "iteration": iteration,
        "evaluations": iteration + 1,
        "loss": loss,
        "terms": terms,
        "seconds": 0.5 * iteration,
    }


def record(
    folder: Path,
    *,
    status: str = "budget spent",
    image: bool = True,
    experiment: Mapping[str, Any] = EXPERIMENT,
    **manifest: Any,
) -> Path:
    """Writes a run's folder of three iterations; one that is running or has failed holds no results."""
    folder.mkdir(parents=True)
    write_json(folder / "experiment.json", experiment)
    ended = {} if status in ("running", "failed") else {**ENDED, "metrics": METRICS}
    known = {"versions": {"jax": "1.2"}, "device": {"platform": "cpu"}, "weights": {"name": "w", "sha256": "5ea1"}}
    text = json.dumps({"status": status, **known, **ended, **manifest})
    (folder / "manifest.json").write_text(text, encoding="utf-8")
    lines = "".join(json.dumps(line(index, 1 / (index + 1))) + "\n" for index in range(3))
    (folder / "metrics.jsonl").write_text(lines, encoding="utf-8")
    if image:
        write_image(folder / "result.png", np.full((6, 8, 3), 0.3))
    return folder


def sweep(folder: Path, *, begun: int, planned: int) -> Path:
    """Writes a sweep over α of which some members have run."""
    folder.mkdir(parents=True)
    values = [10.0**-index for index in range(planned)]
    write_json(folder / "experiment.json", EXPERIMENT | {"sweep": {"mode": "grid", "loss.content_weight": values}})
    for index in range(begun):
        member = {"index": index, "label": f"α {index}", "values": {"loss.content_weight": values[index]}}
        loss = {**EXPERIMENT["loss"], "content_weight": values[index]}
        record(folder / "members" / str(index), experiment={**EXPERIMENT, "loss": loss}, member=member)
    return folder


def source(path: Path, level: float) -> dict[str, Any]:
    """Writes an image; returns what a manifest says of it."""
    write_image(path, np.full((5, 7, 3), level))
    return {"path": str(path), "sha256": hashlib.sha256(path.read_bytes()).hexdigest(), "notes": []}


def rows(report: Report) -> list[dict[str, str]]:
    with open(report.folder / "table.csv", newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def text_of(report: Report) -> str:
    return (report.folder / "index.html").read_text(encoding="utf-8")


ELEMENTS = re.compile(
    "html|head|meta|title|style|script|body|header|footer|section|p|h[123]|div|span|b|code|figure|figcaption|picture|"
    "source|img|label|input|output|table|thead|tbody|tr|t[hd]|d[ltd]|wbr"
)
"""Of HTML, those that a report uses; a browser takes an unknown one for a span."""


class Strict(html.parser.HTMLParser):
    """Collects what a page would load or execute, and proves that its elements are HTML's and closed in order."""

    def __init__(self, content: str):
        super().__init__()
        self.tags: set[str] = set()
        self.addresses: list[str] = []
        self.words: list[str] = []
        self.scripts: list[str] = []
        self._open: list[str] = []
        self.feed(content)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        assert ELEMENTS.fullmatch(tag)
        assert tag != "source" or self._open[-1] == "picture"
        for name, found in attrs:
            assert not name.startswith("on")
            assert name != "style"  # the policy would ignore it
            if name in ("src", "srcset", "href", "action", "data"):
                self.addresses.append(found or "")
        if tag not in ("meta", "img", "input", "source", "wbr"):
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        (self.scripts if self._open and self._open[-1] == "script" else self.words).append(data)
