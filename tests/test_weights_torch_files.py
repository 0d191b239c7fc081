import contextlib
import io
import pickle
import zipfile
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from weights_writers import (
    dictionary,
    integer,
    legacy_file,
    nested,
    python,
    state_pickle,
    tensor,
    text,
    torch_legacy,
    torch_zip,
    zip_file,
)

from jaxstyle.errors import JaxstyleError
from jaxstyle.network.weights.formats import read_arrays

GOLDEN = Path(__file__).parent / "golden"

TENSORS = {
    "a": np.arange(24, dtype=np.float32).reshape(2, 3, 4),
    "b": np.array([0.5, -2], dtype=np.float16),
    "c": np.array([0, 255], dtype=np.uint8),
    "d": np.array([1.5], dtype=np.float64),
    "e": np.array([1.5, -3], dtype=ml_dtypes.bfloat16),
}
BOTH = pytest.mark.parametrize(("write", "legacy"), [(legacy_file, True), (zip_file, False)], ids=["legacy", "zip"])


@pytest.mark.parametrize("name", ["weights_legacy.pth", "weights_zip.pth"])
def test_genuine_files_of_pytorch(name):
    arrays = read_arrays((GOLDEN / name).read_bytes()).arrays
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
    arrays = read_arrays(write(TENSORS)).arrays
    for key, array in TENSORS.items():
        np.testing.assert_array_equal(arrays[key], array)


@BOTH
@pytest.mark.parametrize("keys", [("state_dict",), ("model",), ("checkpoint", "net", "module")])
def test_a_state_may_be_nested(write, legacy, keys):
    state = nested({"a": TENSORS["a"]}, *keys, legacy=legacy, epoch=python(3))
    contents = read_arrays(write(state, {"0": TENSORS["a"]}))
    assert list(contents.arrays) == [".".join((*keys, "a"))]
    assert contents.aside == {}


@pytest.mark.parametrize("protocol", [1, 4])
def test_the_legacy_form_in_other_protocols(protocol):
    """The magic number is then written as text, or stands behind a frame."""
    state = torch_legacy({"a": TENSORS["a"]})
    start = state.index(b"\x80\x02}(" + text("little_endian"))
    head = pickle.dumps(0x1950A86A20F9469CFC6C, protocol) + pickle.dumps(1001, protocol)
    np.testing.assert_array_equal(read_arrays(head + state[start:]).arrays["a"], TENSORS["a"])


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
    ],
)
def test_a_tensor_that_reaches_beyond_its_storage(write, legacy, shape, strides, offset):
    storage = np.arange(24, dtype=np.float32)
    program = tensor("float32", "0", 24, shape, strides, offset, legacy=legacy)
    with pytest.raises(JaxstyleError, match=r"'a': the tensor reaches beyond its storage"):
        read_arrays(write(b"\x80\x02}" + text("a") + program + b"s.", {"0": storage}))


@BOTH
@pytest.mark.parametrize(("shape", "strides"), [((1 << 30,), (0,)), ((24, 1 << 40), (1, 0)), ((2, 3), (0, 0))])
def test_a_tensor_that_repeats_its_numbers_asks_for_no_memory(write, legacy, shape, strides):
    strange = b"".join(python(size) for size in shape)
    program = tensor("float32", "0", 24, (), (), legacy=legacy)
    program = program.replace(b"(t(t", b"(" + strange + b"t(" + b"".join(map(integer, strides)) + b"t")
    state = nested({"a": TENSORS["a"]}, "model", legacy=legacy, other=program)
    contents = read_arrays(write(state, {"0": TENSORS["a"]}))
    assert list(contents.arrays) == ["model.a"]
    assert contents.aside == {"other": "tensor that repeats its numbers"}


@BOTH
def test_a_tensor_without_numbers(write, legacy):
    program = tensor("float32", "0", 0, (3, 0, 2), (0, 2, 1), legacy=legacy)
    arrays = read_arrays(write(b"\x80\x02" + dictionary(a=program) + b".", {"0": np.zeros(0, np.float32)})).arrays
    assert arrays["a"].shape == (3, 0, 2)


@BOTH
def test_a_storage_of_another_size_than_announced(write, legacy):
    program = tensor("float32", "0", 1 << 30, (2,), (1,), legacy=legacy)
    with pytest.raises(JaxstyleError, match="24 elements where 1073741824 are announced"):
        read_arrays(write(b"\x80\x02}" + text("a") + program + b"s.", {"0": np.arange(24, dtype=np.float32)}))


@BOTH
def test_a_missing_storage(write, legacy):
    with pytest.raises(JaxstyleError, match=r"missing|announced"):
        read_arrays(write(state_pickle({"a": TENSORS["a"]}, legacy=legacy), {}))


@BOTH
def test_storages_of_other_types_do_no_harm(write, legacy):
    complex_ = tensor("float32", "1", 3, (3,), (1,), legacy=legacy).replace(b"FloatStorage", b"ComplexFloatStorage")
    state = nested({"a": TENSORS["a"]}, "model", legacy=legacy, other=complex_)
    arrays = read_arrays(write(state, {"0": TENSORS["a"], "1": np.array([1j, 2, 3], np.complex64)})).arrays
    np.testing.assert_array_equal(arrays["model.a"], TENSORS["a"])
    np.testing.assert_array_equal(arrays["other"], [1j, 2, 3])


def test_a_view_of_a_storage_is_not_taken_for_the_storage():
    program = tensor("float32", "0", 24, (2,), (1,), legacy=True)
    view = b"(" + text("view") + integer(4) + integer(2) + b"t"
    program = program.replace(integer(24) + b"N", integer(24) + view)
    with pytest.raises(JaxstyleError, match="a view of a storage"):
        read_arrays(legacy_file(b"\x80\x02" + dictionary(a=program) + b".", {"0": TENSORS["a"].ravel()}))


@BOTH
def test_a_storage_of_an_unknown_type(write, legacy):
    program = tensor("float32", "0", 24, (24,), (1,), legacy=legacy).replace(b"FloatStorage", b"PosixStorage")
    with pytest.raises(JaxstyleError, match=r"unknown type 'torch\.PosixStorage'"):
        read_arrays(write(b"\x80\x02" + dictionary(a=program) + b".", {"0": TENSORS["a"]}))


def test_a_big_endian_file():
    data = torch_zip(TENSORS)
    buffer = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(buffer, "w") as new:
        for name in old.namelist():
            new.writestr(name, "big" if name.endswith("byteorder") else old.read(name))
    with pytest.raises(JaxstyleError, match="a big-endian machine"):
        read_arrays(buffer.getvalue())


def test_compressed_members_are_refused():
    storage = np.zeros(1 << 16, np.float32)
    data = zip_file(state_pickle({"a": storage}, legacy=False), {"0": storage}, zipfile.ZIP_DEFLATED)
    with pytest.raises(JaxstyleError, match=r"larger than the file|compressed"):
        read_arrays(data)


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
        arrays = read_arrays(bytes(damaged)).arrays
        assert all(array.nbytes <= len(data) for array in arrays.values())
