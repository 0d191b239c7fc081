import copy

import ml_dtypes
import numpy as np
import pytest
from weights_writers import random_parameters, vgg19

from jaxstyle.network.layers import LAYERS
from jaxstyle.network.weights import default_mean_activations, normalize_parameters
from jaxstyle.network.weights.arrangement import arrange
from jaxstyle.network.weights.fingerprint import (
    _TORCHVISION_KERNELS,
    changed_layers,
    hides_oxford,
    identify,
    is_torchvisions,
    misplaced_layer,
    resembles_oxford,
)


def resembles(parameters) -> bool:
    return resembles_oxford(parameters["conv1_1"]["kernel"], parameters["conv1_1"]["bias"])


@pytest.fixture
def oxford():
    return copy.deepcopy(vgg19().parameters)


def test_the_oxford_network(oxford):
    assert identify(oxford) == "oxford"


def test_noise_as_large_as_the_clustering_changes_nothing(oxford):
    generator = np.random.default_rng(0)
    kernel = oxford["conv1_1"]["kernel"]
    oxford["conv1_1"]["kernel"] = kernel + generator.normal(0, 0.009 * kernel.std(), kernel.shape).astype(np.float32)
    assert identify(oxford) == "oxford"


@pytest.mark.parametrize("dtype", [np.float16, ml_dtypes.bfloat16])
def test_half_precision_changes_nothing(oxford, dtype):
    def rounded(parameters):
        return {
            layer: {part: array.astype(dtype).astype(np.float32) for part, array in parts.items()}
            for layer, parts in parameters.items()
        }

    assert identify(rounded(oxford)) == "oxford"
    assert identify(rounded(normalize_parameters(oxford, default_mean_activations()))) == "oxford-normalized"


@pytest.mark.parametrize("pooling", ["max", "average"])
def test_the_normalized_network(oxford, pooling):
    assert identify(normalize_parameters(oxford, default_mean_activations(pooling))) == "oxford-normalized"


def test_another_network_is_not_claimed():
    assert identify(random_parameters()) is None
    assert not resembles(random_parameters())


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_mirrored_network_or_one_of_other_colour_order_is_not_claimed(oxford, axis):
    oxford["conv1_1"]["kernel"] = np.flip(oxford["conv1_1"]["kernel"], axis)
    assert identify(oxford) is None
    assert not resembles(oxford)


def test_a_changed_layer_is_not_claimed(oxford):
    oxford["conv5_3"]["bias"] = -oxford["conv5_3"]["bias"]
    assert identify(oxford) is None
    assert resembles(oxford)


def test_negative_scales_are_not_a_normalization(oxford):
    for part in ("kernel", "bias"):
        oxford["conv1_1"][part] = -oxford["conv1_1"][part]
    assert identify(oxford) is None


@pytest.mark.parametrize("layer", LAYERS[1:])
@pytest.mark.parametrize(
    "change",
    [
        lambda kernel: kernel.swapaxes(0, 1),
        lambda kernel: kernel[::-1, ::-1],
        lambda kernel: kernel.swapaxes(2, 3),  # inputs for filters, which fits where there are as many of either
        lambda kernel: kernel[:, :, ::-1],
    ],
    ids=["height for width", "turned", "inputs for filters", "inputs reversed"],
)
def test_one_layer_whose_axes_are_exchanged_shows(oxford, layer, change):
    kernel = change(oxford[layer]["kernel"])
    if kernel.shape == oxford[layer]["kernel"].shape:
        oxford[layer]["kernel"] = kernel
        assert changed_layers(oxford) == [layer]
        assert identify(oxford) is None
        reversed_inputs = np.array_equal(kernel, vgg19().parameters[layer]["kernel"][:, :, ::-1])
        assert misplaced_layer(oxford) == (None if reversed_inputs else layer)


