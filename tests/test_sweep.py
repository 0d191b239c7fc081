"""Sweeps: which members a file has, and what is said about those that cannot be."""

import json
from pathlib import Path

import pytest

from jaxstyle.config import Experiment, experiment_from_mapping
from jaxstyle.errors import JaxstyleError
from jaxstyle.sweeps.expansion import Member, expand

IMAGES = {"content": "a.png", "style": "b.png"}
LAYERS = ["conv1_1", "conv2_1", "conv3_1", "conv4_1", "conv5_1"]


def make(sweep=None, *overrides, image=IMAGES, **sections) -> Experiment:
    mapping = {"image": image, **sections} | ({"sweep": sweep} if sweep else {})
    return experiment_from_mapping(mapping, source="a.toml", folder=Path("/images"), overrides=overrides)


def test_without_a_sweep_an_experiment_is_its_own_only_member():
    experiment = make(title="alone")
    (member,) = expand(experiment)
    assert member == Member(0, "alone", {}, {}, experiment)


def test_in_a_grid_the_last_key_changes_fastest():
    members = expand(make({"loss.content_weight": [1e-4, 1e-3], "start.seed": [0, 1, 2]}))
    found = [(member.experiment.loss.content_weight, member.experiment.start.seed) for member in members]
    assert found == [(1e-4, 0), (1e-4, 1), (1e-4, 2), (1e-3, 0), (1e-3, 1), (1e-3, 2)]
    assert [member.index for member in members] == list(range(6))
    assert members[4].label == "α = 1e-3, seed = 1"
    assert members[4].values == {"loss.content_weight": 1e-3, "start.seed": 1}
    assert all(member.experiment.sweep is None for member in members)


def test_a_zip_takes_the_lists_side_by_side():
    members = expand(make({"mode": "zip", "start.seed": [1, 2], "image.size": [64, 128], "labels": ["B", "C"]}))
    found = [(member.label, member.experiment.start.seed, member.experiment.image.size) for member in members]
    assert found == [("B", 1, 64), ("C", 2, 128)]


def test_members_keep_what_is_not_swept():
    (member,) = expand(make({"start.seed": [5]}, title="t", loss={"style_weight": 7}, network={"pooling": "max"}))
    expected = make(title="t", loss={"style_weight": 7}, network={"pooling": "max"}, start={"seed": 5})
    assert member.experiment == expected


def test_keys_may_be_tables_within_the_table():
    nested = {"mode": "grid", "loss": {"content_weight": [1, 2]}, "start": {"seed": [0]}}
    assert expand(make(nested)) == expand(make({"loss.content_weight": [1, 2], "start.seed": [0]}))


def test_swept_images_are_relative_to_the_file_and_label_their_members():
    members = expand(make({"image.style": ["c.png", ["paper:x", {"image": "d.png", "weight": 2}]]}))
    assert members[0].experiment.image.style[0].image == "/images/c.png"
    assert [style.image for style in members[1].experiment.image.style] == ["paper:x", "/images/d.png"]
    assert [member.label for member in members] == ["style c", "style x + 2 d"]


def test_layers_and_switches_in_labels():
    sweep = {"loss.style_layers": [["conv1_1", "conv2_1"], {"conv3_1": 0.5}], "optimizer.bounds": [True]}
    members = expand(make(sweep, optimizer={"method": "scipy-lbfgsb"}))
    assert members[0].label == "style layers conv1_1 + conv2_1, bounds = true"
    assert members[1].label == "style layers 0.5 conv3_1, bounds = true"


def test_each_member_takes_its_own_conventions_customary_weights():
    sweep = {"loss.convention": ["paper", "neural-style"]}
    experiment = make(sweep, loss={"style_weight": 3, "style_layers": ["conv1_1", "conv2_1"]})
    paper, neural_style = (member.experiment.loss for member in expand(experiment))
    assert (paper.content_weight, paper.style_weight) == (5e-4, 3)
    assert (neural_style.content_weight, neural_style.tv_weight, neural_style.style_weight) == (5, 1e-3, 3)


