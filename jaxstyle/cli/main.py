"""The commands that make images. What is slow to import is imported where it is used, so that `--help` is quick."""

import contextlib
import gc
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from jaxstyle.cli import images, weights
from jaxstyle.cli.engines import EngineName, EngineOptions
from jaxstyle.cli.report import report
from jaxstyle.cli.show import INTERRUPTED, MISTAKE, echo, echo_error, echo_warnings
from jaxstyle.cli.terms import terms
from jaxstyle.cli.watch import watch as watch_command
from jaxstyle.errors import JaxstyleError, Note
from jaxstyle.version import __version__


class Commands(TyperGroup):
    """Turns what a user can cause into a message and an exit status, never a traceback."""

    def invoke(self, ctx: Any) -> Any:
        """Runs the command."""
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("always", Note)  # where a user has made errors of warnings, not of these
                warnings.showwarning = echo_warnings()
                return super().invoke(ctx)
        except JaxstyleError as error:
            echo_error(str(error))
            raise typer.Exit(MISTAKE) from None
        except KeyboardInterrupt:
            echo_error("interrupted")
            raise typer.Exit(INTERRUPTED) from None


app = typer.Typer(
    name="jaxstyle",
    cls=Commands,
    help="Image style transfer by optimization, after Gatys, Ecker and Bethge (CVPR 2016).\n\n"
    "Start with: jaxstyle transfer photo.jpg painting.jpg -o out.png",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
app.add_typer(weights.app, name="weights")
app.add_typer(images.app, name="images")
app.command()(report)
app.command()(terms)
app.command("watch")(watch_command)

Overrides = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="SECTION.KEY=VALUE", help="Change a key of the experiment; may be repeated."),
]
Fast = Annotated[
    bool,
    typer.Option("--fast", help="In a hurry: from small to large, with the work of 200 steps (image.scales=fast)."),
]
Folder = Annotated[
    Path | None,
    typer.Option(
        "--out",
        metavar="DIR",
        help="The run's folder. Default: where this experiment was run last, or runs/NAME/TIME in the current folder.",
    ),
]
Fresh = Annotated[bool, typer.Option("--fresh", help="Start a new run even where an earlier one could be resumed.")]
IgnoreMemory = Annotated[
    bool, typer.Option("--ignore-memory", help="Run even what is estimated to need more memory than is available.")
]
Watch = Annotated[bool, typer.Option("--watch", help="Follow the run on a page in the browser and print its address.")]
Devices = Annotated[
    str,
    typer.Option(
        "--devices", metavar="N|all", help="Spread each image over so many devices, if it is too large for one."
    ),
]


@contextlib.contextmanager
def _importing() -> Iterator[None]:
    """Keeps the garbage collector from looking through what is being imported, again and again: nothing of it goes.

    Raises:
      JaxstyleError: jax cannot be imported with what the environment says.
    """
    if "jax" in sys.modules:  # nothing large is left to import
        yield
        return
    gc.disable()
    try:
        yield
    except ValueError as error:
        if isinstance(error, JaxstyleError):
            raise
        raise JaxstyleError(f"jax cannot be imported: {error}") from error
    finally:
        gc.freeze()
        gc.enable()


def _with_fast(overrides: list[str] | None, fast: bool) -> list[str]:
    """The overrides, behind the one that `--fast` stands for."""
    return [*(["image.scales=fast"] if fast else []), *(overrides or ())]


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"jaxstyle {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    pass


@app.command()
def run(
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE",
            help="An experiment file (.toml), a run's experiment.json, or an image that jaxstyle made, which carries "
            "its settings.",
        ),
    ],
    overrides: Overrides = None,
    fast: Fast = False,
    out: Folder = None,
    fresh: Fresh = False,
    ignore_memory: IgnoreMemory = False,
    lanes: Annotated[
        str | None,
        typer.Option(
            metavar="N|auto",
            help="How many members of a sweep run at once; auto: as many as the device gains by, on a CPU a few of "
            "64 pixels. Default: as when the sweep was begun, else auto on an accelerator and 1 on a CPU, where the "
            "number changes the rounding.",
        ),
    ] = None,
    engine: Annotated[
        EngineName,
        typer.Option(help="Where members are computed: one after another here, or on the machines of a Ray cluster."),
    ] = EngineName.LOCAL,
    address: Annotated[
        str | None,
        typer.Option(
            metavar="HOST:PORT",
            help="With --engine ray: the cluster's head, or auto for the one this machine belongs to. "
            "Default: $RAY_ADDRESS, else this machine alone.",
        ),
    ] = None,
    cores_per_member: Annotated[
        int | None,
        typer.Option(
            min=1, help="With --engine ray: CPU cores for each member. Default: 1 beside a GPU, else up to 4."
        ),
    ] = None,
    gpus_per_member: Annotated[
        float | None,
        typer.Option(
            min=0,
            help="With --engine ray: GPUs, or TPU chips, for each member; 0.5 lets two share one, 0 uses the CPU. "
            "Default: 1 where the cluster has some.",
        ),
    ] = None,
    devices: Devices = "1",
    watch: Watch = False,
) -> None:
    """Run an experiment file and record it. A run that was stopped is resumed; a finished one is not repeated.

    Example: jaxstyle run experiments/quickstart.toml --set image.size=384 --set loss.style_weight=2

    Every photo of a folder: jaxstyle run my.toml --set 'sweep.image.content=photos/*.jpg'

    An image again, but larger: jaxstyle run result.png --set image.size=1024
    """
    with _importing():
        from jaxstyle.cli.experiments import run_experiment
        from jaxstyle.runs.image_settings import load_settings, name_of

    experiment = load_settings(file, _with_fast(overrides, fast))
    status = run_experiment(
        experiment,
        source=str(file),
        name=name_of(file),
        folder=out,
        fresh=fresh,
        ignore_memory=ignore_memory,
        engine=EngineOptions(engine, address, cores_per_member, gpus_per_member),
        lanes=lanes,
        devices=devices,
        watch=watch,
    )
    raise typer.Exit(status)


