"""Whole runs in tiles: resumed, at several scales, side by side, on a worker; and a choice that is made holds."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from small_commands import Run as Command
from small_runs import LAYERS, Heard, make, read_manifest, read_metrics
from test_engines import send, silent
from test_full_disk import numbers

from jaxstyle.cli import experiments
from jaxstyle.devices import memory
from jaxstyle.network.weights import Weights
from jaxstyle.runs import runner
from jaxstyle.runs.folders import recorded_sides
from jaxstyle.runs.record import write_json
from jaxstyle.runs.runner import Run, run
from jaxstyle.sweeps import conduct
from jaxstyle.sweeps.engines import Job
from jaxstyle.sweeps.engines.remote_record import RemoteRecord
from jaxstyle.sweeps.engines.worker import Worker
from jaxstyle.sweeps.expansion import expand
from jaxstyle.sweeps.lanes import in_lanes
from jaxstyle.sweeps.programs import outline_members
from jaxstyle.synthesis import tiles

SIDE = 16
"""The side that "auto" takes here, so that these tests share their programs."""
SIX, SEEDS, TILED = "optimizer.iterations=6", "sweep.start.seed=[1, 2]", f"image.tile={SIDE}"
TIGHT, AMPLE = 10**5, 10**10
"""Bytes of memory: no image of these tests is whole with the first, all are with the second."""
BETWEEN = 10**6
"""An image of 16 pixels is whole, one of 32 is not."""


SAME_LAYERS = f"loss.style_layers={LAYERS['style_layers']}"


@pytest.fixture(autouse=True)
def _tiny(tiny: Weights, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner, "load_weights", lambda name, progress: tiny)
    monkeypatch.setattr(tiles, "SIDE", SIDE)


@pytest.fixture
def give(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Sets how much memory there is."""
    return lambda memory_bytes: monkeypatch.setattr(memory, "in_all", lambda: memory_bytes)


def stopped(folder: Path, *overrides: str) -> Run:
    """A run that is interrupted after three evaluations."""
    seen: list[Any] = []
    experiment = make(folder, *overrides)
    return run(experiment, folder / "run", events=Heard(progress=seen.extend), interrupted=lambda: len(seen) >= 3)


def tiles_in(folder: Path) -> list[int | None]:
    return [scale.get("tile") for scale in read_manifest(folder)["scales"]]


def losses(folder: Path) -> list[float]:
    return [line["loss"] for line in read_metrics(folder)]


def assert_same_run(found: Path, wanted: Path) -> None:
    assert numbers(found) == numbers(wanted)
    assert (found / "result.png").read_bytes() == (wanted / "result.png").read_bytes()
    assert tiles_in(found) == tiles_in(wanted)


def test_a_run_in_tiles_is_resumed_to_the_bit(tmp_path: Path):
    stopped(tmp_path, SIX, TILED)
    assert read_manifest(tmp_path / "run")["status"] == "interrupted"
    run(make(tmp_path, SIX, TILED), tmp_path / "run")
    run(make(tmp_path, SIX, TILED), tmp_path / "at-once")
    assert_same_run(tmp_path / "run", tmp_path / "at-once")
    assert tiles_in(tmp_path / "run") == [SIDE]


@pytest.mark.parametrize(("then", "now", "side"), [(TIGHT, AMPLE, SIDE), (AMPLE, TIGHT, 0)], ids=["tiles", "whole"])
def test_what_auto_has_chosen_holds_when_there_is_other_memory(
    tmp_path: Path, give: Callable[[int], None], then: int, now: int, side: int
):
    give(then)
    stopped(tmp_path, SIX)
    run(make(tmp_path, SIX), tmp_path / "at-once")
    give(now)
    run(make(tmp_path, SIX), tmp_path / "run")
    assert_same_run(tmp_path / "run", tmp_path / "at-once")
    assert tiles_in(tmp_path / "run") == [side]
    run(make(tmp_path, SIX), tmp_path / "begun-now")
    assert tiles_in(tmp_path / "begun-now") == [SIDE - side]


@pytest.mark.parametrize("options", [(), ("--set", SEEDS)], ids=["run", "sweep"])
def test_a_command_runs_what_it_has_compiled(
    jaxstyle_command: Command,
    folder: Path,
    give: Callable[[int], None],
    options: tuple[str, ...],
    monkeypatch: pytest.MonkeyPatch,
):
    """However much memory is available a moment later; and so does the same command another time."""

    def patch(module: Any, name: str) -> None:
        outlines = getattr(module, name)

        def outlined(*arguments: Any, **options: Any) -> Any:
            found = outlines(*arguments, **options)
            give(AMPLE)
            return found

        monkeypatch.setattr(module, name, outlined)

    patch(experiments, "outlines")
    patch(conduct, "outline_members")
    places = [folder / "run/members" / index for index in "01"] if options else [folder / "run"]
    give(TIGHT)
    assert jaxstyle_command("run", "small.toml", "--out", "run", "--set", SAME_LAYERS, *options).exit_code == 0
    assert [tiles_in(place) for place in places] == [[SIDE]] * len(places)
    for place in places:
        write_json(place / "manifest.json", read_manifest(place) | {"status": "interrupted"})
    give(AMPLE)
    assert jaxstyle_command("run", "small.toml", "--out", "run", "--set", SAME_LAYERS, *options).exit_code == 0
    assert [tiles_in(place) for place in places] == [[SIDE]] * len(places)
    assert {read_manifest(place)["status"] for place in places} == {"budget spent"}


