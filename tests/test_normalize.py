"""`loss.normalize`: what divides each layer's weight, or its gradient, as in neural-style and neural-style-pt."""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from small_runs import make

from jaxstyle.errors import JaxstyleError
from jaxstyle.network.layers import VGGLayout
from jaxstyle.network.weights import Weights
from jaxstyle.optimizers import Status
from jaxstyle.paper.objective import evaluate
from jaxstyle.paper.terms import LayerTerm
from jaxstyle.sweeps.sharing import share
from jaxstyle.synthesis.objectives import traced_weights
from jaxstyle.synthesis.optimization import Track, optimize, optimize_together
from jaxstyle.synthesis.preparation import Prepared, prepare, read_images

GRADIENTS = "loss.normalize=gradients"


def ready(folder: Path, weights: Weights, *overrides: str) -> Prepared:
    experiment = make(folder, *overrides)
    (prepared,) = prepare(experiment, read_images(experiment), weights)
    return prepared


def by_hand(prepared: Prepared) -> np.ndarray:
    """Σ w Jᵀ g/|g|₁ over the terms, g of each alone with respect to its layer's features, J of these by the image."""
    problem, objective = prepared.problem, prepared.objective
    image = jnp.asarray(prepared.start)
    features, pull_back = jax.vjp(lambda pixels: objective.features(pixels, problem.parameters), image)
    cotangents = {layer: np.zeros(of_layer.shape, np.float64) for layer, of_layer in features.items()}
    for term in objective.terms:
        assert isinstance(term, LayerTerm)

        def alone(of_layer: jax.Array, term: LayerTerm = term) -> jax.Array:
            return term.value(image, {term.layer: of_layer}, problem.targets[term.name])

        gradient = np.asarray(jax.grad(alone)(features[term.layer]), np.float64)
        weight = float(problem.weights[term.name])
        cotangents[term.layer] += weight * gradient / (np.abs(gradient).sum() + 1e-8)
    (found,) = pull_back({layer: jnp.asarray(of_layer, jnp.float32) for layer, of_layer in cotangents.items()})
    return np.asarray(found)


def test_each_layers_gradient_is_divided_by_its_absolute_sum(tmp_path: Path, tiny: Weights):
    prepared = ready(tmp_path, tiny, GRADIENTS, "loss.content_weight=0.3", "loss.style_weight=2.0")
    with jax.enable_x64(False):
        _, gradient = evaluate(prepared.objective, jnp.asarray(prepared.start), prepared.problem)
        expected = by_hand(prepared)
    np.testing.assert_allclose(
        gradient, expected, atol=1e-4 * np.abs(expected).max()
    )  # float32, summed in other orders


def test_the_convention_does_not_count_and_the_weight_counts_once(tmp_path: Path, tiny: Weights):
    """neural-style-pt's flag would give w² here, and leave the conventions' factors."""

    def gradient(*overrides: str) -> np.ndarray:
        prepared = ready(tmp_path, tiny, GRADIENTS, *overrides)
        return np.asarray(evaluate(prepared.objective, jnp.asarray(prepared.start), prepared.problem)[1])

    alone = ("loss.content_weight=0", "loss.style_layers={conv1_1 = 1.0}")
    plain = gradient(*alone)
    for other, times in (("loss.convention=neural-style", 1), ("loss.style_weight=3.0", 3)):
        found = gradient(*alone, *(("loss.tv_weight=0", "loss.style_weight=1") if times == 1 else ()), other)
        np.testing.assert_allclose(found, times * plain, atol=2e-4 * np.abs(plain).max())


@pytest.mark.parametrize("method", ["lbfgs", "adam"])
def test_no_step_is_judged_by_the_loss_and_the_last_is_the_result(tmp_path: Path, tiny: Weights, method: str):
    seen: list[np.ndarray] = []
    settings = (GRADIENTS, f"optimizer.method={method}", "optimizer.iterations=22", "loss.content_weight=100.0")
    prepared = ready(tmp_path, tiny, *settings, "start.method=content", "optimizer.tolerance=1e-3")
    result = optimize([prepared], observe=lambda iterations, best: seen.append(best()))
    assert (result.status, result.history[-1].iteration) == (Status.BUDGET_SPENT, 22)
    assert result.evaluations == 23
    assert result.loss == result.history[-1].loss > min(line.loss for line in result.history)
    np.testing.assert_array_equal(result.image, seen[-1].clip(0, 1))


def test_a_weight_of_0_adds_nothing(tmp_path: Path, tiny: Weights):
    members = [make(tmp_path, GRADIENTS, f"loss.content_weight={weight}") for weight in (0.0, 0.5)]
    union = share(members)
    assert union[0] == union[1]
    tracks = [Track(prepare(member, read_images(member), tiny, reads=union[0])) for member in members]
    without, with_content = optimize_together(tracks)
    alone = optimize(tracks[1].scales)
    assert with_content.history[2].loss == pytest.approx(alone.history[2].loss, rel=1e-4)
    assert without.history[-1].terms["content/conv2_1"] == 0
    assert np.isfinite([line.loss for line in without.history]).all()
    assert len({*share([members[0], make(tmp_path)])}) == 1
    assert without.history[2].loss != with_content.history[2].loss


def test_what_searches_for_a_lower_loss_is_refused(tmp_path: Path):
    with pytest.raises(JaxstyleError, match=r'loss.normalize: found "gradients".*scipy-lbfgsb.*: lbfgs, adam'):
        make(tmp_path, GRADIENTS, "optimizer.method=scipy-lbfgsb")


@pytest.mark.parametrize(
    ("size", "content"), [((24, 32), 128), ((400, 280), 200)], ids=["filters are most", "height is most"]
)
def test_weights_are_divided_by_the_longest_side_of_the_target(tmp_path: Path, tiny: Weights, size, content: int):
    prepared = ready(tmp_path, tiny, "loss.normalize=weights", "loss.tv_weight=1.0")
    plain = traced_weights(make(tmp_path, "loss.tv_weight=1.0"), prepared.objective, VGGLayout(), size)
    found = traced_weights(
        make(tmp_path, "loss.tv_weight=1.0", "loss.normalize=weights"), prepared.objective, VGGLayout(), size
    )
    ratios = {name: float(plain[name]) / float(found[name]) for name in plain}
    expected = {"content/conv2_1": content, "style/conv1_1": 64, "style/conv2_1": 128, "tv": 1}
    assert ratios == pytest.approx(expected, rel=1e-6)
    assert float(prepared.problem.weights["style/conv1_1"]) == pytest.approx(float(plain["style/conv1_1"]) / 64)
