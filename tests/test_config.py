"""Experiment files: what they mean, and what editors and readers are told about them."""

import json
import os
import re
import tomllib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from jaxstyle.config import (
    CUSTOMARY,
    Convention,
    Experiment,
    Pooling,
    StyleSize,
    experiment_from_mapping,
    load_experiment,
    schema,
)
from jaxstyle.config.models import all_keys
from jaxstyle.config.schema import DOCUMENT_FILE, SCHEMA_FILE, documented, schema_text
from jaxstyle.network.layers import LAYERS

IMAGES = {"content": "a.png", "style": "b.png"}
STYLE_LAYERS = ["conv1_1", "conv2_1", "conv3_1", "conv4_1", "conv5_1"]

DESIGN = """
title = "Fig. 3 F: Neckarfront in the style of Composition VII"
[image]
content = "paper:neckarfront"        # a path relative to this file, or a name of the image registry
style = "paper:composition_vii"      # one, or a list of {image, weight}
size = 512
[network]
weights = "vgg19-normalized"
pooling = "average"
[loss]
convention = "paper-figures"
content_weight = 5e-3
style_weight = 1.0
tv_weight = 0.0
content_layers = ["conv4_2"]
style_layers = { conv1_1 = 0.2, conv2_1 = 0.2, conv3_1 = 0.2, conv4_1 = 0.2, conv5_1 = 0.2 }
[start]
method = "noise"
seed = 0
[optimizer]
method = "lbfgs"
iterations = 500
history_size = 20
"""


def make(mapping=None, *overrides, folder=Path("/images"), **sections) -> Experiment:
    mapping = {"image": IMAGES} | sections if mapping is None else mapping
    return experiment_from_mapping(mapping, source="a.toml", folder=folder, overrides=overrides)


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


# Meaning


def test_the_complete_file_says_nothing_but_the_defaults(tmp_path):
    complete = load_experiment(write(tmp_path / "a.toml", DESIGN))
    images = {"content": "paper:neckarfront", "style": "paper:composition_vii"}
    assert complete == make({"title": complete.title, "image": images})
    assert complete.network.pooling is Pooling.AVERAGE
    assert complete.optimizer.method == "lbfgs"
    assert complete.image.style_size is StyleSize.CONTENT


@pytest.mark.parametrize(
    ("convention", "content", "style", "tv", "layer"),
    [
        ("paper", 5e-4, 1, 0, 0.2),
        ("paper-figures", 5e-3, 1, 0, 0.2),
        ("gatys-normalized", 1e6, 1e9, 0, 0.2),
        ("gatys-notebook", 1, 1e3, 0, 1),
        ("neural-style", 5, 100, 1e-3, 1),
        ("pystiche", 1, 1e3, 0, 0.2),
    ],
)
def test_a_convention_brings_its_customary_weights(convention, content, style, tv, layer):
    loss = make(loss={"convention": convention}).loss
    assert (loss.content_weight, loss.style_weight, loss.tv_weight) == (content, style, tv)
    assert loss.content_layers == {"conv4_2": 1}
    assert loss.style_layers == dict.fromkeys(STYLE_LAYERS, layer)


def test_every_convention_has_customary_weights():
    assert set(CUSTOMARY) == set(Convention)


def test_given_weights_outrank_the_convention_whatever_the_order_in_the_file():
    loss = make(loss={"content_weight": 3, "style_layers": ["conv1_1", "conv1_2"], "convention": "neural-style"}).loss
    assert (loss.content_weight, loss.style_weight) == (3, 100)
    assert loss.style_layers == {"conv1_1": 1, "conv1_2": 1}


def test_lists_of_layers_are_weighed_by_the_convention():
    layers = {"style_layers": ["relu3_1", "conv1_1"], "content_layers": ["relu4_2", "conv2_2"]}
    paper = make(loss=layers).loss
    assert paper.style_layers == {"conv1_1": 0.5, "conv3_1": 0.5}
    assert paper.content_layers == {"conv2_2": 1, "conv4_2": 1}
    assert list(paper.style_layers) == ["conv1_1", "conv3_1"]  # in the network's order


def test_tables_of_layers_keep_their_weights_and_zero_is_one():
    loss = make(loss={"style_layers": {"relu2_1": 0, "conv1_1": 3}}).loss
    assert loss.style_layers == {"conv1_1": 3, "conv2_1": 0}


@pytest.mark.parametrize("style", ["b.png", ["b.png"], {"image": "b.png"}, [{"image": "b.png", "weight": 1}]])
def test_one_style_image_in_every_form(style):
    (only,) = make(image={"style": style}).image.style
    assert (only.image, only.weight) == ("/images/b.png", 1.0)