@pytest.mark.parametrize("scales", [[{"size": 32, "iterations": 3}], [{"tile": 16}], [16], 16, None], ids=str)
def test_a_record_that_does_not_say_decides_anew(tmp_path: Path, give: Callable[[int], None], scales: Any):
    """One of an earlier version or of several devices, or that somebody has edited."""
    give(TIGHT)
    stopped(tmp_path)
    assert recorded_sides(tmp_path / "run") == {32: SIDE}
    write_json(tmp_path / "run/manifest.json", {**read_manifest(tmp_path / "run"), "scales": scales})
    assert recorded_sides(tmp_path / "run") == {}
    give(AMPLE)
    run(make(tmp_path), tmp_path / "run")
    assert tiles_in(tmp_path / "run") == [0]


def test_each_scale_is_in_tiles_or_whole(tmp_path: Path, give: Callable[[int], None]):
    found = {}
    for name, room, tile in (("whole", AMPLE, 0), ("large", BETWEEN, "auto"), ("both", AMPLE, SIDE)):
        give(room)
        run(make(tmp_path, SIX, "image.scales=[16, 32]", f"image.tile={tile}"), tmp_path / name)
        found[name] = (tiles_in(tmp_path / name), losses(tmp_path / name))
    assert [sides for sides, _ in found.values()] == [[0, 0], [0, SIDE], [SIDE, SIDE]]
    _, whole = found["whole"]
    assert len(whole) == 8
    assert found["large"][1][:4] == whole[:4]
    for _, own in found.values():
        np.testing.assert_allclose(own, whole, rtol=1e-3)  # float32, after three steps from rounded gradients


def in_a_sweep(folder: Path, name: str, lanes: int, tiny: Weights, *, calls: int = 10**9) -> list[Path]:
    """The records of two members, so many at once, that end after so many calls of `interrupted`."""
    members = expand(make(folder, SIX, SEEDS))
    jobs = [Job(member, folder / name / str(member.index), {}) for member in members]
    begun = {job.member.index: recorded_sides(job.folder) for job in jobs}
    outlined = outline_members(members, lambda name: tiny, sides=begun)
    asked = iter(range(calls))
    engine = in_lanes(outlined, {member.index: lanes for member in members})
    outcomes = list(engine.run_jobs(jobs, events_of=silent, interrupted=lambda: next(asked, None) is None))
    assert {outcome.error for outcome in outcomes} == {None}
    return [job.folder for job in jobs]


def test_members_in_tiles_go_side_by_side_and_are_resumed(tmp_path: Path, tiny: Weights, give: Callable[[int], None]):
    give(TIGHT)
    together, alone = (in_a_sweep(tmp_path, name, lanes, tiny) for name, lanes in (("lanes", 2), ("alone", 1)))
    for one, other in zip(together, alone, strict=True):
        assert tiles_in(one) == tiles_in(other) == [SIDE]
        np.testing.assert_allclose(losses(one), losses(other), rtol=1e-3)  # as above
    begun = in_a_sweep(tmp_path, "resumed", 2, tiny, calls=4)
    assert {read_manifest(place)["status"] for place in begun} == {"interrupted"}
    give(AMPLE)
    for one, other in zip(in_a_sweep(tmp_path, "resumed", 2, tiny), together, strict=True):
        assert_same_run(one, other)


def test_a_worker_takes_the_tiles_of_the_attempt_before(tmp_path: Path, tiny: Weights, give: Callable[[int], None]):
    """Another machine of a cluster may have other memory."""
    job = Job(expand(make(tmp_path))[0], tmp_path / "run", {})
    record = RemoteRecord(job, silent)
    assert record.sides == {}
    give(TIGHT)
    for message in (message for batch in send(Worker(), job, tiny, remedy=None) for message in batch):
        if not record.sides:  # the machine is switched off as soon as it has decided
            record.apply(message)
    assert record.sides == {32: SIDE}
    record.lose_attempt("no answer")
    give(AMPLE)
    for message in (message for batch in send(Worker(), job, tiny, sides=record.sides) for message in batch):
        record.apply(message)
    assert tiles_in(tmp_path / "run") == [SIDE]
    assert read_manifest(tmp_path / "run")["status"] == "budget spent"
