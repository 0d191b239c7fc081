"""What the commands do once their arguments are parsed."""

import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence, Set
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from jaxstyle.cli.devices import ONE, number_or_word, parse_devices
from jaxstyle.cli.engines import EngineOptions, build_engine
from jaxstyle.cli.forecast import echo_estimates, keep_programs, load_weights
from jaxstyle.cli.show import DONE, INTERRUPTED, MISTAKE, MemberProgress, RunProgress, SweepProgress, echo, echo_error
from jaxstyle.config import Experiment
from jaxstyle.devices.jax_settings import pinned
from jaxstyle.devices.sharding import Devices
from jaxstyle.errors import JaxstyleError, did_you_mean
from jaxstyle.files import ensure_writable, write_atomically
from jaxstyle.images import gallery, output_format, read_image, read_metadata, write_image
from jaxstyle.network import weights
from jaxstyle.optimizers import Status
from jaxstyle.runs import folders
from jaxstyle.runs.folders import RESULT
from jaxstyle.runs.places import find_folder, open_place
from jaxstyle.runs.runner import Inputs, read_inputs, run
from jaxstyle.sweeps.conduct import Place, conduct
from jaxstyle.sweeps.continuing import changed_images
from jaxstyle.sweeps.engines import Engine, Job
from jaxstyle.sweeps.expansion import Member, expand
from jaxstyle.sweeps.fitting import COMMAND, ensure_it_fits, extent
from jaxstyle.sweeps.lanes import Lanes, parse_lanes
from jaxstyle.sweeps.members import TABLE, continued
from jaxstyle.sweeps.programs import outline_members, programs
from jaxstyle.synthesis.cache import Cache
from jaxstyle.synthesis.estimates import is_light, outlines, sides_of
from jaxstyle.synthesis.interrupt import END_OF_JOB, interruptible
from jaxstyle.synthesis.planning import plan
from jaxstyle.synthesis.preparation import prepare, read_images
from jaxstyle.synthesis.sources import result_shape
from jaxstyle.trackers import tensorboard
from jaxstyle.watch import serving

HERE = "here"


@pinned()
def run_experiment(
    experiment: Experiment,
    *,
    source: str,
    name: str,
    folder: Path | None,
    copy_to: Path | None = None,
    force: bool = False,
    fresh: bool = False,
    ignore_memory: bool = False,
    lanes: str | None = None,
    devices: str = ONE,
    engine: EngineOptions = EngineOptions(),  # noqa: B008  (immutable)
    watch: bool = False,
) -> int:
    """Runs an experiment, or every member of its sweep, and prints where the images are; returns the exit status.

    Resumes in the folder where the same command was stopped, and repeats nothing that is finished there.
    """
    if watch:
        serving.ensure_installed()
    if experiment.output.tensorboard:
        tensorboard.ensure_installed()
    if copy_to is not None:
        _ensure_output(copy_to, experiment, force=force)
    members = expand(experiment, source=source)
    chosen = build_engine(engine, source=source, remedy=None if ignore_memory else COMMAND.remedy)
    at_once = parse_lanes(None if lanes is None else number_or_word(lanes), "--lanes")
    if at_once is not None and not chosen.here:
        raise JaxstyleError(f"--lanes: belongs to --engine local; found --lanes {lanes}")
    over = parse_devices(devices, lanes=at_once, here=chosen.here)
    found = _find(experiment, name, folder, fresh=fresh)
    place = open_place(found, name)
    if watch:
        place = _watched(place)
    if experiment.sweep is not None:
        for line in changed_images(experiment, found) if found else ():
            echo(line)
        members, done = continued(experiment, members, found)
        return _run_sweep(
            experiment,
            members,
            place,
            chosen,
            found=found,
            done=done,
            source=source,
            ignore_memory=ignore_memory,
            lanes=at_once if over == 1 else 1,
            devices=over,
        )
    if found and folders.is_finished(found, members[0].experiment):
        folder, manifest = found, folders.read_manifest(found)
        if watch:
            with serving.beside(folder, log=echo):
                pass
        echo(f"finished before: {_summary(manifest)}")
    else:
        folder, manifest = _run_single(
            members[0], place, chosen, source=source, ignore_memory=ignore_memory, devices=over
        )
    echo(f"record: {folder}")
    _echo_states([folder])
    image = folder / RESULT
    if copy_to is not None and copy_to.suffix.lower() == image.suffix:
        write_atomically(copy_to, image.read_bytes())
    elif copy_to is not None:
        write_image(copy_to, read_image(image).pixels, bits=experiment.output.bits, metadata=read_metadata(image))
    echo(f"image:  {copy_to or image}")
    return INTERRUPTED if manifest["status"] == Status.INTERRUPTED else DONE