def test_several_style_images():
    styles = make(image={"style": ["a.png", {"image": "paper:the_scream", "weight": 2}]}).image.style
    assert [(style.image, style.weight) for style in styles] == [("/images/a.png", 1), ("paper:the_scream", 2)]


def test_experiments_are_frozen():
    with pytest.raises(ValidationError, match="frozen"):
        make().image.size = 3


# Paths


def test_relative_paths_are_relative_to_the_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "deep").mkdir()
    text = """
    image = { content = "../a.png", style = ["b.png", { image = "skimage:coffee" }] }
    network.weights = "w.safetensors"
    start.method = "start.png"
    """
    experiment = load_experiment(write(tmp_path / "deep" / "e.toml", text).relative_to(tmp_path))
    assert experiment.image.content == str(tmp_path / "a.png")
    assert [style.image for style in experiment.image.style] == [str(tmp_path / "deep" / "b.png"), "skimage:coffee"]
    assert experiment.network.weights == str(tmp_path / "deep" / "w.safetensors")
    assert experiment.start.method == str(tmp_path / "deep" / "start.png")


def test_relative_paths_in_overrides_are_relative_to_the_current_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    experiment = make(None, "image.content=c.png", 'image.style=["d.png", "paper:x"]', "start.method=sub/s")
    assert experiment.image.content == str(tmp_path / "c.png")
    assert [style.image for style in experiment.image.style] == [str(tmp_path / "d.png"), "paper:x"]
    assert experiment.start.method == str(tmp_path / "sub" / "s")


def test_home_folders_absolute_paths_and_path_objects():
    image = make(image={"content": Path("/elsewhere/c.png"), "style": [Path("b.png"), "~/d.png"]}).image
    assert image.content == "/elsewhere/c.png"
    assert [style.image for style in image.style] == ["/images/b.png", os.path.expanduser("~/d.png")]


def test_names_of_weights_and_starts_are_not_paths():
    experiment = make(network={"weights": "vgg19"}, start={"method": "style"})
    assert (experiment.network.weights, experiment.start.method) == ("vgg19", "style")


# Round trips

LAYER_WEIGHTS = st.dictionaries(st.sampled_from(LAYERS), st.floats(0.1, 1e3), min_size=1)
FILES = st.fixed_dictionaries(
    {
        "image": st.fixed_dictionaries(
            {"content": st.just("c.png"), "style": st.lists(st.sampled_from(["a.png", "paper:x"]), min_size=1)},
            optional={"size": st.integers(16, 8192), "style_size": st.sampled_from([*StyleSize])},
        )
    },
    optional={
        "title": st.text(),
        "loss": st.fixed_dictionaries(
            {},
            optional={
                "convention": st.sampled_from([*Convention]),
                "content_weight": st.floats(1e-9, 1e9),
                "tv_weight": st.just(0.0) | st.floats(1e-9, 1e9),
                "content_layers": LAYER_WEIGHTS | st.lists(st.sampled_from(LAYERS), unique=True),
                "style_layers": LAYER_WEIGHTS | st.lists(st.sampled_from(LAYERS), unique=True, min_size=1),
            },
        ),
        "start": st.fixed_dictionaries({"method": st.sampled_from(["noise", "content", "s.png"])}),
        "sweep": st.fixed_dictionaries(
            {"start.seed": st.lists(st.integers(0, 9), min_size=1)},
            optional={"loss.convention": st.lists(st.sampled_from([*Convention]), min_size=1)},
        ),
    },
)


@settings(deadline=None)  # other processes share the cores
@given(FILES)
def test_a_dump_loads_as_an_equal_experiment(mapping):
    experiment = make(mapping)
    again = make(json.loads(json.dumps(experiment.to_json())), folder=Path("/not/used/again"))
    assert again == experiment
    assert again.to_json() == experiment.to_json()


def test_a_dump_holds_the_resolved_numbers():
    dump = make(image={"style": "b.png"}, loss={"convention": "neural-style"}).to_json()
    assert dump["loss"]["content_weight"] == 5
    assert dump["loss"]["style_layers"] == dict.fromkeys(STYLE_LAYERS, 1)
    assert "content" not in dump["image"]
    assert "sweep" not in dump


def test_the_record_of_a_run_is_an_experiment_file(tmp_path):
    experiment = make(optimizer={"method": "adam", "learning_rate": 0.1})
    file = write(tmp_path / "experiment.json", json.dumps(experiment.to_json()))
    assert load_experiment(file) == experiment


# Overrides


