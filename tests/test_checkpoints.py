"""Checkpoints on disk: what comes back is what was written, or an answer."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from jaxstyle.errors import CheckpointError
from jaxstyle.runs import checkpoints
from jaxstyle.runs.checkpoints import Checkpoint

ARRAYS = {
    "image": np.random.default_rng(0).random((64, 64, 3), np.float32),
    "optimizer/method/0/mu": np.asarray([[np.inf, -0.0, 1e-45]], np.float32),
    "optimizer/count": np.asarray(7, np.int32),
    "optimizer/failed": np.asarray(True),
}
FACTS = {"scale": 1, "loss": float("inf"), "history": [{"loss": 0.1 + 0.2, "terms": {"style/conv1_1": 1e-300}}]}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Holds a checkpoint."""
    checkpoints.save(tmp_path / "checkpoint", Checkpoint(ARRAYS, FACTS))
    return tmp_path / "checkpoint"


def test_what_was_written_comes_back_to_the_bit(folder: Path):
    found = checkpoints.restore(folder)
    assert found is not None
    assert found.facts == FACTS
    assert {*found.arrays} == {*ARRAYS}
    for name, array in ARRAYS.items():
        assert (found.arrays[name].dtype, found.arrays[name].shape) == (array.dtype, array.shape)
        assert found.arrays[name].tobytes() == array.tobytes()


def test_a_later_one_takes_the_place_of_the_one_before(folder: Path):
    for scale in (2, 3):
        checkpoints.save(folder, Checkpoint(ARRAYS, {"scale": scale}))
    found = checkpoints.restore(folder)
    assert found is not None
    assert found.facts == {"scale": 3}
    assert len([*folder.iterdir()]) == 1


def test_what_a_killed_process_has_half_written_is_cleared_away(folder: Path):
    half = folder / "2.orbax-checkpoint-tmp"
    (half / "arrays").mkdir(parents=True)
    found = checkpoints.restore(folder)
    assert found is not None
    assert found.facts == FACTS
    checkpoints.save(folder, Checkpoint(ARRAYS, {"scale": 5}))
    found = checkpoints.restore(folder)
    assert found is not None
    assert found.facts == {"scale": 5}
    assert not half.exists()


def test_nothing_written_is_nothing_found(tmp_path: Path):
    assert checkpoints.restore(tmp_path / "checkpoint") is None
    (tmp_path / "checkpoint").mkdir()
    assert checkpoints.restore(tmp_path / "checkpoint") is None


def test_deleted_is_gone(folder: Path):
    checkpoints.delete(folder)
    assert not folder.exists()
    checkpoints.delete(folder)


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


# At the first array that it cannot read orbax closes its event loop, and the other reads then say so to nobody.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("damage", [flip, cut, Path.unlink])
@pytest.mark.parametrize("largest", [True, False], ids=["arrays", "facts"])
def test_damage_is_noticed(folder: Path, damage: Callable[[Path], None], largest: bool):
    files = [path for path in folder.rglob("*") if path.is_file()]
    arrays = max(files, key=lambda path: path.stat().st_size)
    (facts,) = [path for path in files if path.parent.name == "facts" and path.name == "metadata"]
    damage(arrays if largest else facts)
    with pytest.raises(CheckpointError, match="checkpoint: damaged: "):
        checkpoints.restore(folder)


def test_a_place_that_cannot_be_written_to_is_an_answer(tmp_path: Path):
    (tmp_path / "file").write_text("")
    with pytest.raises(CheckpointError, match="checkpoint: cannot be written: "):
        checkpoints.save(tmp_path / "file/checkpoint", Checkpoint(ARRAYS, FACTS))
