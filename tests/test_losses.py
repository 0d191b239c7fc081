"""The oracles are float64 NumPy, written from the formulas of docs/conventions.md, and Eqs. 2 and 6 of the paper."""

import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxstyle.config import Convention
from jaxstyle.errors import JaxstyleError
from jaxstyle.paper.conventions import FORMULAS, convert_weights
from jaxstyle.paper.losses import content_loss, style_layer_loss, style_loss, total_variation
from jaxstyle.paper.statistics import mean_gram_matrix
from jaxstyle.paper.terms import Content, Style

HEIGHT, WIDTH, FILTERS = 6, 5, 8
POSITIONS = HEIGHT * WIDTH
ROUNDING = 1e-5  # float32 sums of some hundred numbers


def responses(seed, height=HEIGHT, width=WIDTH):
    """Features after a ReLU: half of them zero."""
    return np.maximum(np.random.default_rng(seed).normal(size=(height, width, FILTERS)), 0).astype(np.float32)


def gram(features):
    return np.einsum("hwi,hwj->ij", features.astype(np.float64), features.astype(np.float64))


F, P, S = responses(0), responses(1), responses(2, 9, 4)
DELTA_F = F.astype(np.float64) - P
DELTA_G = gram(F) / POSITIONS - gram(S) / 36
TARGET = jnp.asarray(gram(S) / 36, jnp.float32)

CONTENT = {
    "paper": 0.5 * np.sum(DELTA_F**2),
    "paper-figures": np.mean(DELTA_F**2) / 2,
    "gatys-normalized": np.mean(DELTA_F**2),
    "gatys-notebook": np.mean(DELTA_F**2),
    "neural-style": np.mean(DELTA_F**2),
    "pystiche": np.mean(DELTA_F**2),
}
STYLE = {
    "paper": np.sum(DELTA_G**2) / (4 * FILTERS**2),
    "paper-figures": np.sum(DELTA_G**2) / (4 * FILTERS**2),
    "gatys-normalized": np.mean(DELTA_G**2),
    "gatys-notebook": np.mean(DELTA_G**2) / FILTERS**2,
    "neural-style": np.mean((DELTA_G / FILTERS) ** 2),
    "pystiche": np.mean(DELTA_G**2),
}


def content_of(convention, features, target):
    return Content("conv1_1", convention).value(jnp.zeros((1, 1, 3)), {"conv1_1": features}, target)


def style_of(convention, features, target):
    return Style("conv1_1", convention).value(jnp.zeros((1, 1, 3)), {"conv1_1": features}, target)


def test_every_convention_has_a_formula_and_an_oracle():
    assert set(FORMULAS) == {str(name) for name in Convention} == set(CONTENT) == set(STYLE)


@pytest.mark.parametrize("convention", FORMULAS)
def test_a_conventions_terms(convention):
    found = content_of(convention, jnp.asarray(F), jnp.asarray(P))
    assert found == pytest.approx(CONTENT[convention], rel=ROUNDING)
    assert style_of(convention, jnp.asarray(F), TARGET) == pytest.approx(STYLE[convention], rel=ROUNDING)


def test_the_papers_losses_are_equations_1_and_4():
    same_size = responses(3)
    assert content_loss(jnp.asarray(F), jnp.asarray(P)) == pytest.approx(0.5 * np.sum(DELTA_F**2), rel=ROUNDING)
    expected = np.sum((gram(F) - gram(same_size)) ** 2) / (4 * FILTERS**2 * POSITIONS**2)
    target = jnp.asarray(gram(same_size) / POSITIONS, jnp.float32)
    assert style_layer_loss(jnp.asarray(F), target) == pytest.approx(expected, rel=ROUNDING)


def test_the_style_loss_is_equation_5():
    features = {"conv1_1": jnp.asarray(F), "conv2_1": jnp.asarray(P)}
    targets = {"conv1_1": TARGET, "conv2_1": 2 * TARGET}
    expected = 0.2 * style_layer_loss(features["conv1_1"], TARGET) + 0.3 * style_layer_loss(jnp.asarray(P), 2 * TARGET)
    found = style_loss(features, targets, {"conv1_1": 0.2, "conv2_1": 0.3})
    assert found == pytest.approx(float(expected), rel=ROUNDING)


def test_the_style_losss_layers_may_have_any_sizes_and_order():
    large = jnp.asarray(np.concatenate([P, P], axis=-1)[:3])
    wide = mean_gram_matrix(large)
    features, targets = {"conv2_1": large, "conv1_1": jnp.asarray(F)}, {"conv1_1": TARGET, "conv2_1": 2 * wide}
    expected = 0.2 * style_layer_loss(features["conv1_1"], TARGET) + 0.3 * style_layer_loss(large, 2 * wide)
    found = style_loss(features, targets, {"conv1_1": 0.2, "conv2_1": 0.3})
    assert found == pytest.approx(float(expected), rel=ROUNDING)


