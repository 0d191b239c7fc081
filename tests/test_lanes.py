"""How many members go side by side: measured, remembered, and never a reason to fail."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from small_runs import make

from jaxstyle.cli.lanes import lanes_of_members, parse_lanes
from jaxstyle.devices import memory
from jaxstyle.errors import JaxstyleError
from jaxstyle.network.weights import Weights
from jaxstyle.sweeps import lanes
from jaxstyle.sweeps.expansion import expand
from jaxstyle.sweeps.lanes import batches, choose_lanes, groups
from jaxstyle.sweeps.programs import Planned, outline_members
from jaxstyle.synthesis.preparation import Prepared


@pytest.fixture
def planned(tmp_path: Path, tiny: Weights, monkeypatch: pytest.MonkeyPatch) -> list[Planned]:
    """Eight members of one program, worth measuring; what is measured is remembered in the test's own folder."""
    monkeypatch.setattr(lanes, "WORTH_MEASURING", 0.0)
    monkeypatch.setattr(lanes, "file", lambda: tmp_path / "lanes.json")
    monkeypatch.setattr(lanes, "estimate_memory", lambda outline, lanes: 10 * lanes)
    monkeypatch.setattr(memory, "in_use", lambda: 0)
    monkeypatch.setattr(memory, "available", lambda: 1000)
    return outline_members(expand(make(tmp_path, f"sweep.start.seed={[*range(8)]}")), lambda name: tiny)


Timed = Callable[[Mapping[int, float]], list[int]]


@pytest.fixture
def timed(monkeypatch: pytest.MonkeyPatch) -> Timed:
    """Says how many seconds so many lanes take; gives the list of those that are measured."""

    def device(seconds: Mapping[int, float]) -> list[int]:
        asked: list[int] = []

        def time_evaluation(prepared: object, *, lanes: int) -> float:
            asked.append(lanes)
            return seconds[lanes]

        monkeypatch.setattr(lanes, "time_evaluation", time_evaluation)
        return asked

    return device


def unprepared(planned: Planned) -> Prepared:
    return None  # pyright: ignore[reportReturnType]  (nothing is timed here)


def test_the_fastest_number_is_found_and_remembered(planned: list[Planned], timed: Timed):
    asked = timed({1: 1.0, 2: 1.2, 4: 2.0, 8: 4.1})
    assert choose_lanes(planned, unprepared) == 4
    assert asked == [1, 2, 4, 8]
    assert choose_lanes(planned, unprepared) == 4
    assert choose_lanes(planned[:3], unprepared) == 2
    assert asked == [1, 2, 4, 8]
    (timings,) = json.loads(lanes.file().read_text(encoding="utf-8")).values()
    assert timings == {"1": 1.0, "2": 1.2, "4": 2.0, "8": 4.1}


def test_more_lanes_are_measured_when_there_are_more_members(planned: list[Planned], timed: Timed):
    asked = timed({1: 1.0, 2: 1.0, 4: 1.0})
    assert choose_lanes(planned[:2], unprepared) == 2
    assert choose_lanes(planned[:5], unprepared) == 4
    assert asked == [1, 2, 4]


def test_where_lanes_gain_nothing_there_is_one(planned: list[Planned], timed: Timed):
    asked = timed({1: 1.0, 2: 1.95})  # a fortieth is not worth a compilation
    assert choose_lanes(planned, unprepared) == 1
    assert asked == [1, 2]


def test_what_does_not_fit_into_memory_is_not_tried(
    planned: list[Planned], timed: Timed, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(memory, "available", lambda: 25)
    asked = timed({1: 1.0, 2: 1.0, 4: 1.0})
    assert choose_lanes(planned, unprepared) == 2
    assert asked == [1, 2]


def test_a_small_sweep_is_not_worth_measuring(planned: list[Planned], timed: Timed, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(lanes, "WORTH_MEASURING", 5e12)
    asked = timed({})
    assert choose_lanes(planned, unprepared) == 1
    assert (asked, lanes.file().exists()) == ([], False)


@pytest.mark.parametrize("content", ["", "[]", '{"a": 1}', '{"a": {"1": "x"}}', "\udcff"])
def test_a_damaged_file_is_measured_anew(planned: list[Planned], timed: Timed, content: str):
    lanes.file().write_text(content, encoding="utf-8", errors="surrogateescape")
    timed({1: 1.0, 2: 0.9, 4: 4.0})
    assert choose_lanes(planned, unprepared) == 2
    assert json.loads(lanes.file().read_text(encoding="utf-8"))


def test_measurements_that_cannot_be_kept_are_used_once(
    planned: list[Planned], timed: Timed, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    (tmp_path / "file").touch()
    monkeypatch.setattr(lanes, "file", lambda: tmp_path / "file/lanes.json")
    timed({1: 1.0, 2: 0.9, 4: 4.0})
    assert choose_lanes(planned, unprepared) == 2


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


def test_batches_are_about_as_large(planned: list[Planned]):
    members = [each.member for each in planned]
    assert [(len(batch), width) for batch, width in batches(members, 3)] == [(3, 3), (3, 3), (2, 3)]
    assert [(len(batch), width) for batch, width in batches(members[:5], 4)] == [(3, 3), (2, 3)]
    assert [(len(batch), width) for batch, width in batches(members[:2], 4)] == [(2, 2)]
    assert [*batches([], 4)] == []


def test_on_the_cpu_speed_decides_only_if_it_is_asked_to(planned: list[Planned], timed: Timed):
    timed({1: 1.0, 2: 1.0, 4: 4.0})
    assert lanes_of_members(planned, None) == dict.fromkeys(range(len(planned)), 1)
    assert set(lanes_of_members(planned, 3).values()) == {3}


def test_the_option_is_a_number_or_auto():
    assert (parse_lanes("auto"), parse_lanes("3")) == ("auto", 3)
    for text in ("0", "-1", "two", "²", ""):
        with pytest.raises(JaxstyleError, match="--lanes: found"):
            parse_lanes(text)
