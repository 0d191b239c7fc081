import ml_dtypes
import numpy as np
import pytest
from weights_writers import ADAIN, TORCHVISION, VGG16, by_number, oihw, random_parameters

from jaxstyle.errors import JaxstyleError
from jaxstyle.network.layers import LAYERS
from jaxstyle.network.weights.layouts import dequantize, find_network, own_preprocessing
from jaxstyle.network.weights.registry import NETWORKS

FEATURES = by_number("features.", TORCHVISION)


@pytest.fixture(scope="module")
def tensors():
    return oihw(random_parameters(), FEATURES)


def test_other_arrays_do_no_harm(tensors):
    found = find_network(tensors | {"classifier.0.weight": np.zeros((10, 10), np.float32)})
    assert found.naming.title.startswith("torchvision")
    assert found.prefix == "features."
    np.testing.assert_array_equal(found.parameters["conv5_4"]["kernel"], random_parameters()["conv5_4"]["kernel"])


def renamed(tensors, pattern: str, prefix: str = ""):
    """The tensors under other names, patterns of `number`, `layer`, `block`, `index` and `place`."""
    names = {}
    for place, (layer, number) in enumerate(zip(LAYERS, TORCHVISION, strict=True), start=1):
        facts = {"number": number, "layer": layer, "block": layer[4], "index": layer[6], "place": place}
        names[f"features.{number}"] = prefix + pattern.format(**facts)
    parts = {"weight": ".weight", "bias": ".bias"}
    if "|" in pattern:
        parts = dict(zip(parts, pattern.split("|")[1:], strict=True))
    return {
        names[stem].split("|")[0] + parts[part]: array
        for (stem, _, part), array in ((name.rpartition("."), array) for name, array in tensors.items())
    }


PREFIXES = ("", "module.", "state_dict.model._orig_mod.", "cnn/", "vgg_")
NAMES = (
    "{number}",
    "features.{number}",
    "features.module.{number}",
    "{layer}",
    "{layer}|.kernel|.bias",
    "{layer}|_W|_b",
    "{layer}|.weights|.biases",
    "block{block}_conv{index}",
    "block{block}_conv{index}|_W|_b",
    "convolution_{place}",
)


@pytest.mark.parametrize("pattern", NAMES)
@pytest.mark.parametrize("prefix", PREFIXES)
def test_names_behind_any_prefix(tensors, pattern, prefix):
    found = find_network(renamed(tensors, pattern, prefix))
    for layer in LAYERS:
        assert np.array_equal(found.parameters[layer]["bias"], random_parameters()[layer]["bias"])
    assert found.prefix.startswith(prefix)


def test_a_number_is_not_the_end_of_another_number(tensors):
    """`10.weight` ends in `0.weight`; a file of the features alone has both."""
    found = find_network(dict(reversed(renamed(tensors, "{number}").items())))
    assert np.array_equal(found.parameters["conv1_1"]["bias"], random_parameters()["conv1_1"]["bias"])
    assert found.naming.title.startswith("torchvision")


def test_more_than_one_network(tensors):
    others = {f"ema.{name}": array + 1 for name, array in tensors.items()}
    with pytest.raises(
        JaxstyleError, match=r"more than one VGG-19 in it: under 'features\.' and under 'ema\.features\.'"
    ):
        find_network(tensors | others)


def test_one_network_twice(tensors):
    found = find_network(tensors | {f"ema.{name}": array.copy() for name, array in tensors.items()})
    assert np.array_equal(found.parameters["conv4_2"]["bias"], random_parameters()["conv4_2"]["bias"])


def test_two_arrays_of_one_name(tensors):
    again = {"features.0.kernel": tensors["features.0.weight"]}
    assert find_network(tensors | again).prefix == "features."
    with pytest.raises(JaxstyleError, match=r"'features\.0': the file holds more than one kernel of that name"):
        find_network(tensors | {"features.0.kernel": -tensors["features.0.weight"]})


AXES = {"OIHW": (0, 1, 2, 3), "HWIO": (2, 3, 1, 0), "OHWI": (0, 2, 3, 1)}


