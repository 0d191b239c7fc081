import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxstyle.network.vgg import VGG, split
from jaxstyle.optimizers.device import advance_once
from jaxstyle.paper.conventions import FORMULAS
from jaxstyle.paper.losses import total_variation
from jaxstyle.paper.objective import Objective, Problem, compute_targets, evaluate
from jaxstyle.paper.terms import Content, Style, TotalVariation

CONTENT, STYLE = ("conv2_1",), ("conv1_1", "conv2_1")


def random_image(seed, height=14, width=11):
    return jnp.asarray(np.random.default_rng(seed).uniform(size=(height, width, 3)), jnp.float32)


def objective_of(weights, convention="paper", *, with_tv=True, content=CONTENT, style=STYLE):
    network = VGG(weights.parameters, weights.preprocessing, layers=(*content, *style))
    structure, parameters = split(network)
    terms = [*(Content(layer, convention) for layer in content), *(Style(layer, convention) for layer in style)]
    return Objective(structure, (*terms, TotalVariation()) if with_tv else (*terms,)), parameters


def problem_of(objective, parameters, *, alpha=2.0, beta=3.0, tv=1e-3, seed=10, size=(14, 11)):
    content, style = (compute_targets(objective, random_image(seed + which, *size), parameters) for which in (0, 1))
    of_kind = {"content": alpha, "style": beta / 2, "tv": tv}
    targets = {name: (content if name.startswith("content") else style)[name] for name in content}
    return Problem(parameters, targets, {term.name: jnp.float32(of_kind[term.kind]) for term in objective.terms})


@pytest.mark.parametrize("convention", FORMULAS)
def test_the_loss_is_the_weighted_sum_of_its_terms(tiny, convention):
    objective, parameters = objective_of(tiny, convention)
    problem = problem_of(objective, parameters)
    image = random_image(0)
    (loss, terms), _ = evaluate(objective, image, problem)
    assert set(terms) == set(objective.names) == {"content/conv2_1", "style/conv1_1", "style/conv2_1", "tv"}
    assert loss == pytest.approx(sum(float(term) for term in terms.values()), rel=1e-6)  # four float32 numbers
    features = objective.features(image, parameters)
    weights = {"content/conv2_1": 2.0, "style/conv1_1": 1.5, "style/conv2_1": 1.5, "tv": 1e-3}
    expected = {
        term.name: weights[term.name] * term.value(image, features, problem.targets.get(term.name))
        for term in objective.terms
    }
    assert expected["tv"] == 1e-3 * total_variation(image)
    for name, term in expected.items():
        assert terms[name] == pytest.approx(float(term), rel=1e-4)  # another program, another order of summation


def test_the_gradient_is_that_of_the_loss(tiny):
    objective, parameters = objective_of(tiny)
    problem = problem_of(objective, parameters)
    _, in_float32 = evaluate(objective, random_image(0), problem)
    with jax.enable_x64(True):
        image, direction = (jnp.asarray(random_image(seed), jnp.float64) for seed in (0, 5))
        (loss, _), gradient = evaluate(objective, image, problem)
        assert loss.dtype == gradient.dtype == jnp.float64
        step = 1e-7
        above, below = (evaluate(objective, image + sign * step * direction, problem)[0][0] for sign in (1, -1))
        # A central difference: few ReLUs change sign within the step, and float64 leaves it 9 digits.
        assert (above - below) / (2 * step) == pytest.approx(float(jnp.vdot(gradient, direction)), rel=1e-6)
    # float32 through three convolutions and back.
    np.testing.assert_allclose(in_float32, gradient, atol=1e-4 * np.abs(gradient).max())


def test_an_image_is_at_no_distance_from_itself(tiny):
    objective, parameters = objective_of(tiny, with_tv=False)
    own = compute_targets(objective, random_image(0), parameters)
    problem = problem_of(objective, parameters)._replace(targets=own)
    (loss, _), gradient = evaluate(objective, random_image(0), problem)
    (far, _), _ = evaluate(objective, random_image(1), problem)
    assert loss < 1e-8 * far  # two programs' rounding, squared
    assert jnp.isfinite(gradient).all()