@app.command()
def transfer(
    content: Annotated[str, typer.Argument(metavar="CONTENT", help="The image whose content is kept.")],
    style: Annotated[list[str], typer.Argument(metavar="STYLE", help="The image, or images, of the style.")],
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="OUT.png", help="Where the result goes: .png, .jpg, .tif, .webp.")
    ],
    size: Annotated[int | None, typer.Option(help="The long side in pixels (image.size).")] = None,
    iterations: Annotated[int | None, typer.Option(help="Steps of the optimizer (optimizer.iterations).")] = None,
    content_weight: Annotated[
        float | None, typer.Option(help="α (loss.content_weight): more keeps more content.")
    ] = None,
    style_weight: Annotated[float | None, typer.Option(help="β (loss.style_weight).")] = None,
    start: Annotated[str | None, typer.Option(help="content, style, noise or an image (start.method).")] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of the noise (start.seed).")] = None,
    overrides: Overrides = None,
    fast: Fast = False,
    out: Folder = None,
    fresh: Fresh = False,
    force: Annotated[bool, typer.Option("--force", help="Replace OUT.png if it exists.")] = False,
    ignore_memory: IgnoreMemory = False,
    devices: Devices = "1",
    watch: Watch = False,
) -> None:
    """Give one image the style of another.

    Every key of an experiment file can be set with --set.

    Example: jaxstyle transfer photo.jpg painting.jpg -o out.png --size 384 --set optimizer.method=adam
    """
    with _importing():
        from jaxstyle.cli.experiments import run_experiment
        from jaxstyle.config import experiment_from_mapping

    tables = {
        "image": {"content": content, "style": style, "size": size},
        "loss": {"content_weight": content_weight, "style_weight": style_weight},
        "start": {"method": start, "seed": seed},
        "optimizer": {"iterations": iterations},
    }
    given = {name: {key: value for key, value in table.items() if value is not None} for name, table in tables.items()}
    experiment = experiment_from_mapping(
        {"title": f"{Path(content).stem} in the style of {Path(style[0]).stem}", **given},
        source="jaxstyle transfer",
        folder=Path.cwd(),
        overrides=_with_fast(overrides, fast),
    )
    status = run_experiment(
        experiment,
        source="jaxstyle transfer",
        name=output.stem,
        folder=out,
        copy_to=output,
        force=force,
        fresh=fresh,
        ignore_memory=ignore_memory,
        devices=devices,
        watch=watch,
    )
    raise typer.Exit(status)


@app.command()
def check(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="An experiment file, or an image that jaxstyle made.")],
    overrides: Overrides = None,
    fast: Fast = False,
    estimate: Annotated[
        bool, typer.Option("--estimate/--no-estimate", help="Say how much memory and time the run will take.")
    ] = True,
    devices: Devices = "1",
) -> None:
    """Check an experiment file and its images without running it; show every setting, and what the run will take.

    Example: jaxstyle check experiments/quickstart.toml --set image.size=384

    What made an image: jaxstyle check result.png --no-estimate
    """
    with _importing():
        from jaxstyle.cli.experiments import check_experiment
        from jaxstyle.runs.image_settings import is_image, load_settings, made_with

    for line in made_with(file) if is_image(file) else ():
        echo(line)
    experiment = load_settings(file, _with_fast(overrides, fast))
    check_experiment(experiment, source=str(file), estimate=estimate, devices=devices)


@app.command()
def doctor() -> None:
    """Show versions, the device, the weights and the folders in use; for a question or a report of a fault.

    Example: jaxstyle doctor
    """
    with _importing():
        from jaxstyle.cli.doctor import diagnose

    for line in diagnose():
        echo(line)
