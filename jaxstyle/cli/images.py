"""`jaxstyle images`: the named pictures."""

from typing import Annotated

import typer

from jaxstyle.cli.show import output, tell

app = typer.Typer(help="Named pictures, such as paper:neckarfront: list, fetch.", no_args_is_help=True)


@app.command("list")
def list_pictures() -> None:
    """List the named pictures, whose they are, and which of them are here.

    Example: jaxstyle images list
    """
    from jaxstyle import gallery

    for entry in gallery.entries():
        path = gallery.find(entry.name)
        tell(f"paper:{entry.name:<18} {'here' if path else 'not here'}  {entry.caption}; {entry.rights}")
    for name in gallery.bundled_names():
        tell(f"skimage:{name}")


@app.command()
def fetch(
    names: Annotated[list[str], typer.Argument(help="Names as `jaxstyle images list` shows them.")],
) -> None:
    """Fetch named pictures into the cache and check them; says what to do where one must be supplied by hand.

    Example: jaxstyle images fetch neckarfront composition_vii
    """
    from rich.progress import DownloadColumn, Progress, TransferSpeedColumn

    from jaxstyle import gallery

    columns = (*Progress.get_default_columns(), DownloadColumn(), TransferSpeedColumn())
    for name in names:
        with Progress(*columns, console=output, transient=True) as bar:
            task = bar.add_task(name, total=None)
            path = gallery.fetch(
                name.removeprefix("paper:"),
                lambda done, total, task=task: bar.update(task, completed=done, total=total),
            )
        tell(f"{name}: {path}")
