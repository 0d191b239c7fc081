import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from golden import make_features

from jaxstyle.errors import JaxstyleError
from jaxstyle.network.layers import FILTERS, INPUTS, LAYERS, canonical_layer, check_size, deepest, downsampling
from jaxstyle.network.vgg import CONVOLUTIONS, VGG, pool
from jaxstyle.network.weights import NETWORKS, default_mean_activations
from jaxstyle.network.weights.normalize import filter_scales

pytestmark = pytest.mark.usefixtures("optimized")

POOLINGS = ("average", "max")
ROUNDING = 1e-5  # float32 sums of up to 4,608 products, sixteen layers deep, against float64: 2e-6 is seen


def features(weights, image, pooling, layers=LAYERS, **options):
    network = VGG(weights.parameters, weights.preprocessing, pooling=pooling, layers=layers, **options)
    structure, parameters = nnx.split(network)
    run = jax.jit(lambda parameters, image: nnx.merge(structure, parameters)(image, layers))
    return {layer: np.asarray(response) for layer, response in run(parameters, jnp.asarray(image)).items()}


def relative_error(found, expected):
    return np.linalg.norm(found - expected) / np.linalg.norm(expected)


@pytest.fixture(scope="module")
def golden():
    with np.load(make_features.FILE) as file:
        return dict(file)


@pytest.mark.parametrize("convolution", CONVOLUTIONS)
@pytest.mark.parametrize("pooling", POOLINGS)
def test_every_layers_features_are_pytorchs(vgg19, golden, pooling, convolution):
    found = features(vgg19, make_features.image(), pooling, convolution=convolution)
    for layer in LAYERS:
        key = f"{pooling}/{layer}"
        assert found[layer].shape == tuple(golden[f"{key}/shape"])
        assert relative_error(make_features.sample(found[layer]), golden[f"{key}/samples"]) < ROUNDING
        assert relative_error(found[layer].mean(axis=(0, 1)), golden[f"{key}/filter_means"]) < ROUNDING
        assert relative_error(np.linalg.norm(found[layer]), golden[f"{key}/norm"]) < ROUNDING


@pytest.mark.parametrize("pooling", POOLINGS)
def test_every_layers_features_are_pytorchs_live(vgg19, pooling):
    pytest.importorskip("torch")
    tensors = {f"{layer}.{part}": array for layer, parts in vgg19.parameters.items() for part, array in parts.items()}
    image = np.random.default_rng(7).uniform(size=(33, 47, 3)).astype(np.float32)
    expected = make_features.torch_features(tensors, image, pooling)
    found = features(vgg19, image, pooling)
    for layer in LAYERS:
        assert relative_error(found[layer], expected[layer]) < ROUNDING


@pytest.mark.parametrize("pooling", POOLINGS)
def test_normalization_only_scales_each_filter(vgg19, vgg19_normalized, pooling):
    image = make_features.image()
    original, normalized = features(vgg19, image, pooling), features(vgg19_normalized, image, pooling)
    for layer, means in default_mean_activations().items():
        scaled = original[layer] / filter_scales(means)
        # Parameters are rounded to float32 once more in every layer.
        assert relative_error(normalized[layer], scaled) < 1e-4


def test_the_normalized_network_responds_less_under_average_pooling(vgg19_normalized):
    image = make_features.image()
    deep = {pooling: features(vgg19_normalized, image, pooling)["conv5_1"].mean() for pooling in POOLINGS}
    assert deep["average"] < deep["max"]


@pytest.mark.parametrize(("layer", "convolutions"), [("conv1_1", 1), ("conv2_1", 3), ("conv4_2", 10), ("conv5_4", 16)])
def test_it_is_computed_only_as_deep_as_asked(tiny, layer, convolutions):
    parameters = {
        name: {
            "kernel": np.zeros((3, 3, INPUTS[name], FILTERS[name]), np.float32),
            "bias": np.zeros(FILTERS[name], np.float32),
        }
        for name in LAYERS
    }
    network = VGG(parameters, tiny.preprocessing, convolution="direct")
    program = str(jax.make_jaxpr(lambda image: network(image, [layer]))(jnp.zeros((16, 16, 3))))
    assert program.count("conv_general_dilated[") == convolutions


def test_what_lies_deeper_is_not_built(tiny):
    network = VGG(tiny.parameters, tiny.preprocessing, layers=["conv1_2", "conv2_1"])
    assert hasattr(network, "conv2_1")
    assert not hasattr(network, "conv2_2")