def test_overrides_change_any_key():
    experiment = make(
        None,
        "optimizer.method=adam",
        "loss.style_weight=2e3",
        " image.size = 256 ",
        'loss.style_layers=["conv1_1"]',
        "optimizer.learning_rate=0.1",
        "title=A night sky",
        "output.bits=16",
        loss={"style_weight": 1.0},
    )
    assert experiment.optimizer.method == "adam"
    assert experiment.optimizer.learning_rate == 0.1
    assert experiment.loss.style_weight == 2000
    assert experiment.loss.style_layers == {"conv1_1": 1}
    assert (experiment.image.size, experiment.title, experiment.output.bits) == (256, "A night sky", 16)


def test_the_last_override_of_a_key_counts():
    assert make(None, "image.size=64", "image.size=32").image.size == 32


def test_another_optimizer_leaves_the_settings_of_the_first_behind():
    scipy = {"method": "scipy-lbfgsb", "bounds": "paper", "history_size": 50}
    assert make(None, "optimizer.method=lbfgs", optimizer=scipy).optimizer.history_size == 50
    adam = make(None, "optimizer.method=adam", optimizer=scipy).optimizer
    assert (dict(adam.own), adam.bounds) == ({"learning_rate": 0.02}, "paper")  # every method has bounds


@pytest.mark.parametrize(("written", "rule"), [(True, "per-channel"), (False, "none")])
def test_bounds_of_older_files_and_records_are_read(written, rule):
    assert make(optimizer={"bounds": written}).optimizer.bounds == rule
    assert make(None, f"optimizer.bounds={str(written).lower()}").optimizer.bounds == rule
    assert make(optimizer={"bounds": rule}).to_json()["optimizer"]["bounds"] == rule


def test_sweeps_can_be_added_and_changed():
    changed = make(None, "sweep.start.seed=[3]", sweep={"start.seed": [1, 2]})
    assert changed == make(sweep={"start.seed": [3]})
    added = make(None, "sweep.mode=zip", "sweep.image.size=[64, 128]")
    assert added == make(sweep={"mode": "zip", "image": {"size": [64, 128]}})


def test_one_override_sets_one_key():
    experiment = make(None, "title=1\nimage.size=64")
    assert (experiment.title, experiment.image.size) == ("1\nimage.size=64", 512)


# What editors and readers are told


def test_the_schema_in_the_checkout_is_current():
    assert SCHEMA_FILE.read_text(encoding="utf-8") == schema_text(), "run: python -m jaxstyle.config"


def test_the_tables_in_the_documentation_are_current():
    page = DOCUMENT_FILE.read_text(encoding="utf-8")
    assert page == documented(page), "run: python -m jaxstyle.config"
    assert all(f"| `{key}` |" in page for key in all_keys())
    assert all(f"| `{convention}` |" in page for convention in Convention)


def test_examples_in_the_documentation_are_experiments():
    pages = (DOCUMENT_FILE, DOCUMENT_FILE.with_name("sweeps.md"))
    text = "\n".join(page.read_text(encoding="utf-8") for page in pages)
    blocks = re.findall(r"(?:^    .*\n|^\n(?=    ))+", text, re.MULTILINE)
    files = [block for block in blocks if re.search(r"^    \[\w+\]$", block, re.MULTILINE)]
    assert len(files) >= 4
    for text in files:
        mapping = tomllib.loads(re.sub(r"^    ", "", text, flags=re.MULTILINE))
        make({"image": IMAGES} | mapping)


def test_the_schema_describes_every_key_once_and_for_sweeps():
    whole = schema()
    for dotted in all_keys():
        section, _, key = dotted.rpartition(".")
        table = whole["$defs"][section.capitalize()] if section else whole
        assert len(table["properties"][key]["description"]) > 20
        assert dotted in whole["$defs"]["Sweep"]["properties"]


def test_the_schema_refuses_unknown_keys_and_knows_every_form():
    definitions = schema()["$defs"]
    tables = [table for table in definitions.values() if "properties" in table]
    assert all(table["additionalProperties"] is False for table in tables)
    assert [form["type"] for form in definitions["Loss"]["properties"]["style_layers"]["anyOf"]] == ["array", "object"]
    assert len(definitions["Image"]["properties"]["style"]["anyOf"]) == 3


def references(node):
    if isinstance(node, dict):
        yield from ([node["$ref"]] if isinstance(node.get("$ref"), str) else [])
        node = list(node.values())
    for part in node if isinstance(node, list) else []:
        yield from references(part)


def test_the_references_in_the_schema_lead_somewhere():
    whole = schema()
    found = set(references(whole))
    assert "#/$defs/Image/properties/size" in found
    for reference in found:
        node = whole
        for part in reference.removeprefix("#/").split("/"):
            node = node[part]
        assert node