@pytest.mark.parametrize("axes", AXES)
def test_the_order_of_axes_is_told_by_the_shapes(tensors, axes):
    arrays = {name: array.transpose(AXES[axes]) if array.ndim == 4 else array for name, array in tensors.items()}
    parameters = find_network(arrays).parameters
    for layer in LAYERS:
        assert np.array_equal(parameters[layer]["kernel"], random_parameters()[layer]["kernel"])
        assert parameters[layer]["kernel"].flags.c_contiguous


def test_orders_of_axes_are_not_mixed(tensors):
    arrays = tensors | {"features.2.weight": tensors["features.2.weight"].transpose(2, 3, 1, 0)}
    with pytest.raises(JaxstyleError, match=r"conv1_2\.kernel: the shape is \(3, 3, 64, 64\) \(OIHW\)"):
        find_network(arrays)


@pytest.mark.parametrize(
    ("dtype", "types"),
    [
        (np.float64, ("float64",)),
        (">f4", ("float32",)),
        (np.float16, ("float16",)),
        (ml_dtypes.bfloat16, ("bfloat16",)),
    ],
)
def test_other_floats_become_float32(tensors, dtype, types):
    found = find_network({name: array.astype(dtype) for name, array in tensors.items()})
    assert found.types == types
    for layer in LAYERS:
        expected = random_parameters()[layer]["bias"].astype(dtype).astype(np.float32)
        assert found.parameters[layer]["bias"].dtype == np.float32
        np.testing.assert_array_equal(found.parameters[layer]["bias"], expected)


def test_the_least_precise_type_comes_first(tensors):
    mixed = tensors | {
        "features.0.bias": tensors["features.0.bias"].astype(np.float16),
        "features.5.weight": tensors["features.5.weight"].astype(ml_dtypes.bfloat16),
    }
    assert find_network(mixed).types == ("bfloat16", "float16", "float32")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"features.12.weight": None}, r"conv3_2 is missing: there is no 'features\.12\.weight'; 31 of 32"),
        ({"features.34.bias": None}, r"conv5_4 is missing: there is no 'features\.34\.bias'"),
        ({"features.0.weight": np.zeros((64, 3, 5, 5), "f4")}, r"conv1_1\.kernel: the shape is \(64, 3, 5, 5\)"),
        ({"features.0.bias": np.zeros((1, 64), "f4")}, r"conv1_1\.bias: the shape is \(1, 64\)"),
        ({"features.0.bias": np.zeros(64, "i8")}, r"conv1_1\.bias: the type is int64; expected floats"),
        ({"features.0.bias": np.zeros(64, "c8")}, r"conv1_1\.bias: the type is complex64; expected floats"),
        (
            {"features.0.bias": np.zeros(64, ml_dtypes.float8_e4m3fn)},
            r"the type is float8_e4m3fn; expected floats of 16",
        ),
        ({"features.0.bias": np.full(64, np.inf, "f2")}, r"conv1_1\.bias: holds values that are not finite"),
        ({"features.0.bias": np.full(64, np.nan, ml_dtypes.bfloat16)}, r"conv1_1\.bias: .* not finite"),
        ({"features.0.bias": np.full(64, np.nan, "f4")}, r"conv1_1\.bias: holds values that are not finite"),
        ({"features.2.bias": np.full(64, 1e300)}, r"conv1_2\.bias: holds values that are not finite"),
    ],
)
def test_faults_are_named(tensors, change, message):
    arrays = {name: array for name, array in (tensors | change).items() if array is not None}
    with pytest.raises(JaxstyleError, match=message):
        find_network(arrays)


def test_unknown_names_are_taken_in_their_order_with_a_doubt(tensors):
    found = find_network(renamed(tensors, "layer{place}.inner"))
    for layer in LAYERS:
        assert np.array_equal(found.parameters[layer]["bias"], random_parameters()[layer]["bias"])
    assert found.doubt.startswith("no VGG-19 in it: it holds 32 arrays ('layer1.inner.weight'")
    assert find_network(tensors).doubt == ""


@pytest.mark.parametrize("pattern", ["layer{place}.inner|.weight|.shift", "x{index}.layer{place}.inner"])
def test_unknown_names_whose_order_does_not_fit(tensors, pattern):
    with pytest.raises(JaxstyleError, match="no VGG-19 in it"):
        find_network(renamed(tensors, pattern))


