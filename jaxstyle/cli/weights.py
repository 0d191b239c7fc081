"""`jaxstyle weights`: fetch, list, verify, convert, normalize."""

from pathlib import Path
from typing import Annotated

import typer

from jaxstyle.cli.show import echo, output
from jaxstyle.errors import JaxstyleError

app = typer.Typer(help="The network's weights: fetch, list, verify, convert, normalize.", no_args_is_help=True)

Force = Annotated[bool, typer.Option("--force", help="Replace a file that is there.")]


@app.command()
def fetch(
    name: Annotated[
        str, typer.Argument(help="vgg19 (Oxford), or vgg19-normalized, which is derived from it.")
    ] = "vgg19",
    force: Force = False,
) -> None:
    """Fetch a set of weights and convert it; nothing is fetched that is there already.

    Example: jaxstyle weights fetch vgg19-normalized
    """
    from jaxstyle.network import weights

    echo(f"{name}: {weights.fetch(name, force=force, progress=echo)}")


@app.command("list")
def list_sets() -> None:
    """List the sets that are known and those that are in the store.

    Example: jaxstyle weights list
    """
    from jaxstyle.network import weights

    echo(f"store: {weights.store_folder()}")
    for entry in weights.available():
        echo(f"  {entry.name:<18} {'here' if entry.path else 'not here'}  {entry.description}")


@app.command()
def verify(
    name: Annotated[
        str | None, typer.Argument(help="A set or a converted file; all that are in the store if absent.")
    ] = None,
) -> None:
    """Prove that converted weights are complete and, for known sets, that they are the known numbers.

    Example: jaxstyle weights verify vgg19
    """
    from jaxstyle.network import weights

    results = weights.verify(name)
    for result in results:
        echo(f"{'ok' if result.ok else 'BAD'}  {result.name}: {result.message}")
    if not results:
        echo("nothing in the store yet; `jaxstyle weights fetch` brings the default set")
    if not all(result.ok for result in results):
        raise typer.Exit(2)


@app.command()
def convert(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="Weights as another program wrote them; see docs/weights.md.")
    ],
    out: Annotated[Path, typer.Option("--output", "-o", metavar="OUT.safetensors", help="The converted file.")],
    network: Annotated[
        str | None, typer.Option(help="oxford, torchvision or oxford-normalized, where the file cannot show it.")
    ] = None,
    force: Force = False,
) -> None:
    """Convert a weight file of another program; nothing in it is ever executed.

    Example: jaxstyle weights convert vgg19-d01eb7cb.pth -o weights/caffe.safetensors
    """
    from jaxstyle.network import weights

    path = weights.convert(file, out, network=network, overwrite=force)
    found = weights.load_converted(path)
    echo(f"{path}: {found.network}, sha256 {found.sha256}")
    for note in found.metadata.get("notes", "").splitlines():
        echo(f"note: {note}")


@app.command()
def normalize(
    images: Annotated[Path, typer.Option("--images", metavar="DIR", help="A folder of images to measure on.")],
    out: Annotated[Path, typer.Option("--output", "-o", metavar="OUT.safetensors", help="The normalized set.")],
    source: Annotated[str, typer.Option("--weights", help="The set to normalize.")] = "vgg19",
    pooling: Annotated[str, typer.Option(help="max, as the network was trained, or average.")] = "max",
    force: Force = False,
) -> None:
    """Scale every filter so that its mean activation on your own images is 1 (Gatys et al., Sec. 2).

    Example: jaxstyle weights normalize --images photos -o weights/mine.safetensors
    """
    from rich.progress import Progress

    from jaxstyle.images.gallery import SUFFIXES
    from jaxstyle.network import weights
    from jaxstyle.network.calibration import measure_mean_activations

    if not images.is_dir():
        raise JaxstyleError(f"{images}: not a folder of images")
    paths = sorted(path for path in images.iterdir() if path.suffix.lower() in SUFFIXES)
    if not paths:
        raise JaxstyleError(f"{images}: no images in it; looked for {', '.join(SUFFIXES)}")
    original = weights.load(source, progress=echo)
    with Progress(console=output, transient=True) as progress:
        task = progress.add_task("mean activations", total=len(paths))
        means = measure_mean_activations(original, paths, pooling=pooling, advance=lambda path: progress.advance(task))
    path = weights.normalize_to(
        original, means, out, measured_on=f"{len(paths)} images, {pooling} pooling", overwrite=force
    )
    echo(f"{path}: normalized on {len(paths)} images")