def test_a_layer_may_be_called_by_its_relu(tiny):
    network = VGG(tiny.parameters, tiny.preprocessing, layers=("conv2_1",))
    image = jnp.full((16, 16, 3), 0.3)
    found = network(image, ("relu2_1", "conv1_2"))
    assert found.keys() == {"relu2_1", "conv1_2"}
    np.testing.assert_array_equal(found["relu2_1"], network(image, ("conv2_1",))["conv2_1"])
    with pytest.raises(JaxstyleError, match="unknown layer 'conv2_9'"):
        network(image, ("conv2_9",))


def test_features_are_after_the_relu(tiny):
    image = np.random.default_rng(0).uniform(size=(12, 10, 3)).astype(np.float32)
    for response in features(tiny, image, "average", ("conv1_1", "conv2_1")).values():
        assert response.min() == 0
        assert response.max() > 0


def test_preprocessing_is_bgr_in_levels_minus_the_mean(vgg19):
    network = VGG(vgg19.parameters, vgg19.preprocessing, layers=["conv1_1"])
    image = jnp.asarray([[[1.0, 0.5, 0.0]]])
    expected = [[[0 - 103.939, 127.5 - 116.779, 255 - 123.68]]]
    np.testing.assert_allclose(network.preprocess(image), expected, rtol=1e-5)
    mean_colour = jnp.asarray(vgg19.preprocessing.mean_colour).reshape(1, 1, 3)
    np.testing.assert_allclose(network.preprocess(mean_colour), 0, atol=1e-4)  # 255 times float32's rounding


def test_preprocessing_in_rgb_with_a_spread(tiny):
    network = VGG(tiny.parameters, NETWORKS["torchvision"].preprocessing, layers=["conv1_1"])
    image = make_features.image()
    expected = (image.astype(np.float64) - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]
    np.testing.assert_allclose(network.preprocess(jnp.asarray(image)), expected, atol=1e-6)  # float32 numbers below 3


def test_pooling_halves_and_drops_an_odd_last_row():
    squares = jnp.arange(15.0).reshape(1, 5, 3, 1)
    np.testing.assert_array_equal(pool(squares, "average")[0, ..., 0], [[2], [8]])
    np.testing.assert_array_equal(pool(squares, "max")[0, ..., 0], [[4], [10]])


def test_mistakes_are_answered(tiny):
    with pytest.raises(JaxstyleError, match=r"unknown pooling 'mean'.*average, max"):
        VGG(tiny.parameters, tiny.preprocessing, pooling="mean", layers=["conv1_1"])
    with pytest.raises(JaxstyleError, match=r"unknown convolution 'fft'.*direct, winograd"):
        VGG(tiny.parameters, tiny.preprocessing, convolution="fft", layers=["conv1_1"])
    with pytest.raises(JaxstyleError, match=r"unknown precision 'half'.*float32, tf32, bfloat16"):
        VGG(tiny.parameters, tiny.preprocessing, precision="half", layers=["conv1_1"])
    with pytest.raises(JaxstyleError, match="no layer"):
        deepest([])
    with pytest.raises(JaxstyleError, match=r"15×40.*conv5_1.*at least 16"):
        check_size(40, 15, "conv5_1")
    check_size(16, 16, "conv5_1")


def test_layer_names():
    assert len(LAYERS) == 16
    assert (LAYERS[0], LAYERS[9], LAYERS[-1]) == ("conv1_1", "conv4_2", "conv5_4")
    assert canonical_layer("relu4_2") == canonical_layer("conv4_2") == "conv4_2"
    assert [downsampling(layer) for layer in ("conv1_2", "conv3_1", "conv5_4")] == [0, 2, 4]
    assert deepest(["conv4_2", "conv1_1", "relu5_1"]) == "conv5_1"
    with pytest.raises(JaxstyleError, match=r"unknown layer 'conv4_9'; did you mean 'conv4_\d'"):
        canonical_layer("conv4_9")


@pytest.mark.parametrize(("precision", "bound"), [("tf32", ROUNDING), ("bfloat16", 0.05)])
def test_a_lower_precision_changes_features_by_its_rounding(vgg19_normalized, precision, bound):
    # The CPU has no TF32 and computes it as float32. bfloat16 rounds to 8 bits, 0.4 %, in each of thirteen layers.
    image, layers = make_features.image(), ("conv1_1", "conv3_1", "conv5_1")
    exact = features(vgg19_normalized, image, "average", layers)
    found = features(vgg19_normalized, image, "average", layers, precision=precision)
    for layer in layers:
        assert found[layer].dtype == np.float32
        error = relative_error(found[layer], exact[layer])
        assert error < bound
        assert (error > 1e-3) == (precision == "bfloat16")
