"""VGG-16 beside VGG-19: the same readers, the same file, the same terms."""

from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest
from small_runs import make, write_images
from weights_writers import VGG16, oihw, torch_zip

from jaxstyle.errors import JaxstyleError
from jaxstyle.network import weights
from jaxstyle.network.layers import FILTERS, INPUTS, LAYERS, NETWORKS, downsampling
from jaxstyle.network.vgg import VGG
from jaxstyle.network.weights import Parameters, convert, load_converted, normalize_parameters
from jaxstyle.network.weights.layouts import find_network
from jaxstyle.synthesis.preparation import prepare, read_images

OWN = NETWORKS["VGG-16"]
ADDED = [layer for layer in LAYERS if layer not in OWN]


@pytest.fixture(scope="module")
def parameters() -> Parameters:
    """Random and He-scaled, so that deep responses are there."""
    generator = np.random.default_rng(0)

    def kernel(layer: str) -> np.ndarray:
        shape = (3, 3, INPUTS[layer], FILTERS[layer])
        return generator.standard_normal(shape, dtype=np.float32) * np.float32(np.sqrt(2 / (9 * INPUTS[layer])))

    return {
        layer: {"kernel": kernel(layer), "bias": generator.standard_normal(FILTERS[layer], dtype=np.float32)}
        for layer in OWN
    }


def test_it_is_vgg19_without_three_convolutions(parameters: Parameters):
    """With kernels that pass responses on, which are not negative, VGG-19 computes the same."""
    passing = {}
    for layer in ADDED:
        kernel = np.zeros((3, 3, FILTERS[layer], FILTERS[layer]), np.float32)
        kernel[1, 1] = np.eye(FILTERS[layer])
        passing[layer] = {"kernel": kernel, "bias": np.zeros(FILTERS[layer], np.float32)}
    facts = weights.NETWORKS["oxford"].preprocessing
    image = jnp.asarray(np.random.default_rng(1).uniform(size=(33, 36, 3)), jnp.float32)
    layers = ("conv1_1", "conv3_3", "conv4_1", "conv5_1")
    expected = VGG({**parameters, **passing}, facts, layers=layers, convolution="direct")(image, layers)
    found = VGG(parameters, facts, layers=layers, convolution="direct")(image, layers)
    for layer in layers:
        assert found[layer].shape == (33 >> downsampling(layer), 36 >> downsampling(layer), FILTERS[layer])
        assert float(found[layer].max()) > 0
        np.testing.assert_allclose(found[layer], expected[layer], rtol=1e-5, atol=1e-5 * float(found[layer].max()))
    with pytest.raises(JaxstyleError, match=r"the network has no layer 'conv4_4'; its layers: conv1_1, .*, conv5_3"):
        VGG(parameters, facts, layers=["conv4_4"])


@pytest.mark.parametrize(
    "pattern",
    ["features.{number}", "vgg16.features.{number}", "{layer}", "block{block}_conv{index}", "convolution_{place}"],
)
def test_the_readers_find_it_under_the_names_of_all_programs(parameters: Parameters, pattern: str):
    names = {
        layer: pattern.format(number=number, layer=layer, block=layer[4], index=layer[6], place=place)
        for place, (layer, number) in enumerate(zip(OWN, VGG16, strict=True), start=1)
    }
    found = find_network(oihw(parameters, names))
    assert tuple(found.parameters) == OWN
    np.testing.assert_array_equal(found.parameters["conv5_3"]["kernel"], parameters["conv5_3"]["kernel"])


def test_a_file_is_converted_loaded_and_used(parameters: Parameters, tmp_path: Path):
    names = {layer: f"features.{number}" for layer, number in zip(OWN, VGG16, strict=True)}
    source, converted = tmp_path / "vgg16.pth", tmp_path / "vgg16.safetensors"
    source.write_bytes(torch_zip(oihw(parameters, names)))
    with pytest.raises(JaxstyleError, match=r"VGG-16, and the file does not show which.*--network oxford.*torchvision"):
        convert(source, converted)
    assert not converted.exists()
    loaded = load_converted(convert(source, converted, network="torchvision"))
    assert (loaded.network, loaded.metadata["architecture"], loaded.layout.layers) == ("torchvision", "VGG-16", OWN)
    assert "VGG-16 trained by" in loaded.metadata["attribution"]
    np.testing.assert_array_equal(loaded.parameters["conv4_2"]["bias"], parameters["conv4_2"]["bias"])
    write_images(tmp_path)
    layers = {"content_layers": ["conv2_2"], "style_layers": ["conv1_1"]}
    experiment = make(tmp_path, f"network.weights={converted}", loss=layers)
    (prepared,) = prepare(experiment, read_images(experiment), loaded)
    assert prepared.problem.targets["content/conv2_2"].shape == (12, 16, 128)
    experiment = make(tmp_path, f"network.weights={converted}", loss={"style_layers": ["conv3_4"]})
    with pytest.raises(JaxstyleError, match="the network has no layer 'conv3_4'"):
        prepare(experiment, read_images(experiment), loaded)


def test_a_vgg19_without_its_three_layers_is_damaged(parameters: Parameters, tmp_path: Path):
    """A file that says VGG-19, or was written before there was another, and has VGG-16's layers."""
    import safetensors.numpy

    path = tmp_path / "set.safetensors"
    weights.converted.save_converted(
        path,
        parameters,
        network="oxford",
        preprocessing=weights.NETWORKS["oxford"].preprocessing,
        source="",
        source_sha256="",
    )
    with safetensors.safe_open(path, framework="numpy") as file:
        metadata = {key: value for key, value in file.metadata().items() if key != "architecture"}
    safetensors.numpy.save_file(safetensors.numpy.load_file(path), path, metadata)
    with pytest.raises(JaxstyleError, match=r"conv3_4.kernel: missing"):
        load_converted(path)


def test_it_is_normalized_as_vgg19_is(parameters: Parameters):
    generator = np.random.default_rng(2)
    means = {layer: generator.uniform(0.5, 2, FILTERS[layer]).astype(np.float32) for layer in OWN}
    found = normalize_parameters(parameters, means)
    assert tuple(found) == OWN
    for layer, before in (("conv2_1", "conv1_2"), ("conv4_1", "conv3_3"), ("conv5_1", "conv4_3")):
        expected = parameters[layer]["kernel"] * means[before][:, None] / means[layer]
        np.testing.assert_allclose(found[layer]["kernel"], expected, rtol=1e-6)
        np.testing.assert_allclose(found[layer]["bias"], parameters[layer]["bias"] / means[layer], rtol=1e-6)
