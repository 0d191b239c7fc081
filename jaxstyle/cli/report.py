"""`jaxstyle report`."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from jaxstyle.cli.show import echo


class Look(StrEnum):
    """`jaxstyle.config.Display` again, which takes long to import; a test compares them."""

    IMAGE = "image"
    PAPER = "paper"


def report(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN", help="Folders of runs or sweeps, finished or not.")],
    out: Annotated[
        Path | None, typer.Option("--out", metavar="DIR", help="The report's folder. Default: RUN/report.")
    ] = None,
    rank: Annotated[
        str | None,
        typer.Option(
            metavar="METRIC",
            help="A number that says which run is best, such as ssim; of a grid also a table of it. Default: the loss.",
        ),
    ] = None,
    reference: Annotated[
        list[str] | None,
        typer.Option(
            metavar="FILE|NAME",
            help="An image to compare with: a file, paper:fig4-1e-3, or paper:fig4 for its panels; one for all runs, "
            "or one for each in their order, none for a run without.",
        ),
    ] = None,
    reference_display: Annotated[
        Look, typer.Option(help="The look of reference files that do not say theirs: as printed, or as it is.")
    ] = Look.PAPER,
    display: Annotated[
        Look | None,
        typer.Option(help="Show everything as it is, or as the paper's panels were printed. Default: each as it is."),
    ] = None,
) -> None:
    """Make a page, a panel image or a contact sheet, loss curves and a table of runs.

    Example: jaxstyle report runs/fig4/20260131-120000 --rank grey_correlation

    A sweep over folders of images has its contents as rows and its styles as columns.
    """
    from jaxstyle.config import Display
    from jaxstyle.reports import build
    from jaxstyle.reports.grids import grid_lines

    finished = build(
        runs,
        out,
        rank_by=rank,
        references=reference or (),
        reference_display=Display(reference_display),
        display=Display(display) if display else None,
    )
    count, ranking = len(finished.runs), finished.ranking
    echo("1 run" if count == 1 else f"{count} runs")
    if len(ranking.order) > 1:
        best, worst = (finished.runs[index] for index in (ranking.order[0], ranking.order[-1]))
        echo(f"  best, by the {ranking.rule}: {best.label}; worst: {worst.label}")
    elif ranking.reason:
        echo(f"  no best and worst: {ranking.reason}")
    if rank:
        for line in grid_lines(finished.grids):
            echo(line)
    for file in finished.files:
        echo(f"  {file}")
