"""Experiment files: what they refuse, and what they say when they refuse."""

import math
import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxstyle.config import Experiment, experiment_from_mapping, load_experiment
from jaxstyle.config.models import all_keys
from jaxstyle.errors import JaxstyleError

IMAGES = {"content": "a.png", "style": "b.png"}


def make(mapping=None, *overrides, folder=Path("/images"), **sections) -> Experiment:
    mapping = {"image": IMAGES} | sections if mapping is None else mapping
    return experiment_from_mapping(mapping, source="a.toml", folder=folder, overrides=overrides)


def complaints(mapping=None, *overrides, **sections) -> list[str]:
    with pytest.raises(JaxstyleError) as caught:
        make(mapping, *overrides, **sections)
    return str(caught.value).splitlines()


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


# Overrides


@pytest.mark.parametrize(
    ("override", "answer"),
    [
        ("image.sise=2", "--set image.sise=2: unknown key 'sise'; did you mean 'size'? Allowed: content, style, size"),
        ("optimiser.method=adam", "unknown key 'optimiser'; did you mean 'optimizer'? Allowed: title, image"),
        ("style_weight=2", "unknown key 'style_weight'; did you mean 'loss.style_weight'?"),
        ("image=2", "'image' is a section; allowed: one of its keys, image.key=value"),
        ("image.size", "--set image.size: found no '='; allowed: image.size=value"),
        ("", "--set : unknown key ''."),
        ("loss.style_layers=[conv1_1]", "found [conv1_1], which is not a TOML value"),
        ("sweep.start.sed=[2]", "unknown key 'sed'; did you mean 'seed'?"),
        ("image.size=big", '--set image.size: found "big"; allowed: a whole number'),
        ("image.size=8", "--set image.size: found 8; allowed: 16 or more"),
        ('loss.style_layers=["conv9_1"]', "--set loss.style_layers[0]: unknown layer 'conv9_1'"),
        ("title=[1,\n2]", "--set title: found [1, 2]; allowed: text in quotes"),
        ("image.s\x1bize=3", "--set image.s\\x1bize=3: unknown key 's\\x1bize'; did you mean 'size'?"),
    ],
)
def test_bad_overrides_are_answered(override, answer):
    (line, *_) = complaints(None, override)
    assert answer in line
    assert line.startswith("--set ")


def test_an_override_of_a_swept_key_would_have_no_effect():
    (line,) = complaints(None, "start.seed=3", sweep={"start": {"seed": [1, 2]}})
    assert line == "--set start.seed=3: the file's [sweep] varies start.seed; allowed: sweep.start.seed=[…]"


# Refusals


