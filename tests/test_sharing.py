"""What the members of a sweep compute together, and that a term of weight 0 changes nothing."""

from collections.abc import Sequence
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest
from small_runs import make

from jaxstyle.config import Experiment
from jaxstyle.network.weights import Weights
from jaxstyle.optimizers import Result
from jaxstyle.paper.objective import evaluate
from jaxstyle.paper.terms import Content, Style, TotalVariation
from jaxstyle.sweeps.sharing import share
from jaxstyle.synthesis import preparation
from jaxstyle.synthesis.cache import Cache
from jaxstyle.synthesis.loss_terms import Terms, layers_of, terms_of
from jaxstyle.synthesis.optimization import Track, optimize, optimize_together
from jaxstyle.synthesis.preparation import Prepared, prepare, read_images


def paper(content: Sequence[str], style: Sequence[str], tv: bool) -> Terms:
    content_terms = (Content(layer, "paper-figures") for layer in content)
    style_terms = (Style(layer, "paper-figures") for layer in style)
    return *content_terms, *style_terms, *([TotalVariation()] if tv else [])


ALL = paper(("conv1_2", "conv2_1"), ("conv1_1", "conv2_1", "conv3_1"), True)


def read(folder: Path, content: Sequence[str], style: Sequence[str], *overrides: str) -> Experiment:
    layers = {"content_layers": [*content], "style_layers": [*style]}
    return make(folder, "image.size=512", "optimizer.iterations=500", *overrides, loss=layers)


def test_members_that_read_equally_deep_read_together(tmp_path: Path):
    members = [
        read(tmp_path, ["conv4_2"], ["conv5_1", "conv1_1"]),
        read(tmp_path, ["conv1_2", "conv3_2"], ["conv5_1"], "loss.tv_weight=0.1"),
    ]
    assert share(members) == [paper(("conv1_2", "conv3_2", "conv4_2"), ("conv1_1", "conv5_1"), True)] * 2
    assert terms_of(members[0]) == paper(("conv4_2",), ("conv1_1", "conv5_1"), False)


@pytest.mark.parametrize(
    "change", ["loss.convention=pystiche", "network.pooling=max", "network.precision=bfloat16", "image.style=[]"]
)
def test_what_cannot_share_a_program_does_not_read_together(tmp_path: Path, change: str):
    layers = ["conv1_1", "conv2_1"]
    members = [read(tmp_path, layers[:1], layers, "loss.tv_weight=0.0"), read(tmp_path, layers, layers[1:], change)]
    assert share(members) == [terms_of(member) for member in members]


def test_a_shallow_member_is_computed_deeper_only_if_that_costs_little(tmp_path: Path):
    deep = [read(tmp_path, ["conv4_2"], ["conv5_1"], f"start.seed={seed}") for seed in range(15)]
    shallow = read(tmp_path, ["conv4_2"], ["conv4_1"])  # three tenths more products, of one member in sixteen: 2 %
    assert len({*share([*deep, shallow])}) == 1
    assert len({*share([deep[0], shallow])}) == 2  # 13 %
    assert len({*share([*deep, read(tmp_path, ["conv1_1"], ["conv1_1"])])}) == 2  # two hundred times its own work


def test_what_takes_less_time_than_compiling_is_shared_however_deep(tmp_path: Path):
    layers = [["conv1_1"], ["conv5_1"]]
    long, short = ([read(tmp_path, of, of, *changes) for of in layers] for changes in ((), ("image.size=32",)))
    assert len({*share(long)}) == 2
    assert len({*share(short)}) == 1


# weight 0


def ready(experiment: Experiment, weights: Weights, reads: Terms | None = None) -> tuple[Prepared, ...]:
    return prepare(experiment, read_images(experiment), weights, reads=reads)


FIFTY = (
    "optimizer.method=adam",
    "optimizer.learning_rate=0.002",
    "optimizer.iterations=50",
    "start.method=content",
)
"""Short steps do not enlarge rounding: the loss after fifty is the same to 1e-4."""
SEVEN = ("optimizer.iterations=7", "start.method=content")
"""L-BFGS enlarges it, whatever the reason: of a member alone, a start that differs in its last bit changes the loss by
2e-6 after seven steps, by 1e-3 after ten, and by one part in a hundred after fifty (docs/notebook.md)."""


def assert_same(found: Result, alone: Result) -> None:
    assert found.status == alone.status
    assert [step.iteration for step in found.history] == [step.iteration for step in alone.history]
    assert found.loss == pytest.approx(alone.loss, rel=1e-4)
    assert found.history[-1].terms.keys() == alone.history[-1].terms.keys()
    assert found.image.shape == alone.image.shape


@pytest.mark.parametrize("changes", [FIFTY, SEVEN], ids=["adam", "lbfgs"])
def test_layers_of_weight_zero_change_nothing(tmp_path: Path, tiny: Weights, changes: Sequence[str]):
    experiment = make(tmp_path, *changes)
    alone, shared = (optimize(ready(experiment, tiny, reads)) for reads in (None, ALL))
    assert_same(shared, alone)
    assert {*shared.history[-1].terms} == {"content/conv2_1", "style/conv1_1", "style/conv2_1"}
    assert sum(shared.history[-1].terms.values()) == pytest.approx(shared.history[-1].loss, rel=1e-5)


