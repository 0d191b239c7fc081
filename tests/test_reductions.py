"""Every jitted sum of ours at real sizes, beside float64 NumPy: XLA's have been silently wrong for some shapes.

float32 adds whole numbers without rounding, in any order, as long as no partial sum passes 2²⁴. So what is left out or
counted twice shows, be it one of ten million, and hardly a bound is needed.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from synthetic import SHAPE, Synthetic, settings

from jaxstyle.network import calibration
from jaxstyle.network.vgg import VGG, split
from jaxstyle.network.weights import Weights
from jaxstyle.optimizers.device import advance_once, limits_of, method_of, start_state
from jaxstyle.optimizers.lbfgs import BOLDNESS, LBFGS
from jaxstyle.optimizers.reductions import norm
from jaxstyle.paper.losses import content_loss, style_layer_loss, total_variation
from jaxstyle.paper.statistics import blend, gram_matrix, mean_gram_matrix

pytestmark = pytest.mark.usefixtures("optimized")

FEATURES = [(512, 384, 64), (256, 192, 128), (64, 48, 512), (331, 99, 64), (2, 256, 192, 64), (3, 127, 65, 128)]
"""Those of an image of 512×384; 32,769 positions, the first number that was summed wrongly; members side by side."""
POWERS = [(512, 256, 64), (64, 64, 512), (2, 256, 128, 64)]
"""Numbers of positions by which dividing rounds nothing."""
IMAGES = [(512, 384, 3), (331, 99, 3), (2, 256, 192, 3)]

of_features = pytest.mark.parametrize("shape", FEATURES, ids=str)
of_images = pytest.mark.parametrize("shape", IMAGES, ids=str)


def whole(low: int, high: int, *shape: int, seed: int = 0) -> np.ndarray:
    """Whole numbers from low to high."""
    return np.random.default_rng(seed).integers(low, high, shape, np.int8, endpoint=True).astype(np.float32)


def jitted(function: Callable, first: np.ndarray, *others: Any) -> np.ndarray:
    """The function's value as a run computes it; with four axes, as members do that go side by side."""
    return np.asarray(jax.jit(jax.vmap(function) if first.ndim > 3 else function)(first, *others))


def grams(features: np.ndarray) -> np.ndarray:
    responses = features.reshape(*features.shape[:-3], -1, features.shape[-1]).astype(np.float64)
    return np.swapaxes(responses, -1, -2) @ responses


def total(terms: np.ndarray, axes: int = 3) -> np.ndarray:
    """The sum over the last axes."""
    return terms.sum(axis=tuple(range(-axes, 0)), dtype=np.float64)


@of_features
def test_gram_matrices(shape: tuple[int, ...]):
    features = whole(0, 3, *shape)
    expected = grams(features)
    np.testing.assert_array_equal(jitted(gram_matrix, features), expected)
    mean = jitted(mean_gram_matrix, features)
    np.testing.assert_allclose(mean, expected / np.prod(shape[-3:-1]), rtol=2**-22)  # a quotient is rounded


@of_features
def test_the_gradients_of_gram_matrices(shape: tuple[int, ...]):
    features, cotangent = whole(0, 3, *shape), whole(-1, 1, *shape[:-3], shape[-1], shape[-1])
    found = jitted(lambda given, pulled: jax.vjp(gram_matrix, given)[1](pulled)[0], features, cotangent)
    both = cotangent + np.swapaxes(cotangent, -1, -2)
    np.testing.assert_array_equal(found, features @ both[..., None, :, :])


@of_features
def test_content_loss(shape: tuple[int, ...]):
    features, apart = whole(0, 3, *shape), whole(-1, 1, *shape, seed=1)
    np.testing.assert_array_equal(jitted(content_loss, features, features + apart), 0.5 * total(np.abs(apart)))


@pytest.mark.parametrize("shape", POWERS, ids=str)
def test_style_layer_loss(shape: tuple[int, ...]):
    features, apart = whole(0, 3, *shape), whole(-1, 1, *shape[:-3], shape[-1], shape[-1], seed=1)
    target = (grams(features) / np.prod(shape[-3:-1]) + apart).astype(np.float32)
    expected = total(np.abs(apart), axes=2) / (4 * shape[-1] ** 2)
    np.testing.assert_array_equal(jitted(style_layer_loss, features, target), expected)


