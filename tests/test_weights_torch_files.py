import contextlib
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from weights_writers import legacy_file, state_pickle, tensor, text, torch_legacy, torch_zip, zip_file

from jaxstyle.errors import JaxstyleError
from jaxstyle.weights.formats import read_arrays

GOLDEN = Path(__file__).parent / "golden"

TENSORS = {
    "a": np.arange(24, dtype=np.float32).reshape(2, 3, 4),
    "b": np.array([0.5, -2], dtype=np.float16),
    "c": np.array([0, 255], dtype=np.uint8),
    "d": np.array([1.5], dtype=np.float64),
}
BOTH = pytest.mark.parametrize(("write", "legacy"), [(legacy_file, True), (zip_file, False)], ids=["legacy", "zip"])


@pytest.mark.parametrize("name", ["weights_legacy.pth", "weights_zip.pth"])
def test_genuine_files_of_pytorch(name):
    arrays, _ = read_arrays((GOLDEN / name).read_bytes())
    ramp = np.arange(24, dtype=np.float32)
    expected = {
        "ramp": ramp,
        "transposed": ramp.reshape(4, 6).T,
        "slice": ramp[5:9],
        "half": np.array([0.5, -2], np.float16),
        "bytes": np.array([0, 255], np.uint8),
    }
    assert list(arrays) == list(expected)
    for key, array in expected.items():
        assert arrays[key].dtype == array.dtype
        np.testing.assert_array_equal(arrays[key], array)


@pytest.mark.parametrize("write", [torch_legacy, torch_zip])
def test_hand_written_files(write):
    arrays, _ = read_arrays(write(TENSORS))
    for key, array in TENSORS.items():
        np.testing.assert_array_equal(arrays[key], array)


@BOTH
def test_a_state_may_be_nested_and_carry_other_things(write, legacy):
    inner = state_pickle({"a": TENSORS["a"]}, legacy=legacy)[2:-1]
    state = b"\x80\x02}(" + text("state_dict") + inner + text("epoch") + b"K\x03u."
    arrays, _ = read_arrays(write(state, {"0": TENSORS["a"]}))
    assert list(arrays) == ["a"]


@BOTH
@pytest.mark.parametrize("program", [b"cposix\nsystem\n" + text("touch made") + b"\x85R.", b"ctorch\nload\n."])
def test_malicious_files_are_refused(write, legacy, program, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(JaxstyleError, match=r"refused: .*(posix\.system|torch\.load)"):
        read_arrays(write(b"\x80\x02" + program, {}))
    assert not list(tmp_path.iterdir())


@BOTH
@pytest.mark.parametrize(
    ("shape", "strides", "offset"),
    [
        ((25,), (1,), 0),
        ((24,), (1,), 1),
        ((2,), (24,), 0),
        ((2,), (-1,), 1),
        ((2,), (1,), -1),
        ((-1,), (1,), 0),
        ((1 << 30,), (0,), 0),  # one number, repeated for four gigabytes
    ],
)
def test_a_tensor_that_reaches_beyond_its_storage(write, legacy, shape, strides, offset):
    storage = np.arange(24, dtype=np.float32)
    program = tensor("float32", "0", 24, shape, strides, offset, legacy=legacy)
    with pytest.raises(JaxstyleError, match=r"'a': the tensor reaches beyond its storage"):
        read_arrays(write(b"\x80\x02}" + text("a") + program + b"s.", {"0": storage}))


@BOTH
def test_a_storage_of_another_size_than_announced(write, legacy):
    program = tensor("float32", "0", 1 << 30, (2,), (1,), legacy=legacy)
    with pytest.raises(JaxstyleError, match="24 elements where 1073741824 are announced"):
        read_arrays(write(b"\x80\x02}" + text("a") + program + b"s.", {"0": np.arange(24, dtype=np.float32)}))


@BOTH
def test_a_missing_storage(write, legacy):
    with pytest.raises(JaxstyleError, match=r"missing|announced"):
        read_arrays(write(state_pickle({"a": TENSORS["a"]}, legacy=legacy), {}))


def test_compressed_members_are_refused():
    storage = np.zeros(1 << 16, np.float32)
    data = zip_file(state_pickle({"a": storage}, legacy=False), {"0": storage}, zipfile.ZIP_DEFLATED)
    with pytest.raises(JaxstyleError, match=r"larger than the file|compressed"):
        read_arrays(data)


def test_a_zip_file_of_something_else(tmp_path):
    path = tmp_path / "other.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("readme.txt", "hello")
    with pytest.raises(JaxstyleError, match=r"without PyTorch's data\.pkl"):
        read_arrays(path.read_bytes())


@pytest.mark.parametrize("write", [torch_legacy, torch_zip])
def test_every_truncation_is_noticed(write):
    data = write(TENSORS)
    for end in range(len(data)):
        with pytest.raises(JaxstyleError):
            read_arrays(data[:end])


@settings(deadline=None, max_examples=300)
@given(st.sampled_from([torch_legacy(TENSORS), torch_zip(TENSORS)]), st.data())
def test_flipped_bytes_give_an_answer_or_arrays(data, draw):
    damaged = bytearray(data)
    for _ in range(draw.draw(st.integers(1, 3))):
        damaged[draw.draw(st.integers(0, len(data) - 1))] ^= draw.draw(st.integers(1, 255))
    with contextlib.suppress(JaxstyleError):
        arrays, _ = read_arrays(bytes(damaged))
        assert all(array.nbytes <= len(data) for array in arrays.values())
