"""Terms of other papers against float64 NumPy; and a term of one's own, which needs no line of the package."""

import dataclasses
import functools
import itertools
import json
from pathlib import Path
from typing import ClassVar

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.linalg
from small_commands import Register, Run
from small_runs import EVERY_TERM, make, smooth

from jaxstyle import terms
from jaxstyle.config import Experiment
from jaxstyle.errors import JaxstyleError
from jaxstyle.images import write_image
from jaxstyle.network.weights import Weights
from jaxstyle.optimizers.device import advance_once
from jaxstyle.paper.objective import evaluate
from jaxstyle.paper.terms import Term
from jaxstyle.sweeps.sharing import share
from jaxstyle.synthesis.loss_terms import weights_of
from jaxstyle.synthesis.optimization import Track, optimize, optimize_together
from jaxstyle.synthesis.preparation import Prepared, prepare, read_images
from jaxstyle.synthesis.scales import Scale
from jaxstyle.synthesis.state import RunState
from jaxstyle.terms.histogram import Histogram
from jaxstyle.terms.laplacian import Laplacian
from jaxstyle.terms.means import Means
from jaxstyle.terms.moments import Moments
from jaxstyle.terms.patches import Patches
from jaxstyle.terms.shifted_gram import ShiftedGram
from jaxstyle.terms.sliced_wasserstein import SlicedWasserstein
from jaxstyle.terms.variation import Variation
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


def at_quantiles(ordered: np.ndarray, count: int) -> np.ndarray:
    points = (np.arange(len(ordered)) + 0.5) / len(ordered)
    wanted = (np.arange(count) + 0.5) / count
    return np.stack([np.interp(wanted, points, column) for column in ordered.T], axis=-1)


def of_quantiles(bins: int, directions: np.ndarray) -> float:
    own, style = (np.sort(features_of(seed).reshape(-1, 5) @ directions, axis=0) for seed in (0, 1))
    return float(np.mean((own - at_quantiles(at_quantiles(style, bins), len(own))) ** 2))


def of_exact_histograms() -> float:
    """R(O) spelled out: the k-th lowest response gets the style's k-th lowest."""
    own, style = (features_of(seed).reshape(-1, 5) for seed in (0, 1))
    matched = np.empty_like(own)
    for channel in range(5):
        matched[np.argsort(own[:, channel], kind="stable"), channel] = np.sort(style[:, channel])
    return float(np.mean((own - matched) ** 2))


def unit_directions(count: int, seed: int) -> np.ndarray:
    vectors = np.random.default_rng([seed, 0]).standard_normal((5, count))
    return vectors / np.linalg.norm(vectors, axis=0)


def of_shifted_gram(shift: int) -> float:
    def shifted(features: np.ndarray, down: int, right: int) -> np.ndarray:
        height, width, _ = features.shape
        places = [(y, x) for y in range(height - down) for x in range(width - right)]
        return sum(np.outer(features[y, x], features[y + down, x + right]) for y, x in places) / len(places)

    own, style = features_of(0), features_of(1)
    pairs = [(shifted(own, *way), shifted(style, *way)) for way in ((0, shift), (shift, 0))]
    return float(sum(np.sum((first - second) ** 2) for first, second in pairs) / (4 * 5**2))


def of_patches(grid: int) -> float:
    def patch(features: np.ndarray, y: int, x: int) -> np.ndarray:
        return features[y : y + 3, x : x + 3].ravel()

    own, style = features_of(0), features_of(1)
    rows, columns = (np.rint(np.linspace(0, side - 3, grid)).astype(int) for side in style.shape[:2])
    library = [patch(style, y, x) for y in rows for x in columns]
    errors = []
    for y in range(own.shape[0] - 2):
        for x in range(own.shape[1] - 2):
            here = patch(own, y, x)
            nearest = max(library, key=lambda there: here @ there / np.linalg.norm(there))
            errors.append(np.mean((here - nearest) ** 2))
    return float(np.mean(errors))


