import copy

import numpy as np
import pytest
from weights_writers import random_parameters, vgg19

from jaxstyle.weights import default_mean_activations, normalize_parameters
from jaxstyle.weights.fingerprint import exchanges_height_and_width, identify, resembles_oxford


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


def test_float16_changes_nothing(oxford):
    halves = {
        layer: {part: array.astype(np.float16).astype(np.float32) for part, array in parts.items()}
        for layer, parts in oxford.items()
    }
    assert identify(halves) == "oxford"


@pytest.mark.parametrize("pooling", ["max", "average"])
def test_the_normalized_network(oxford, pooling):
    assert identify(normalize_parameters(oxford, default_mean_activations(pooling))) == "oxford-normalized"


def test_another_network_is_not_claimed():
    assert identify(random_parameters()) is None
    assert not resembles_oxford(random_parameters())


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_mirrored_network_or_one_of_other_colour_order_is_not_claimed(oxford, axis):
    oxford["conv1_1"]["kernel"] = np.flip(oxford["conv1_1"]["kernel"], axis)
    assert identify(oxford) is None
    assert not resembles_oxford(oxford)


def test_a_changed_layer_is_not_claimed(oxford):
    oxford["conv5_3"]["bias"] = -oxford["conv5_3"]["bias"]
    assert identify(oxford) is None
    assert resembles_oxford(oxford)


def test_negative_scales_are_not_a_normalization(oxford):
    for part in ("kernel", "bias"):
        oxford["conv1_1"][part] = -oxford["conv1_1"][part]
    assert identify(oxford) is None


def test_exchanged_axes_show(oxford):
    kernel, bias = oxford["conv1_1"]["kernel"], oxford["conv1_1"]["bias"]
    assert exchanges_height_and_width(kernel.swapaxes(0, 1), bias)
    assert not exchanges_height_and_width(kernel, bias)
    assert not exchanges_height_and_width(random_parameters()["conv1_1"]["kernel"], bias)
