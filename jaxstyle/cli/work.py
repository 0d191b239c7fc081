"""What the commands do once their arguments are parsed."""

import importlib.util
from pathlib import Path

from jaxstyle import gallery, record, weights
from jaxstyle.cli.show import Watching, tell
from jaxstyle.config import Experiment
from jaxstyle.errors import JaxstyleError
from jaxstyle.images import output_format, read_picture, write_picture
from jaxstyle.interrupt import interruptible
from jaxstyle.optimizers import Status
from jaxstyle.runs import run
from jaxstyle.sweep import expand
from jaxstyle.version import __version__

RUNS = Path("runs")


def run_experiment(
    experiment: Experiment,
    *,
    source: str,
    name: str,
    folder: Path | None,
    copy_to: Path | None = None,
    force: bool = False,
) -> Status:
    """Runs an experiment and says where the picture is; returns how it ended."""
    if copy_to is not None:
        output_format(copy_to, bits=experiment.output.bits)
        if copy_to.exists() and not force:
            raise JaxstyleError(f"{copy_to}: exists already; choose another name, or --force to replace it")
    folder = folder or record.new_folder(RUNS, name)
    with interruptible() as interrupted, Watching(experiment.optimizer.iterations) as watching:
        finished = run(experiment, folder, say=watching.say, watch=watching, interrupted=interrupted)
    result = finished.result
    for note in finished.notes:
        tell(f"note: {note}")
    shown = finished.picture
    if copy_to is not None:
        metadata = finished.metadata
        write_picture(copy_to, result.image, bits=experiment.output.bits, metadata=metadata)
        shown = copy_to
    tell(f"{result.status}: {result.evaluations} evaluations in {result.run_seconds:.0f} s, loss {result.loss:.5g}")
    if result.status is Status.INTERRUPTED:
        tell("interrupted: the best picture so far is saved")
    tell(f"record:  {finished.folder}")
    tell(f"picture: {shown}")
    return result.status


def check_experiment(experiment: Experiment, *, source: str) -> None:
    """Shows what an experiment file says, and proves that its pictures can be read.

    Raises:
      JaxstyleError: something would stop the run.
    """
    members = expand(experiment, source=source)
    tell(f"{source}: {experiment.title or 'no title'}")
    pictures = sorted({name for member in members for name in _picture_names(member.experiment)})
    for name in pictures:
        picture = read_picture(gallery.resolve(name, relative_to=Path.cwd()))
        height, width, _ = picture.pixels.shape
        tell(f"  {name}: {width}×{height}" + "".join(f"; {note}" for note in picture.notes))
    stored = {entry.name for entry in weights.available() if entry.path is not None}
    for wanted in sorted({member.experiment.network.weights for member in members}):
        tell(f"  weights {wanted}: " + ("here" if wanted in stored or Path(wanted).exists() else "will be fetched"))
    for section, values in experiment.to_json().items():
        if isinstance(values, dict):
            tell(f"  [{section}]")
            for key, value in values.items():
                tell(f"    {key} = {value}")
    if experiment.sweep is not None:
        tell(f"  {len(members)} members:")
        for member in members:
            tell(f"    {member.index}: {member.label}")
    tell("ok")


def diagnose() -> list[str]:
    """The facts that a question about an installation needs."""
    facts = record.environment()
    lines = [f"jaxstyle {__version__}, python {facts['versions']['python']}"]
    lines += [f"  {package} {version}" for package, version in facts["versions"].items() if package in record.PACKAGES]
    device = facts["device"]
    lines.append(
        f"device: {device['count']} × {device['kind']} ({device['platform']}), {device['cpu_count']} CPU cores"
    )
    lines.append(f"weights: {weights.store_folder()}")
    lines += [f"  {entry.name}: {entry.path or 'not here yet'}" for entry in weights.available()]
    lines.append(f"pictures: {gallery.cache_folder()}")
    for module, extra in (("skimage", "demo"), ("h5py", "convert")):
        found = "installed" if importlib.util.find_spec(module) else f"absent; pip install 'jaxstyle[{extra}]'"
        lines.append(f"extra {extra}: {found}")
    return lines


def _picture_names(experiment: Experiment) -> list[str]:
    names = [experiment.image.content, *(style.image for style in experiment.image.style), experiment.start.method]
    return [name for name in names if name and name not in ("content", "style", "noise")]