def of_absolute_variation() -> float:
    image = 255 * image_of(0)
    return float(np.abs(np.diff(image, axis=0)).sum() + np.abs(np.diff(image, axis=1)).sum())


def of_nine_points() -> float:
    """The program's own slices."""
    padded = np.pad(image_of(0), ((1, 1), (1, 1), (0, 0)), mode="edge")
    middle = padded[1:-1, 1:-1]
    straight = np.mean((padded[1:-1, 2:] - middle) ** 2) + np.mean((padded[2:, 1:-1] - middle) ** 2)
    falling = np.mean((padded[1:, 1:] - padded[:-1, :-1]) ** 2)
    rising = np.mean((padded[1:, :-1] - padded[:-1, 1:]) ** 2)
    return float(2 * (straight / 3 + (falling + rising) / 12))


def of_means() -> float:
    return float(np.mean((features_of(0).mean((0, 1)) - features_of(1).mean((0, 1))) ** 2))


CASES = [
    (Histogram(LAYER, bins=63), of_exact_histograms()),
    (Histogram(LAYER, bins=10), of_quantiles(10, np.eye(5))),
    (Means(LAYER), of_means()),
    (Patches(LAYER, grid=3), of_patches(3)),
    (ShiftedGram(LAYER, shift=1), of_shifted_gram(1)),
    (ShiftedGram(LAYER, shift=4), of_shifted_gram(4)),
    (SlicedWasserstein(LAYER, bins=63), of_quantiles(63, unit_directions(5, 0))),
    (SlicedWasserstein(LAYER, directions=2, bins=20, seed=3), of_quantiles(20, unit_directions(10, 3))),
    (Variation(), of_absolute_variation()),
    (Variation("nine-point"), of_nine_points()),
    (Laplacian(pool=1), of_laplacian(1)),
    (Laplacian(), of_laplacian(4)),
    (Moments(LAYER), of_moments()),
    (Wasserstein(LAYER), of_wasserstein()),
]


@functools.partial(jax.jit, static_argnames=("term", "dtype"))
def value(term: Term, image: jax.Array, features: jax.Array, *, dtype: type = np.float32) -> jax.Array:
    drawn = {name: jnp.asarray(array, dtype) for name, array in term.draws(0, {LAYER: 5}).items()}
    sources = jnp.asarray(image_of(1), dtype), {LAYER: jnp.asarray(features_of(1), dtype), **drawn}
    return term.value(image, {LAYER: features, **drawn}, term.target(*sources) if term.source else None)


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
        # No two responses are the same: what is sorted has a kink there.
        apart = np.random.default_rng(7).permutation(9 * 7 * 5).reshape(9, 7, 5) / 315
        point = jnp.asarray(image_of(0)), jnp.asarray(features_of(0) + apart)
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
    return prepare(experiment, read_images(experiment), weights, reads=together)


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
        ('[{kind = "histogram", bins = 1}]', r"bins: found 1; allowed: 2 to 65536"),
        ('[{kind = "sliced-wasserstein", directions = 0}]', r"directions: found 0; allowed: 1 to 16"),
        ('[{kind = "shifted-gram", shift = 0}]', r"shift: found 0; allowed: 1 to 4096"),
        ('[{kind = "patches", grid = 0}]', r"grid: found 0; allowed: 1 to 128"),
        ('[{kind = "variation", rule = "huber"}]', r"rule: .*'absolute' or 'nine-point'"),
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


def test_patches_of_several_style_images_are_refused(tmp_path: Path):
    with pytest.raises(JaxstyleError, match=r'loss.terms\[0\]: "patches" compares with one style image; found 2'):
        make(tmp_path, 'loss.terms=[{kind = "patches"}]', 'image.style=["style.png", "content.png"]')


