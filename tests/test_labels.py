"""How swept keys and values are called."""

import pytest

from jaxstyle.config.models import all_keys
from jaxstyle.sweeps.labels import axis_name, axis_title, layers_label, member_label, value_label

WHOLE = ["conv1_1", "conv2_1", "conv3_1", "conv4_1", "conv5_1"]


@pytest.mark.parametrize(
    ("value", "label"),
    [
        (1e-3, "1e-3"),
        (5e-4, "5e-4"),
        (2.5e-7, "2.5e-7"),
        (0.1, "1e-1"),
        (0.02, "0.02"),
        (0.25, "0.25"),
        (1.0, "1"),
        (250.0, "250"),
        (1e9, "1e9"),
        (0.0, "0"),
        (7, "7"),
        (True, "true"),
        ("max", "max"),
        ("paper:the_scream", "the_scream"),
        ("/deep/down/b.png", "b"),
        (["paper:x", {"image": "/a.png", "weight": 2.0}], "x + 2 a"),
        ({"conv1_1": 0.5, "conv2_1": 1.0}, "0.5 conv1_1 + 1 conv2_1"),
        ([], "none"),
        ({}, "none"),
    ],
)
def test_values_are_short(value, label):
    assert value_label(value) == label


@pytest.mark.parametrize(
    ("layers", "label"),
    [
        (WHOLE[:1], "conv1_1"),
        (WHOLE[:2], "conv1_1 + conv2_1"),
        (WHOLE[1:4], "conv2_1 … conv4_1"),
        (WHOLE, "conv1_1 … conv5_1"),
        ([*WHOLE[:2], *WHOLE[3:]], "without conv3_1"),
        (["conv1_1", "conv3_1", "conv5_1"], "conv1_1 + conv3_1 + conv5_1"),
        (["conv1_1", "conv1_2", "conv2_1"], "conv1_1 + conv1_2 + conv2_1"),  # no neighbours among these five
        ([], "none"),
    ],
)
def test_layers_are_named_as_a_part_of_the_files(layers, label):
    assert layers_label(layers, WHOLE) == label


def test_no_two_keys_share_a_name():
    assert len({axis_name(key) for key in all_keys()}) == len(all_keys())


def test_names_and_numbers():
    values = {"start.seed": 3, "network.pooling": "max", "loss.content_weight": 0.5, "optimizer.bounds": True}
    labels = {key: value_label(value) for key, value in values.items()}
    assert member_label(labels, values) == "seed = 3, pooling max, α = 0.5, bounds = true"
    assert axis_title("loss.content_weight") == "loss.content_weight (α)"
    assert axis_title("start.seed") == "start.seed"
