"""What is said of a run before it starts."""

import logging
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import pytest
from small_runs import make, smooth, write_images

from jaxstyle.devices import memory
from jaxstyle.errors import JaxstyleError
from jaxstyle.images import write_image
from jaxstyle.network.weights import Weights
from jaxstyle.optimizers import Iteration, Result, Status, needed_bytes
from jaxstyle.sweeps import programs as sweeps_programs
from jaxstyle.sweeps.expansion import Member, expand
from jaxstyle.sweeps.programs import Program, outline_members
from jaxstyle.synthesis import estimates, optimization
from jaxstyle.synthesis.estimates import Outline, estimate_memory, is_light, outlines, refuse_too_large, time_evaluation
from jaxstyle.synthesis.optimization import optimize
from jaxstyle.synthesis.preparation import Prepared, prepare, read_images


@pytest.fixture(autouse=True)
def steady(monkeypatch: pytest.MonkeyPatch) -> None:
    """This process's memory goes up and down with other tests; here it uses nothing."""
    monkeypatch.setattr(memory, "in_use", lambda: 0)


def planned(folder: Path, weights: Weights, *overrides: str) -> Outline:
    experiment = make(folder, *overrides)
    return outlines(experiment, read_images(experiment), weights)[-1]


def programs_bytes(plan: Outline) -> int:
    return estimate_memory(plan) - estimates.LEFT_BEHIND


def held(plan: Outline) -> int:
    return needed_bytes(plan.objective, estimates._image(plan.size), plan.problem, plan.settings)


def test_an_outline_holds_no_numbers(tmp_path: Path, tiny: Weights):
    plan = planned(tmp_path, tiny)
    assert plan.size == (24, 32)
    assert plan.style_sizes == ((24, 32),)
    assert {type(leaf) for leaf in jax.tree.leaves(plan.problem)} == {jax.ShapeDtypeStruct}


@pytest.mark.parametrize("method", ["lbfgs", "adam", "scipy-lbfgsb"])
def test_what_is_compiled_to_estimate_is_what_runs(
    tmp_path: Path, tiny: Weights, method: str, caplog: pytest.LogCaptureFixture
):
    experiment = make(tmp_path, f"optimizer.method={method}", "image.size=36")  # no other test has compiled this size
    images = read_images(experiment)

    def compiled() -> set[str]:
        finished = [record.getMessage() for record in caplog.records if "Finished XLA compilation" in record.msg]
        caplog.clear()
        large = ("jit(advance_once)", "jit(evaluate)")
        return {name for name in large if any(name in message for message in finished)}

    with jax.log_compiles(), caplog.at_level(logging.WARNING):
        estimate_memory(outlines(experiment, images, tiny)[-1])
        assert len(compiled()) == 1
        optimize(prepare(experiment, images, tiny))
        assert compiled() == set()


@pytest.mark.usefixtures("direct_convolutions")  # or a small image's kernels would have another form than a large one's
def test_memory_grows_with_the_image_and_its_history(tmp_path: Path, tiny: Weights):
    small, large = planned(tmp_path, tiny), planned(tmp_path, tiny, "image.size=64")
    parameters = sum(leaf.size * 4 for leaf in jax.tree.leaves(small.problem.parameters))
    # Four times the pixels: the pairs grow as much, what the layers' kernels and Gram matrices take does not grow.
    assert 3 < (held(large) - parameters) / (held(small) - parameters) < 4
    short = planned(tmp_path, tiny, "optimizer.history_size=5")
    images = 2 * (small.settings.method.history_size - 5)
    assert held(small) - held(short) == pytest.approx(images * 24 * 32 * 3 * 4, rel=0.05)
    assert programs_bytes(small) == held(small) + 3 * 24 * 32 * 12  # content, style and start


def test_a_style_image_measured_at_its_own_size_counts(tmp_path: Path, tiny: Weights):
    write_images(tmp_path)
    write_image(tmp_path / "large.png", smooth(200, 300, seed=3))
    large = f"image.style={tmp_path}/large.png"
    shrunk, own = planned(tmp_path, tiny, large), planned(tmp_path, tiny, large, "image.style_size=own")
    assert own.style_sizes == ((200, 300),)
    assert held(own) == held(shrunk)
    assert programs_bytes(own) > 200 * 300 * 64 * 4 > programs_bytes(shrunk)  # the features of conv1_1 alone


