"""What the commands do once their arguments are parsed."""

import importlib.util
import os
import time
from pathlib import Path

from jaxstyle import compilation_cache, gallery, record, weights
from jaxstyle.cli.forecast import devices_of, ensure_all_fit, ensure_it_fits, keep_programs, tell_estimates
from jaxstyle.cli.show import DONE, INTERRUPTED, MISTAKE, Watching, complain, tell
from jaxstyle.config import Experiment
from jaxstyle.errors import JaxstyleError, did_you_mean
from jaxstyle.estimates import outlines
from jaxstyle.images import output_format, read_picture, write_picture
from jaxstyle.interrupt import interruptible
from jaxstyle.members import TABLE, run_members
from jaxstyle.optimizers import Result, Status
from jaxstyle.preparation import plan, read_pictures, result_shape
from jaxstyle.runs import read_inputs, run
from jaxstyle.sharding import Devices
from jaxstyle.sweep import Member, expand
from jaxstyle.version import __version__

RUNS = Path("runs")
HERE = "here"


def run_experiment(
    experiment: Experiment,
    *,
    source: str,
    name: str,
    folder: Path | None,
    copy_to: Path | None = None,
    force: bool = False,
    ignore_memory: bool = False,
    devices: str = "1",
) -> int:
    """Runs an experiment, or every member of its sweep, and says where the pictures are; returns the exit status."""
    if copy_to is not None:
        output_format(copy_to, bits=experiment.output.bits)
        if copy_to.exists() and not force:
            raise JaxstyleError(f"{copy_to}: exists already; choose another name, or --force to replace it")
        if experiment.sweep is not None:
            raise JaxstyleError(f"{copy_to}: one picture, but a sweep gives several; for a sweep: jaxstyle run FILE")
    members = expand(experiment, source=source)
    spread = devices_of(devices)
    folder = folder or record.new_folder(RUNS, name)
    keep_programs()
    if experiment.sweep is not None:
        return _run_sweep(experiment, members, folder, source=source, ignore_memory=ignore_memory, devices=spread)
    # Before the folder is made: a picture that is missing, or a size that does not fit, leaves nothing behind.
    inputs = read_inputs(experiment, say=tell)
    plan(experiment, inputs.pictures)
    began = time.perf_counter()
    if not ignore_memory:
        tell("compiling")
        for planned in outlines(experiment, *inputs, devices=spread):
            ensure_it_fits(planned, source=source)
    compiled_ahead = time.perf_counter() - began
    with interruptible() as interrupted, Watching(experiment.optimizer.iterations) as watching:
        finished = run(
            experiment,
            folder,
            inputs=inputs,
            say=watching.say,
            plan=watching.plan,
            watch=watching,
            interrupted=interrupted,
            compiled_ahead=compiled_ahead,
            devices=spread,
        )
    for note in finished.notes:
        tell(f"note: {note}")
    tell(_summary(finished.result))
    tell(f"record:  {finished.folder}")
    if copy_to is not None:
        write_picture(copy_to, finished.result.image, bits=experiment.output.bits, metadata=finished.metadata)
    tell(f"picture: {copy_to or finished.picture}")
    return INTERRUPTED if finished.result.status is Status.INTERRUPTED else DONE


def _run_sweep(
    experiment: Experiment,
    members: list[Member],
    folder: Path,
    *,
    source: str,
    ignore_memory: bool,
    devices: Devices,
) -> int:
    tell(f"{len(members)} members")
    if not ignore_memory:
        ensure_all_fit(members, source=source, devices=devices)

    def watcher(member: Member) -> Watching:
        return Watching(member.experiment.optimizer.iterations, f"{member.index + 1}/{len(members)} {member.label}")

    with interruptible() as interrupted:
        outcomes = run_members(experiment, members, folder, watcher=watcher, interrupted=interrupted, devices=devices)
    for outcome in outcomes:
        label = f"{outcome.member.index}: {outcome.member.label}"
        if outcome.run is not None:
            tell(f"{label}: {_summary(outcome.run.result)}")
        else:
            complain(f"member {label}: {outcome.error}")
    tell(f"record: {folder}")
    tell(f"table:  {folder / TABLE}")
    if len(outcomes) < len(members) or any(outcome.status == Status.INTERRUPTED for outcome in outcomes):
        return INTERRUPTED
    return DONE if all(outcome.run for outcome in outcomes) else MISTAKE


