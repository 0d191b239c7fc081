"""Terms of other papers against float64 NumPy; and a term of one's own, which needs no line of the package."""

import dataclasses
import json
from pathlib import Path
from typing import ClassVar

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.linalg
from small_commands import Run
from small_runs import make

from jaxstyle import terms
from jaxstyle.config import Experiment
from jaxstyle.errors import JaxstyleError
from jaxstyle.network.weights import Weights
from jaxstyle.optimizers.device import advance_once
from jaxstyle.paper.objective import evaluate
from jaxstyle.paper.terms import Term
from jaxstyle.sweeps.sharing import share
from jaxstyle.synthesis.loss_terms import weights_of
from jaxstyle.synthesis.optimization import Track, optimize, optimize_together
from jaxstyle.synthesis.preparation import Prepared, prepare, read_pictures
from jaxstyle.terms.laplacian import Laplacian
from jaxstyle.terms.moments import Moments
from jaxstyle.terms.wasserstein import Wasserstein, square_root

LAYER = "conv1_1"


def image_of(seed: int, height: int = 13, width: int = 18) -> np.ndarray:
    return np.random.default_rng(seed).uniform(size=(height, width, 3))


def features_of(seed: int) -> np.ndarray:
    """Features after a ReLU, five filters that respond together."""
    generator = np.random.default_rng(seed)
    return np.maximum(generator.normal(size=(9, 7, 5)) @ generator.normal(size=(5, 5)) + 0.3, 0)


def covariance(features: np.ndarray) -> np.ndarray:
    return np.cov(features.reshape(-1, 5).T, bias=True) + 1e-4 * np.eye(5)


