import numpy as np
import pytest

from jaxstyle.errors import JaxstyleError
from jaxstyle.images import write_image
from jaxstyle.network.calibration import measure_mean_activations
from jaxstyle.network.weights import Weights, normalize_parameters


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    folder = tmp_path_factory.mktemp("images")
    generator = np.random.default_rng(0)
    rows, columns = np.linspace(0, 1, 300)[:, None, None], np.linspace(0, 1, 280)[None, :, None]
    for index in range(2):
        waves = np.sin(generator.uniform(5, 40, 3) * rows + generator.uniform(5, 40, 3) * columns)
        write_image(folder / f"{index}.png", 0.5 + 0.5 * waves * generator.uniform(0.2, 1, (300, 280, 1)))
    return sorted(folder.iterdir())


def test_normalized_on_these_images_the_mean_activation_is_one(vgg19, images):
    seen = []
    means = measure_mean_activations(vgg19, images, advance=seen.append)
    assert seen == images
    parameters = normalize_parameters(vgg19.parameters, means)
    assert all(np.isfinite(array).all() for parts in parameters.values() for array in parts.values())
    normalized = Weights("mine", "oxford-normalized", parameters, vgg19.preprocessing, "", vgg19.path)
    again = measure_mean_activations(normalized, images)
    silent = 0
    for layer, of_each in means.items():
        fires = of_each > 1e-3
        silent += np.sum(~fires)
        # float32 rounding of the parameters adds up over sixteen layers.
        np.testing.assert_allclose(again[layer][fires], 1, atol=1e-3)
    assert silent > 0  # two drawn images do not make every filter fire: the guard is exercised


def test_the_mean_is_over_images(vgg19, images):
    both = measure_mean_activations(vgg19, images)
    each = [measure_mean_activations(vgg19, [image]) for image in images]
    expected = (each[0]["conv3_1"] + each[1]["conv3_1"]) / 2
    np.testing.assert_allclose(both["conv3_1"], expected, rtol=1e-5, atol=1e-4)  # float32, responses up to thousands


def test_no_images_is_answered(vgg19):
    with pytest.raises(JaxstyleError, match="no images"):
        measure_mean_activations(vgg19, [])
