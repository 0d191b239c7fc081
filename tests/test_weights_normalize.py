import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from weights_writers import random_parameters

from jaxstyle.errors import JaxstyleError
from jaxstyle.network.layers import FILTERS, LAYERS
from jaxstyle.network.weights import (
    check_parameters,
    default_mean_activations,
    load_mean_activations,
    normalize_parameters,
    save_mean_activations,
)
from jaxstyle.network.weights.normalize import SILENT, filter_scales

POOLED_AFTER = ("conv1_2", "conv2_2", "conv3_4", "conv4_4")


def features(parameters, image, pooling, depth=6):
    """Plain VGG-19 down to conv3_2, after the ReLU; the oracle for what normalization must not change."""
    responses, x = {}, image[None]
    for layer in LAYERS[:depth]:
        kernel, bias = parameters[layer]["kernel"], parameters[layer]["bias"]
        x = jax.lax.conv_general_dilated(x, kernel, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"))
        x = responses[layer] = jax.nn.relu(x + bias[None, None, None])
        if layer in POOLED_AFTER:
            batch, height, width, channels = x.shape
            windows = x.reshape(batch, height // 2, 2, width // 2, 2, channels)
            x = windows.max((2, 4)) if pooling == "max" else windows.mean((2, 4))
    return responses


def means_of(responses):
    means = {layer: np.ones(FILTERS[layer], np.float32) for layer in LAYERS}
    return means | {layer: np.asarray(x.mean((0, 1, 2))) for layer, x in responses.items()}


@pytest.fixture(scope="module")
def parameters():
    return random_parameters()


@pytest.fixture(scope="module")
def image():
    return jnp.asarray(np.random.default_rng(1).uniform(-100, 100, (16, 16, 3)).astype(np.float32))


@pytest.mark.parametrize("pooling", ["max", "average"])
def test_features_stay_the_same_up_to_a_scale_per_filter(parameters, image, pooling):
    before = features(parameters, image, pooling)
    means = means_of(before)
    after = features(normalize_parameters(parameters, means), image, pooling)
    for layer, original in before.items():
        restored = np.asarray(after[layer]) * filter_scales(means[layer])
        # float32 rounds each product of six layers of up to 2304 terms: 1e-5 of the largest response covers it.
        np.testing.assert_allclose(restored, original, atol=1e-5 * float(original.max()), err_msg=layer)


def test_the_mean_activation_becomes_one_where_it_was_measured(parameters, image):
    means = means_of(features(parameters, image, "max"))
    for layer, response in features(normalize_parameters(parameters, means), image, "max").items():
        often = means[layer] > 0.01 * means[layer].mean()
        assert often.mean() > 0.5
        # Rounding as above, and up to a hundred times that in filters that rarely fire.
        np.testing.assert_allclose(np.asarray(response.mean((0, 1, 2)))[often], 1, atol=1e-4, err_msg=layer)


def test_filters_that_never_fire_keep_their_scale(parameters):
    means = {layer: np.full(FILTERS[layer], 2.0, np.float32) for layer in LAYERS}
    means["conv1_1"][5] = 0.0
    means["conv1_1"][6] = 1e-30
    normalized = normalize_parameters(parameters, means)
    check_parameters(normalized)  # finite, among others
    for silent in (5, 6):
        for part in ("kernel", "bias"):
            original = parameters["conv1_1"][part][..., silent]
            np.testing.assert_array_equal(normalized["conv1_1"][part][..., silent], original)
        np.testing.assert_array_equal(
            normalized["conv1_2"]["kernel"][:, :, silent], parameters["conv1_2"]["kernel"][:, :, silent] / 2
        )


def test_the_given_network_is_left_alone(parameters):
    before = {layer: parts["kernel"].copy() for layer, parts in parameters.items()}
    normalize_parameters(parameters, default_mean_activations())
    for layer in LAYERS:
        np.testing.assert_array_equal(parameters[layer]["kernel"], before[layer])


def test_the_packages_means_are_complete_and_positive():
    for pooling in ("max", "average"):
        means = default_mean_activations(pooling)
        assert list(means) == list(LAYERS)
        assert all((values > SILENT).all() for values in means.values())
    # Block 1 comes before any pooling; the first pooling makes the two differ.
    maximum, average = default_mean_activations("max"), default_mean_activations("average")
    np.testing.assert_array_equal(maximum["conv1_2"], average["conv1_2"])
    assert (maximum["conv2_1"] != average["conv2_1"]).all()


def test_means_survive_the_file(tmp_path):
    path = tmp_path / "new" / "means.npz"
    save_mean_activations(path, {"max": default_mean_activations("max")})
    for layer, means in load_mean_activations(path, "max").items():
        np.testing.assert_array_equal(means, default_mean_activations("max")[layer])
    assert [file.name for file in path.parent.iterdir()] == ["means.npz"]
    with pytest.raises(JaxstyleError, match=r"means\.npz: no mean activations for average pooling"):
        load_mean_activations(path, "average")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"conv3_1": None}, "conv3_1 is missing"),
        ({"conv3_1": np.ones(3, np.float32)}, r"conv3_1: float32 of shape \(3,\); expected floats of shape \(256,\)"),
        ({"conv3_1": np.ones(256, np.int64)}, "conv3_1: int64"),
        ({"conv3_1": np.full(256, -1.0)}, "conv3_1: holds values that are negative"),
        ({"conv3_1": np.full(256, np.inf)}, "conv3_1: holds values that are negative or not finite"),
    ],
)
def test_faulty_means_are_named(parameters, change, message):
    means = {key: value for key, value in (default_mean_activations() | change).items() if value is not None}
    with pytest.raises(JaxstyleError, match=message):
        normalize_parameters(parameters, means)


def test_an_unknown_pooling():
    with pytest.raises(JaxstyleError, match=r"unknown pooling 'avg'\. Poolings: average, max"):
        default_mean_activations("avg")


@settings(deadline=None, max_examples=50)
@given(st.binary(max_size=100))
def test_arbitrary_bytes_are_answered(tmp_path_factory, data):
    path = tmp_path_factory.mktemp("means") / "means.npz"
    path.write_bytes(data)
    with pytest.raises(JaxstyleError, match=r"means\.npz"):
        load_mean_activations(path)


def test_a_missing_file(tmp_path):
    with pytest.raises(JaxstyleError, match=r"none\.npz: cannot be read"):
        load_mean_activations(tmp_path / "none.npz")
