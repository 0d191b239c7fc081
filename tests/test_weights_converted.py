import json

import numpy as np
import pytest
import safetensors.numpy
from hypothesis import given, settings
from hypothesis import strategies as st
from weights_writers import random_parameters

from jaxstyle.errors import JaxstyleError
from jaxstyle.network.layers import LAYERS
from jaxstyle.network.weights import NETWORKS, load_converted
from jaxstyle.network.weights.converted import read_metadata, save_converted
from jaxstyle.network.weights.parameters import content_sha256
from jaxstyle.version import __version__

SOURCE = {"network": "torchvision", "source": "a test", "source_sha256": "0" * 64}


def save(path, parameters, **changes):
    facts = {**SOURCE, "preprocessing": NETWORKS["torchvision"].preprocessing, **changes}
    save_converted(path, parameters, **facts)
    return path


@pytest.fixture(scope="module")
def parameters():
    return random_parameters()


@pytest.fixture(scope="module")
def converted(tmp_path_factory, parameters):
    return save(tmp_path_factory.mktemp("converted") / "mine.safetensors", parameters, notes={"colour": "none"})


def rewrite(converted, path, tensors=None, metadata=None):
    """The same file with some tensors and metadata changed; None removes."""
    tensors = {**safetensors.numpy.load_file(converted), **(tensors or {})}
    metadata = {**read_metadata(converted), **(metadata or {})}
    safetensors.numpy.save_file(
        {key: value for key, value in tensors.items() if value is not None},
        path,
        {key: value for key, value in metadata.items() if value is not None},
    )
    return path


def test_what_is_written_is_read(converted, parameters):
    weights = load_converted(converted)
    assert weights.name == "mine"
    assert weights.network == "torchvision"
    assert weights.preprocessing == NETWORKS["torchvision"].preprocessing
    assert weights.path == converted
    assert list(weights.parameters) == list(LAYERS)
    for layer in LAYERS:
        for part in ("kernel", "bias"):
            np.testing.assert_array_equal(weights.parameters[layer][part], parameters[layer][part])


def test_the_metadata_says_where_it_comes_from(converted, parameters):
    metadata = read_metadata(converted)
    expected = {
        "format": "jaxstyle-vgg19",
        "source": "a test",
        "source_sha256": "0" * 64,
        "licence": "BSD-3-Clause",
        "attribution": "VGG-19 trained by the torchvision contributors",
        "jaxstyle_version": __version__,
        "content_sha256": content_sha256(parameters),
        "colour": "none",
    }
    assert expected.items() <= metadata.items()
    assert json.loads(metadata["preprocessing"])["order"] == "rgb"


def test_the_same_parameters_give_the_same_bytes(converted, parameters, tmp_path):
    again = save(tmp_path / "again.safetensors", parameters, notes={"colour": "none"})
    assert again.read_bytes() == converted.read_bytes()


def test_tensors_are_aligned(converted):
    assert (8 + int.from_bytes(converted.read_bytes()[:8], "little")) % 8 == 0


@pytest.mark.parametrize(
    ("tensors", "metadata", "message"),
    [
        ({"conv2_1.bias": None}, {}, r"conv2_1\.bias: missing"),
        ({"conv2_1.bias": np.zeros(3, "f4")}, {}, r"conv2_1\.bias: the shape is \(3,\); VGG-19 has \(128,\)"),
        ({"conv2_1.bias": np.zeros(128, "f8")}, {}, r"conv2_1\.bias: the type is float64"),
        ({"conv2_1.bias": np.full(128, np.inf, "f4")}, {}, r"conv2_1\.bias: holds values that are not finite"),
        ({"conv2_1.bias": np.zeros(128, "f4")}, {}, "the numbers are not those that were written"),
        ({}, {"format": None}, r"does not say which network it holds.*jaxstyle weights convert"),
        ({}, {"preprocessing": None}, "does not say which network it holds or how to feed it"),
        ({}, {"format_version": "9"}, "format version '9'; this jaxstyle reads '1'"),
        ({}, {"network": "resnet"}, "unknown network 'resnet'"),
        ({}, {"preprocessing": "{}"}, "its preprocessing is unreadable"),
        ({}, {"preprocessing": '{"order":"rbg","scale":1,"mean":[0,0,0],"std":[1,1,1]}'}, "unreadable.*order"),
        ({}, {"preprocessing": '{"order":"rgb","scale":0,"mean":[0,0,0],"std":[1,1,1]}'}, "unreadable.*positive"),
        ({}, {"preprocessing": '{"order":"rgb","scale":1,"mean":[0,0],"std":[1,1,1]}'}, "unreadable"),
        ({}, {"preprocessing": '{"order":"rgb","scale":1,"mean":[0,0,NaN],"std":[1,1,1]}'}, "unreadable.*finite"),
    ],
)
def test_faults_are_named(converted, tmp_path, tensors, metadata, message):
    path = rewrite(converted, tmp_path / "faulty.safetensors", tensors, metadata)
    with pytest.raises(JaxstyleError, match=rf"faulty\.safetensors: .*{message}"):
        load_converted(path)


def test_a_plain_safetensors_file_is_told_to_be_converted(tmp_path):
    path = tmp_path / "plain.safetensors"
    safetensors.numpy.save_file({"x": np.zeros(2)}, path)
    with pytest.raises(JaxstyleError, match=r"Convert it: jaxstyle weights convert .*plain\.safetensors"):
        load_converted(path)


def test_a_missing_file_and_a_folder(tmp_path):
    for path in (tmp_path, tmp_path / "none.safetensors"):
        with pytest.raises(JaxstyleError, match="there is no such file"):
            load_converted(path)


def test_a_truncated_file(converted, tmp_path):
    path = tmp_path / "short.safetensors"
    path.write_bytes(converted.read_bytes()[:-1000])
    with pytest.raises(JaxstyleError, match=r"short\.safetensors: not a readable safetensors file"):
        load_converted(path)


@settings(deadline=None, max_examples=50)
@given(st.binary(max_size=64))
def test_arbitrary_bytes_are_answered(tmp_path_factory, data):
    path = tmp_path_factory.mktemp("bytes") / "x.safetensors"
    path.write_bytes(data)
    with pytest.raises(JaxstyleError, match=r"x\.safetensors"):
        load_converted(path)


def test_incomplete_parameters_are_never_written(tmp_path, parameters):
    incomplete = {layer: parts for layer, parts in parameters.items() if layer != "conv4_4"}
    with pytest.raises(JaxstyleError, match="conv4_4: the layer is missing"):
        save(tmp_path / "x.safetensors", incomplete)
    assert not list(tmp_path.iterdir())


def test_an_interrupted_write_leaves_nothing(tmp_path, parameters, monkeypatch):
    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("os.replace", interrupt)
    with pytest.raises(KeyboardInterrupt):
        save(tmp_path / "x.safetensors", parameters)
    assert not list(tmp_path.iterdir())


def test_a_folder_that_cannot_be_made(tmp_path, parameters):
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(JaxstyleError, match="cannot be written"):
        save(tmp_path / "file" / "x.safetensors", parameters)


def test_mean_colours():
    assert NETWORKS["oxford"].preprocessing.mean_colour == pytest.approx((0.48502, 0.45796, 0.40760), abs=1e-5)
    assert NETWORKS["torchvision"].preprocessing.mean_colour == (0.485, 0.456, 0.406)
