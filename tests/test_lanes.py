"""How many members of a sweep run at once."""

from pathlib import Path

import pytest
from small_runs import make

from jaxstyle.network.weights import Weights
from jaxstyle.sweeps.expansion import expand
from jaxstyle.sweeps.lanes import batches, choose_lanes, groups, lanes_of_members, recorded_lanes
from jaxstyle.sweeps.programs import OutlinedMember, outline_members


@pytest.fixture
def outlined(tmp_path: Path, tiny: Weights) -> list[OutlinedMember]:
    """Eight members of one program."""
    return outline_members(expand(make(tmp_path, f"sweep.start.seed={[*range(8)]}")), lambda name: tiny)


@pytest.mark.parametrize(
    ("axis", "sizes"),
    [
        ("loss.content_weight=[1.0, 2.0, 3.0]", [3]),
        ("loss.style_layers=[['conv1_1'], ['conv2_1'], ['conv1_2']]", [3]),
        ("network.pooling=['average', 'max', 'average']", [2, 1]),
        ("image.size=[32, 40, 32]", [2, 1]),
        ("network.weights=['vgg19', 'vgg19-normalized']", [1, 1]),
        ("image.scales=['single', [24, 32]]", [1, 1]),
    ],
)
def test_a_group_shares_its_programs_and_its_network(tmp_path: Path, tiny: Weights, axis: str, sizes: list[int]):
    members = expand(make(tmp_path, f"sweep.{axis}"))
    found = groups(outline_members(members, lambda name: tiny))
    assert [len(group) for group in found] == sizes


def test_batches_are_about_as_large(outlined: list[OutlinedMember]):
    members = [each.member for each in outlined]
    assert [(len(batch), width) for batch, width in batches(members, 3)] == [(3, 3), (3, 3), (2, 3)]
    assert [(len(batch), width) for batch, width in batches(members[:5], 4)] == [(3, 3), (2, 3)]
    assert [(len(batch), width) for batch, width in batches(members[:2], 4)] == [(2, 2)]
    assert [*batches([], 4)] == []


def test_by_default_the_size_decides_and_on_the_cpu_there_is_one(
    outlined: list[OutlinedMember], monkeypatch: pytest.MonkeyPatch
):
    assert lanes_of_members(outlined, None) == dict.fromkeys(range(len(outlined)), 1)
    monkeypatch.setattr("jax.default_backend", lambda: "gpu")
    height, width = outlined[0].outlines[-1].size
    for fitting, lanes in ((0.5, 1), (1.0, 1), (3.9, 3), (100.0, 8)):  # there are eight members
        monkeypatch.setattr("jaxstyle.sweeps.lanes.PIXELS_AT_ONCE", int(fitting * height * width))
        assert choose_lanes(outlined, None) == lanes
    assert choose_lanes(outlined[:2], None) == 2


def test_a_word_has_the_size_decide_on_the_cpu_too(outlined: list[OutlinedMember], monkeypatch: pytest.MonkeyPatch):
    height, width = outlined[0].outlines[-1].size
    for fitting, lanes in ((0.5, 1), (3.9, 3), (100.0, 8)):
        monkeypatch.setattr("jaxstyle.sweeps.lanes.PIXELS_AT_ONCE_ON_CPU", int(fitting * height * width))
        assert choose_lanes(outlined, "auto") == lanes


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"lanes": -1}', '{"lanes": "many"}', "\0"])
def test_a_record_that_says_nothing_sensible_is_as_none(tmp_path: Path, text: str):
    (tmp_path / "lanes.json").write_text(text)
    assert recorded_lanes(tmp_path) is None


def test_so_many_as_are_wanted(outlined: list[OutlinedMember]):
    said: list[str] = []
    assert set(lanes_of_members(outlined, 3, said.append).values()) == {3}
    assert said == ["8 members at 32×24, 3 at once"]


def test_a_method_on_the_host_has_no_lanes(tmp_path: Path, tiny: Weights):
    experiment = make(tmp_path, "optimizer.method=scipy-lbfgsb", "sweep.start.seed=[1, 2]")
    assert choose_lanes(outline_members(expand(experiment), lambda name: tiny), 2) == 1
