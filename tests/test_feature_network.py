"""A network of one's own in the place of VGG-19: any function from an image to features, with parameters as a tree."""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from small_runs import smooth

import jaxstyle
from jaxstyle.config import experiment_from_mapping
from jaxstyle.errors import JaxstyleError
from jaxstyle.images import image_of_array
from jaxstyle.network.feature_network import FeatureNetwork
from jaxstyle.network.vgg import VGG, split
from jaxstyle.network.weights import Weights
from jaxstyle.optimizers.device import advance_once
from jaxstyle.paper.objective import evaluate
from jaxstyle.synthesis.preparation import Prepared, prepare, read_images

CONTENT, STYLE = smooth(25, 34, seed=1), smooth(30, 30, seed=2)
LOSS = {"content_layers": ["coarse"], "style_layers": ["fine", "coarse"]}


def convolved(kernel: jax.Array, image: jax.Array, stride: int) -> jax.Array:
    dimensions = ("NHWC", "HWIO", "NHWC")
    found = jax.lax.conv_general_dilated(image[None], kernel, (stride, stride), "VALID", dimension_numbers=dimensions)
    return jax.nn.softplus(found[0])


def two_layers(parameters: dict[str, jax.Array], image: jax.Array) -> dict[str, jax.Array]:
    """Sizes that no pooling by two gives; `unused` is never asked for."""
    fine = convolved(parameters["fine"], image, 1)
    return {"fine": fine, "coarse": convolved(parameters["coarse"], fine, 3), "unused": fine[:, :, :1] / 0}


def parameters(seed: int = 0) -> dict[str, np.ndarray]:
    generator = np.random.default_rng(seed)
    shapes = {"fine": (3, 3, 3, 6), "coarse": (5, 5, 6, 8)}
    return {name: generator.normal(size=shape).astype(np.float32) / 5 for name, shape in shapes.items()}


def network(seed: int = 0) -> FeatureNetwork:
    return FeatureNetwork(two_layers, parameters(seed), layers=["fine", "coarse"], mean_colour=(0.2, 0.4, 0.6))


def transfer(own: FeatureNetwork, *, image: dict | None = None, loss: dict | None = None, **sections):
    optimizer = sections.pop("optimizer", {"iterations": 6})
    sizes = {"size": 34, **(image or {})}
    return jaxstyle.transfer(
        CONTENT, STYLE, image=sizes, loss=LOSS | (loss or {}), optimizer=optimizer, network=own, **sections
    )


def ready(own: Weights | FeatureNetwork, loss: dict, layers: tuple[str, ...], image: dict | None = None) -> Prepared:
    tables = {"image": {"content": "array:content", "style": "array:style", "size": 34, **(image or {})}, "loss": loss}
    experiment = experiment_from_mapping(tables, source="here", folder=Path("/"), layers=layers)
    arrays = {"array:content": CONTENT, "array:style": STYLE}
    given = {name: image_of_array(array.astype(np.float32), name) for name, array in arrays.items()}
    (prepared,) = prepare(experiment, read_images(experiment, given), own)
    return prepared


def test_its_features_are_compared_as_vggs_are():
    before = advance_once._cache_size()
    terms = [{"kind": kind, "layers": ["coarse"]} for kind in ("moments", "sliced-wasserstein")]
    result = transfer(network(), loss={"terms": terms})
    names = {"content/coarse", "style/fine", "style/coarse", "moments/coarse", "sliced-wasserstein/coarse"}
    assert names == result.history[0].terms.keys()
    assert np.isfinite([line.loss for line in result.history]).all()
    assert result.loss < 0.7 * result.history[0].loss
    # Other parameters of the same function, in another object, are arguments of the same program.
    other = transfer(network(1), loss={"terms": terms})
    assert advance_once._cache_size() == before + 1
    assert other.history[0].loss != result.history[0].loss