def laplacian(image: np.ndarray, pool: int) -> np.ndarray:
    height, width = (side // pool for side in image.shape[:2])
    grey = np.zeros((height, width))
    for row in range(height):
        for column in range(width):
            square = image[row * pool : (row + 1) * pool, column * pool : (column + 1) * pool]
            grey[row, column] = 255 * square.mean(axis=(0, 1)).sum()
    kernel = np.array([[0, -1, 0], [-1, 4, -1], [0, -1, 0]])
    return np.array(
        [
            [np.sum(kernel * grey[row : row + 3, column : column + 3]) for column in range(width - 2)]
            for row in range(height - 2)
        ]
    )


def of_laplacian(pool: int) -> float:
    return float(np.mean((laplacian(image_of(0), pool) - laplacian(image_of(1), pool)) ** 2))


def of_moments() -> float:
    own, style = (features_of(seed).reshape(-1, 5) for seed in (0, 1))
    means, deviations = own.mean(0) - style.mean(0), own.std(0) - style.std(0)
    return float(np.mean(means**2 + deviations**2))


def of_wasserstein() -> float:
    own, style = features_of(0), features_of(1)
    root = scipy.linalg.sqrtm(covariance(style))
    cross = scipy.linalg.sqrtm(root @ covariance(own) @ root)
    means = own.mean((0, 1)) - style.mean((0, 1))
    return float(np.mean(means**2) + np.mean(np.diagonal(covariance(own) + covariance(style) - 2 * cross.real)))


CASES = [
    (Laplacian(pool=1), of_laplacian(1)),
    (Laplacian(), of_laplacian(4)),
    (Moments(LAYER), of_moments()),
    (Wasserstein(LAYER), of_wasserstein()),
]


def value(term: Term, image: jax.Array, features: jax.Array, *, dtype: type = np.float32) -> jax.Array:
    source = term.target(jnp.asarray(image_of(1), dtype), {LAYER: jnp.asarray(features_of(1), dtype)})
    return term.value(image, {LAYER: features}, source)


@pytest.mark.parametrize(("term", "expected"), CASES, ids=lambda case: getattr(case, "name", ""))
def test_a_term_is_that_of_its_paper(term: Term, expected: float):
    with jax.enable_x64(True):
        found = value(term, jnp.asarray(image_of(0)), jnp.asarray(features_of(0)), dtype=np.float64)
    # A root by twelve iterations of a matrix whose eigenvalues differ by some thousands, and the floor of a deviation.
    assert float(found) == pytest.approx(expected, rel=1e-4)
    with jax.enable_x64(False):
        rounded = value(term, jnp.asarray(image_of(0), jnp.float32), jnp.asarray(features_of(0), jnp.float32))
    assert float(rounded) == pytest.approx(expected, rel=2e-3)  # float32, with the roots' cancellation


@pytest.mark.parametrize("term", [term for term, _ in CASES], ids=lambda term: term.name)
def test_a_terms_gradient_is_that_of_its_value_in_both_modes(term: Term):
    with jax.enable_x64(True):
        point = jnp.asarray(image_of(0)), jnp.asarray(features_of(0))
        direction = jnp.asarray(image_of(2)) - 0.5, jnp.asarray(features_of(3)) - 0.5

        def along(step: jax.Array) -> jax.Array:
            image, features = (at + step * way for at, way in zip(point, direction, strict=True))
            return value(term, image, features, dtype=np.float64)

        forward = jax.jvp(along, (jnp.float64(0),), (jnp.float64(1),))[1]
        backward = jax.grad(along)(jnp.float64(0))
        step = 1e-5  # the error of a central difference is of its square; the roots leave nine digits
        difference = (along(jnp.float64(step)) - along(jnp.float64(-step))) / (2 * step)
    assert float(forward) == pytest.approx(float(backward), rel=1e-6)
    assert float(backward) == pytest.approx(float(difference), rel=1e-4)


def test_a_root_multiplied_by_itself_is_the_matrix():
    matrix = jnp.asarray(covariance(features_of(0)), jnp.float32)
    root = square_root(matrix)
    np.testing.assert_allclose(root @ root, matrix, atol=1e-4 * float(jnp.abs(matrix).max()))


# in an experiment


ADDED = '[{kind = "laplacian", weight = 10.0, pool = 2}, {kind = "moments", layers = ["conv2_1"]}]'


def ready(experiment: Experiment, weights: Weights, together: tuple[Term, ...] | None = None) -> tuple[Prepared, ...]:
    return prepare(experiment, read_pictures(experiment), weights, reads=together)


def test_terms_of_a_file_are_part_of_the_loss(tmp_path: Path, tiny: Weights):
    experiment = make(tmp_path, f"loss.terms={ADDED}", "optimizer.iterations=3")
    result = optimize(ready(experiment, tiny))
    last = result.history[-1]
    assert {"laplacian/2", "moments/conv2_1", "content/conv2_1"} <= last.terms.keys()
    assert sum(last.terms.values()) == pytest.approx(last.loss, rel=1e-5)
    assert last.terms["laplacian/2"] < result.history[0].terms["laplacian/2"]


def test_their_weights_share_a_program_and_lanes(tmp_path: Path, tiny: Weights):
    members = [
        make(tmp_path, f'loss.terms=[{{kind = "wasserstein", weight = {weight}, layers = ["conv1_1"]}}]')
        for weight in (0.5, 5.0)
    ]
    union = share(members)
    assert union[0] == union[1]
    alone = [optimize(ready(member, tiny, union[0])) for member in members]
    before = advance_once._cache_size()
    optimize(ready(members[0], tiny, union[0]))
    assert advance_once._cache_size() == before
    together = optimize_together([Track(ready(member, tiny, union[0])) for member in members])
    for found, expected in zip(together, alone, strict=True):
        assert found.history[1].loss == pytest.approx(expected.history[1].loss, rel=1e-4)


@pytest.mark.parametrize(
    ("added", "message"),
    [
        ('[{kind = "laplacan"}]', r"loss.terms\[0\]: unknown kind 'laplacan'; did you mean 'laplacian'\? Allowed: "),
        ('[{kind = "laplacian", pol = 2}]', r"laplacian has no key 'pol'; its keys: kind, weight, pool"),
        ('[{kind = "laplacian", pool = 5}]', r"pool: found 5; allowed: 1, 2, 4, 8, 16, 32"),
        ('[{kind = "moments", layers = ["conv9_1"]}]', r"unknown layer 'conv9_1'"),
        ('[{kind = "moments"}, {kind = "moments"}]', r"moments/conv1_1, .* named more than once"),
        ('[{kind = "laplacian", weight = -1.0}]', r"loss.terms\[0\].weight"),
    ],
)
def test_a_wrong_table_is_answered(tmp_path: Path, added: str, message: str):
    with pytest.raises(JaxstyleError, match=message):
        make(tmp_path, f"loss.terms={added}")


def test_a_term_without_its_image_is_answered(tmp_path: Path):
    with pytest.raises(JaxstyleError, match=r'"moments" compares with image.style, and there is none'):
        make(tmp_path, 'loss.terms=[{kind = "moments"}]', "image.style=[]")


def test_a_swept_list_of_terms_names_its_members(jaxstyle_command: Run, folder: Path):
    values = '[[], [{kind = "laplacian", weight = 5.0}]]'
    done = jaxstyle_command("run", "small.toml", "--out", "s", "--set", f"sweep.loss.terms={values}")
    assert done.exit_code == 0, done.output
    assert "0: terms none: budget spent" in done.stdout
    assert "1: terms 5 laplacian: budget spent" in done.stdout
    first, second = ((folder / f"s/members/{index}/metrics.jsonl").read_text() for index in "01")
    assert "laplacian/4" in second
    assert "laplacian/4" not in first


def test_the_command_lists_every_kind_with_its_keys_and_source(jaxstyle_command: Run):
    listed = jaxstyle_command("terms").stdout
    for kind in terms.names():
        assert kind in listed
    for word in ("pool", "layers", "Lapstyle", "Laplacian-Steered"):
        assert word in listed


# a term of one's own


@dataclasses.dataclass(frozen=True)
class Brightness(Term):
    """The squared difference of mean brightness."""

    kind: ClassVar[str] = "brightness"
    source: ClassVar[str] = "content"
    power: int = 2

    def target(self, image, features):
        return jnp.mean(image)

    def value(self, image, features, target):
        return jnp.abs(jnp.mean(image) - target) ** self.power


@pytest.fixture
def brightness(monkeypatch: pytest.MonkeyPatch) -> None:
    """As an installed package would add it, by an entry point."""
    monkeypatch.setitem(terms.OWN, "brightness", f"{__name__}:Brightness")


@pytest.mark.usefixtures("brightness")
def test_a_term_of_ones_own_goes_through_a_sweep_and_its_record(jaxstyle_command: Run, folder: Path):
    changes = ('loss.terms=[{kind = "brightness", weight = 3.0}]', "sweep.start.seed=[1, 2]")
    done = jaxstyle_command("run", "small.toml", "--out", "s", *(f"--set={change}" for change in changes))
    assert done.exit_code == 0, done.output
    assert "1 compiled program" in done.stdout
    lines = (folder / "s/members/1/metrics.jsonl").read_text().splitlines()
    assert json.loads(lines[-1])["terms"]["brightness"] >= 0
    again = jaxstyle_command("run", "s/experiment.json", "--out", "again")
    assert again.exit_code == 0
    report = jaxstyle_command("report", "s")
    assert report.exit_code == 0, report.output


@pytest.mark.usefixtures("brightness")
def test_its_weight_and_its_gradient_count(tmp_path: Path, tiny: Weights):
    experiment = make(tmp_path, 'loss.terms=[{kind = "brightness", weight = 3.0}]')
    assert [weight for term, weight in weights_of(experiment).items() if term.name == "brightness"] == [3.0]
    (with_term,), (without,) = ready(experiment, tiny), ready(make(tmp_path), tiny)
    image = jnp.asarray(with_term.start)
    (loss, values), gradient = evaluate(with_term.objective, image, with_term.problem)
    (less, _), flatter = evaluate(without.objective, image, without.problem)
    away = float(np.mean(with_term.start) - np.mean(with_term.content))
    assert float(values["brightness"]) == pytest.approx(3 * away**2, rel=1e-4)
    assert float(loss) == pytest.approx(float(less) + 3 * away**2, rel=1e-6)
    # The network's gradient is a hundred times as large, and rounds.
    assert float(jnp.mean(gradient - flatter)) == pytest.approx(6 * away / image.size, rel=1e-2)
