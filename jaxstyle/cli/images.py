"""`jaxstyle images`: the named images."""

import os
from pathlib import Path
from typing import Annotated

import typer

from jaxstyle.cli.show import echo, output
from jaxstyle.errors import JaxstyleError

app = typer.Typer(help="Named images, such as paper:neckarfront: list, fetch, from-paper.", no_args_is_help=True)


@app.command("list")
def list_images() -> None:
    """List the named images, whose they are, and which of them are here.

    Example: jaxstyle images list
    """
    from jaxstyle.images import gallery

    for entry in gallery.entries():
        path = gallery.find(entry.name)
        echo(f"paper:{entry.name:<18} {'here' if path else 'not here'}  {entry.caption}; {entry.rights}")
    for name in gallery.bundled_names():
        echo(f"skimage:{name}")


@app.command("from-paper")
def from_paper(
    pdf: Annotated[Path, typer.Argument(metavar="PAPER.pdf", help="Your copy of Gatys et al., CVPR 2016.")],
) -> None:
    """Take the printed panels out of your own copy of the paper, into the folder that JAXSTYLE_IMAGES names.

    Example: jaxstyle images from-paper Gatys_CVPR_2016.pdf
    """
    from jaxstyle.images import gallery, printed

    if not os.environ.get(gallery.ENVIRONMENT):
        raise JaxstyleError(f"{gallery.ENVIRONMENT} names no folder; set it to the one that the panels are to go into")
    folder = next(gallery.folders())
    for name, fate in printed.from_pdf(pdf, folder).items():
        echo(f"{folder / name}: {fate}")


@app.command()
def fetch(
    names: Annotated[list[str], typer.Argument(help="Names as `jaxstyle images list` shows them.")],
) -> None:
    """Fetch named images into the cache and check them; says what to do where one must be supplied by hand.

    Example: jaxstyle images fetch neckarfront composition_vii
    """
    from rich.progress import DownloadColumn, Progress, TransferSpeedColumn

    from jaxstyle.images import gallery

    columns = (*Progress.get_default_columns(), DownloadColumn(), TransferSpeedColumn())
    for name in names:
        with Progress(*columns, console=output, transient=True) as bar:
            task = bar.add_task(name, total=None)
            path = gallery.fetch(
                name.removeprefix("paper:"),
                lambda done, total, task=task: bar.update(task, completed=done, total=total),
            )
        echo(f"{name}: {path}")
