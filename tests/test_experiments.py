"""The experiment files: each loads and expands, names images that exist, and those of the paper run."""

import contextlib
import re
import subprocess
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from small_runs import read_manifest, read_metrics, smooth

from jaxstyle.config import Experiment, load_experiment
from jaxstyle.images import gallery, read_image, write_image
from jaxstyle.network.weights import Weights
from jaxstyle.optimizers import Iteration, Status
from jaxstyle.runs import runner
from jaxstyle.runs.runner import run
from jaxstyle.sweeps.expansion import expand
from jaxstyle.sweeps.members import run_members
from jaxstyle.synthesis.scales import Scale

ROOT = Path(__file__).resolve().parents[1]
EXPERIMENTS = ROOT / "experiments"
FILES = sorted(EXPERIMENTS.rglob("*.toml"))
RUNNABLE = [
    EXPERIMENTS / "quickstart.toml",
    EXPERIMENTS / "ablations" / "pooling.toml",
    EXPERIMENTS / "controls" / "regions.toml",
    *sorted((EXPERIMENTS / "paper").rglob("*.toml")),
]
FIGURES = {"fig1-content": 5, "fig1-style": 5, "fig3": 5, "fig4": 4, "fig5": 2, "fig6": 6, "fig7": 1}
"""The paper's figures, with the number of panels that are optimized."""

TINY = ("image.size=48", "optimizer.iterations=2")
SUBSTITUTE = (32, 48)
"""The generated images' size: the shape of the quick start's photo, so that one compilation serves most members."""


def of(path: Path) -> str:
    return path.relative_to(EXPERIMENTS).as_posix()


def tracked() -> set[Path]:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode:
        pytest.skip("not a git checkout")
    return {ROOT / name for name in listed.stdout.split("\0") if name}


def images_of(experiment: Experiment) -> set[str]:
    return {name for role, name in experiment.file_names().items() if role != "weights"}


def test_every_figure_of_the_paper_has_its_file():
    assert {path.stem for path in (EXPERIMENTS / "paper").glob("*.toml")} >= {*FIGURES}


@pytest.mark.parametrize("name", FIGURES)
def test_a_figure_has_as_many_members_as_panels(name: str):
    assert len(expand(load_experiment(EXPERIMENTS / "paper" / f"{name}.toml"))) == FIGURES[name]


def test_every_ablation_asks_a_question_and_is_listed():
    files = sorted((EXPERIMENTS / "ablations").glob("*.toml"))
    page = (EXPERIMENTS / "ablations" / "README.md").read_text(encoding="utf-8")
    listed = dict(re.findall(r"^\| \[(\S+)\]\(\1\) \|.*\| (\d+) \|$", page, re.MULTILINE))
    assert listed == {path.name: str(len(expand(load_experiment(path)))) for path in files}
    for path in files:
        text = path.read_text(encoding="utf-8")
        assert "\n# Question: " in text
        assert "\n# Answer: " in text
        assert f" {listed[path.name]} runs." in text.replace("\n# ", " ")


@pytest.mark.parametrize("path", FILES, ids=of)
def test_a_file_loads_and_says_what_it_is(path: Path):
    experiment = load_experiment(path)
    assert experiment.title
    header = path.read_text(encoding="utf-8").splitlines()
    # Editors find the schema by the first line.
    schema = header[0].removeprefix("#:schema ")
    assert (path.parent / schema).resolve() == EXPERIMENTS / "experiment.schema.json"
    assert header[1].startswith("# ")
    members = expand(experiment, source=of(path))
    assert members
    assert len({member.label for member in members}) == len(members)


@pytest.mark.parametrize("path", FILES, ids=of)
def test_a_file_names_images_that_exist(path: Path):
    known = {f"paper:{entry.name}" for entry in gallery.entries()}
    known |= {f"skimage:{name}" for name in gallery.bundled_names()}
    for member in expand(load_experiment(path)):
        for name in images_of(member.experiment):
            assert name in known or Path(name) in tracked(), f"{of(path)}: {name}"


@pytest.fixture(scope="module", autouse=True)
def substitutes(tmp_path_factory: pytest.TempPathFactory):
    """Generated images in the place of the paper's, whose rights are others'."""
    folder = tmp_path_factory.mktemp("images")
    for seed, entry in enumerate(gallery.entries()):
        write_image(folder / f"{entry.name}.png", smooth(*SUBSTITUTE, seed=seed))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(gallery.ENVIRONMENT, str(folder))
        yield


@pytest.fixture(scope="module", autouse=True)
def networks(vgg19: Weights, vgg19_normalized: Weights):
    """The real networks, read once."""
    sets = {network.name: network for network in (vgg19, vgg19_normalized)}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(runner, "load_weights", lambda name, progress: sets[name])
        yield


class Silent:
    """Hears everything and says nothing."""

    def log(self, message: str) -> None:
        pass

    def plan(self, scales: Sequence[Scale]) -> None:
        pass

    def progress(self, iterations: Sequence[Iteration]) -> None:
        pass


@pytest.mark.long
@pytest.mark.parametrize("path", RUNNABLE, ids=of)
def test_a_file_runs_at_a_tiny_size(tmp_path: Path, path: Path):
    experiment = load_experiment(path, TINY)
    if experiment.sweep is None:
        run(experiment, tmp_path)
        folders = [tmp_path]
    else:
        members = expand(experiment)
        outcomes = run_members(experiment, members, tmp_path, events_of=lambda member: contextlib.nullcontext(Silent()))
        assert [outcome.error for outcome in outcomes] == [None] * len(members)
        folders = [tmp_path / "members" / str(member.index) for member in members]
    for folder in folders:
        check(folder)


def check(folder: Path) -> None:
    """Two steps improve, all that is measured is a number, and the image is one."""
    manifest, lines = read_manifest(folder), read_metrics(folder)
    assert manifest["status"] == Status.BUDGET_SPENT
    assert len(lines) == 3
    losses = [line["loss"] for line in lines]
    assert losses[-1] < losses[0]
    numbers = [*manifest["metrics"]["paper_terms"].values(), *manifest["metrics"]["gram_distance"].values()]
    assert numbers
    assert np.isfinite(numbers).all()
    assert {*manifest["metrics"]["paper_terms"]} == {*lines[0]["terms"]}
    pixels = read_image(folder / "result.png").pixels
    assert max(pixels.shape) == 48
    assert pixels.std() > 0
