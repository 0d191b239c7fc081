"""HDF5 as Keras writes it: names, order, types, and what is refused."""

import io
import sys
import zipfile

import h5py
import ml_dtypes
import numpy as np
import pytest
from weights_writers import hdf5

from jaxstyle.errors import JaxstyleError
from jaxstyle.network.weights.formats import read_arrays


def test_hdf5_without_h5py_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(JaxstyleError, match=r"jaxstyle\[convert\]"):
        read_arrays(b"\x89HDF\r\n\x1a\n")


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("model_weights/vgg19/block1_conv1/kernel", "vgg19.block1_conv1.weight"),  # within another model, Keras 3
        ("vgg19/block1_conv1/bias:0", "vgg19.block1_conv1.bias"),  # the same in Keras 2
        ("model_weights/block1_conv1/sequential/block1_conv1/kernel", "sequential.block1_conv1.weight"),
        ("block1_conv1/block1_conv1_W", "block1_conv1.weight"),
        ("layers/functional/layers/conv2d_7/vars/0", "functional.layers.convolution_1.weight"),
        ("_layer_checkpoint_dependencies/conv2d/vars/0", "_layer_checkpoint_dependencies.convolution_1.weight"),
        ("model_weights/conv2d_16/sequential_1/conv2d_16/kernel:0", "sequential_1.convolution_1.weight"),
        ("layer_3/param_0", "convolution_1.weight"),
        ("conv1_1/weight", "conv1_1.weight"),
        ("model_weights/batch_normalization/net/batch_normalization/gamma", "net.batch_normalization.gamma"),
        ("data/conv1_1/0", "conv1_1.weight"),  # Caffe's
        ("data/conv1_1/1", "conv1_1.bias"),
    ],
)
def test_names_in_hdf5_files(path, name):
    array = np.ones(4, np.float32) if name.endswith("bias") else np.ones((3, 3, 1, 4), np.float32)
    assert list(read_arrays(hdf5({path: array})).arrays) == [name]


def test_numbered_layers_are_ordered_by_number():
    arrays = {f"layers/conv2d_{number}/vars/0": np.full((3, 3, 1, 1), number, np.float32) for number in (9, 10, 2)}
    read = read_arrays(hdf5(arrays)).arrays
    assert {name: array.flat[0] for name, array in read.items()} == {
        "layers.convolution_1.weight": 2,
        "layers.convolution_2.weight": 9,
        "layers.convolution_3.weight": 10,
    }


def test_what_an_optimizer_remembers_is_not_the_network():
    arrays = {
        "model_weights/block1_conv1/kernel": np.ones((3, 3, 1, 1)),
        "optimizer_weights/adam/block1_conv1/kernel": np.zeros((3, 3, 1, 1)),
        "optimizer/vars/3": np.zeros(3),
    }
    assert [array.flat[0] for array in read_arrays(hdf5(arrays)).arrays.values()] == [1]


def test_bfloat16_in_hdf5_files():
    values = np.array([1.5, -2, 3], ml_dtypes.bfloat16)
    arrays = read_arrays(hdf5({"block1_conv1/bias": values.view("V2")})).arrays
    np.testing.assert_array_equal(arrays["block1_conv1.bias"].astype(np.float32), [1.5, -2, 3])


def test_a_dataset_that_claims_more_than_the_file_has():
    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as file:
        file.create_dataset("block1_conv1/W", shape=(1 << 40,), dtype="f4", chunks=(1 << 10,))
    with pytest.raises(JaxstyleError, match="more than the file has"):
        read_arrays(buffer.getvalue())


def test_datasets_that_together_claim_more_than_the_file_has():
    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as file:
        for number in range(20):
            file.create_dataset(f"x{number}", data=np.zeros(10_000, np.float32), compression="gzip")
    assert len(buffer.getvalue()) > 40_000
    with pytest.raises(JaxstyleError, match="more than the file has"):
        read_arrays(buffer.getvalue())


def test_a_dataset_in_another_file_is_not_followed(tmp_path):
    secret = tmp_path / "secret"
    secret.write_bytes(bytes(16))
    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as file:
        file.create_dataset("block1_conv1/bias", shape=(4,), dtype="f4", external=[(str(secret), 0, 16)])
    with pytest.raises(JaxstyleError, match="lie in another file"):
        read_arrays(buffer.getvalue())


def test_a_compressed_keras_archive():
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("model.weights.h5", bytes(10_000))
    with pytest.raises(JaxstyleError, match="compressed"):
        read_arrays(buffer.getvalue())
