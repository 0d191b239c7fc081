import jax
import jax.numpy as jnp
import numpy as np

from jaxstyle.paper.statistics import blend, gram_matrix, mean_gram_matrix


def test_the_gram_matrix_is_equation_3():
    features = np.random.default_rng(0).normal(size=(5, 7, 4)).astype(np.float32)
    expected = np.einsum("hwi,hwj->ij", features.astype(np.float64), features)
    np.testing.assert_allclose(gram_matrix(jnp.asarray(features)), expected, rtol=1e-5, atol=1e-5)  # float32 sums
    np.testing.assert_allclose(mean_gram_matrix(jnp.asarray(features)), expected / 35, rtol=1e-5, atol=1e-6)


def test_the_gram_matrix_has_the_gradient_of_the_plain_product():
    features = np.random.default_rng(3).normal(size=(3, 5, 4))
    cotangent = np.random.default_rng(4).normal(size=(4, 4))  # not symmetric, as a loss of one half of it would give
    pulled = jax.grad(lambda features: jnp.sum(gram_matrix(features) * cotangent))(jnp.asarray(features, jnp.float32))
    expected = np.einsum("hwj,ij->hwi", features, cotangent) + np.einsum("hwj,ji->hwi", features, cotangent)
    np.testing.assert_allclose(pulled, expected, rtol=1e-4, atol=1e-5)


def test_the_gram_matrix_and_its_gradient_are_one_product_each():
    gradient = jax.make_jaxpr(jax.grad(lambda features: jnp.sum(jnp.square(gram_matrix(features)))))
    assert str(gradient(jnp.ones((3, 5, 4)))).count("dot_general[") == 2


def test_positions_have_no_order():
    features = np.random.default_rng(1).normal(size=(6, 6, 3)).astype(np.float32)
    shuffled = np.random.default_rng(2).permutation(features.reshape(36, 3)).reshape(4, 9, 3)
    # Only the order of summation differs.
    np.testing.assert_allclose(gram_matrix(jnp.asarray(shuffled)), gram_matrix(jnp.asarray(features)), rtol=1e-4)


def test_a_blend_is_a_weighted_mean():
    matrices = jnp.asarray([[[1.0, 2.0], [2.0, 4.0]], [[3.0, 0.0], [0.0, 0.0]]])
    np.testing.assert_allclose(blend(matrices, jnp.asarray([3.0, 1.0])), [[1.5, 1.5], [1.5, 3.0]])
    np.testing.assert_array_equal(blend(matrices, jnp.asarray([5.0, 0.0])), matrices[0])
