"""Sweeps: which members a file has, and what is said about those that cannot be."""

import json
from pathlib import Path

import pytest

from jaxstyle.config import Experiment, experiment_from_mapping
from jaxstyle.errors import JaxstyleError
from jaxstyle.sweep import Member, expand

PICTURES = {"content": "a.png", "style": "b.png"}


def make(sweep=None, *overrides, image=PICTURES, **sections) -> Experiment:
    mapping = {"image": image, **sections} | ({"sweep": sweep} if sweep else {})
    return experiment_from_mapping(mapping, source="a.toml", folder=Path("/pictures"), overrides=overrides)


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


def test_swept_pictures_are_relative_to_the_file_and_label_their_members():
    members = expand(make({"image.style": ["c.png", ["paper:x", {"image": "d.png", "weight": 2}]]}))
    assert members[0].experiment.image.style[0].image == "/pictures/c.png"
    assert [style.image for style in members[1].experiment.image.style] == ["paper:x", "/pictures/d.png"]
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
    assert (lbfgs.learning_rate, adam.learning_rate) == (0.02, 0.1)


def test_a_sweep_may_give_the_only_picture():
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
