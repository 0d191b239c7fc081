"""NumPy's arrays in pickles and in NumPy's own files."""

import io
import os
import pickle
import zipfile

import numpy as np
import pytest
from weights_writers import call, integer, npy, npz, python, text

from jaxstyle.errors import JaxstyleError
from jaxstyle.network.weights.formats import read_arrays

SMALL = {"kernel": np.arange(6, dtype=np.float32), "bias": np.zeros(2, np.float32)}


def test_npy_as_python_2_wrote_it():
    """Protocol 2, strings for bytes, and the module's old name: how the file that circulates was made."""
    program = (
        b"\x80\x02cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\n(K\x00tU\x01b\x87R"
        b"(K\x01)cnumpy\ndtype\n(U\x02O8K\x00K\x01tR(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK?tb\x89"
        b"](}U\x07conv1_1]("
        + 2
        * (
            b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\n(K\x00tU\x01b\x87R"
            b"(K\x01(K\x02tcnumpy\ndtype\n(U\x02f4K\x00K\x01tR(K\x03U\x01<NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89"
            b"U\x08\x00\x00\x80?\x00\x00\x00\xc0tb"
        )
        + b"esetb."
    )
    header = b"{'descr': '|O', 'fortran_order': False, 'shape': (), }"
    data = b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + program
    arrays = read_arrays(data).arrays
    assert list(arrays) == ["conv1_1.kernel", "conv1_1.bias"]
    np.testing.assert_array_equal(arrays["conv1_1.bias"], np.array([1, -2], np.float32))


def test_npy_in_fortran_order():
    kernel = np.asfortranarray(np.arange(24, dtype=np.float32).reshape(2, 3, 4))
    arrays = read_arrays(npy({"conv1_1": {"kernel": kernel, "bias": np.zeros(2, ">f4")}})).arrays
    np.testing.assert_array_equal(arrays["conv1_1.kernel"], kernel)


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros(3, np.float32), "one array of float32"),
        (np.array([{}, {}], object), "no dictionary"),
    ],
)
def test_npy_files_of_something_else(array, message):
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=True)
    with pytest.raises(JaxstyleError, match=message):
        read_arrays(buffer.getvalue())


def test_npy_of_dictionaries():
    """As caffe-tensorflow writes it."""
    buffer = io.BytesIO()
    pair = {"weights": SMALL["kernel"], "biases": SMALL["bias"]}
    np.save(buffer, np.array({"conv1_1": pair, "words": np.array(["a"])}, object), allow_pickle=True)
    arrays = read_arrays(buffer.getvalue()).arrays
    assert list(arrays) == ["conv1_1.weights", "conv1_1.biases"]


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_plain_pickles(protocol):
    kernel, bias = SMALL["kernel"].reshape(2, 3), SMALL["bias"]
    tree = {
        "conv1_1": [kernel, bias],
        "conv1_2": {"weights": kernel, "biases": bias},
        "net": {"conv2_1.weight": np.asfortranarray(kernel)},
        "param values": [kernel, bias, kernel, bias + 1],
        "mean": 1.5,
        "words": ["a", "b"],
        "counts": np.arange(3),
        "rate": np.float64(0.1),
    }
    arrays = read_arrays(pickle.dumps(tree, protocol)).arrays
    assert list(arrays) == [
        "conv1_1.kernel",
        "conv1_1.bias",
        "conv1_2.weights",
        "conv1_2.biases",
        "net.conv2_1.weight",
        "param values.convolution_1.kernel",
        "param values.convolution_1.bias",
        "param values.convolution_2.kernel",
        "param values.convolution_2.bias",
    ]
    np.testing.assert_array_equal(arrays["net.conv2_1.weight"], kernel)
    np.testing.assert_array_equal(arrays["param values.convolution_2.bias"], bias + 1)


def test_tensors_in_a_plain_pickle_are_named():
    """As `pickle.dump(model.state_dict(), file)` writes them."""
    storage = call("torch.storage._load_from_bytes", python(b"bytes", 3))
    tensor = call("torch._utils._rebuild_tensor_v2", storage, integer(0), b")", b")")
    state = b"\x80\x03ccollections\nOrderedDict\n)R(" + text("features.0.weight") + tensor + b"u."
    contents = read_arrays(state)
    assert contents.arrays == {}
    assert contents.aside == {"features.0.weight": "torch._utils._rebuild_tensor_v2"}


class Evil:
    def __reduce__(self):
        return os.mkdir, ("made",)


def test_a_plain_pickle_that_asks_for_more_is_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(JaxstyleError, match=r"refused: .*mkdir.*Nothing of it was run"):
        read_arrays(pickle.dumps({"conv1_1": [SMALL["kernel"], SMALL["bias"]], "x": Evil()}))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("value", [[1, 2], 3, np.zeros(3), "text"])
def test_plain_pickles_of_something_else(value):
    with pytest.raises(JaxstyleError, match="the file holds no dictionary"):
        read_arrays(pickle.dumps(value))


def test_npz():
    fortran = np.asfortranarray(np.arange(6.0).reshape(2, 3))
    objects = np.array([{}], object)
    arrays = read_arrays(npz(a_W=fortran, a_b=np.array([1, 2], ">f4"), names=objects)).arrays
    assert list(arrays) == ["a_W", "a_b"]
    np.testing.assert_array_equal(arrays["a_W"], fortran)
    np.testing.assert_array_equal(arrays["a_b"], [1, 2])


def test_a_compressed_npz():
    values = np.random.default_rng(0).standard_normal(1000)
    buffer = io.BytesIO()
    np.savez_compressed(buffer, x=values)
    np.testing.assert_array_equal(read_arrays(buffer.getvalue()).arrays["x"], values)


def test_an_npz_that_claims_more_than_it_has():
    buffer = io.BytesIO()
    np.savez_compressed(buffer, x=np.zeros(100_000))
    with pytest.raises(JaxstyleError, match="larger than the file can be"):
        read_arrays(buffer.getvalue())
    data = npz(x=np.zeros(3))
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        member = archive.read("x.npy").replace(b"(3,)", b"(9,)")
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("x.npy", member)
    with pytest.raises(JaxstyleError, match="damaged"):
        read_arrays(buffer.getvalue())