def test_a_recorded_sweep_has_the_same_members():
    experiment = make({"loss.convention": ["paper", "neural-style"], "start.seed": [1]})
    recorded = json.loads(json.dumps(experiment.to_json()))
    again = experiment_from_mapping(recorded, source="experiment.json", folder=Path("/elsewhere"))
    assert again == experiment
    assert expand(again) == expand(experiment)


def test_a_swept_optimizer_leaves_behind_what_it_does_not_know():
    sweep = {"optimizer.method": ["lbfgs", "adam"]}
    lbfgs, adam = (member.experiment.optimizer for member in expand(make(sweep, optimizer={"learning_rate": 0.1})))
    assert dict(lbfgs.own) == {"history_size": 20, "history_precision": "float32"}
    assert dict(adam.own) == {"learning_rate": 0.1}


def test_a_sweep_may_give_the_only_image():
    members = expand(make({"image.style": ["a.png", "b.png"]}, image={}))
    assert len(members) == 2


def test_members_that_cannot_be_are_named_with_their_keys():
    experiment = make({"loss.content_weight": [1e-3, -1], "start.method": ["noise", "style"]}, image={"content": "a"})
    with pytest.raises(JaxstyleError) as caught:
        expand(experiment, source="a.toml")
    assert str(caught.value).splitlines() == [
        "a.toml: member 1 (α = 1e-3, start style): start.method: "
        'found "style", but there is no image.style; allowed: content, noise, a path',
        "a.toml: member 2 (α = -1, start noise): loss.content_weight: found -1; allowed: 0 or more",
        "a.toml: member 3 (α = -1, start style): loss.content_weight: found -1; allowed: 0 or more",
    ]


def test_a_base_that_cannot_be_does_not_fill_the_screen():
    with pytest.raises(JaxstyleError) as caught:
        expand(make({"start.seed": list(range(30))}, image={}), source="a.toml")
    lines = str(caught.value).splitlines()
    assert len(lines) == 21
    assert lines[-1] == "a.toml: 10 more"


def test_expansion_changes_nothing():
    experiment = make({"loss.style_layers": [{"conv1_1": 1}], "optimizer.method": ["adam"]})
    before = experiment.to_json()
    assert expand(experiment) == expand(experiment)
    assert experiment.to_json() == before


# Ablations


def test_an_ablation_changes_one_thing_at_a_time():
    sweep = {"mode": "ablation", "network.pooling": ["average", "max"], "start.seed": [1, 2]}
    members = expand(make(sweep, loss={"content_weight": 3}))
    assert [member.label for member in members] == ["baseline", "pooling max", "seed = 1", "seed = 2"]
    assert members[0].experiment == make(loss={"content_weight": 3})
    found = [(member.experiment.network.pooling, member.experiment.start.seed) for member in members]
    assert found == [("average", 0), ("max", 0), ("average", 1), ("average", 2)]
    assert members[1].values == {"network.pooling": "max", "start.seed": 0}
    assert members[1].place == {"network.pooling": "max", "start.seed": "0"}
    assert [member.index for member in members] == [0, 1, 2, 3]


def test_in_an_ablation_customary_weights_stay_each_members_own():
    sweep = {"mode": "ablation", "loss.convention": ["neural-style"], "loss.style_weight": [7]}
    baseline, neural_style, heavier = expand(make(sweep))
    assert (baseline.experiment.loss.style_weight, neural_style.experiment.loss.style_weight) == (1, 100)
    assert heavier.experiment.loss.style_weight == 7
    assert neural_style.values["loss.style_weight"] == 100
    assert neural_style.place["loss.style_weight"] == "1"  # it did not move on that axis


def test_an_ablation_leaves_out_what_it_has_already():
    sweep = {"mode": "ablation", "loss.style_layers": ["cumulative", "leave-one-out"]}
    members = expand(make(sweep, loss={"style_layers": ["conv1_1", "conv2_1"]}))
    assert [member.label for member in members] == ["baseline", "style layers conv1_1", "style layers without conv1_1"]


# Subsets of layers


def layers_of(members) -> list[list[str]]:
    return [list(member.experiment.loss.style_layers) for member in members]