@pytest.mark.parametrize("poison", [np.nan, np.inf])
def test_layers_of_weight_zero_may_hold_anything(tmp_path: Path, tiny: Weights, poison: float):
    experiment = make(tmp_path)
    (alone,), (shared,) = ready(experiment, tiny), ready(experiment, tiny, ALL)
    targets = shared.problem.targets
    targets["content/conv1_2"] += poison
    targets["style/conv3_1"] *= poison
    (loss, terms), gradient = evaluate(shared.objective, jnp.asarray(shared.start), shared.problem)
    (expected, _), expected_gradient = evaluate(alone.objective, jnp.asarray(alone.start), alone.problem)
    assert float(terms["content/conv1_2"]) == float(terms["style/conv3_1"]) == float(terms["tv"]) == 0
    assert float(loss) == pytest.approx(float(expected), rel=1e-6)
    scale = float(jnp.abs(expected_gradient).max())
    np.testing.assert_allclose(gradient, expected_gradient, atol=1e-5 * scale)  # rounding, as above


def test_images_too_small_for_the_others_layers_are_read_as_alone(tmp_path: Path, tiny: Weights):
    deep = paper(("conv2_1",), ("conv1_1", "conv5_1"), False)
    (prepared,) = ready(make(tmp_path, "image.size=16"), tiny, deep)  # 12 pixels high: nothing is left at conv5_1
    assert layers_of(prepared.objective.terms, "style") == ("conv1_1", "conv2_1")


def test_what_members_have_in_common_is_made_once(tmp_path: Path, tiny: Weights, monkeypatch: pytest.MonkeyPatch):
    made: list[str] = []

    def counted(name: str) -> None:
        original = getattr(preparation, name)
        monkeypatch.setattr(
            preparation, name, lambda *given, **options: made.append(name) or original(*given, **options)
        )

    for name in ("build_objective", "compute_targets", "read_image"):
        counted(name)
    kept = Cache()
    for change in ("start.seed=1", "loss.content_weight=2.0", "start.method=content"):
        experiment = make(tmp_path, change)
        prepare(experiment, read_images(experiment, cache=kept), tiny, cache=kept)
    assert sorted(made) == ["build_objective", "compute_targets", "compute_targets", "read_image", "read_image"]
    experiment = make(tmp_path, f"image.style={tmp_path}/content.png")
    prepare(experiment, read_images(experiment, cache=kept), tiny, cache=kept)
    assert made[5:] == ["compute_targets"]


def test_only_the_last_few_are_kept():
    kept, made = Cache(), []

    def get(key: int) -> int:
        return kept("number", key, lambda: made.append(key) or key, most=2)

    assert [get(key) for key in (1, 2, 1, 3, 1, 2)] == [1, 2, 1, 3, 1, 2]
    assert made == [1, 2, 3, 2]
    assert kept("other", 1, lambda: "another kind") == "another kind"


def test_what_cannot_be_made_is_tried_again():
    kept = Cache()
    with pytest.raises(ZeroDivisionError):
        kept("number", 1, lambda: 1 // 0)
    assert kept("number", 1, lambda: 7) == 7


# lanes


def in_lanes_and_alone(experiments: Sequence[Experiment], weights: Weights) -> None:
    reads = share(experiments)
    scales = [ready(each, weights, read) for each, read in zip(experiments, reads, strict=True)]
    assert len({prepared.objective for of_each in scales for prepared in of_each}) == 1
    together = optimize_together([Track(each) for each in scales])
    for experiment, found in zip(experiments, together, strict=True):
        assert_same(found, optimize(ready(experiment, weights)))


@pytest.mark.usefixtures("direct_convolutions")
@pytest.mark.parametrize("changes", [FIFTY, SEVEN], ids=["adam", "lbfgs"])
def test_members_in_lanes_find_what_they_find_alone(tmp_path: Path, tiny: Weights, changes: Sequence[str]):
    other = ('loss.style_layers=["conv1_1"]', f"image.style={tmp_path}/content.png", "loss.content_weight=0.1")
    in_lanes_and_alone([make(tmp_path, *changes, *change) for change in ((), other)], tiny)


def test_members_in_lanes_go_from_scale_to_scale(tmp_path: Path, tiny: Weights):
    scales = ["image.size=32", "image.scales=[24, 32]", "start.method=content"]
    changes = ([*scales, "optimizer.iterations=9"], [*scales, "optimizer.iterations=4", "loss.content_weight=0.1"])
    in_lanes_and_alone([make(tmp_path, *change) for change in changes], tiny)


@pytest.mark.long
@pytest.mark.parametrize("changes", [(*FIFTY, "optimizer.iterations=10"), SEVEN], ids=["adam", "lbfgs"])
def test_members_in_lanes_on_the_real_network(tmp_path: Path, vgg19_normalized: Weights, changes: Sequence[str]):
    deep = {"content_layers": ["conv4_2"], "style_layers": ["conv1_1", "conv3_1", "conv5_1"]}
    others = ((), ('loss.style_layers=["conv3_1", "conv5_1"]', "loss.content_weight=0.1"))
    in_lanes_and_alone([make(tmp_path, *changes, *other, loss=deep) for other in others], vgg19_normalized)


def test_what_is_kept_takes_no_more_than_there_is_room_for():
    kept, made = Cache(), []

    def get(key: int) -> int:
        return kept("image", key, lambda: made.append(key) or key, most=3, size=lambda value: value, room=10)

    assert [get(4), get(5), get(4)] == [4, 5, 4]  # both fit
    get(6)  # with 4, which was used last
    assert (get(4), get(6), made) == (4, 6, [4, 5, 6])
    get(50)  # more than all of the room: alone
    assert (get(50), get(4), made) == (50, 4, [4, 5, 6, 50, 4])
    kept("other", 99, lambda: 99)
    get(4)
    assert made == [4, 5, 6, 50, 4]  # each kind has its own room
