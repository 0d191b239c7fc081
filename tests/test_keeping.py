"""Which states of a sweep's members are kept: all, or none where together they would fill the disk."""

from pathlib import Path

import pytest
from small_commands import Run
from small_runs import make

from jaxstyle.network.weights import Weights
from jaxstyle.runs.folders import CHECKPOINT
from jaxstyle.sweeps import keeping
from jaxstyle.sweeps.expansion import expand
from jaxstyle.sweeps.keeping import limited
from jaxstyle.sweeps.programs import outline_members

SEEDS = ("--set", "sweep.start.seed=[3, 4, 5]")


@pytest.fixture(autouse=True)
def small_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """All states may take as much as one: less than a gigabyte decides."""
    monkeypatch.setattr(keeping, "SWEEP", 1)


def states(sweep: Path) -> list[str]:
    return sorted(path.parent.name for path in sweep.glob(f"members/*/{CHECKPOINT}"))


def test_too_much_is_not_kept_and_the_advice_keeps_it(jaxstyle_command: Run, folder: Path):
    first = jaxstyle_command("run", "small.toml", "--out", "a", *SEEDS, "--set", "output.keep_state_mb=0.5")
    assert first.exit_code == 0, first.output
    (said,) = (line for line in first.stdout.splitlines() if "state" in line)
    assert said.startswith("no optimizer state is kept: those of 3 members would take 0.0 GB")
    assert states(folder / "a") == []
    again = jaxstyle_command("run", "small.toml", "--out", "a", *SEEDS)
    assert "3 of them finished before" in again.stdout, again.output
    kept = jaxstyle_command("run", "small.toml", "--out", "b", *SEEDS, "--set", said.rpartition(" ")[2])
    assert "no optimizer state is kept" not in kept.stdout, kept.output
    assert states(folder / "b") == ["0", "1", "2"]


def test_a_sweep_that_is_resumed_decides_as_it_did_at_first(tmp_path: Path, tiny: Weights):
    swept = make(tmp_path, "sweep.start.seed=[3, 4, 5]", "output.keep_state_mb=0.5")
    members, said = expand(swept), []
    for left in (members, members[2:]):
        outlined = outline_members(left, lambda name: tiny)
        assert {member.experiment.output.keep_state_mb for member in limited(members, outlined, said.append)} == {0.0}
    assert said[0] == said[1]
    assert limited(members, [], said.append) == members


@pytest.mark.parametrize("keys", [("output.keep_state_mb=0.1",), ("image.scales=[16, 32]",)], ids=["each", "scales"])
def test_what_no_member_would_keep_is_not_counted(tmp_path: Path, tiny: Weights, keys: tuple[str, ...]):
    members = expand(make(tmp_path, "sweep.start.seed=[3, 4, 5]", *keys))
    assert limited(members, outline_members(members, lambda name: tiny), pytest.fail) == members