@pytest.mark.parametrize(
    ("section", "table", "answer"),
    [
        ("image", {"content": 3}, "image.content: found 3; allowed: text in quotes"),
        ("image", {"style": 3}, "image.style[0]: found 3; allowed: an image, or a list of images or { image = …"),
        ("image", {"style": [{"weight": 1}]}, "image.style[0].image: missing; allowed: an image's path"),
        (
            "image",
            {"style": {"image": "a", "wieght": 1}},
            "image.style[0].wieght: unknown key 'wieght'; did you mean 'w",
        ),
        ("image", {"style": [{"image": "a", "weight": -1}]}, "image.style[0].weight: found -1; allowed: 0 or more"),
        ("image", {"style": ""}, 'image.style[0].image: found ""; allowed: some text'),
        (
            "image",
            {"scales": "atuo"},
            "image.scales: unknown scales 'atuo'; did you mean 'auto'? Allowed: single, auto, ",
        ),
        ("image", {"scales": 256}, "image.scales: found 256; allowed: single, auto, fast, a rising list of long sides"),
        ("image", {"scales": []}, "image.scales: found []; allowed: a rising list of long sides, such as [128,"),
        ("image", {"scales": [256, 128]}, "image.scales: found [256, 128]; allowed: a rising list of long sides"),
        ("image", {"scales": [8, 512]}, "image.scales[0]: found 8; allowed: 16 or more"),
        ("image", {"size": "512"}, 'image.size: found "512"; allowed: a whole number'),
        ("image", {"size": 512.0}, "image.size: found 512.0; allowed: a whole number"),
        ("image", {"size": 9000}, "image.size: found 9000; allowed: 8192 or less"),
        (
            "image",
            {"style_size": "covr"},
            "image.style_size: unknown style size 'covr'; did you mean 'cover'? Allowed:",
        ),
        (
            "image",
            {"style_weight": 1},
            "unknown key 'style_weight'; did you mean 'loss.style_weight'? Allowed: content",
        ),
        ("network", {"pooling": 2}, "network.pooling: found 2; allowed: average, max"),
        ("network", 3, "network: found 3; allowed: a table, [network]"),
        ("loss", {"convention": "papr"}, "loss.convention: unknown convention 'papr'; did you mean 'paper'? Allowed:"),
        ("loss", {"content_weight": True}, "loss.content_weight: found true; allowed: a number"),
        ("loss", {"content_weight": "1"}, 'loss.content_weight: found "1"; allowed: a number'),
        ("loss", {"style_weight": math.nan}, "loss.style_weight: found NaN; allowed: a finite number"),
        ("loss", {"style_weight": math.inf}, "loss.style_weight: found Infinity; allowed: a finite number"),
        ("loss", {"style_weight": -1}, "loss.style_weight: found -1; allowed: 0 or more"),
        ("loss", {"style_layers": 3}, "loss.style_layers: found 3; allowed: a list of layers, or a table of their"),
        ("loss", {"style_layers": [3]}, "loss.style_layers[0]: found 3; allowed: text in quotes"),
        ("loss", {"style_layers": {"conv1_1": -1}}, "loss.style_layers.conv1_1: found -1; allowed: 0 or more"),
        ("loss", {"style_layers": {"conf1_1": 1}}, "loss.style_layers.conf1_1: unknown layer 'conf1_1'; did you mean"),
        ("loss", {"style_layers": ["conv1_1", "relu1_1"]}, "loss.style_layers: conv1_1 named more than once"),
        ("loss", {"style_layers": {"conv1_1": 1, "relu1_1": 1}}, "loss.style_layers: conv1_1 named more than once"),
        (
            "start",
            {"method": "noize"},
            "start.method: unknown start 'noize'; did you mean 'noise'? Allowed: content, st",
        ),
        ("start", {"seed": -1}, "start.seed: found -1; allowed: 0 or more"),
        ("start", {"seed": 2**32}, "start.seed: found 4294967296; allowed: 4294967295 or less"),
        ("optimizer", {"iterations": 0}, "optimizer.iterations: found 0; allowed: 1 or more"),
        ("optimizer", {"tolerance": 1}, "optimizer.tolerance: found 1; allowed: less than 1"),
        ("optimizer", {"learning_rate": 0.0}, "optimizer.learning_rate: found 0.0; allowed: more than 0"),
        ("optimizer", {"bounds": 1}, "optimizer.bounds: found 1; allowed: none, paper, per-channel"),
        (
            "optimizer",
            {"bounds": "per-chanel"},
            "optimizer.bounds: unknown bounds 'per-chanel'; did you mean 'per-channel'? Allowed: none, paper, per-ch",
        ),
        ("output", {"bits": 12}, "output.bits: found 12; allowed: 8 or 16"),
        (
            "optimiser",
            {},
            "optimiser: unknown key 'optimiser'; did you mean 'optimizer'? Allowed: title, image, colour, netw",
        ),
        ("size", 3, "size: unknown key 'size'; did you mean 'image.size'?"),
        ("title", 3, "title: found 3; allowed: text in quotes"),
        ("sweep", {"start.sed": [1]}, "sweep.start.sed: unknown key 'sed'; did you mean 'seed'? Allowed: method, seed"),
        ("sweep", {"start.seed": 1}, "sweep.start.seed: found 1; allowed: a list of values"),
        ("sweep", {"start.seed": []}, "sweep.start.seed: found []; allowed: one or more values"),
        ("sweep", {"mode": "gird", "start.seed": [1]}, "sweep.mode: unknown mode 'gird'; did you mean 'grid'?"),
        ("sweep", {"mode": "grid"}, "sweep: names no key to vary"),
        ("sweep", 3, "sweep: found 3; allowed: a table, [sweep]"),
        ("sweep", {"start.seed": "cumulative"}, 'sweep.start.seed: found "cumulative"; allowed: a list of values'),
        (
            "sweep",
            {"loss.style_layers": "cumulativ"},
            "unknown subsets 'cumulativ'; did you mean 'cumulative'? Allowed",
        ),
        (
            "sweep",
            {"loss.content_layers": ["conv4_2"]},
            """'conv4_2'. Allowed: cumulative, leave-one-out, or lists such""",
        ),
    ],
)
def test_mistakes_are_answered_with_file_key_and_what_is_allowed(section, table, answer):
    mapping = {"image": IMAGES} | {section: IMAGES | table if section == "image" else table}
    (line,) = complaints(mapping)
    assert line.startswith("a.toml: ")
    assert answer in line


def test_all_problems_are_reported_at_once():
    lines = complaints(
        {"image": {"size": "x"}, "loss": {"convention": "p", "style_layers": ["conv1_1", "conv4_9", "x"]}, "imag": {}},
        "start.seed=-1",
    )
    assert [line.split(": ")[:2] for line in lines] == [
        ["a.toml", "image.size"],
        ["a.toml", "loss.convention"],
        ["a.toml", "loss.style_layers[1]"],
        ["a.toml", "loss.style_layers[2]"],
        ["--set start.seed", "found -1; allowed"],
        ["a.toml", "imag"],
    ]


