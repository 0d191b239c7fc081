"""A method of optimization of one's own, defined here: it needs no line of the package."""

import dataclasses
import json
from pathlib import Path
from typing import Annotated, ClassVar

import jax.numpy as jnp
import pytest
from pydantic import Field
from small_commands import Register, Run
from small_runs import Heard, make, read_manifest, read_metrics

from jaxstyle.config.schema import key_table
from jaxstyle.errors import JaxstyleError
from jaxstyle.network.weights import Weights
from jaxstyle.optimizers import OnDevice, methods
from jaxstyle.optimizers.base import Move
from jaxstyle.optimizers.device import advance_once
from jaxstyle.optimizers.reductions import norm
from jaxstyle.runs import runner
from jaxstyle.synthesis.estimates import estimate_memory, outlines
from jaxstyle.synthesis.optimization import Track, optimize, optimize_together
from jaxstyle.synthesis.preparation import Prepared, prepare, read_images


@dataclasses.dataclass(frozen=True)
class Momentum(OnDevice):
    """Steps of a fixed length along a mean of the last gradients."""

    name: ClassVar[str] = "momentum"
    traced: ClassVar[tuple[str, ...]] = ("pace",)
    pace: Annotated[float, Field(gt=0, description="How far a step goes.")] = 0.5
    memory: Annotated[int, Field(ge=1, le=5, description="How many gradients count.")] = 2

    def __post_init__(self):
        if self.memory == 3:
            raise JaxstyleError("memory: found 3; allowed: 1, 2, 4, 5")

    def init(self, objective, image):
        return jnp.zeros((self.memory, *image.shape)), jnp.zeros((), jnp.int32)

    def step(self, objective, image, state, problem, options, box):
        last, count = state
        (loss, terms), gradient = objective.value_and_grad(image, problem)
        last = jnp.roll(last, 1, axis=0).at[0].set(gradient)
        direction = jnp.mean(last, axis=0)
        moved = image - options["pace"] * direction / norm(direction)
        finite = jnp.isfinite(loss)
        return Move(
            image=moved if box is None else box.project(moved),
            state=(last, count + 1),
            point=image,
            loss=loss,
            terms=terms,
            gradient_norm=norm(gradient),
            step_size=options["pace"],
            iteration=count,
            accepted=finite,
            failed=~finite,
            finite=finite,
        )


@pytest.fixture(autouse=True)
def momentum(registered: Register) -> None:
    registered(methods, "momentum", Momentum)


OURS = "optimizer.method=momentum"


def ready(folder: Path, weights: Weights, *overrides: str) -> tuple[Prepared, ...]:
    experiment = make(folder, OURS, *overrides)
    return prepare(experiment, read_images(experiment), weights)


def test_its_keys_are_in_the_file_the_record_and_the_documentation(tmp_path: Path):
    experiment = make(tmp_path, OURS, "optimizer.pace=0.1")
    assert experiment.to_json()["optimizer"] == {
        "method": "momentum",
        "iterations": 3,
        "bounds": "none",
        "tolerance": 0.0,
        "pace": 0.1,
        "memory": 2,
    }
    assert "| `optimizer.pace` | number, above 0 | `0.5` | How far a step goes. Of momentum. |" in key_table()


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["optimizer.pace=-1"], "optimizer.pace: found -1.*more than 0"),
        (["optimizer.pace=1e-40"], "optimizer.pace: found 1e-40, too small for 32-bit"),
        (["optimizer.memory=3"], "memory: found 3; allowed: 1, 2, 4, 5"),
        (
            ["optimizer.history_size=3"],
            "optimizer.history_size: found 3 with optimizer.method = momentum, which has none",
        ),
        (["optimizer.pase=1"], "unknown key 'pase'; did you mean 'pace'"),
        (["optimizer.method=momentun"], "unknown method 'momentun'; did you mean 'momentum'"),
        (["optimizer.method=lbfgs", "optimizer.pace=1.0"], "optimizer.pace: .*which has none; allowed with: momentum"),
    ],
)
def test_a_mistake_in_them_is_answered(tmp_path: Path, overrides: list[str], message: str):
    with pytest.raises(JaxstyleError, match=message):
        make(tmp_path, OURS, *overrides)