@of_images
def test_total_variation(shape: tuple[int, ...]):
    """Squares of 255 are rounded, by 4e-8 of the sum as was seen; one row of 512 is 2e-3."""
    levels = whole(0, 5, *shape) * 51
    rows, columns = (total(np.diff(levels.astype(np.float64), axis=axis) ** 2) for axis in (-3, -2))
    np.testing.assert_allclose(jitted(total_variation, levels / 255), 0.5 * (rows + columns), rtol=1e-6)


@pytest.mark.parametrize("filters", [64, 512])
def test_the_blend_of_several_images_statistics(filters: int):
    statistics, weights = whole(0, 100, 4, filters, filters), np.asarray([1, 2, 4, 1], np.float32)
    found = jax.jit(blend)(statistics, weights)
    np.testing.assert_array_equal(found, np.tensordot(weights / 8, statistics.astype(np.float64), axes=1))


def test_mean_activations(tiny: Weights):
    """Features and their sum are rounded, by 1e-7 as was seen; one row of 256 is 4e-3."""
    network = VGG(tiny.parameters, tiny.preprocessing, layers=("conv1_1",))
    image = jnp.asarray(whole(0, 5, 256, 256, 3) / 5)
    found = calibration._mean_responses(*split(network), image, ("conv1_1",))["conv1_1"]
    features = np.asarray(network(image, ("conv1_1",))["conv1_1"], np.float64)
    np.testing.assert_allclose(found, features.mean((0, 1)), rtol=1e-6)


@of_images
def test_dot_products_and_norms_of_images(shape: tuple[int, ...]):
    one, other = whole(-3, 3, *shape), whole(-3, 3, *shape, seed=1)
    np.testing.assert_array_equal(jitted(jnp.vdot, one, other), total(one * other))
    np.testing.assert_allclose(jitted(norm, one), np.sqrt(total(one**2)), rtol=2**-23)  # a root is rounded
    mean_size = jitted(LBFGS(lambda image: image)._mean_size, one)
    np.testing.assert_allclose(mean_size, total(np.abs(one)) / np.prod(shape[-3:]), rtol=2**-22)


def inverse_hessian_times(grad: np.ndarray, pairs: list[tuple[np.ndarray, np.ndarray]]) -> np.ndarray:
    """H g by the two-loop recursion (Nocedal & Wright, Alg. 7.4), from pairs (s, y), the newest last."""
    steps = []
    for s, y in reversed(pairs):
        steps.append(np.vdot(s, grad) / np.vdot(s, y))
        grad = grad - steps[-1] * y
    s, y = pairs[-1]
    product = BOLDNESS * np.vdot(s, y) / np.vdot(y, y) * grad
    for s, y in pairs:
        product = product + (steps.pop() - np.vdot(y, product) / np.vdot(s, y)) * s
    return product


@of_images
def test_the_direction_of_l_bfgs(shape: tuple[int, ...]):
    """Its numbers are no whole ones: rounded through all dot products, by 6e-8 as was seen."""
    solver = LBFGS(lambda image: image, history_size=2)

    def find_direction(grad: jax.Array, *pairs: tuple[jax.Array, jax.Array]) -> jax.Array:
        state = solver.init_state(grad)
        for s, y in pairs:
            state = solver._remember(state, s, y, store=jnp.asarray(True))
        return solver._direction(grad, state, None)

    generator = np.random.default_rng(0)
    grad, first, second, *noise = (generator.standard_normal(shape, np.float32) for _ in range(5))
    pairs = [(first, first + noise[0]), (second, second + noise[1])]
    found = jitted(find_direction, grad, *pairs)
    for lane in np.ndindex(shape[:-3]):
        kept = [(s[lane].astype(np.float64), y[lane].astype(np.float64)) for s, y in pairs]
        expected = -inverse_hessian_times(grad[lane].astype(np.float64), kept)
        assert np.linalg.norm(found[lane] - expected) <= 1e-6 * np.linalg.norm(expected)


@pytest.mark.parametrize("method", ["lbfgs", "adam"])
@pytest.mark.parametrize("bounds", [None, ((0.0, 1.0),) * 3], ids=["free", "in a box"])
def test_products_that_an_iterate_depends_on_are_asked_for_in_full_float32(method: str, bounds: object):
    """GPUs would take TF32 for a dot product that does not say so."""
    chosen, image = settings(method=method, bounds=bounds), jnp.zeros(SHAPE)
    lowered = advance_once.lower(
        Synthetic(), method_of(chosen), start_state(Synthetic(), method_of(chosen), image), image, limits_of(chosen)
    )
    products = [line for line in lowered.as_text().splitlines() if "dot_general" in line]
    assert products
    assert all("HIGHEST" in line for line in products), [line for line in products if "HIGHEST" not in line][:1]