@contextmanager
def _watched(place: Place) -> Iterator[Path]:
    """A run's folder, followed by a page of its own."""
    with place as folder, serving.beside(folder, log=echo):
        yield folder


def _ensure_output(path: Path, experiment: Experiment, *, force: bool) -> None:
    """Checks that the image can be written, before it is made.

    Raises:
      JaxstyleError: it cannot.
    """
    output_format(path, bits=experiment.output.bits)
    if experiment.sweep is not None:
        raise JaxstyleError(f"{path}: one image, but a sweep gives several; for a sweep: jaxstyle run FILE")
    ensure_writable(path)
    if path.exists() and not force:
        raise JaxstyleError(f"{path}: exists already; choose another name, or --force to replace it")


def _find(experiment: Experiment, name: str, named: Path | None, *, fresh: bool) -> Path | None:
    """The folder to run in, with a message if this experiment has run there before; None for a new one.

    Raises:
      JaxstyleError: the folder that was named holds something else, or another process is at work there.
    """
    found = find_folder(experiment, name, named, fresh=fresh)
    if found and folders.holds_run(found):
        echo(f"resuming {found}; {'another --out' if named else '--fresh'} starts a new run")
    return found


def _run_single(
    member: Member, place: Place, engine: Engine, *, source: str, ignore_memory: bool, devices: Devices
) -> tuple[Path, Mapping[str, Any]]:
    """Runs an experiment without a sweep; returns its folder and its manifest."""
    keep_programs()
    # Before the folder is made: an image that is missing, or a size that does not fit, leaves nothing behind.
    inputs = read_inputs(member.experiment, log=echo)
    plan(member.experiment, inputs.images, inputs.weights.layout)
    with place as folder:
        if engine.here:
            manifest = _run_here(
                member.experiment, inputs, folder, source=source, ignore_memory=ignore_memory, devices=devices
            )
        else:
            manifest = _run_elsewhere(member, folder, engine)
    for facts in manifest["images"].values():
        for note in facts["notes"]:
            echo(f"note: {facts['path']}: {note}")
    echo(_summary(manifest))
    return folder, manifest


def _run_here(
    experiment: Experiment, inputs: Inputs, folder: Path, *, source: str, ignore_memory: bool, devices: Devices
) -> Mapping[str, Any]:
    cache, compile_seconds, sides = Cache(), 0.0, folders.recorded_sides(folder)
    if not ignore_memory:
        echo("compiling")
        scales = outlines(experiment, *inputs, devices=devices, sides=sides)
        sides = sides_of(scales)
        if all(is_light(outline) for outline in scales):  # compiling continues in the background
            prepare(experiment, *inputs, scales=[scales[0].scale], cache=cache, devices=devices, sides=sides)
        began = time.perf_counter()
        for outline in scales:
            ensure_it_fits(outline, source=source)
        compile_seconds = time.perf_counter() - began
    with interruptible(END_OF_JOB) as interrupted, RunProgress(experiment.optimizer.iterations) as progress:
        return run(
            experiment,
            folder,
            inputs=inputs,
            cache=cache,
            events=progress,
            interrupted=interrupted,
            compile_seconds=compile_seconds,
            devices=devices,
            sides=sides,
        ).manifest


def _run_elsewhere(member: Member, folder: Path, engine: Engine) -> Mapping[str, Any]:
    def events_of(member: Member) -> RunProgress:
        return RunProgress(member.experiment.optimizer.iterations)

    with interruptible(END_OF_JOB) as interrupted:
        outcomes = list(engine.run_jobs([Job(member, folder, {})], events_of=events_of, interrupted=interrupted))
    if not outcomes:
        raise KeyboardInterrupt
    if outcomes[0].error:
        raise JaxstyleError(outcomes[0].error)
    return outcomes[0].manifest