def test_the_gradient_is_that_of_its_loss():
    prepared = ready(network(), LOSS, ("fine", "coarse"))
    start, direction = jnp.asarray(prepared.start), jnp.asarray(smooth(25, 34, seed=5) - 0.5, jnp.float32)
    _, gradient = evaluate(prepared.objective, start, prepared.problem)
    step = 1e-2
    there, back = (
        float(evaluate(prepared.objective, start + way * step * direction, prepared.problem)[0][0]) for way in (1, -1)
    )
    assert float(jnp.vdot(gradient, direction)) == pytest.approx((there - back) / (2 * step), rel=1e-2)  # float32


def test_vgg_handed_over_as_a_function_is_vgg(tiny: Weights):
    layers = ("conv1_1", "conv2_1")
    features, numbers = split(VGG(tiny.parameters, tiny.preprocessing, layers=layers))
    own = FeatureNetwork(lambda numbers, image: features(numbers, image, layers), numbers, layers=layers)
    loss = {"content_layers": ["conv2_1"], "style_layers": ["conv1_1"]}
    starts = {"image": {"guides": "simple"}}
    of_vgg, of_function = (ready(it, loss, layers, **starts) for it in (tiny, own))
    image = jnp.asarray(CONTENT + 0.1, jnp.float32)
    (loss_of_vgg, _), gradient = evaluate(of_vgg.objective, image, of_vgg.problem)
    (same, _), also = evaluate(of_function.objective, image, of_function.problem)
    assert float(same) == pytest.approx(float(loss_of_vgg), rel=1e-5)
    np.testing.assert_allclose(also, gradient, atol=1e-4 * float(jnp.abs(gradient).max()))


def test_noise_is_around_its_mean_colour_and_regions_work():
    mask = np.zeros(CONTENT.shape[:2])
    mask[:, :17] = 1
    prepared = ready(network(), LOSS, ("fine", "coarse"))
    np.testing.assert_allclose(prepared.start.mean((0, 1)), (0.2, 0.4, 0.6), atol=1e-3)
    result = transfer(network(), image={"regions": {"left": {"content": mask}}}, optimizer={"iterations": 2})
    assert "style/coarse/left" in result.history[0].terms


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"loss": {"content_layers": ["corse"]}}, "unknown layer 'corse'; did you mean 'coarse'"),
        ({"loss": {"style_layers": ["conv1_1"]}}, "unknown layer 'conv1_1'"),
        ({"loss": {"terms": [{"kind": "moments"}]}}, "the network has no layer 'conv1_1'; its layers: fine, coarse"),
        ({"image": {"size": 16}}, r"an image of 16×12 pixels has nothing left at coarse|nothing left"),
        (
            {"image": {"regions": {"a": {"content": np.ones((5, 5))}}, "guides": "inside"}},
            'image.guides: found "inside", which needs a VGG\'s receptive fields',
        ),
    ],
)
def test_what_it_cannot_do_is_answered(changes: dict, message: str):
    narrow = {"features": lambda numbers, image: {"fine": image, "coarse": image[12:, 12:]}}
    own = FeatureNetwork(**narrow, parameters={}, layers=("fine", "coarse")) if "size" in str(changes) else network()
    with pytest.raises(JaxstyleError, match=message):
        transfer(own, **changes)


@pytest.mark.parametrize(
    ("features", "message"),
    [
        ({"fine": (4, 4, 3)}, "the network gives no features 'coarse'; it gives fine"),
        ({"fine": (4, 4, 3), "coarse": (1, 4, 4, 3)}, r"features 'coarse' have the shape \(1, 4, 4, 3\); allowed: "),
    ],
)
def test_a_function_that_gives_something_else_is_answered(features: dict, message: str):
    def given(numbers, image):
        return {name: jnp.zeros(shape) + jnp.sum(image) for name, shape in features.items()}

    with pytest.raises(JaxstyleError, match=message):
        transfer(FeatureNetwork(given, (), layers=("fine", "coarse")))
