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
) -> None:
    """Make a page, a panel picture, loss curves and a table of runs.

    Example: jaxstyle report runs/fig4/20260131-120000
    """
    from jaxstyle.report import build

    finished = build(runs, out)
    count = len(finished.runs)
    tell("1 run" if count == 1 else f"{count} runs")
    for file in finished.files:
        tell(f"  {file}")
