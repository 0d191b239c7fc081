"""Checkpoints on disk: what comes back is what was written, or an answer."""

import stat
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest
from full_disk import Disk

from jaxstyle.errors import CheckpointError
from jaxstyle.runs import checkpoints
from jaxstyle.runs.checkpoints import Checkpoint

ARRAYS = {
    "image": np.random.default_rng(0).random((64, 64, 3), np.float32),
    "optimizer/method/0/mu": np.asarray([[np.inf, -0.0, 1e-45]], np.float32),
    "optimizer/method/0/nu": np.asarray([1.0, 1 / 3], ml_dtypes.bfloat16),
    "optimizer/method/none": np.zeros((0, 3), np.float32),
    "optimizer/method/turned": np.arange(6, dtype=np.int32).reshape(2, 3).T,
    "optimizer/count": np.asarray(7, np.int32),
    "optimizer/failed": np.asarray(True),
}
FACTS = {"scale": 1, "loss": float("inf"), "history": [{"loss": 0.1 + 0.2, "terms": {"α/conv1_1": 1e-300}}]}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A checkpoint."""
    checkpoints.save(tmp_path / "checkpoint", Checkpoint(ARRAYS, FACTS))
    return tmp_path / "checkpoint"


def facts(path: Path) -> object:
    """What a checkpoint says, if there is one."""
    found = checkpoints.restore(path)
    return found and found.facts


def test_what_was_written_comes_back_to_the_bit(path: Path):
    found = checkpoints.restore(path)
    assert found is not None
    assert found.facts == FACTS
    assert {*found.arrays} == {*ARRAYS}
    for name, array in ARRAYS.items():
        assert (found.arrays[name].dtype, found.arrays[name].shape) == (array.dtype, array.shape)
        assert found.arrays[name].tobytes() == array.tobytes()


def test_a_later_one_takes_the_place_of_the_one_before(path: Path):
    for scale in (2, 3):
        checkpoints.save(path, Checkpoint(ARRAYS, {"scale": scale}))
    assert facts(path) == {"scale": 3}
    assert [*path.parent.iterdir()] == [path]


def test_whoever_may_read_a_new_file_may_read_it(path: Path):
    (path.parent / "plain").touch()
    assert stat.S_IMODE(path.stat().st_mode) == stat.S_IMODE((path.parent / "plain").stat().st_mode)


def test_nothing_written_is_nothing_found_and_nothing_deleted(tmp_path: Path):
    assert checkpoints.restore(tmp_path / "checkpoint") is None
    checkpoints.delete(tmp_path / "checkpoint")


def test_deleted_is_gone(path: Path):
    checkpoints.delete(path)
    assert not path.exists()


def test_many_iterations_do_not_make_it_unreadable(path: Path):
    """A header of safetensors has at most 100 MB, so that the facts must not be in it."""
    many = {"history": 100_000 * "x"}
    checkpoints.save(path, Checkpoint({}, many))
    assert int.from_bytes(path.read_bytes()[:8], "little") < 1000
    assert facts(path) == many


@pytest.mark.parametrize("place", [0, 8, 100, 0.5, -1])
@pytest.mark.parametrize("damage", ["flipped", "cut", "longer"])
def test_damage_is_noticed(path: Path, place: float, damage: str):
    data = bytearray(path.read_bytes())
    at = range(len(data))[int(place * len(data)) if isinstance(place, float) else place]
    match damage:
        case "flipped":
            data[at] ^= 1
        case "cut":
            del data[at:]
        case "longer":
            data.insert(at, 0)
    path.write_bytes(data)
    with pytest.raises(CheckpointError, match="checkpoint: damaged: it is not what was written"):
        checkpoints.restore(path)


def test_what_cannot_be_read_is_an_answer(tmp_path: Path):
    (tmp_path / "checkpoint").mkdir()
    with pytest.raises(CheckpointError, match="checkpoint: cannot be read: Is a directory"):
        checkpoints.restore(tmp_path / "checkpoint")


def test_a_place_that_cannot_be_written_to_is_an_answer(tmp_path: Path):
    (tmp_path / "file").write_text("")
    with pytest.raises(CheckpointError, match="checkpoint: cannot be written: "):
        checkpoints.save(tmp_path / "file/checkpoint", Checkpoint(ARRAYS, FACTS))


def test_what_the_format_cannot_hold_is_an_answer(path: Path):
    with pytest.raises(CheckpointError, match=r"checkpoint: cannot be written: .*complex128"):
        checkpoints.save(path, Checkpoint({"odd": np.zeros(3, np.complex128)}, {}))
    assert facts(path) == FACTS


def test_a_full_disk_leaves_the_one_before(path: Path, disk: Disk):
    disk.leave(1000)
    with pytest.raises(CheckpointError, match="checkpoint: cannot be written: No space left on device"):
        checkpoints.save(path, Checkpoint(ARRAYS, {"scale": 5}))
    assert facts(path) == FACTS
    assert [*path.parent.iterdir()] == [path]