@pytest.mark.parametrize(
    ("added", "message"),
    [
        (
            '{kind = "shifted-gram", shift = 12, layers = ["conv2_1"]}',
            "a shift of 12 leaves nothing of features of 16×12",
        ),
        ('{kind = "patches", layers = ["conv2_1"]}', "features of 16×2 have no patch of 3×3"),
    ],
)
def test_features_that_are_too_small_are_answered(tmp_path: Path, tiny: Weights, added: str, message: str):
    if "patches" in added:
        write_image(tmp_path / "flat.png", np.full((4, 32, 3), 0.5))
    image = {"content": "flat.png", "style": "style.png"} if "patches" in added else {}
    with pytest.raises(JaxstyleError, match=message):
        ready(make(tmp_path, f"loss.terms=[{added}]", **({"image": image} if image else {})), tiny)


def test_every_term_goes_down_in_a_run_of_odd_size_from_a_style_of_another(tmp_path: Path, tiny: Weights):
    write_image(tmp_path / "odd.png", smooth(27, 31, seed=1))
    image = {"content": "odd.png", "style": "style.png", "size": 31, "style_size": "own"}
    experiment = make(tmp_path, EVERY_TERM, "loss.style_weight=0", "optimizer.iterations=8", image=image)
    kinds = [term.name for term in weights_of(experiment)][3:]
    (found,) = ready(experiment, tiny)
    result = optimize([found])
    together = optimize_together([Track([found]), Track([found])])
    standings: list[RunState] = []
    optimize([found], keep=lambda state, ends: standings.append(state()), interrupted=lambda: len(standings) > 3)
    resumed = optimize([found], resume=standings[-1])
    assert [line.terms for line in resumed.history] == [line.terms for line in result.history]
    np.testing.assert_array_equal(resumed.image, result.image)
    for name in kinds:
        assert np.isfinite([line.terms[name] for line in result.history]).all()
    assert result.loss < 0.8 * result.history[0].loss
    for lane in together:
        assert lane.history[1].loss == pytest.approx(result.history[1].loss, rel=1e-4)


def test_directions_are_other_ones_in_every_block_of_steps(tmp_path: Path, tiny: Weights):
    """A block is a function of its own, with the program of all; its optimizer begins afresh, as in a resumed one."""
    added = 'loss.terms=[{kind = "sliced-wasserstein", layers = ["conv1_1"], block = 2}]'
    experiment = make(tmp_path, added, "loss.style_weight=0", "optimizer.iterations=6", "image.scales=[24, 32]")
    blocks = ready(experiment, tiny)
    assert [part.scale for part in blocks] == [Scale(24, 2, 0), Scale(24, 1, 1), Scale(32, 2, 0), Scale(32, 1, 1)]
    before = advance_once._cache_size()
    standings: list[RunState] = []
    result = optimize(blocks, keep=lambda state, ends: standings.append(state()))
    assert advance_once._cache_size() == before + 2  # one for each size
    (name,) = (name for name in blocks[0].problem.guides if name.startswith("sliced-wasserstein/conv1_1/"))
    directions = [np.asarray(part.problem.guides[name]) for part in blocks]
    np.testing.assert_allclose([np.linalg.norm(of_block, axis=0) for of_block in directions], 1, rtol=1e-6)
    assert (directions[0] == directions[2]).all()
    assert np.abs(directions[0] - directions[1]).max() > 0.1
    # The same image by the directions of another block has another value; the iteration is counted on.
    last, first = next(
        pair for pair in itertools.pairwise(result.history) if pair[0].iteration == pair[1].iteration == 2
    )
    assert last.terms.keys() == first.terms.keys()
    assert last.terms["sliced-wasserstein/conv1_1"] != first.terms["sliced-wasserstein/conv1_1"]
    assert last.terms["content/conv2_1"] == pytest.approx(first.terms["content/conv2_1"], rel=1e-5)
    assert result.history[-1].iteration == 6
    within = next(state for state in standings if state.scale == 1)
    resumed = optimize(blocks, resume=within)
    np.testing.assert_array_equal(resumed.image, result.image)


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
def brightness(registered: Register) -> None:
    registered(terms, "brightness", Brightness)


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