def test_layers_are_added_one_by_one():
    members = expand(make({"loss.style_layers": "cumulative"}))
    assert layers_of(members) == [LAYERS[:count] for count in range(1, 6)]
    assert [member.place["loss.style_layers"] for member in members] == [
        "conv1_1",
        "conv1_1 + conv2_1",
        "conv1_1 … conv3_1",
        "conv1_1 … conv4_1",
        "conv1_1 … conv5_1",
    ]
    weights = [set(member.experiment.loss.style_layers.values()) for member in members]
    assert weights == [{1}, {1 / 2}, {1 / 3}, {1 / 4}, {1 / 5}]


def test_layers_are_left_out_one_by_one_and_lists_may_join_them():
    members = expand(make({"loss.style_layers": ["leave-one-out", ["conv1_1", "conv5_1"]]}))
    assert layers_of(members) == [[own for own in LAYERS if own != left] for left in LAYERS] + [["conv1_1", "conv5_1"]]
    assert members[2].label == "style layers without conv3_1"
    assert members[5].label == "style layers conv1_1 + conv5_1"


def test_a_tables_weights_stay_and_what_weighs_nothing_is_no_layer():
    layers = {"conv4_1": 4, "conv1_1": 2, "conv2_1": 0}
    members = expand(make({"loss.style_layers": "cumulative"}, loss={"style_layers": layers}))
    assert [member.experiment.loss.style_layers for member in members] == [{"conv1_1": 2}, {"conv1_1": 2, "conv4_1": 4}]


def test_subsets_take_each_conventions_weights():
    sweep = {"loss.convention": ["paper", "neural-style"], "loss.style_layers": "leave-one-out"}
    members = expand(make(sweep, loss={"style_layers": ["conv1_1", "conv2_1", "conv3_1"]}))
    assert [set(member.experiment.loss.style_layers.values()) for member in members] == [{1 / 2}] * 3 + [{1}] * 3


def test_content_layers_weigh_one_each():
    members = expand(make({"loss.content_layers": "cumulative"}, loss={"content_layers": ["conv2_2", "conv4_2"]}))
    assert [m.experiment.loss.content_layers for m in members] == [{"conv2_2": 1}, {"conv2_2": 1, "conv4_2": 1}]


def test_layers_that_all_weigh_nothing_have_no_subsets():
    experiment = make({"loss.style_layers": "cumulative"}, loss={"style_layers": {"conv1_1": 0}})
    with pytest.raises(
        JaxstyleError, match=r"a: sweep\.loss\.style_layers: the file's layers all weigh 0; allowed: some"
    ):
        expand(experiment, source="a")


@pytest.mark.parametrize("mode", ["grid", "ablation"])
@pytest.mark.parametrize("loss", [{}, {"style_layers": {"conv1_1": 0.2, "conv3_1": 0.7}}, {"convention": "pystiche"}])
def test_a_recorded_sweep_over_subsets_has_the_same_members(mode, loss):
    sweep = {"mode": mode, "loss.style_layers": ["cumulative", "leave-one-out"], "start.seed": [3]}
    experiment = make(sweep, loss=loss)
    recorded = json.loads(json.dumps(experiment.to_json()))
    again = experiment_from_mapping(recorded, source="experiment.json", folder=Path("/elsewhere"))
    assert expand(again) == expand(experiment)


def test_a_word_can_be_set_on_the_command_line():
    experiment = make(None, "sweep.loss.style_layers=leave-one-out", "sweep.mode=ablation")
    assert len(expand(experiment)) == 6


# Counting


def test_lists_of_a_zip_have_one_length():
    sweep = {"mode": "zip", "loss.style_layers": "cumulative", "image.size": [64]}
    with pytest.raises(JaxstyleError) as caught:
        expand(make(sweep), source="a.toml")
    assert str(caught.value) == (
        "a.toml: sweep: lists of different lengths: loss.style_layers has 5, image.size has 1; "
        "allowed in mode zip: one length for all"
    )


def test_there_is_a_label_for_each_member():
    with pytest.raises(JaxstyleError, match=r"a: sweep\.labels: found 1 labels; allowed: one for each of 2 members"):
        expand(make({"labels": ["a"], "start.seed": [1, 2]}), source="a")


def test_places_are_told_apart_where_labels_agree():
    members = expand(make({"image.style": ["one/c.png", "two/c.png"]}))
    assert [member.place["image.style"] for member in members] == ["one/c.png", "two/c.png"]
