"""What is measured on results, against float64 NumPy: the network's layers, the equations, and the comparisons."""

from pathlib import Path

import numpy as np
import pytest
from numpy.lib.stride_tricks import sliding_window_view
from small_runs import make

from jaxstyle.images import fit_style, read_image
from jaxstyle.network.weights import Weights
from jaxstyle.synthesis.measurements import measure_result
from jaxstyle.synthesis.preparation import Prepared, prepare, read_images


def ready(weights: Weights, folder: Path, *overrides: str, **sections) -> Prepared:
    experiment = make(folder, *overrides, **sections)
    return prepare(experiment, read_images(experiment), weights)[-1]


def convolved(hidden: np.ndarray, layer: dict[str, np.ndarray]) -> np.ndarray:
    """A 3×3 convolution with zeros around the image, and the ReLU."""
    windows = sliding_window_view(np.pad(hidden, ((1, 1), (1, 1), (0, 0))), (3, 3), axis=(0, 1))
    return np.maximum(np.einsum("hwcij,ijcf->hwf", windows, layer["kernel"].astype(np.float64)) + layer["bias"], 0)


def features_of(image: np.ndarray, weights: Weights) -> dict[str, np.ndarray]:
    """conv1_1 and conv2_1 in float64, with average pooling, for the Oxford network's colours."""
    facts = weights.preprocessing
    assert (facts.order, facts.scale) == ("bgr", 255.0)
    first = convolved(image[..., ::-1].astype(np.float64) * 255 - np.asarray(facts.mean), weights.parameters["conv1_1"])
    second = convolved(first, weights.parameters["conv1_2"])
    height, width, filters = second.shape
    pooled = second.reshape(height // 2, 2, width // 2, 2, filters).mean(axis=(1, 3))
    return {"conv1_1": first, "conv2_1": convolved(pooled, weights.parameters["conv2_1"])}


def gram(features: np.ndarray) -> np.ndarray:
    flat = features.reshape(-1, features.shape[-1])
    return flat.T @ flat


@pytest.fixture
def image() -> np.ndarray:
    return np.random.default_rng(3).uniform(size=(24, 32, 3)).astype(np.float32)


@pytest.mark.parametrize("convention", ["pystiche", "neural-style"])
def test_the_terms_are_the_papers_whatever_was_optimized(
    tmp_path: Path, tiny: Weights, image: np.ndarray, convention: str
):
    found = measure_result(ready(tiny, tmp_path, f"loss.convention={convention}"), image)
    content, style = (read_image(tmp_path / name).pixels for name in ("content.png", "style.png"))
    style = fit_style(style, height=24, width=32, rule="content")
    of_image, of_content, of_style = (features_of(pixels, tiny) for pixels in (image, content, style))
    expected = {"content/conv2_1": 0.5 * np.sum((of_image["conv2_1"] - of_content["conv2_1"]) ** 2)}  # Eq. 1
    distances = {}
    for layer in ("conv1_1", "conv2_1"):
        positions, filters = of_image[layer][..., 0].size, of_image[layer].shape[-1]
        difference = gram(of_image[layer]) - gram(of_style[layer])
        expected[f"style/{layer}"] = np.sum(difference**2) / (4 * filters**2 * positions**2)  # Eq. 4
        distances[layer] = np.linalg.norm(difference) / np.linalg.norm(gram(of_style[layer]))
    # Sums of squares of float32 responses, each good to about 1e-6, whose differences are not small.
    assert found["paper_terms"] == pytest.approx(expected, rel=1e-4)
    assert found["gram_distance"] == pytest.approx(distances, rel=1e-4)


def test_comparisons_with_the_content(tmp_path: Path, tiny: Weights, image: np.ndarray):
    prepared = ready(tiny, tmp_path)
    found = measure_result(prepared, image)
    content = read_image(tmp_path / "content.png").pixels.astype(np.float64)
    luma = np.array([0.299, 0.587, 0.114])
    correlation = np.corrcoef((content @ luma).ravel(), (image.astype(np.float64) @ luma).ravel())[0, 1]
    psnr = 10 * np.log10(1 / np.mean((content - image) ** 2))
    # The same float64 sums in another order.
    assert found["grey_correlation"] == pytest.approx(correlation, abs=1e-9)
    assert found["psnr"] == pytest.approx(psnr, abs=1e-9)


def test_the_content_itself_is_at_no_distance(tmp_path: Path, tiny: Weights):
    prepared = ready(tiny, tmp_path, image={"content": "content.png"})
    assert prepared.content is not None
    found = measure_result(prepared, prepared.content)
    assert found == {
        "grey_correlation": pytest.approx(1.0, abs=1e-12),  # float64's rounding of a sum over 768 pixels
        "psnr": np.inf,
        "ssim": pytest.approx(1.0, abs=1e-12),
        "paper_terms": {"content/conv2_1": 0.0},
        "gram_distance": {},
    }


def test_the_style_itself_is_at_no_distance(tmp_path: Path, tiny: Weights):
    prepared = ready(tiny, tmp_path, "start.method=style", image={"style": "style.png"})
    found = measure_result(prepared, prepared.start)
    assert found == {
        "paper_terms": {"style/conv1_1": 0.0, "style/conv2_1": 0.0},
        "gram_distance": {"conv1_1": 0.0, "conv2_1": 0.0},
    }


def test_weights_do_not_matter(tmp_path: Path, tiny: Weights, image: np.ndarray):
    plain = measure_result(ready(tiny, tmp_path), image)
    weighted = measure_result(ready(tiny, tmp_path, loss={"content_weight": 0, "style_weight": 9e3}), image)
    assert weighted == plain