def _summary(result: Result) -> str:
    best = "; the best picture so far is saved" if result.status is Status.INTERRUPTED else ""
    work = f"{result.evaluations} evaluations in {result.run_seconds:.0f} s"
    return f"{result.status}: {work}, loss {result.loss:.5g}{best}"


def check_experiment(experiment: Experiment, *, source: str, estimate: bool = True, devices: str = "1") -> None:
    """Shows what an experiment file says, proves that its pictures can be read, and says what the run will take.

    Raises:
      JaxstyleError: something would stop the run.
    """
    members = expand(experiment, source=source)
    spread = devices_of(devices)
    tell(f"{source}: {experiment.title or 'no title'}")
    pictures = sorted({name for member in members for name in _picture_names(member.experiment)})
    for name in pictures:
        picture = read_picture(gallery.resolve(name, relative_to=Path.cwd()))
        height, width, _ = picture.pixels.shape
        tell(f"  {name}: {width}×{height}" + "".join(f"; {note}" for note in picture.notes))
    for scales in dict.fromkeys(_scales_of(member.experiment) for member in members):
        tell(f"  scales: {scales}")
    sets = {member.experiment.network.weights for member in members}
    places = {wanted: _find_weights(wanted, source) for wanted in sorted(sets)}
    for wanted, place in places.items():
        tell(f"  weights {wanted}: {place}")
    for section, values in experiment.to_json().items():
        if isinstance(values, dict):
            tell(f"  [{section}]")
            for key, value in values.items():
                tell(f"    {key} = {value}")
    if experiment.sweep is not None:
        tell(f"  {len(members)} members:")
        for member in members:
            tell(f"    {member.index}: {member.label}")
    absent = [wanted for wanted, place in places.items() if place != HERE]
    if estimate and absent:
        tell(f"  no estimate without the weights: jaxstyle weights fetch {absent[0]}")
    elif estimate:
        keep_programs()
        tell_estimates(members, source=source, devices=spread)
    tell("ok")


def _scales_of(experiment: Experiment) -> str:
    """The sizes at which an experiment is optimized, with the steps at each: `128×96 (341), 256×192 (159)`."""
    pictures = read_pictures(experiment)
    shapes = [(scale, result_shape(pictures, scale.size)) for scale in plan(experiment, pictures)]
    return ", ".join(f"{width}×{height} ({scale.iterations})" for scale, (height, width) in shapes)


def _find_weights(wanted: str, source: str) -> str:
    """Says whether a set of weights is here, or can be fetched."""
    sets = {entry.name: entry.path for entry in weights.available()}
    if wanted in sets:
        return HERE if sets[wanted] else "will be fetched"
    if Path(wanted).is_file():
        return HERE
    hint = did_you_mean(wanted, sets) or "."
    raise JaxstyleError(f"{source}: network.weights: no set or file '{wanted}'{hint} Sets: {', '.join(sets)}")


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
    lines.append(
        f"pictures: {os.environ.get(gallery.ENVIRONMENT) or 'no ' + gallery.ENVIRONMENT}, {gallery.cache_folder()}"
    )
    lines.append(f"compiled programs: {compilation_cache.folder() or 'not kept'} ({compilation_cache.ENVIRONMENT})")
    for module, extra in (("skimage", "demo"), ("h5py", "convert")):
        found = "installed" if importlib.util.find_spec(module) else f"absent; pip install 'jaxstyle[{extra}]'"
        lines.append(f"extra {extra}: {found}")
    return lines


def _picture_names(experiment: Experiment) -> list[str]:
    names = [experiment.image.content, *(style.image for style in experiment.image.style), experiment.start.method]
    return [name for name in names if name and name not in ("content", "style", "noise")]
