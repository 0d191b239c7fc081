import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxstyle.network import winograd
from jaxstyle.network.winograd import MatrixConv, arrange_rows, convolve, convolve_rows, cut_tiles, transform_kernel

pytestmark = pytest.mark.usefixtures("optimized")

SIZES = [(1, 1), (3, 9), (4, 4), (8, 7), (17, 30)]
FORMS = {
    "winograd": (convolve, transform_kernel),
    "winograd, kernel first": (
        functools.partial(convolve, kernel_first=True),
        functools.partial(transform_kernel, kernel_first=True),
    ),
    "rows": (convolve_rows, arrange_rows),
}
"""A convolution, and the arrangement of the kernel that it takes."""
every_form = pytest.mark.parametrize(("convolve", "arrange"), FORMS.values(), ids=FORMS)


def random(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def direct(features, kernel):
    """The sum itself, in float64."""
    padded = np.pad(np.asarray(features, np.float64), ((0, 0), (1, 1), (1, 1), (0, 0)))
    height, width = features.shape[1:3]
    windows = [padded[:, i : i + height, j : j + width] @ kernel[i, j] for i in range(3) for j in range(3)]
    return np.sum(windows, axis=0)


@every_form
@pytest.mark.parametrize(("height", "width"), SIZES)
def test_it_is_the_sum(convolve, arrange, height, width):
    features, kernel = random(2, height, width, 5), random(3, 3, 5, 7, seed=1)
    expected = direct(features, kernel)
    found = convolve(jnp.asarray(features), arrange(jnp.asarray(kernel)))
    # Lavin & Gray, Table 1: F(4×4, 3×3) loses about a decimal against the sum in float32; 2e-6 of the largest is seen.
    np.testing.assert_allclose(found, expected, rtol=0, atol=2e-5 * np.abs(expected).max())


@every_form
@pytest.mark.parametrize(("height", "width"), SIZES)
def test_its_gradients_are_the_sums(convolve, arrange, height, width):
    features, kernel, cotangent = random(1, height, width, 3), random(3, 3, 3, 4, seed=1), random(1, height, width, 4)
    _, pull = jax.vjp(convolve, jnp.asarray(features), arrange(jnp.asarray(kernel)))
    by_features, by_kernel = pull(jnp.asarray(cotangent))
    expected = direct(cotangent, kernel[::-1, ::-1].transpose(0, 1, 3, 2))  # correlation's adjoint is convolution
    np.testing.assert_allclose(by_features, expected, rtol=0, atol=2e-5 * np.abs(expected).max())
    # Linear in the kernel: the inner product with any change of it is the change of the output.
    change = random(3, 3, 3, 4, seed=3)
    moved = np.vdot(direct(features, change), cotangent)
    np.testing.assert_allclose(np.vdot(arrange(jnp.asarray(change)), by_kernel), moved, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("filters", [8, winograd.MANY_FILTERS])
@pytest.mark.parametrize("side", [4, 7, 8, 14, 15])
def test_a_layer_takes_the_form_for_its_positions(side, filters, monkeypatch):
    taken = []
    for name in ("convolve", "convolve_rows"):
        form = getattr(winograd, name)
        monkeypatch.setattr(winograd, name, lambda *a, form=form, name=name, **k: taken.append(name) or form(*a, **k))
    features, kernel, bias = random(1, side, side, 3), random(3, 3, 3, filters, seed=1), random(filters, seed=2)
    found = MatrixConv(kernel, bias)(jnp.asarray(features))
    few = side <= 7 if filters == winograd.MANY_FILTERS else side <= 14
    assert taken == ["convolve_rows" if few else "convolve"]
    expected = direct(features, kernel) + bias
    np.testing.assert_allclose(found, expected, rtol=0, atol=2e-5 * np.abs(expected).max())


def test_tiles_are_cut_four_apart():
    image = random(2, 12, 20, 3)
    tiles = cut_tiles(jnp.asarray(image))
    assert tiles.shape == (6, 6, 2, 2, 4, 3)
    np.testing.assert_array_equal(tiles[:, :, 1, 1, 2], image[1, 4:10, 8:14])


@every_form
def test_lanes_are_computed_alone(convolve, arrange):
    lanes, kernel = random(3, 1, 9, 6, 4), arrange(jnp.asarray(random(3, 3, 4, 5, seed=1)))
    together = jax.vmap(lambda lane: convolve(lane, kernel))(jnp.asarray(lanes))
    alone = jnp.stack([convolve(jnp.asarray(lane), kernel) for lane in lanes])
    np.testing.assert_allclose(together, alone, rtol=0, atol=1e-5 * np.abs(np.asarray(alone)).max())


@every_form
def test_its_derivative_along_a_direction_is_itself(convolve, arrange):
    features, direction, kernel = random(1, 9, 6, 4), random(1, 9, 6, 4, seed=1), random(3, 3, 4, 5, seed=2)
    arranged = arrange(jnp.asarray(kernel))
    _, moved = jax.jvp(lambda x: convolve(x, arranged), (jnp.asarray(features),), (jnp.asarray(direction),))
    expected = direct(direction, kernel)
    np.testing.assert_allclose(moved, expected, rtol=0, atol=2e-5 * np.abs(expected).max())