def test_the_contents_gradient_is_equation_2():
    """Through the ReLU: F − P where the feature is positive, 0 where it is not."""
    before_relu = jnp.asarray(np.random.default_rng(5).normal(size=F.shape), jnp.float32)
    found = jax.grad(lambda x: content_loss(jax.nn.relu(x), jnp.asarray(P)))(before_relu)
    features = np.maximum(before_relu, 0)
    np.testing.assert_allclose(found, np.where(features > 0, features - P, 0), atol=1e-6)
    assert np.any(features == 0)


def test_the_styles_gradient_is_equation_6():
    """Through the ReLU: (Fᵀ(G − A)) / (N² M²) where the feature is positive, 0 where it is not."""
    before_relu = jnp.asarray(np.random.default_rng(6).normal(size=F.shape), jnp.float32)
    style = responses(7)
    target = jnp.asarray(gram(style) / POSITIONS, jnp.float32)
    found = jax.grad(lambda x: style_layer_loss(jax.nn.relu(x), target))(before_relu)
    features = np.maximum(np.asarray(before_relu, np.float64), 0)
    product = features @ (gram(features) - gram(style)) / (FILTERS**2 * POSITIONS**2)
    np.testing.assert_allclose(found, np.where(features > 0, product, 0), atol=1e-5 * np.abs(product).max())


@pytest.mark.parametrize("convention", FORMULAS)
def test_gradients_agree_with_finite_differences(convention):
    direction = np.random.default_rng(8).normal(size=F.shape)
    with jax.enable_x64(True):
        for term, target in ((content_of, P), (style_of, gram(S) / 36)):
            loss, target = functools.partial(term, convention), jnp.asarray(target, jnp.float64)
            point = jnp.asarray(F, jnp.float64)
            slope = jnp.vdot(jax.grad(loss)(point, target), direction)
            step = 1e-5  # the error of a central difference is of order step² ≈ 1e-10
            rise = loss(point + step * direction, target) - loss(point - step * direction, target)
            assert rise / (2 * step) == pytest.approx(float(slope), rel=1e-7)


@pytest.mark.parametrize(("source", "target"), list(itertools.permutations(FORMULAS, 2)))
def test_converted_weights_give_the_same_gradient(source, target):
    shapes = {"conv1_1": (HEIGHT, WIDTH, FILTERS), "conv2_1": (3, 2, 4)}
    images = {"conv1_1": jnp.asarray(F), "conv2_1": jnp.asarray(F[:3, :2, :4])}
    content_targets = {"conv1_1": jnp.asarray(P), "conv2_1": jnp.asarray(P[:3, :2, :4])}
    style_targets = {"conv1_1": TARGET, "conv2_1": TARGET[:4, :4]}

    def gradient(convention, content, style):
        def loss(images):
            parts = ((content_of, content, content_targets), (style_of, style, style_targets))
            return sum(
                weight * term(convention, images[layer], targets[layer])
                for term, weights, targets in parts
                for layer, weight in weights.items()
            )

        return jax.grad(loss)(images)

    weights = {"content": {"conv1_1": 0.7, "conv2_1": 0.2}, "style": {"conv1_1": 30.0, "conv2_1": 0.5}}
    content, style = convert_weights(**weights, source=source, target=target, shapes=shapes)
    before, after = gradient(source, **weights), gradient(target, content, style)
    for layer in shapes:
        scale = np.abs(before[layer]).max()
        np.testing.assert_allclose(after[layer], before[layer], atol=ROUNDING * scale)
        assert scale > 0


def test_an_unknown_convention_is_answered():
    for names in ({"source": "pystich", "target": "paper"}, {"source": "paper", "target": "pystich"}):
        with pytest.raises(
            JaxstyleError, match=r"unknown convention 'pystich'; did you mean 'pystiche'\?.*neural-style"
        ):
            convert_weights(content={}, style={}, shapes={}, **names)


def test_total_variation_is_in_levels():
    image = np.random.default_rng(9).uniform(size=(4, 5, 3))
    levels = 255 * image
    expected = 0.5 * (np.sum(np.diff(levels, axis=0) ** 2) + np.sum(np.diff(levels, axis=1) ** 2))
    assert total_variation(jnp.asarray(image, jnp.float32)) == pytest.approx(expected, rel=ROUNDING)
    assert total_variation(jnp.full((4, 5, 3), 0.3)) == 0


def test_a_layer_without_a_shape_is_answered():
    with pytest.raises(JaxstyleError, match=r"no shape is given for conv2_1; given: conv1_1"):
        convert_weights(
            content={"conv2_1": 1.0}, style={}, source="paper", target="pystiche", shapes={"conv1_1": (4, 4, 64)}
        )