def test_scipys_pairs_are_on_the_host_in_float64(tmp_path: Path, tiny: Weights):
    plan = planned(tmp_path, tiny, "optimizer.method=scipy-lbfgsb")
    short = planned(tmp_path, tiny, "optimizer.method=scipy-lbfgsb", "optimizer.history_size=5")
    assert held(plan) - held(short) == 2 * (plan.settings.method.history_size - 5) * 24 * 32 * 3 * 8


def test_what_does_not_fit_is_refused_with_a_size_that_does(
    tmp_path: Path, tiny: Weights, monkeypatch: pytest.MonkeyPatch
):
    plan = planned(tmp_path, tiny, "image.size=128")
    need = estimate_memory(plan)
    monkeypatch.setattr(memory, "available", lambda: need)
    refuse_too_large(plan, need, source="a.toml", remedy="")
    monkeypatch.setattr(memory, "available", lambda: None)
    refuse_too_large(plan, need, source="a.toml", remedy="")
    room = estimates.LEFT_BEHIND + programs_bytes(plan) // 2
    monkeypatch.setattr(memory, "available", lambda: room)
    with pytest.raises(JaxstyleError) as refused:
        refuse_too_large(plan, need, source="a.toml", remedy="Or else.")
    answer = re.fullmatch(
        r"a\.toml: image\.size: 128 needs about 0\.\d GB of memory, and only 0\.\d GB is available; "
        r"the largest size that fits is about (\d+)\. Or else\.",  # pairs take little beside the programs
        str(refused.value),
    )
    assert answer
    size = int(answer[1])
    assert 64 <= size < 128
    assert estimate_memory(planned(tmp_path, tiny, f"image.size={size}")) <= room
    monkeypatch.setattr(memory, "available", lambda: 1000)
    with pytest.raises(JaxstyleError, match="no size fits"):
        refuse_too_large(plan, need, source="a.toml", remedy="")


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_what_does_not_fit_is_refused_with_a_number_of_pairs_that_does(
    tmp_path: Path, tiny: Weights, monkeypatch: pytest.MonkeyPatch, precision: str
):
    monkeypatch.setattr(estimates, "LEFT_BEHIND", 0)
    monkeypatch.setattr(memory, "in_use", lambda: 0)  # this process's memory goes up and down with other tests
    changes = (f"optimizer.history_precision={precision}", "image.tile=16", "image.size=96")
    plan = planned(tmp_path, tiny, *changes, "optimizer.history_size=100")
    pair = 2 * 72 * 96 * 3 * (2 if precision == "bfloat16" else 4)
    room = estimate_memory(plan) - 50 * pair
    monkeypatch.setattr(memory, "available", lambda: room)
    with pytest.raises(JaxstyleError, match=r"optimizer\.history_size: with \d+ of them it would fit") as refused:
        refuse_too_large(plan, estimate_memory(plan), source="a.toml", remedy="")
    found = re.search(r"with (\d+) of them", str(refused.value))
    assert found
    assert estimate_memory(planned(tmp_path, tiny, *changes, f"optimizer.history_size={found[1]}")) <= room
    assert int(found[1]) > 30


def test_images_are_measured_ahead_where_there_is_plenty_of_room(
    tmp_path: Path, tiny: Weights, monkeypatch: pytest.MonkeyPatch
):
    plan = planned(tmp_path, tiny, "image.size=128")
    need = estimate_memory(plan)
    monkeypatch.setattr(memory, "available", lambda: 4 * need)
    assert is_light(plan)
    monkeypatch.setattr(memory, "available", lambda: need)
    assert not is_light(plan)
    monkeypatch.setattr(memory, "available", lambda: None)
    assert is_light(plan)


# sweeps


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, which a sweep's images are relative to here."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def programs(members: list[Member], load: Callable[[str], Weights], **options: Any) -> list[Program]:
    return sweeps_programs.programs(outline_members(members, load, **options))


def sweep(folder: Path, axis: str, *overrides: str) -> list[Member]:
    return expand(make(folder, f"sweep.{axis}", *overrides))


@pytest.mark.parametrize(
    ("axis", "shared"),
    [
        ("start.seed=[1, 2, 3]", [3]),
        ("loss.content_weight=[0.0, 1e-3]", [2]),
        ("optimizer.iterations=[1, 9]", [2]),
        ("image.size=[32, 48]", [1, 1]),
        ("network.pooling=['average', 'max']", [1, 1]),
        ("optimizer.method=['lbfgs', 'adam', 'lbfgs']", [2, 1]),
        ("loss.style_layers=[['conv1_1'], ['conv2_1'], ['conv1_1', 'conv2_2']]", [3]),
        ("loss.content_layers='cumulative'", [1]),
        ("loss.tv_weight=[0.0, 1.0]", [2]),
        ("image.style=['style.png', 'content.png']", [2]),
    ],
)
def test_members_share_programs(folder: Path, tiny: Weights, axis: str, shared: list[int]):
    loaded = []

    def load(name: str) -> Weights:
        loaded.append(name)
        return tiny

    found = programs(sweep(folder, axis), load)
    assert [len(program.members) for program in found] == shared
    assert loaded == ["vgg19-normalized"]