def test_another_network_is_answered_with_what_it_holds():
    with pytest.raises(
        JaxstyleError, match=r"it holds 1 arrays \('layer1\.0\.conv1\.weight' …\)\. Known namings: Keras"
    ):
        find_network({"layer1.0.conv1.weight": np.zeros(3)})
    with pytest.raises(JaxstyleError, match=r"it holds 0 arrays\. Known namings"):
        find_network({})


NUMBERS = {
    "VGG-11": ((1, 1, 2, 2, 2), (0, 3, 6, 8, 11, 13, 16, 18)),
    "VGG-13": ((2, 2, 2, 2, 2), (0, 2, 5, 7, 10, 12, 15, 17, 20, 22)),
    "VGG-16": ((2, 2, 3, 3, 3), VGG16),
    "VGG-19": ((2, 2, 4, 4, 4), tuple(range(0, 64, 4))),
}


@pytest.mark.parametrize("axes", AXES)
@pytest.mark.parametrize("normalized", [False, True])
@pytest.mark.parametrize("name", NUMBERS)
def test_other_depths_are_named(name, normalized, axes):
    blocks, numbers = NUMBERS[name]
    widths = [width for width, count in zip((64, 128, 256, 512, 512), blocks, strict=True) for _ in range(count)]
    arrays = {"classifier.0.weight": np.zeros((4, 4))}
    for number, inputs, outputs in zip(numbers, [3, *widths], widths, strict=False):
        kernel = np.broadcast_to(np.float32(0), (outputs, inputs, 3, 3))
        arrays[f"features.{number}.weight"] = kernel.transpose(AXES[axes])
        arrays[f"features.{number}.bias"] = np.zeros(outputs, np.float32)
        if normalized:
            arrays[f"features.{number + 1}.running_mean"] = np.zeros(outputs, np.float32)
    expected = f"it holds {name}{' with batch normalization' if normalized else ''}; what is read is VGG-19"
    if name == "VGG-16" and not normalized:
        assert len(find_network(arrays).parameters) == 13
        return
    if name == "VGG-19" and not normalized:  # under unknown numbers
        assert find_network(arrays).doubt.startswith("conv1_2 is missing: there is no 'features.2.weight'")
        return
    if name in ("VGG-16", "VGG-19"):
        expected = rf"{name} with batch normalization \('features\.1\.running_mean'\)"
    with pytest.raises(JaxstyleError, match=expected):
        find_network(arrays)


@pytest.mark.parametrize(
    "name",
    ["features.1.running_mean", "features.bn1_1.weight", "features.batch_normalization_3.gamma", "features.bn.g"],
)
def test_batch_normalization_is_not_overlooked(tensors, name):
    with pytest.raises(JaxstyleError, match="VGG-19 with batch normalization"):
        find_network(tensors | {name: np.ones(64, np.float32)})


def test_batch_normalization_of_another_network_does_no_harm(tensors):
    assert find_network(tensors | {"generator.bn1.running_mean": np.ones(64, np.float32)}).prefix == "features."


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

    def read(self, matrix=MATRIX, shift=SHIFT, prefix=""):
        arrays = oihw(random_parameters(), by_number("", ADAIN)) | {"0.weight": matrix, "0.bias": shift}
        arrays = {f"{prefix}{name}": array for name, array in arrays.items()}
        return own_preprocessing(arrays, find_network(arrays))

    def test_adains_convolution_is_the_oxford_preprocessing(self):
        assert self.read() == NETWORKS["oxford"].preprocessing
        for dtype in (np.float64, np.float16, ml_dtypes.bfloat16):  # what rounding has done to the mean is known
            read = self.read(self.MATRIX.astype(dtype), self.SHIFT.astype(dtype))
            assert read == NETWORKS["oxford"].preprocessing
            mirrored = self.read(self.MATRIX[::-1].astype(dtype), self.SHIFT[::-1].astype(dtype))
            assert mirrored == NETWORKS["oxford"].preprocessing.reversed
        assert self.read(prefix="vgg.") == NETWORKS["oxford"].preprocessing

    def test_another_mean_is_kept(self):
        mean = np.array([104, 117, 123], np.float32)
        assert self.read(shift=-mean).mean == (104, 117, 123)
        assert self.read(shift=-mean.astype(ml_dtypes.bfloat16)).mean == (104, 117, 123)

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
        assert own_preprocessing(tensors, find_network(tensors)) is None