@pytest.mark.parametrize(
    ("mapping", "answer"),
    [
        ({}, "image: no content and no style image; allowed: image.content, image.style, or both"),
        (
            {"image": {"style": "a"}, "start": {"method": "content"}},
            'start.method: found "content", but there is no im',
        ),
        (
            {"image": {"content": "a"}, "start": {"method": "style"}},
            'start.method: found "style", but there is no image',
        ),
        (
            {"image": {"style": "a", "style_size": "cover"}},
            'image.style_size: found "cover", but there is no image.con',
        ),
        (
            {"image": {"content": "a", "scales": [128, 256]}},
            "image.scales: found [128, 256]; allowed: a rising list that ends with image.size, 512",
        ),
        (
            {"image": {"content": "a", "scales": [128, 512]}, "optimizer": {"iterations": 1}},
            "image.scales: found 2 scales with optimizer.iterations = 1; allowed: no more scales than iterations",
        ),
        ({"image": {"content": "a"}, "loss": {"content_weight": 0}}, "loss: nothing to minimize"),
        ({"image": {"content": "a"}, "loss": {"content_layers": []}}, "loss: nothing to minimize"),
        ({"image": {"style": "a"}, "loss": {"style_layers": {"conv1_1": 0}}}, "loss: nothing to minimize"),
        ({"image": {"content": "a", "style": {"image": "b", "weight": 0}}}, "image.style: every image has weight 0"),
        (
            {"image": IMAGES, "optimizer": {"learning_rate": 1}},
            "optimizer.learning_rate: found 1.0 with optimizer.met",
        ),
        (
            {"image": IMAGES, "optimizer": {"method": "adam", "history_size": 3}},
            "optimizer.history_size: found 3 with optimizer.method = adam, which has none; allowed with: lbfgs, scipy",
        ),
    ],
)
def test_impossible_combinations_are_refused(mapping, answer):
    (line,) = complaints(mapping)
    assert line.startswith(f"a.toml: {answer}")


@pytest.mark.parametrize(
    "mapping",
    [
        {"image": {"content": "a"}},  # content reconstruction
        {"image": {"style": "a"}},  # texture synthesis: `size` is then the style's long side
        {"image": {"style": "a"}, "start": {"method": "style"}},
        {"image": IMAGES, "loss": {"content_weight": 0}},  # the content image then gives the shape
        {"image": IMAGES, "loss": {"content_layers": []}},
        {"image": {"content": "a"}, "loss": {"content_weight": 0, "tv_weight": 1}, "start": {"method": "content"}},
        {"image": IMAGES, "optimizer": {"method": "scipy-lbfgsb", "bounds": "paper", "history_size": 5}},
        {"image": IMAGES, "optimizer": {"method": "lbfgs", "bounds": "per-channel"}},
        {"image": IMAGES, "optimizer": {"method": "adam", "bounds": "paper"}},
        {"image": {}, "start": {"method": "content"}, "sweep": {"image.content": ["a.png"]}},  # given by the sweep
    ],
)
def test_unusual_but_possible_combinations_are_not_refused(mapping):
    assert make(mapping).image.size == 512


# Files


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("[image]\nsize = = 3\n", "line 2, column 8: not valid TOML: Invalid value"),
        ("[image]\nstyle = [1,", "line 2, column 12: not valid TOML: "),
        ("[image]\n[image]\n", "line 2, column 7: not valid TOML: Cannot declare ('image',) twice"),
    ],
)
def test_syntax_errors_have_a_line_and_a_column(tmp_path, text, answer):
    file = write(tmp_path / "a.toml", text)
    with pytest.raises(JaxstyleError, match=re.escape(f"{file}: {answer}")):
        load_experiment(file)


@pytest.mark.parametrize(
    "written",
    [
        r'content = "C:\Users\me\cat.jpg"',  # \U is a character's number
        r'content = "C:\x.jpg"',
        r'content = "images\cat.jpg"',
        r'style = ["a.jpg", "C:\Users\b.jpg"]',
        r'content = "C:\"',  # the quote that ends the text is escaped
        r'content = "\ud800.jpg"',
    ],
)
def test_backslashes_that_are_no_escapes_are_named(tmp_path, written):
    file = write(tmp_path / "a.toml", f"[image]\n{written}\n")
    with pytest.raises(
        JaxstyleError, match=r"line [23], .*; in \"…\" a backslash begins an escape .* in '…', or with /"
    ):
        load_experiment(file)


def test_a_syntax_error_elsewhere_says_nothing_of_backslashes(tmp_path):
    file = write(tmp_path / "a.toml", "[image]\ncontent = 'C:\\x.jpg'\nsize = = 3\n")
    with pytest.raises(JaxstyleError, match="not valid TOML") as caught:
        load_experiment(file)
    assert "backslash" not in str(caught.value)