def test_members_that_cannot_be_had_are_named_unless_they_are_finished(folder: Path, tiny: Weights):
    members = sweep(folder, 'image.style=["style.png", "styel.png", "gone.png"]', "sweep.start.seed=[1, 2]")
    with pytest.raises(JaxstyleError) as caught:
        programs(members, lambda name: tiny, source="a.toml")
    one, other = str(caught.value).splitlines()
    assert re.match(r"a\.toml: member 2 \(style styel, seed = 1\): .*styel\.png: .*did you mean 'style\.png'", one)
    assert one.split(": ")[0] == other.split(": ")[0] == "a.toml"
    assert "member 4 (style gone, seed = 1): " in other
    (program,) = programs(members, lambda name: tiny, finished={2, 3, 4, 5})
    assert [member.index for member in program.members] == [0, 1]


def test_the_evaluations_of_all_members_are_counted(folder: Path, tiny: Weights):
    (program,) = programs(sweep(folder, "optimizer.iterations=[100, 300]"), lambda name: tiny)
    assert program.evaluations == (1 + 105) + (1 + 315)  # the start's, and one in twenty that a line search repeats
    (program,) = programs(expand(make(folder, "optimizer.method=adam", "optimizer.iterations=50")), lambda name: tiny)
    assert program.evaluations == 51


def test_the_largest_style_image_of_a_program_counts(folder: Path, tiny: Weights):
    write_images(folder)
    write_image(folder / "large.png", smooth(200, 300, seed=3))
    axis = 'image.style=["style.png", "large.png", "content.png"]'
    (program,) = programs(sweep(folder, axis, "image.style_size=own"), lambda name: tiny)
    assert program.outline.style_sizes == ((200, 300),)


def test_every_scale_is_a_program_of_its_own(folder: Path, tiny: Weights):
    members = sweep(folder, "start.seed=[0, 1]", "image.size=48", "image.scales=[32, 48]", "optimizer.iterations=11")
    found = programs(members, lambda name: tiny)
    assert [max(program.outline.size) for program in found] == [32, 48]
    assert [program.evaluations for program in found] == [2 * (1 + 6), 2 * (1 + 5)]
    assert [len(program.members) for program in found] == [2, 2]


# time


@pytest.fixture
def prepared(tmp_path: Path, tiny: Weights) -> Prepared:
    experiment = make(tmp_path, "optimizer.iterations=100000")
    return prepare(experiment, read_images(experiment), tiny)[-1]


@pytest.mark.parametrize(
    ("stamps", "seconds"), [([(1, 5.0), (2, 6.0), (4, 8.0)], 1.0), ([(1, 5.0)], 5.0)], ids=["several", "one"]
)
def test_the_first_evaluation_does_not_count(
    prepared: Prepared, monkeypatch: pytest.MonkeyPatch, stamps: list[tuple[int, float]], seconds: float
):
    """The stamps are each iteration's evaluations so far and its seconds."""
    history = tuple(Iteration(index, count, 1.0, {}, 1.0, 1.0, at, 64) for index, (count, at) in enumerate(stamps))
    count, spent = stamps[-1]
    result = Result(prepared.start, 1.0, Status.BUDGET_SPENT, history, count, 0.0, spent)
    monkeypatch.setattr(estimates, "optimize", lambda *_, **__: result)
    assert time_evaluation(prepared) == seconds


def test_timing_takes_a_few_evaluations(prepared: Prepared, monkeypatch: pytest.MonkeyPatch):
    results = []

    def watched(*arguments, **options):
        results.append(optimization.optimize(*arguments, **options))
        return results[-1]

    monkeypatch.setattr(estimates, "optimize", watched)
    assert 0 < time_evaluation(prepared) < 5  # seconds; a hundredth of one is seen
    monkeypatch.setattr(estimates, "PATIENCE", 0.0)
    time_evaluation(prepared)
    assert [len(result.history) for result in results] == [1 + estimates.TRIALS, 2]
