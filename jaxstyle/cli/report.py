"""`jaxstyle report`."""

from pathlib import Path
from typing import Annotated

import typer

from jaxstyle.cli.show import tell


def report(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN", help="Folders of runs or sweeps, finished or not.")],
    out: Annotated[
        Path | None, typer.Option("--out", metavar="DIR", help="The report's folder. Default: RUN/report.")
    ] = None,
    rank: Annotated[
        str | None,
        typer.Option(metavar="METRIC", help="A number that says which run is best, such as psnr. Default: the loss."),
    ] = None,
) -> None:
    """Make a page, a panel picture or a contact sheet, loss curves and a table of runs.

    Example: jaxstyle report runs/fig4/20260131-120000 --rank grey_correlation
    """
    from jaxstyle.report import build

    finished = build(runs, out, rank_by=rank)
    count, ranking = len(finished.runs), finished.ranking
    tell("1 run" if count == 1 else f"{count} runs")
    if len(ranking.order) > 1:
        best, worst = (finished.runs[index] for index in (ranking.order[0], ranking.order[-1]))
        tell(f"  best, by the {ranking.rule}: {best.label}; worst: {worst.label}")
    elif ranking.reason:
        tell(f"  no best and worst: {ranking.reason}")
    for file in finished.files:
        tell(f"  {file}")
