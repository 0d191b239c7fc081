"""`jaxstyle watch`."""

from pathlib import Path
from typing import Annotated

import typer

from jaxstyle.cli.show import echo
from jaxstyle.errors import JaxstyleError, did_you_mean
from jaxstyle.watch.serving import HERE, PORT, ensure_installed, listen, open_browser, serve

RUNS = Path("runs")


def watch(
    runs: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="[RUN]...",
            help="Folders of runs or sweeps, or folders that hold some. Default: runs in the current folder.",
            show_default=False,
        ),
    ] = None,
    host: Annotated[
        str,
        typer.Option(
            metavar="ADDRESS",
            help="Where to listen. Another than this machine's own lets others in who know the address.",
        ),
    ] = HERE,
    port: Annotated[
        int | None,
        typer.Option(min=1, max=65535, help=f"Default: the first from {PORT} on that is free.", show_default=False),
    ] = None,
    idle: Annotated[
        float | None,
        typer.Option(
            metavar="MINUTES",
            min=0.1,
            help="End when nothing has run and no page was open for so long. Default: never.",
        ),
    ] = None,
    browser: Annotated[bool, typer.Option(help="Open the page, where there is a screen.")] = True,
) -> None:
    """Follow runs in the browser: images, loss curves, time left. Of any process, also of another machine's.

    Only records are read. Ctrl-C ends it; the runs go on.

    Example: jaxstyle watch runs/fig4/20260131-120000
    """
    ensure_installed()
    folders = runs or [RUNS]
    for folder in folders:
        if not folder.is_dir():
            if folder.exists():
                raise JaxstyleError(f"{folder}: is a file; name the run's folder")
            beside = [path.name for path in folder.parent.iterdir()] if folder.parent.is_dir() else []
            raise JaxstyleError(f"{folder}: no such folder{did_you_mean(folder.name, beside)}")
    place = listen(host, port)
    echo(f"watch:  {place.address}")
    echo("        Ctrl-C ends it")
    if browser:
        open_browser(place.address)
    serve(folders, place, idle_minutes=idle)