@pytest.mark.parametrize(
    ("table", "key", "found"),
    [
        ('image = {content = "C:\\temp\\new.jpg"}', "image.content", r"a tab .*C:\\temp\\new\.jpg'"),
        ('image = {style = "C:\\new.jpg"}', r"image.style\[0\].image", r"a new line .*C:\\new\.jpg'"),
        ('image = {style = [{image = "C:\\bild.jpg"}]}', r"image.style\[0\].image", r"a control character .*C:\\bild"),
        (
            'image = {style = "a.jpg"}\nstart = {method = "x\\r.png"}',
            r"start.method",
            r"a control character .*x\\r\.png'",
        ),
        ('image = {style = "a.jpg"}\nnetwork = {weights = "w\\f.safetensors"}', r"network.weights", r".*w\\f\.safe"),
    ],
)
def test_escapes_in_paths_are_not_taken_in_silence(tmp_path, table, key, found):
    file = write(tmp_path / "a.toml", f"{table}\n")
    with pytest.raises(JaxstyleError, match=rf"a\.toml: {key}: found {found}") as caught:
        load_experiment(file)
    assert "a backslash begins an escape" in str(caught.value)


def test_a_file_that_has_a_tab_in_its_name_is_that_file(tmp_path):
    (tmp_path / "a\tb.jpg").touch()
    file = write(tmp_path / "a.toml", 'image = {style = "a\\tb.jpg"}\n')
    assert load_experiment(file).image.style[0].image == str(tmp_path / "a\tb.jpg")


def test_a_missing_file_is_answered_with_the_nearest(tmp_path):
    write(tmp_path / "quickstart.toml", "")
    with pytest.raises(JaxstyleError, match=r"quikstart\.toml: no such file; did you mean 'quickstart\.toml'\?"):
        load_experiment(tmp_path / "quikstart.toml")
    with pytest.raises(JaxstyleError, match=r"zzz\.toml: no such file; experiment files there: quickstart\.toml"):
        load_experiment(tmp_path / "zzz.toml")
    with pytest.raises(JaxstyleError, match=r"no such file; the folder .*nowhere does not exist"):
        load_experiment(tmp_path / "nowhere" / "a.toml")


def test_unreadable_files_are_answered(tmp_path):
    with pytest.raises(JaxstyleError, match="cannot be read: Is a directory"):
        load_experiment(tmp_path)
    (tmp_path / "a.toml").write_bytes(b"title = '\xff'")
    with pytest.raises(JaxstyleError, match=r"a\.toml: not text in UTF-8 \(byte 9\)"):
        load_experiment(tmp_path / "a.toml")
    with pytest.raises(JaxstyleError, match="line 1, column 2: not valid JSON"):
        load_experiment(write(tmp_path / "a.json", "{"))
    with pytest.raises(JaxstyleError, match=r"found \[1\]; allowed: the sections"):
        load_experiment(write(tmp_path / "b.json", "[1]"))


def test_a_byte_order_mark_is_no_part_of_the_file(tmp_path):
    (tmp_path / "a.toml").write_bytes(b'\xef\xbb\xbfimage.style = "a"')
    assert load_experiment(tmp_path / "a.toml").image.content is None


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.dates(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)
NAMES = st.sampled_from([*all_keys(), "sweep.mode", "sweep.labels", "sweep.start.seed"]) | st.text()


def answer(mapping, *overrides) -> str:
    try:
        make(mapping, *overrides)
    except JaxstyleError as error:
        return str(error)
    return "understood" if overrides else ""


@settings(deadline=None)  # other processes share the cores
@given(st.dictionaries(st.sampled_from(["image", "loss", "sweep", "start"]) | st.text(), VALUES), NAMES, VALUES)
def test_any_mapping_is_an_experiment_or_a_complete_answer(mapping, dotted, value):
    section, _, key = dotted.partition(".")
    mapping = {"image": {"style": "a"}} | mapping | {section: {key: value}}
    lines = answer(mapping).splitlines()
    assert all(line.startswith("a.toml: ") and "pydantic" not in line for line in lines)


@settings(deadline=None)  # other processes share the cores
@given(NAMES, st.text())
def test_any_override_is_understood_or_answered(key, text):
    assert answer(None, f"{key}={text}").startswith(("--set ", "a.toml: ", "understood"))


@settings(deadline=None)  # other processes share the cores
@given(st.text() | st.binary())
def test_any_file_is_read_or_answered(tmp_path_factory, text):
    file = tmp_path_factory.getbasetemp() / "any.toml"
    file.write_bytes(text if isinstance(text, bytes) else text.encode("utf-8", "surrogatepass"))
    with pytest.raises(JaxstyleError, match=r"any\.toml: "):  # at best it has no image
        load_experiment(file)
