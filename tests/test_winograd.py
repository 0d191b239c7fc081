import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxstyle.winograd import WinogradConv, add_tiles, convolve, cut_tiles, transform_kernel

SIZES = [(1, 1), (3, 9), (4, 4), (8, 7), (17, 30)]


def random(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def direct(features, kernel):
    """The sum itself, in float64."""
    padded = np.pad(np.asarray(features, np.float64), ((0, 0), (1, 1), (1, 1), (0, 0)))
    height, width = features.shape[1:3]
    windows = [padded[:, i : i + height, j : j + width] @ kernel[i, j] for i in range(3) for j in range(3)]
    return np.sum(windows, axis=0)


@pytest.mark.parametrize(("height", "width"), SIZES)
def test_it_is_the_sum(height, width):
    features, kernel, bias = random(2, height, width, 5), random(3, 3, 5, 7, seed=1), random(7, seed=2)
    expected = direct(features, kernel) + bias
    found = WinogradConv(kernel, bias)(jnp.asarray(features))
    # Lavin & Gray, Table 1: F(4×4, 3×3) loses about a decimal against the sum in float32; 2e-6 of the largest is seen.
    np.testing.assert_allclose(found, expected, rtol=0, atol=2e-5 * np.abs(expected).max())


@pytest.mark.parametrize(("height", "width"), SIZES)
def test_its_gradients_are_the_sums(height, width):
    features, kernel, cotangent = random(1, height, width, 3), random(3, 3, 3, 4, seed=1), random(1, height, width, 4)
    _, pull = jax.vjp(convolve, jnp.asarray(features), transform_kernel(jnp.asarray(kernel)))
    by_features, by_kernel = pull(jnp.asarray(cotangent))
    expected = direct(cotangent, kernel[::-1, ::-1].transpose(0, 1, 3, 2))  # correlation's adjoint is convolution
    np.testing.assert_allclose(by_features, expected, rtol=0, atol=2e-5 * np.abs(expected).max())
    # Linear in the kernel: the inner product with any change of it is the change of the output.
    change = random(3, 3, 3, 4, seed=3)
    moved = np.vdot(direct(features, change), cotangent)
    np.testing.assert_allclose(np.vdot(transform_kernel(jnp.asarray(change)), by_kernel), moved, rtol=1e-3, atol=1e-3)


def test_adding_tiles_is_the_adjoint_of_cutting_them():
    picture = random(2, 12, 20, 3)
    tiles = random(6, 6, 2, 2, 4, 3, seed=1)
    left = np.vdot(np.asarray(cut_tiles(jnp.asarray(picture)), np.float64), tiles)
    right = np.vdot(picture, np.asarray(add_tiles(jnp.asarray(tiles)), np.float64))
    np.testing.assert_allclose(left, right, rtol=1e-5)  # float32 sums of a few thousand products


def test_lanes_are_computed_alone():
    lanes, kernel = random(3, 1, 9, 6, 4), transform_kernel(jnp.asarray(random(3, 3, 4, 5, seed=1)))
    together = jax.vmap(lambda lane: convolve(lane, kernel))(jnp.asarray(lanes))
    alone = jnp.stack([convolve(jnp.asarray(lane), kernel) for lane in lanes])
    np.testing.assert_allclose(together, alone, rtol=0, atol=1e-5 * np.abs(np.asarray(alone)).max())