def test_a_weight_of_zero_leaves_a_layer_out(tiny):
    objective, parameters = objective_of(tiny, with_tv=False)
    without, _ = objective_of(tiny, with_tv=False, style=("conv2_1",))
    problem = problem_of(objective, parameters)
    zero = problem._replace(weights=problem.weights | {"style/conv1_1": jnp.float32(0)})
    shorter = Problem(parameters, *({name: of[name] for name in without.names} for of in problem[1:3]))
    (loss, terms), gradient = evaluate(objective, random_image(0), zero)
    (expected, _), expected_gradient = evaluate(without, random_image(0), shorter)
    assert terms["style/conv1_1"] == 0
    assert loss == pytest.approx(float(expected), rel=1e-5)
    np.testing.assert_allclose(gradient, expected_gradient, atol=1e-5 * float(jnp.abs(expected_gradient).max()))


def test_values_are_arguments_and_structures_are_static(tiny):
    objective, parameters = objective_of(tiny)
    image = random_image(0, 15, 12)  # a size of its own: no other test has compiled for it
    problem = problem_of(objective, parameters, size=(15, 12))
    evaluate(objective, image, problem)
    before = evaluate._cache_size()
    again, other_parameters = objective_of(tiny)
    assert again == objective
    assert hash(again) == hash(objective)
    other = problem_of(again, other_parameters, alpha=0.0, beta=7.0, tv=0.0, seed=20, size=(15, 12))
    evaluate(again, random_image(1, 15, 12), other)
    assert evaluate._cache_size() == before
    other_terms = tuple(dataclasses.replace(term, convention="pystiche") for term in objective.terms if term.layers)
    evaluate(dataclasses.replace(objective, terms=other_terms), image, problem)
    assert evaluate._cache_size() == before + 1


@pytest.mark.usefixtures("direct_convolutions")
def test_nothing_is_captured(tiny):
    """Every array of the program comes in as an argument."""
    objective, parameters = objective_of(tiny)
    program = jax.make_jaxpr(objective.value_and_grad)(random_image(0), problem_of(objective, parameters))
    assert sum(np.size(constant) for constant in program.consts) <= 6  # mean and spread of the colours


def equations(program):
    """Those of a program and of the programs within it."""
    for equation in program.eqns:
        yield equation
        for inner in equation.params.values():
            if hasattr(inner, "jaxpr"):
                yield from equations(inner.jaxpr)


def test_every_product_is_full_float32(tiny):
    """The default is TF32 on recent GPUs: three digits fewer."""
    objective, parameters = objective_of(tiny)
    problem = problem_of(objective, parameters)
    for program in (
        jax.make_jaxpr(objective.value_and_grad)(random_image(0), problem),
        jax.make_jaxpr(lambda image: compute_targets(objective, image, parameters))(random_image(0)),
    ):
        products = [
            equation
            for equation in equations(program.jaxpr)
            if equation.primitive.name in ("dot_general", "conv_general_dilated")
        ]
        assert {equation.primitive.name for equation in products} == {"dot_general", "conv_general_dilated"}
        for equation in products:
            assert equation.params["precision"] == (jax.lax.Precision.HIGHEST,) * 2


@pytest.mark.usefixtures("direct_convolutions")
def test_the_network_runs_once_forward_and_once_backward(tiny):
    objective, parameters = objective_of(tiny)
    program = str(jax.make_jaxpr(objective.value_and_grad)(random_image(0), problem_of(objective, parameters)))
    assert program.count("conv_general_dilated[") == 2 * 3  # conv1_1, conv1_2, conv2_1


def test_members_that_differ_in_values_share_the_optimizers_program(tiny, monkeypatch):
    import jaxstyle

    monkeypatch.setattr("jaxstyle.synthesis.transfer.load_weights", lambda name: tiny)
    layers = {"content_layers": ["conv2_1"], "style_layers": ["conv1_1", "conv2_1"]}
    images = [np.asarray(random_image(seed, 20, 24)) for seed in range(3)]

    def run(first, second, seed, **loss):
        jaxstyle.transfer(
            images[first],
            images[second],
            image={"size": 24},
            loss=layers | loss,
            start={"seed": seed},
            optimizer={"iterations": 2},
        )

    run(0, 1, 0)
    before = advance_once._cache_size(), compute_targets._cache_size()
    run(2, 0, 1, content_weight=0.3, style_weight=5.0)
    run(1, 2, 2, style_layers={"conv1_1": 0.0, "conv2_1": 0.9})
    assert (advance_once._cache_size(), compute_targets._cache_size()) == before