def test_traced_keys_share_a_program_and_lanes(tmp_path: Path, tiny: Weights):
    tracks = [ready(tmp_path, tiny, f"optimizer.pace={pace}", "optimizer.bounds=paper") for pace in (0.1, 0.4)]
    alone = [optimize(scales) for scales in tracks]
    compiled = advance_once._cache_size()
    assert [optimize(scales).loss for scales in tracks] == [result.loss for result in alone]
    assert advance_once._cache_size() == compiled
    together = optimize_together([Track(scales) for scales in tracks])
    for found, expected in zip(together, alone, strict=True):
        # Two programs round differently.
        assert [each.loss for each in found.history] == pytest.approx(
            [each.loss for each in expected.history], rel=1e-4
        )
        assert found.history[-1].step_size == expected.history[-1].step_size
    assert alone[0].loss != alone[1].loss


def test_its_state_counts_in_the_estimate(tmp_path: Path, tiny: Weights):
    def bytes_of(memory: int) -> int:
        experiment = make(tmp_path, OURS, f"optimizer.memory={memory}", "image.size=36")
        (outline,) = outlines(experiment, read_images(experiment), tiny)
        return estimate_memory(outline._replace(in_use=0))

    images = bytes_of(5) - bytes_of(1)
    assert images >= 4 * 27 * 36 * 3 * 4


def test_a_run_that_was_stopped_resumes_to_the_bit(tmp_path: Path, tiny: Weights, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(runner, "load_weights", lambda name, progress: tiny)
    experiment = make(tmp_path, OURS, "optimizer.iterations=6")
    whole = runner.run(experiment, tmp_path / "whole").result
    seen = []
    stopped = runner.run(
        experiment,
        tmp_path / "stopped",
        events=Heard(progress=seen.extend),
        interrupted=lambda: bool(seen) and seen[-1].iteration == 3,
    )
    assert str(stopped.result.status) == "interrupted"
    resumed = runner.run(experiment, tmp_path / "stopped").result
    assert [each.loss for each in resumed.history] == [each.loss for each in whole.history]
    assert (resumed.image == whole.image).all()
    assert len(read_metrics(tmp_path / "stopped")) == 7
    assert read_manifest(tmp_path / "stopped")["status"] == "budget spent"


def test_a_sweep_of_methods_and_its_report(jaxstyle_command: Run, folder: Path):
    changes = ('sweep.optimizer.method=["momentum", "lbfgs"]', "optimizer.iterations=2")
    done = jaxstyle_command("run", "small.toml", "--out", "s", *(f"--set={change}" for change in changes))
    assert done.exit_code == 0, done.output
    assert "2 members, 2 compiled programs" in done.stdout
    recorded = [json.loads((folder / f"s/members/{index}/experiment.json").read_text()) for index in (0, 1)]
    assert [table["optimizer"].get("pace") for table in recorded] == [0.5, None]
    report = jaxstyle_command("report", "s")
    assert report.exit_code == 0, report.output
    assert "momentum" in (folder / "s/report/index.html").read_text(encoding="utf-8")


def test_members_that_differ_in_a_traced_key_share_a_program(jaxstyle_command: Run, folder: Path):
    changes = (OURS, "sweep.optimizer.pace=[0.1, 0.2]")
    done = jaxstyle_command("run", "small.toml", "--out", "s", "--lanes=2", *(f"--set={change}" for change in changes))
    assert done.exit_code == 0, done.output
    assert "2 members, 1 compiled program" in done.stdout
    assert "2 at once" in done.stdout
    assert "1: pace = 0.2: budget spent" in done.stdout
