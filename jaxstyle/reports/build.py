"""Records in, files out: `index.html`, `panels.png`, `curves.png`, `table.csv`, `table.jsonl`, of grids `grid.csv`."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

from jaxstyle.config import Display
from jaxstyle.errors import JaxstyleError
from jaxstyle.files import write_atomically
from jaxstyle.reports.grids import Grid, grid_section, grid_text, grids
from jaxstyle.reports.images import MANY, OF_MANY, find_sources, show
from jaxstyle.reports.layout import lay_out, sheets
from jaxstyle.reports.ranking import Ranking, rank
from jaxstyle.reports.records import Recorded, read_runs
from jaxstyle.reports.references import find_references
from jaxstyle.reports.table import table_lines, table_text
from jaxstyle.runs.folders import EXPERIMENT

PAGE, PANELS, CURVES, TABLE, LINES = FILES = ("index.html", "panels.png", "curves.png", "table.csv", "table.jsonl")
GRID = "grid.csv"


@dataclasses.dataclass(frozen=True)
class Report:
    """Where the report is, and what it is about. In a notebook it shows its panels."""

    folder: Path
    runs: Sequence[Recorded]
    ranking: Ranking
    grids: Sequence[Grid] = ()

    @property
    def files(self) -> list[Path]:
        """The files, the page first."""
        return [self.folder / name for name in (*FILES, *([GRID] if self.grids else []))]

    @property
    def page(self) -> Path:
        """The page, which needs no other file."""
        return self.folder / PAGE

    @property
    def panels(self) -> Path:
        """The images side by side, or the sweep's contact sheet, for print."""
        return self.folder / PANELS

    def __repr__(self) -> str:
        """Where it is, without the records that it is about."""
        return f"Report({self.page}: {len(self.runs)} runs)"

    def _repr_html_(self) -> str:
        from jaxstyle.reports.notebook import of_report

        return of_report(self)


def build(
    folders: Sequence[Path],
    output: Path | None = None,
    *,
    rank_by: str | None = None,
    references: Sequence[str] = (),
    reference_display: Display | None = None,
    display: Display | None = None,
) -> Report:
    """Reports on runs and sweeps, finished or not.

    Args:
      folders: run or sweep folders, as `jaxstyle run` makes them.
      output: the report's folder; by default `report` in the first of them. An earlier report there is replaced.
      rank_by: the number by which runs are best or worst, such as `psnr`; by default the loss, where all minimized the
        same one.
      references: what to compare the runs with, as `find_references` takes them.
      reference_display: the look of references that do not say theirs.
      display: the look to show everything in; by default each file's own.

    Raises:
      JaxstyleError: a folder holds no run, no run has the number, a reference cannot be read, matplotlib is not
        installed, or the report cannot be written, for instance because something else is there.
    """
    try:
        from jaxstyle.reports.cells import reference_cell
        from jaxstyle.reports.curves import DARK, LIGHT, curves
        from jaxstyle.reports.drawing import encode
        from jaxstyle.reports.exhibits import comparison
        from jaxstyle.reports.page import GENERATOR, Curves, page
        from jaxstyle.reports.panels import panels
        from jaxstyle.reports.sheet import contact_sheet
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != "matplotlib":
            raise
        raise JaxstyleError("reports need matplotlib: pip install 'jaxstyle[report]'") from None

    runs = read_runs(folders)
    output = output or folders[0] / "report"
    _refuse_to_replace(output, GENERATOR)
    title = _title(runs)
    ranking, laid_out = rank(runs, rank_by), sheets(lay_out(runs))
    tables = grids(runs, laid_out, ranking)
    compared = find_references(runs, references, reference_display) if references else {}
    size = OF_MANY if len(runs) > MANY else None
    shown, sources = [show(run, display, size=size) for run in runs], find_sources(runs)
    beside = {index: reference_cell(index, found, display) for index, found in compared.items()}
    section = comparison(runs, shown, compared, display)
    themes = Curves(*(encode(curves(runs, theme=theme), "svg", transparent=True) for theme in (LIGHT, DARK)))
    images = (
        contact_sheet(laid_out, runs, shown, sources, title)
        if laid_out
        else panels(runs, shown, sources, title, beside)
    )
    numbers = {index: {"name": found.name, **found.numbers} for index, found in compared.items()}
    contents = {
        PAGE: page(
            title, runs, shown, sources, themes, ranking, section, grid_section(tables)
        ).encode(),  # first: it marks the folder as a report's
        PANELS: encode(images, "png"),
        CURVES: encode(curves(runs, title), "png"),
        TABLE: table_text(runs, ranking.ranks, numbers).encode(errors="replace"),
        LINES: table_lines(runs, ranking.ranks, numbers).encode(),
    }
    contents |= {GRID: grid_text(tables).encode(errors="replace")} if tables else {}
    for name, content in contents.items():
        write_atomically(output / name, content)
    if not tables:
        (output / GRID).unlink(missing_ok=True)  # of an earlier report
    return Report(output, runs, ranking, tables)


def _title(runs: Sequence[Recorded]) -> str:
    titles = list(dict.fromkeys(run.title or run.label for run in runs))
    return "; ".join(titles) if len(titles) <= 3 else f"{titles[0]} and {len(titles) - 1} more"


def _refuse_to_replace(output: Path, generator: str) -> None:
    """Raises an error if the report would replace files that are not an earlier report's."""
    if (output / EXPERIMENT).exists():
        raise JaxstyleError(f"{output}: is a run's own folder; name another, such as {output / 'report'}")
    strangers = [name for name in (*FILES, GRID) if (output / name).exists()]
    try:
        with open(output / PAGE, encoding="utf-8", errors="replace") as file:
            ours = f'content="{generator}"' in file.read(2000)
    except OSError:
        ours = False
    if strangers and not ours:
        raise JaxstyleError(f"{output}: holds {', '.join(strangers)} that no report wrote; name another folder")