def _run_sweep(
    experiment: Experiment,
    members: list[Member],
    place: Place,
    engine: Engine,
    *,
    found: Path | None,
    done: Set[int],
    source: str,
    ignore_memory: bool,
    lanes: Lanes | None,
    devices: Devices,
) -> int:
    keep_programs()
    sweep_progress = SweepProgress(len(members) - len(done))
    places = {member.index: place for place, member in enumerate(members, start=1)}

    def events_of(member: Member, at_once: int) -> RunProgress | MemberProgress:
        if not engine.here or at_once > 1:
            return sweep_progress.member(member.label)
        name = f"{places[member.index]}/{len(members)} {member.label}"
        return RunProgress(member.experiment.optimizer.iterations, name)

    folder, outcomes = conduct(
        experiment,
        members,
        place,
        engine,
        found=found,
        done=done,
        source=source,
        words=None if ignore_memory else COMMAND,
        lanes=lanes,
        devices=devices,
        signals=END_OF_JOB,
        events_of=events_of,
        log=echo,
    )
    for outcome in outcomes:
        label = f"{outcome.member.index}: {outcome.member.label}"
        if outcome.error is None:
            echo(f"{label}: {_summary(outcome.manifest)}")
        else:
            echo_error(f"member {label}: {outcome.error}")
    echo(f"record: {folder}")
    echo(f"table:  {folder / TABLE}")
    _echo_states([*folder.glob(f"{folders.MEMBERS}/*")])
    if len(outcomes) < len(members) or any(outcome.status == Status.INTERRUPTED for outcome in outcomes):
        return INTERRUPTED
    return MISTAKE if any(outcome.error for outcome in outcomes) else DONE


def _echo_states(places: Sequence[Path]) -> None:
    """Prints how large the states of finished runs are that were kept, so that nobody is surprised."""
    states = [place / folders.CHECKPOINT for place in places if folders.has_ended(place)]
    if size := sum(state.stat().st_size for state in states if state.is_file()):
        echo(f"state:  {size / 1e6:.3g} MB are kept in the record, from which more iterations continue")


def _summary(manifest: Mapping[str, Any]) -> str:
    """How a run ended, in a line."""
    best = "; the best image so far is saved" if manifest["status"] == Status.INTERRUPTED else ""
    work = f"{manifest['evaluations']} evaluations in {manifest['run_seconds']:.0f} s"
    return f"{manifest['status']}: {work}, loss {float(manifest['loss']):.5g}{best}"


@pinned()
def check_experiment(experiment: Experiment, *, source: str, estimate: bool = True, devices: str = ONE) -> None:
    """Shows an experiment's settings, checks that its images can be read, and estimates memory and time.

    Raises:
      JaxstyleError: something would stop the run.
    """
    members, over = expand(experiment, source=source), parse_devices(devices)
    echo(f"{source}: {experiment.title or 'no title'}")
    images = sorted({name for member in members for name in _image_names(member.experiment)})
    for name in images:
        image = read_image(gallery.resolve(name, relative_to=Path.cwd()))
        height, width, _ = image.pixels.shape
        echo(f"  {name}: {width}×{height}" + "".join(f"; {note}" for note in image.notes))
    for scales in dict.fromkeys(_scales_of(member.experiment) for member in members):
        echo(f"  scales: {scales}")
    sets = {member.experiment.network.weights for member in members}
    places = {wanted: _find_weights(wanted, source) for wanted in sorted(sets)}
    for wanted, place in places.items():
        echo(f"  weights {wanted}: {place}")
    for section, values in experiment.to_json().items():
        if isinstance(values, dict):
            echo(f"  [{section}]")
            for key, value in values.items():
                echo(f"    {key} = {value}")
    if experiment.sweep is not None:
        echo(f"  {len(members)} members:")
        for member in members:
            echo(f"    {member.index}: {member.label}")
    absent = [wanted for wanted, place in places.items() if place != HERE]
    if estimate and absent:
        echo(f"  no estimate without the weights: jaxstyle weights fetch {absent[0]}")
    elif estimate:
        keep_programs()
        echo_estimates(members, source=source, devices=over)
    elif experiment.sweep is not None and not absent:
        echo(f"  {extent(members, programs(outline_members(members, load_weights)))}")
    echo("ok")


def _scales_of(experiment: Experiment) -> str:
    """The sizes at which an experiment is optimized, with the steps at each: `128×96 (341), 256×192 (159)`."""
    images = read_images(experiment)
    iterations: Counter[tuple[int, int]] = Counter()
    for scale in plan(experiment, images):
        iterations[result_shape(experiment, images, scale.size)] += scale.iterations
    return ", ".join(f"{width}×{height} ({count})" for (height, width), count in iterations.items())


def _find_weights(wanted: str, source: str) -> str:
    """Whether a set of weights is here, or can be downloaded."""
    sets = {entry.name: entry.path for entry in weights.available()}
    if wanted in sets:
        return HERE if sets[wanted] else "will be fetched"
    if Path(wanted).is_file():
        return HERE
    hint = did_you_mean(wanted, sets) or "."
    raise JaxstyleError(f"{source}: network.weights: no set or file '{wanted}'{hint} Sets: {', '.join(sets)}")


def _image_names(experiment: Experiment) -> list[str]:
    return [name for role, name in experiment.file_names().items() if role != "weights"]