def test_layers_in_another_order_show(oxford):
    oxford["conv5_1"], oxford["conv5_2"] = oxford["conv5_2"], oxford["conv5_1"]
    assert changed_layers(oxford) == ["conv5_1", "conv5_2"]
    assert misplaced_layer(oxford) == "conv5_1"
    assert identify(oxford) is None


def test_a_layer_that_was_trained_again_is_not_misplaced(oxford):
    oxford["conv5_4"] = random_parameters()["conv5_4"]
    assert changed_layers(oxford) == ["conv5_4"]
    assert misplaced_layer(oxford) is None


TURNS = {
    "height and width of every kernel exchanged": lambda kernel: kernel.swapaxes(0, 1),
    "every kernel turned by 180°": lambda kernel: kernel[::-1, ::-1],
    "every kernel turned by 180°, height and width exchanged": lambda kernel: kernel[::-1, ::-1].swapaxes(0, 1),
}


def turned(parameters, turn, *, colours: bool):
    result = {layer: {**parts, "kernel": turn(parts["kernel"])} for layer, parts in parameters.items()}
    if colours:
        result["conv1_1"]["kernel"] = result["conv1_1"]["kernel"][:, :, ::-1]
    return result


@pytest.mark.parametrize("colours", [False, True])
@pytest.mark.parametrize("change", ["", *TURNS])
@pytest.mark.parametrize("normalized", [False, True])
def test_what_is_exchanged_is_put_back(oxford, change, colours, normalized):
    original = normalize_parameters(oxford, default_mean_activations()) if normalized else oxford
    arranged = arrange(turned(original, TURNS.get(change, lambda kernel: kernel), colours=colours))
    for layer in LAYERS:
        for part in ("kernel", "bias"):
            np.testing.assert_array_equal(arranged.parameters[layer][part], original[layer][part])
    assert arranged.reversed_colours == colours
    assert arranged.changes == "; ".join(filter(None, ("the order of conv1_1's colours reversed" * colours, change)))
    assert identify(arranged.parameters) == ("oxford-normalized" if normalized else "oxford")


def test_an_unknown_network_is_not_arranged():
    assert arrange(random_parameters()) == (random_parameters(), False, "")


def torchvision():
    """A network with the three filters of torchvision's that are known here."""
    parameters = copy.deepcopy(random_parameters())
    filters = _TORCHVISION_KERNELS.reshape(3, 3, 3, 3).transpose(2, 3, 1, 0)
    parameters["conv1_1"]["kernel"][..., [0, 62, 63]] = filters
    return parameters


def test_torchvisions_network():
    parameters = torchvision()
    assert identify(parameters) == "torchvision"
    assert not resembles(parameters)
    halves = parameters["conv1_1"]["kernel"].astype(ml_dtypes.bfloat16).astype(np.float32)
    assert is_torchvisions(halves)
    assert not is_torchvisions(2 * halves)
    assert not is_torchvisions(vgg19().parameters["conv1_1"]["kernel"])


@pytest.mark.parametrize("change", ["", *TURNS])
def test_torchvisions_network_is_put_back_to_red_green_blue(change):
    parameters = turned(torchvision(), TURNS.get(change, lambda kernel: kernel), colours=True)
    assert identify(parameters) is None
    arranged = arrange(parameters)
    assert identify(arranged.parameters) == "torchvision"
    np.testing.assert_array_equal(arranged.parameters["conv3_2"]["kernel"], torchvision()["conv3_2"]["kernel"])


@pytest.mark.parametrize("order", [1, -1])
def test_a_preprocessing_that_was_multiplied_into_conv1_1_shows(oxford, order):
    factors = 255 * np.array([0.225, 0.224, 0.229], np.float32)
    kernel = (oxford["conv1_1"]["kernel"] * factors[:, None])[:, :, ::order]
    assert hides_oxford(kernel)
    assert not resembles_oxford(kernel, oxford["conv1_1"]["bias"])
    assert not hides_oxford(random_parameters()["conv1_1"]["kernel"])
    assert not hides_oxford(torchvision()["conv1_1"]["kernel"])
