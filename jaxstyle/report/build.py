"""Records in, four files out: `panels.png`, `curves.png`, `table.csv`, `index.html`."""

import csv
import dataclasses
import io
from collections.abc import Sequence
from pathlib import Path

from jaxstyle.errors import JaxstyleError
from jaxstyle.files import write_beside
from jaxstyle.report.page import page
from jaxstyle.report.records import Recorded, read_runs

PANELS, CURVES, TABLE, PAGE = "panels.png", "curves.png", "table.csv", "index.html"
SCREEN_DPI = 160


@dataclasses.dataclass(frozen=True)
class Report:
    """Where the report is, and what it is about."""

    folder: Path
    runs: Sequence[Recorded]

    @property
    def files(self) -> list[Path]:
        """The files, the page first."""
        return [self.folder / name for name in (PAGE, PANELS, CURVES, TABLE)]


def build(folders: Sequence[Path], output: Path | None = None) -> Report:
    """Reports on runs and sweeps, finished or not.

    Args:
      folders: run or sweep folders, as `jaxstyle run` makes them.
      output: the report's folder; by default `report` in the first of them. Its own four files are replaced.

    Raises:
      JaxstyleError: a folder holds no run, matplotlib is not installed, or the report cannot be written.
    """
    try:
        from jaxstyle.report import figures
    except ModuleNotFoundError as error:
        if error.name != "matplotlib":
            raise
        raise JaxstyleError("reports need matplotlib: pip install 'jaxstyle[report]'") from None

    runs = read_runs(folders)
    output = output or folders[0] / "report"
    title = _title(runs)
    pictures = {index: run.picture.read_bytes() for index, run in enumerate(runs) if run.picture is not None}
    sources = figures.shared_sources(runs)
    curves = figures.curves(runs, title)
    write_beside(output / PANELS, figures.png(figures.panels(runs, title)))
    write_beside(output / CURVES, figures.png(curves))
    write_beside(output / TABLE, _table(runs).encode())
    write_beside(output / PAGE, page(title, runs, pictures, sources, figures.png(curves, SCREEN_DPI)).encode())
    return Report(output, runs)


def _title(runs: Sequence[Recorded]) -> str:
    titles = list(dict.fromkeys(str(run.experiment.get("title") or run.label) for run in runs))
    return titles[0] if len(titles) == 1 else f"{titles[0]} and {len(titles) - 1} more"


def _table(runs: Sequence[Recorded]) -> str:
    """One line per run: the label, the folder, what differs between runs, and every number."""
    settings = [run.settings for run in runs]
    varied = [
        key
        for key in dict.fromkeys(key for each in settings for key in each)
        if len({str(s.get(key)) for s in settings}) > 1
    ]
    rows = [
        {"label": run.label, "folder": str(run.folder)}
        | {key: each.get(key, "") for key in varied}
        | run.numbers
        | ({"error": run.manifest["error"]} if "error" in run.manifest else {})
        for run, each in zip(runs, settings, strict=True)
    ]
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, list(dict.fromkeys(column for row in rows for column in row)), restval="")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()
